"""Which cluster does a client talk to?

The first that is given wins: the `address` argument or `--address`, a context by name, `TENURE_ADDRESS`,
`TENURE_CONTEXT`, `current` in the context file, and at last the default of a local fleet. The context file is
`$TENURE_CONFIG`, else `$XDG_CONFIG_HOME/tenure/config.toml`, else `~/.config/tenure/config.toml`:

    current = "production"

    [contexts.production]
    address = "scheduler-1.example:7420,scheduler-2.example:7420"
    ca = "/etc/tenure/ca.pem"
    cert = "/etc/tenure/me.pem"
    key = "/etc/tenure/me.key"
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tenure.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ADDRESS: Final = "127.0.0.1:7420"
_KEYS: Final = ("address", "ca", "cert", "key", "server_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificate files of a client, all in PEM."""

    ca: Path | None = None
    """Authorities that sign the servers' certificates; None: the system's."""

    cert: Path | None = None
    """The client's own certificate chain, where servers ask for one."""

    key: Path | None = None
    """Private key of `cert`."""

    server_name: str = ""
    """Name to expect in the servers' certificates, where it differs from the address."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the schedulers listen, and how to prove who is who."""

    addresses: tuple[str, ...]
    tls: Tls | None


def resolve(
    address: str | None = None,
    *,
    tls: Tls | None = None,
    context: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """The cluster to talk to, by the order above.

    Raises:
        BadConfiguration: an unusable address, an unknown context, or a context file with faults.
    """
    env = os.environ if environ is None else environ
    if address:
        return Target(split_addresses(address), tls or _environment_tls(env))
    if context or (not env.get("TENURE_ADDRESS") and env.get("TENURE_CONTEXT")):
        return _named(context or env["TENURE_CONTEXT"], config_path(env), tls)
    if env.get("TENURE_ADDRESS"):
        return Target(split_addresses(env["TENURE_ADDRESS"]), tls or _environment_tls(env))
    path = config_path(env)
    current = _load(path).get("current") if path.exists() else None
    if current:
        return _named(str(current), path, tls)
    return Target((DEFAULT_ADDRESS,), tls or _environment_tls(env))


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the context file is, whether it exists or not."""
    if environ.get("TENURE_CONFIG"):
        return Path(environ["TENURE_CONFIG"])
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config"
    return Path(home) / "tenure" / "config.toml"


def split_addresses(text: str) -> tuple[str, ...]:
    """The addresses of "host:port,host:port"; each must be host:port or unix:/path."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for address in found:
        host, _, port = address.rpartition(":")
        if not address.startswith("unix:") and not (host and port.isdigit() and 0 < int(port) < 65_536):
            raise BadConfiguration(
                f"{address!r} is not an address: write host:port (several with commas) or unix:/path"
            )
    if not found:
        raise BadConfiguration("the address is empty: write host:port")
    return found


def _environment_tls(env: Mapping[str, str]) -> Tls | None:
    ca, cert, key = (env.get(f"TENURE_TLS_{name}") for name in ("CA", "CERT", "KEY"))
    if not (ca or cert or key):
        return None
    return Tls(
        ca=Path(ca) if ca else None,
        cert=Path(cert) if cert else None,
        key=Path(key) if key else None,
        server_name=env.get("TENURE_TLS_SERVER_NAME", ""),
    )


def _named(name: str, path: Path, tls: Tls | None) -> Target:
    if not path.exists():
        raise BadConfiguration(f"there is no context {name!r}: {path} does not exist")
    contexts = _load(path).get("contexts", {})
    entry = contexts.get(name) if isinstance(contexts, dict) else None
    if not isinstance(entry, dict):
        known = ", ".join(sorted(contexts)) or "none"
        raise BadConfiguration(f"{path}: there is no context {name!r}; known: {known}")
    return _target(name, entry, path, tls)


def _target(name: str, entry: dict[str, Any], path: Path, tls: Tls | None) -> Target:
    for key, value in entry.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(_KEYS)}"
            raise BadConfiguration(f"{path}: contexts.{name}: unknown key {key!r}{hint}")
        if not isinstance(value, str):
            raise BadConfiguration(f"{path}: contexts.{name}.{key}: must be a string")
    if "address" not in entry:
        raise BadConfiguration(f"{path}: contexts.{name}: address is missing")
    if tls is None and any(key in entry for key in ("ca", "cert", "key")):
        files = {key: path.parent / entry[key] for key in ("ca", "cert", "key") if key in entry}
        tls = Tls(**files, server_name=entry.get("server_name", ""))
    return Target(split_addresses(entry["address"]), tls)


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: {error}") from None
