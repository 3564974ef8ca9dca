"""Which etcd does the configuration mean, and how is it talked to?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenure_runtime.etcd.channel import Tls
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_runtime.config_sections import EtcdConfig


def open_client(config: EtcdConfig) -> EtcdClient:
    """The client that the configuration describes; connects when it is first used.

    Raises CannotStart for files that cannot be read and endpoints that contradict the rest.
    """
    tls = config.tls
    secure = tls.ca is not None or tls.cert is not None
    try:
        return EtcdClient(
            config.endpoints,
            tls=Tls.from_files(
                ca=_text(tls.ca), cert=_text(tls.cert), key=_text(tls.key), server_name=tls.server_name
            )
            if secure
            else None,
            user=config.user or None,
            password=_password(config.password_file),
            timeout=config.timeout,
        )
    except ValueError as error:
        raise CannotStart(f"etcd.endpoints: {error}") from None
    except OSError as error:
        raise CannotStart(f"etcd.tls: cannot read {error.filename}: {error.strerror}") from None


def _text(path: Path | None) -> str:
    return "" if path is None else str(path)


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise CannotStart(f"cannot read etcd's password from {file}: {reason}") from None
