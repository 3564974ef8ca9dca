"""What does `tenure up` tell, and how does `tenure down` find what to stop?

Every running fleet has a note in `$XDG_STATE_HOME/tenure/fleets` (else `~/.local/state/…`): its folder, and
whether that folder goes with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.cli import exits
from tenure.cli.json_form import dumps
from tenure.contexts import DEFAULT_ADDRESS
from tenure.local.fleet import FleetError, running_supervisor, stop_detached

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenure.local.fleet import Fleet


async def bring_up(fleet: Fleet, *, detach: bool, as_json: bool = False) -> int:
    """Start a fleet and stay with it until a signal comes, or return when it is ready."""
    say = exits.say if as_json else _say
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    started = time.monotonic()
    note: Path | None = None
    ready = False
    try:
        await fleet.start(detach=detach)
        note = _write_note(fleet)
        starting = asyncio.ensure_future(fleet.wait_ready())
        waiting = asyncio.ensure_future(stopping.wait())
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not starting.done():
            starting.cancel()
            return 130
        starting.result()
        ready = True
        seconds = time.monotonic() - started
        _say(dumps(_facts(fleet, seconds)) if as_json else _welcome(fleet, seconds, detach))
        if not detach:
            await _stay(fleet, stopping, say)
            say("Stopping …")
        return 0
    finally:
        if not (detach and ready):
            await fleet.stop()
            if note is not None:
                note.unlink(missing_ok=True)


async def take_down(data_dir: Path | None, *, as_json: bool = False) -> int:
    """Stop the fleet in a folder, or the only one that runs."""
    notes = {Path(note["data_dir"]): (path, note) for path, note in _notes()}
    if data_dir is None:
        if len(notes) > 1:
            folders = ", ".join(map(str, notes))
            raise FleetError(f"several fleets run, say which with --data-dir: {folders}")
        if not notes:
            raise FleetError("no fleet runs that `tenure up` started")
        data_dir = next(iter(notes))
    folder = data_dir.absolute()
    if not await stop_detached(folder):
        raise FleetError(f"no fleet runs in {folder}")
    path, note = notes.get(folder, (None, {}))
    if path is not None:
        path.unlink(missing_ok=True)
    if note.get("temporary"):
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    _say(dumps({"stopped": str(folder)}) if as_json else "The fleet is down.")
    return 0


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _facts(fleet: Fleet, seconds: float) -> dict[str, Any]:
    """What `tenure up --json` prints: where everything is."""
    return {
        "address": fleet.address,
        "schedulers": fleet.address.split(","),
        "log_relays": fleet.relay_addresses,
        "workers": fleet.agents,
        "etcd": fleet.etcd_address,
        "data_dir": str(fleet.data_dir),
        "temporary": fleet.is_temporary,
        "seconds": round(seconds, 3),
    }


def _welcome(fleet: Fleet, seconds: float, detach: bool) -> str:
    """What runs where, and what to try next."""
    stays = "removed when it ends" if fleet.is_temporary else "kept"
    elsewhere = fleet.address.split(",")[0] != DEFAULT_ADDRESS
    taken = f" ({DEFAULT_ADDRESS} is taken)" if elsewhere else ""
    lines = [
        f"Tenure is up after {seconds:.1f} s.",
        f"  schedulers  {fleet.address.replace(',', ', ')}{taken}",
        f"  log relays  {', '.join(fleet.relay_addresses)}",
        f"  workers     {', '.join(fleet.agents) or 'none'}",
        f"  etcd        {fleet.etcd_address}",
        f"  data        {fleet.data_dir} ({stays}; logs of the servers in {fleet.plan.logs})",
        "",
        "Try next:" if detach else "Try next, in another terminal:",
    ]
    if elsewhere:
        lines.append(f"  export TENURE_ADDRESS={fleet.address}")
    lines += [
        "  tenure run -- echo hello",
        "  tenure submit --array 1-100 -- sh -c 'sleep 1; echo $TENURE_ARRAY_INDEX'",
        "  tenure ps",
        "  tenure workers",
        "",
        "`tenure down` stops it." if detach else "Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


async def _stay(fleet: Fleet, stopping: asyncio.Event, say: Callable[[str], None]) -> None:
    """Return when a signal came or the fleet was stopped by another hand; tell what was restarted."""
    told = await fleet.exits()
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), 0.5)
        except TimeoutError:
            pass
        try:
            now = await fleet.exits()
        except FleetError:
            return
        for name, codes in now.items():
            for code in codes[len(told.get(name, ())) :]:
                how = f"signal {-code}" if code < 0 else f"exit {code}"
                say(f"{name} ended ({how}) and is started again; its log is {fleet.log(name)}")
        told = now


def _notes_dir() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path(os.environ.get("HOME") or "/") / ".local" / "state"
    return Path(state) / "tenure" / "fleets"


def _write_note(fleet: Fleet) -> Path | None:
    note = {"data_dir": str(fleet.data_dir), "temporary": fleet.is_temporary, "address": fleet.address}
    path = _notes_dir() / f"{fleet.data_dir.name}-{os.getpid()}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(note))
    except OSError:
        return None
    return path


def _notes() -> list[tuple[Path, dict[str, str]]]:
    """The notes of fleets that run; those of others are removed."""
    found = []
    for path in sorted(_notes_dir().glob("*.json")):
        try:
            note = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if running_supervisor(Path(note["data_dir"])):
            found.append((path, note))
        else:
            path.unlink(missing_ok=True)
    return found
