"""How does a warden become its next version without losing a task?

It executes itself in place: same pid, same children, same pipes. What is only in memory goes through a memfd
whose number stands in the environment; descriptors are made inheritable for the moment of the exec. Exclusive
deadlines are part of it, so they hold during the change.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from tenure_core.frames import CHANNELS
from tenure_worker_agent.warden.attempt import Attempt
from tenure_worker_agent.warden.orders import Order
from tenure_worker_agent.warden.records import Ledger, fold
from tenure_worker_agent.warden.segments import listed
from tenure_worker_agent.warden.spool import Spool, left_behind

if TYPE_CHECKING:
    from tenure_worker_agent.warden.host import Host
    from tenure_worker_agent.warden.runner import Runner
    from tenure_worker_agent.warden.warden import Warden

VARIABLE: Final = "TENURE_WARDEN_STATE_FD"
_PLAIN: Final = (
    "place",
    "place",
    "pid",
    "ticks",
    "started_ns",
    "started_boot",
    "cause",
    "killed",
    "stop_note",
    "term_at",
    "kill_at",
    "stdin",
    "stdin_ends",
)


def carried_state() -> dict[str, Any] | None:
    """What the former image left for this one; None at an ordinary start."""
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return None
    with os.fdopen(int(number), "rb") as file:
        file.seek(0)
        state: dict[str, Any] = json.load(file)
    return state


def execute_again(arguments: list[str], lock: int, host: Host, runner: Runner, warden: Warden) -> None:
    """Replace this image by the program as it is on the disk now; returns only by an exception."""
    runner.settle_now()
    host.journal.flush()
    state = {
        "lock": lock,
        "instance": host.instance,
        "journal": [host.journal.fd, host.journal.end],
        "ledger": [json.loads(record) for record in host.ledger.records()],
        "attempts": [_packed(attempt) for attempt in runner.attempts.values()],
        **warden.carried(),
    }
    memory = os.memfd_create("warden")
    os.write(memory, json.dumps(state).encode())
    for fd in (memory, *_descriptors(state)):
        os.set_inheritable(fd, True)
    os.environ[VARIABLE] = str(memory)
    os.execv(sys.executable, [sys.executable, "-m", "tenure_worker_agent.warden", *arguments])


def _descriptors(state: dict[str, Any]) -> list[int]:
    found = [state["lock"], state["journal"][0]]
    if state["link"] is not None:
        found.append(state["link"]["fd"])
    for attempt in state["attempts"]:
        found += [*attempt["pipes"].values(), attempt["stdin"], attempt["spool"]["fd"]]
    return [fd for fd in found if fd >= 0]


def _packed(attempt: Attempt) -> dict[str, Any]:
    order = dataclasses.replace(attempt.order, stdin=b"")
    return {
        **{name: getattr(attempt, name) for name in _PLAIN},
        "order": order.message(),
        "spool": attempt.spool.carried(),
        "leaf": [attempt.leaf.name, attempt.leaf.limited] if attempt.leaf else None,
        "pipes": {str(channel): fd for channel, fd in attempt.pipes.items()},
        "blocked": list(attempt.blocked),
        "stdin_pending": attempt.stdin_pending.hex(),
    }


def carry_over(state: dict[str, Any], host: Host, runner: Runner, warden: Warden) -> None:
    """Go on where the former image stopped."""
    host.instance = state["instance"]
    host.journal.adopt(*state["journal"])
    host.ledger = fold(state["ledger"])
    for packed in state["attempts"]:
        runner.add(_unpacked(packed, host))
    _other_spools(host, host.ledger)
    warden.resume(state)


def _unpacked(packed: dict[str, Any], host: Host) -> Attempt:
    order = Order.parse(packed["order"])
    spool = Spool.resumed(host.spool_directory, order.fence, host.usage, packed["spool"])
    host.spools[order.fence] = spool
    attempt = Attempt(order, spool, **{name: packed[name] for name in _PLAIN})
    if packed["leaf"]:
        attempt.leaf = host.groups.reopen(*packed["leaf"])
    attempt.pipes = {int(channel): fd for channel, fd in packed["pipes"].items() if int(channel) in CHANNELS}
    attempt.blocked = set(packed["blocked"])
    attempt.stdin_pending = bytearray.fromhex(packed["stdin_pending"])
    return attempt


def _other_spools(host: Host, ledger: Ledger) -> None:
    for fence, chain in listed(host.spool_directory).items():
        if fence in ledger.attempts and fence not in host.spools:
            host.spools[fence] = left_behind(host.spool_directory, chain, host.usage)
