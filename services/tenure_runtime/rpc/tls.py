"""Which certificates does a process show, and whom does it believe?

Server certificates are read again for the next handshake once one of their files has changed (mtime or
inode), so rotating them needs no restart. A rotation that is half written keeps the previous certificates
in use. Channels read the files when they are created: a new channel after a rotation shows the new
certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_runtime.config_sections import TlsConfig

Stamp = tuple[tuple[int, int, int], ...]


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials:
    """Credentials for listening, re-read as the files change; CannotStart names an unreadable file."""
    files = _Rotation(tls)
    changed: Any = files.changed  # None means unchanged; the stubs do not know that
    return grpc.dynamic_ssl_server_credentials(
        files.initial, changed, require_client_authentication=tls.client_ca is not None
    )


def channel_credentials(tls: TlsConfig) -> grpc.ChannelCredentials:
    """Credentials for calling, from the files as they are now; CannotStart names an unreadable file."""
    return grpc.ssl_channel_credentials(
        root_certificates=read(tls.ca, "tls.ca") if tls.ca else None,
        private_key=read(tls.key, "tls.key") if tls.key else None,
        certificate_chain=read(tls.cert, "tls.cert") if tls.cert else None,
    )


def read(path: Path, option: str) -> bytes:
    """The bytes of a PEM file; CannotStart names the option and the reason when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotStart(f"{option}: cannot read {path}: {error.strerror}") from None
    if b"-----BEGIN " not in content:
        raise CannotStart(f"{option}: {path} holds no PEM block (-----BEGIN …-----)")
    return content


class _Rotation:
    """The certificate files of a server, watched through their stat at each handshake."""

    _UNREADABLE: Final = (OSError, CannotStart)

    def __init__(self, tls: TlsConfig) -> None:
        self._tls = tls
        self._stamp = self._look() if tls.serves else ()
        self.initial = self._load()

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """A new configuration when a file has changed, else None (keep the present one)."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return None
            fresh = self._load()
        except self._UNREADABLE:
            return None
        self._stamp = stamp
        return fresh

    def _paths(self) -> list[Path]:
        return [path for path in (self._tls.cert, self._tls.key, self._tls.client_ca) if path]

    def _look(self) -> Stamp:
        try:
            stats = [path.stat() for path in self._paths()]
        except OSError as error:
            raise CannotStart(f"cannot read {error.filename}: {error.strerror}") from None
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)

    def _load(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        if tls.cert is None or tls.key is None:
            raise CannotStart("tls: a server needs both tls.cert and tls.key")
        pair = (read(tls.key, "tls.key"), read(tls.cert, "tls.cert"))
        roots = read(tls.client_ca, "tls.client_ca") if tls.client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)
