"""Do these PEM files hold certificates that can be used?

Asked before gRPC gets them: it tells a wrong file by a failed handshake much later, and ends the whole
process over some.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_ENCRYPTED: Final = "is encrypted: give a key without a passphrase, readable by this user only"


def faults(files: Mapping[str, Path | None]) -> Iterator[tuple[str, str]]:
    """What is wrong with files named cert, key, ca and client_ca: (name, the end of a sentence)."""
    for name, path in files.items():
        if path is not None and not path.is_file():
            yield name, f"names {path}, which is not a file"
        elif path is not None and name in {"ca", "client_ca"} and (fault := authority_fault(path)):
            yield name, fault
    cert, key = files.get("cert"), files.get("key")
    if cert is None or key is None or not cert.is_file() or not key.is_file():
        return
    if fault := pair_fault(cert, key):
        yield "key", fault


def authority_fault(path: Path) -> str:
    """Why a file holds no authorities to trust; empty when it does."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return f"names {path}, which holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
    except OSError as error:
        return f"names {path}, which cannot be read: {error.strerror}"
    return ""


def pair_fault(cert: Path, key: Path) -> str:
    """Why a certificate and its key cannot be used together; empty when they can."""
    asked = []

    def passphrase() -> str:
        asked.append(True)
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, passphrase)
    except ssl.SSLError as error:
        if asked:
            return f"names {key}, which {_ENCRYPTED}"
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"names {key}, which is not the key of the certificate {cert}"
        return f"names {key}: it and the certificate {cert} are not both in PEM (-----BEGIN …-----)"
    except OSError as error:
        return f"names {key}: it or the certificate {cert} cannot be read: {error.strerror}"
    return ""
