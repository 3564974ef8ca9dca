"""`workers`, `cordon`, `uncordon`, `drain`, `undrain`, `declare-dead`, `server info`: the fleet."""

from typing import TYPE_CHECKING

from tenure.cli import options as o

if TYPE_CHECKING:
    from tenure.client import Client


def workers(as_json: o.Json = False) -> None:
    """List the workers.

    With what each has to give, and how much of that is granted.
    """
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.workers(await client.workers(), as_json)

    with_client(act)


def cordon(names: o.Workers, reason: o.Reason = "", as_json: o.Json = False) -> None:
    """Assign nothing new to workers.

    What runs there runs on.
    """
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.workers(await client.cordon(*names, reason=reason), as_json)

    with_client(act)


def uncordon(names: o.Workers, as_json: o.Json = False) -> None:
    """End the cordon of workers."""
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.workers(await client.uncordon(*names), as_json)

    with_client(act)


def drain(
    names: o.Workers,
    deadline: o.Deadline = None,
    reason: o.Reason = "",
    no_wait: o.NoWait = False,
    as_json: o.Json = False,
) -> None:
    """Empty workers.

    Nothing new goes there; what still runs at the deadline is stopped and goes on elsewhere. Shows how it
    gets on until they are empty; Ctrl-C leaves the drain in force. Without --deadline a drain under way is
    shown.
    """
    from tenure.cli import draining
    from tenure.cli.running import with_client

    within = draining.checked_deadline(deadline)

    async def act(client: "Client") -> None:
        views = client.drain(*names, deadline=within, reason=reason)
        await draining.follow(views, names, wait=not no_wait, as_json=as_json)

    with_client(act)


def undrain(names: o.Workers, as_json: o.Json = False) -> None:
    """End the drain of workers: they take tasks again."""
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.workers(await client.cancel_drain(*names), as_json)

    with_client(act)


def declare_dead(
    names: o.Workers, reason: o.NeededReason, yes: o.Yes = False, as_json: o.Json = False
) -> None:
    """Vouch that workers are dead, and give their tasks away.

    For when waiting for proof costs too much: neither grace nor hold nor storm delays it. If such a worker
    lives after all its attempts are fenced, but executions of a task with on_disconnect stop may overlap.
    """
    from tenure.cli import draining
    from tenure.cli.running import with_client

    if not yes:
        draining.confirm_dead(names)

    async def act(client: "Client") -> None:
        draining.tell_lost(await client.declare_dead(*names, reason=reason), as_json)

    with_client(act)


def server_info(as_json: o.Json = False) -> None:
    """Show who leads, which servers there are and which limits hold."""
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.server(await client.server_info(), as_json)

    with_client(act)
