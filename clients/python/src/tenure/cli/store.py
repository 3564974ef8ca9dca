"""How does an operator's command reach etcd itself?

`tenure cluster` is the only part of the command line that does: it needs etcd's credentials, and works while
no scheduler runs. It takes its settings from where a scheduler takes them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from tenure.cli.running import to_the_end
from tenure.errors import BadConfiguration, TenureError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.operator import OperatorConfig

_MISSING: Final = "this command needs what the services need: pip install 'tenure[services]'"

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A scheduler's file. [env: TENURE_SCHEDULER_CONFIG]"),
]
Etcd = Annotated[
    str | None,
    typer.Option(
        "--etcd",
        metavar="HOST:PORT,…",
        help="etcd's members. [env: TENURE_SCHEDULER_ETCD_ENDPOINTS] [default: 127.0.0.1:2379]",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="NAME", help="Name of the Tenure cluster. [default: default]"),
]
Ca = Annotated[
    Path | None, typer.Option("--etcd-ca", metavar="FILE", help="Authorities of etcd's certificate.")
]
Cert = Annotated[Path | None, typer.Option("--etcd-cert", metavar="FILE", help="Certificate to show etcd.")]
Key = Annotated[Path | None, typer.Option("--etcd-key", metavar="FILE", help="Key of that certificate.")]
User = Annotated[str | None, typer.Option("--etcd-user", metavar="NAME", help="A user of etcd.")]
Password = Annotated[
    Path | None,
    typer.Option("--etcd-password-file", metavar="FILE", help="File whose first line is the password."),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The options that say which etcd is meant."""

    config: Path | None
    etcd: str | None
    cluster: str | None
    ca: Path | None
    cert: Path | None
    key: Path | None
    user: str | None
    password_file: Path | None

    def flags(self) -> dict[str, str]:
        """As a scheduler calls them."""
        given = {
            "--cluster": self.cluster,
            "--etcd-endpoints": self.etcd,
            "--etcd-tls-ca": self.ca,
            "--etcd-tls-cert": self.cert,
            "--etcd-tls-key": self.key,
            "--etcd-user": self.user,
            "--etcd-password-file": self.password_file,
        }
        return {name: str(value) for name, value in given.items() if value is not None}


def with_store(where: Where, act: Callable[[EtcdClient, OperatorConfig], Awaitable[int | None]]) -> NoReturn:
    """Run a command that talks to etcd, then exit with the code it returns."""
    to_the_end(_connected(where, act))


async def _connected(
    where: Where, act: Callable[[EtcdClient, OperatorConfig], Awaitable[int | None]]
) -> int | None:
    try:
        from tenure_core.errors import TenureError as CoreError
        from tenure_runtime.etcd.configured import open_client
        from tenure_runtime.startup import CannotStart
    except ModuleNotFoundError as error:
        raise BadConfiguration(f"{_MISSING} (there is no module {error.name})") from None
    try:
        config = _config_of(where)
        client = open_client(config.etcd)
    except CannotStart as error:
        raise BadConfiguration(str(error)) from None
    async with client:
        try:
            return await act(client, config)
        except CoreError as error:
            raise TenureError(str(error)) from None


def _config_of(where: Where) -> OperatorConfig:
    import os

    from tenure_runtime.config import load
    from tenure_runtime.etcd.operator import PREFIX, OperatorConfig

    named = os.environ.get(f"{PREFIX}CONFIG")
    file = where.config or (Path(named) if named else None)
    return load(
        OperatorConfig, prefix=PREFIX, file=file, environ=os.environ, flags=where.flags(), whole=False
    )
