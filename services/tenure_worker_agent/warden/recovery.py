"""What became of the attempts of a former warden with this state directory?

Their processes are killed, whatever became of them: by control group, by boot id, pid and start time, and by
their TENURE_FENCE. Each attempt without an exit record gets one that says LOST and why. Nobody can know how
their output would have ended, so those records have no final offsets.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tenure_worker_agent.warden.identity import kill_if_same, start_ticks
from tenure_worker_agent.warden.protocol import to_json
from tenure_worker_agent.warden.records import Ledger, exit_record
from tenure_worker_agent.warden.segments import listed
from tenure_worker_agent.warden.spool import NO_ROOM, left_behind
from tenure_worker_agent.warden.tree import descendants, started_with

if TYPE_CHECKING:
    from tenure_worker_agent.warden.host import Host

WARDEN_DIED = "WARDEN_DIED"
HOST_REBOOTED = "HOST_REBOOTED"


def kill_leftovers(ledger: Ledger, boot_id: str) -> int:
    """Kill the processes of attempts without an exit, if this is still the same boot; returns how many."""
    if ledger.boot_id != boot_id:
        return 0
    open_ = {fence: known for fence, known in ledger.attempts.items() if not known.exit}
    killed = 0
    for known in open_.values():
        if known.pid and start_ticks(known.pid) == known.ticks:
            below = descendants(known.pid)
            killed += kill_if_same(known.pid, known.ticks)
            killed += sum(kill_if_same(*each) for each in below)
    return killed + (sum(kill_if_same(*each) for each in started_with(open_)) if open_ else 0)


def recover(host: Host) -> None:
    """Bring the ledger that was read from the journal into this warden's life."""
    ledger = host.ledger
    host.groups.sweep()
    kill_leftovers(ledger, host.boot_id)
    evidence = WARDEN_DIED if ledger.boot_id == host.boot_id else HOST_REBOOTED
    found = [fence for fence, known in ledger.attempts.items() if not known.exit]
    for fence in found:
        known = ledger.attempts[fence]
        record = exit_record(
            fence,
            "lost",
            evidence=evidence,
            pid=known.pid,
            ticks=known.ticks,
            started=known.at,
            ended=time.time_ns(),
            note=known.note,
        )
        ledger.ended(fence, to_json(record))
    ledger.instance, ledger.boot_id = host.instance, host.boot_id
    _take_over_spools(host)
    _write(host, found)


def _write(host: Host, found: list[str]) -> None:
    """A fresh journal; on a full disk the old one, whose reserve has room for what was found."""
    try:
        host.journal.rewrite(host.ledger.records())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        host.journal.reopen()
        host.journal.append(to_json(["H", host.instance, host.boot_id]))
        for fence in found:
            host.journal.append(f'["X","{fence}",{host.ledger.attempts[fence].exit}]')
        host.journal.sync()


def _take_over_spools(host: Host) -> None:
    for fence, chain in listed(host.spool_directory).items():
        spool = left_behind(host.spool_directory, chain, host.usage)
        if fence in host.ledger.attempts:
            host.spools[fence] = spool
        else:
            spool.delete()
