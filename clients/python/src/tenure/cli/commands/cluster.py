"""`cluster status`, `snapshot`, `free-space`, `new-incarnation`: the store of the schedulers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli import options as o
from tenure.cli import store as s

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.operator import OperatorConfig


def status(
    config: s.ConfigFile = None,
    etcd: s.Etcd = None,
    cluster: s.Cluster = None,
    ca: s.Ca = None,
    cert: s.Cert = None,
    key: s.Key = None,
    user: s.User = None,
    password_file: s.Password = None,
    as_json: o.Json = False,
) -> None:
    """Show etcd's members, their size against the quota, alarms, the leader and the incarnation.

    Works while no scheduler runs. Exits with 125 when something needs a person: a member that does not
    answer, an alarm, a size at which submits are refused, a store that went back.
    """
    where = _where(config, etcd, cluster, ca, cert, key, user, password_file)

    async def act(client: "EtcdClient", settings: "OperatorConfig") -> int:
        from tenure.cli import store_commands

        return await store_commands.status(client, settings, as_json)

    s.with_store(where, act)


def snapshot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file; one that exists is refused.")],
    config: s.ConfigFile = None,
    etcd: s.Etcd = None,
    cluster: s.Cluster = None,
    ca: s.Ca = None,
    cert: s.Cert = None,
    key: s.Key = None,
    user: s.User = None,
    password_file: s.Password = None,
    as_json: o.Json = False,
) -> None:
    """Back up etcd's database into a file.

    The file is complete and on the disk when it has its name. It is restored with `etcdctl snapshot restore`
    (etcd 3.4) or `etcdutl snapshot restore`, then `tenure cluster new-incarnation`. It holds every task's
    specification: it is readable by its owner only.
    """
    where = _where(config, etcd, cluster, ca, cert, key, user, password_file)

    async def act(client: "EtcdClient", settings: "OperatorConfig") -> None:
        from tenure.cli import store_commands

        await store_commands.snapshot(client, settings, file, as_json)

    s.with_store(where, act)


def free_space(
    config: s.ConfigFile = None,
    etcd: s.Etcd = None,
    cluster: s.Cluster = None,
    ca: s.Ca = None,
    cert: s.Cert = None,
    key: s.Key = None,
    user: s.User = None,
    password_file: s.Password = None,
    as_json: o.Json = False,
) -> None:
    """Compact etcd's history, defragment one member after the other, and disarm NOSPACE.

    A member answers nothing while it is defragmented, about 1 s for each GiB in its file.
    """
    where = _where(config, etcd, cluster, ca, cert, key, user, password_file)

    async def act(client: "EtcdClient", settings: "OperatorConfig") -> None:
        from tenure.cli import store_commands

        await store_commands.free_space(client, settings, as_json)

    s.with_store(where, act)


def new_incarnation(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: s.ConfigFile = None,
    etcd: s.Etcd = None,
    cluster: s.Cluster = None,
    ca: s.Ca = None,
    cert: s.Cert = None,
    key: s.Key = None,
    user: s.User = None,
    password_file: s.Password = None,
    as_json: o.Json = False,
) -> None:
    """Declare that the store was restored from an older state.

    Every attempt that runs is fenced from then on, and its task runs again. Needed after a restore and only
    then, with all schedulers stopped; refused while one leads.
    """
    where = _where(config, etcd, cluster, ca, cert, key, user, password_file)

    async def act(client: "EtcdClient", settings: "OperatorConfig") -> int:
        from tenure.cli import store_commands

        return await store_commands.new_incarnation(client, settings, yes, as_json)

    s.with_store(where, act)


def _where(
    config: Path | None,
    etcd: str | None,
    cluster: str | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    user: str | None,
    password_file: Path | None,
) -> s.Where:
    return s.Where(
        config=config,
        etcd=etcd,
        cluster=cluster,
        ca=ca,
        cert=cert,
        key=key,
        user=user,
        password_file=password_file,
    )
