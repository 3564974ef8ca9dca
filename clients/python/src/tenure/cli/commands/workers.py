"""`workers`, `cordon`, `uncordon`, `server info`: the fleet."""

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


def server_info(as_json: o.Json = False) -> None:
    """Show who leads, which servers there are and which limits hold."""
    from tenure.cli.running import with_client

    async def act(client: "Client") -> None:
        from tenure.cli import showing

        showing.server(await client.server_info(), as_json)

    with_client(act)
