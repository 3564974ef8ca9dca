"""Why does no connection to a server come about?

gRPC says "Socket closed" to whoever shows no certificate, and aborts the process over half a pair of files.
So the files are looked at before gRPC gets them, and when no connection came about, the handshake is tried
once more by Python's own library, which knows the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from tenure.errors import BadConfiguration

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tenure.contexts import Tls

TRY_SECONDS: Final = 2.0
_GIVE: Final = "give TENURE_TLS_CERT and TENURE_TLS_KEY, or cert and key in the context"
_GIVE_CA: Final = "give TENURE_TLS_CA, or ca in the context"


def context_of(tls: Tls) -> ssl.SSLContext:
    """What these files amount to; BadConfiguration names the one that cannot be used.

    For the handshake of `obstacle`; a channel of gRPC takes the files themselves.
    """
    import ssl

    if (tls.cert is None) != (tls.key is None):
        given, missing = ("cert", "key") if tls.key is None else ("key", "cert")
        raise BadConfiguration(f"{given} is given without {missing}: a client certificate needs both")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if tls.ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(tls.ca)
        except ssl.SSLError:
            raise BadConfiguration(f"{tls.ca} holds no certificate in PEM") from None
        except OSError as error:
            raise _unreadable(error, tls.ca) from None
    if tls.cert is not None and tls.key is not None:
        _load_pair(context, tls.cert, tls.key)
    return context


def _load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    import ssl

    try:
        context.load_cert_chain(cert, key, lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BadConfiguration(f"{key} is not the key of the certificate {cert}") from None
        raise BadConfiguration(
            f"{cert} and {key} are not a certificate and its key in PEM, without a passphrase"
        ) from None
    except OSError as error:
        raise _unreadable(error, *(path for path in (cert, key) if not path.is_file())) from None


def _unreadable(error: OSError, *paths: Path) -> BadConfiguration:
    return BadConfiguration(f"cannot read {' and '.join(map(str, paths))}: {error.strerror}")


async def obstacle(address: str, tls: Tls | None) -> str:
    """The reason in a sentence; empty when there is none to be found, or when nobody listens at all."""
    if address.startswith("unix:"):
        return ""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        async with asyncio.timeout(TRY_SECONDS):
            if tls is None:
                return await _without_tls(address, host, int(port))
            return await _with_tls(address, host, int(port), tls)
    except (OSError, TimeoutError):
        return ""


async def _without_tls(address: str, host: str, port: int) -> str:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        await _handshake(host, port, context, "")
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return ""  # it does not speak TLS either
    return f"{address} speaks TLS: {_GIVE_CA}"


async def _with_tls(address: str, host: str, port: int, tls: Tls) -> str:
    import ssl

    try:
        if await _handshake(host, port, context_of(tls), tls.server_name or host):
            return ""
    except ssl.SSLCertVerificationError as error:
        if "match" in error.verify_message:
            return f"the certificate of {address} is for another name: {error.verify_message}"
        known = f"the authorities in {tls.ca}" if tls.ca else f"the authorities of this system; {_GIVE_CA}"
        return f"the certificate of {address} is not signed by {known} ({error.verify_message})"
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return f"{address} does not speak TLS"
    if tls.cert is None:
        return f"{address} asks for a client certificate: {_GIVE}"
    return f"{address} does not accept the client certificate {tls.cert}"


async def _handshake(host: str, port: int, context: ssl.SSLContext, name: str) -> bool:
    """Whether the server goes on after the handshake; raises ssl.SSLError when there is none.

    A server of TLS 1.3 refuses a client's certificate only after the client's own handshake is over, some
    with an alert and some without a word: the first bytes tell, since a server of HTTP/2 speaks first.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name or None)
    try:
        return bool(await reader.read(1))
    except ConnectionError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
