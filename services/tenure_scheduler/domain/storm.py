"""May a worker be declared lost now?

A single loss is believed; many at once are more likely a fault of the control plane, and giving their tasks
away would do more harm than waiting. Nothing is declared lost in the grace after the start of a leadership,
unless the worker has said Hello to this leader since, or after a stall of our own, in a storm (paused, then
slowly), or when all of two or more workers went at once. A worker that came back under a lease that was about
to end has a moment to say Hello once more.
"""

from __future__ import annotations

from tenure_core.timing import Instant
from tenure_scheduler.domain.events import StallNoticed
from tenure_scheduler.domain.model import Worker
from tenure_scheduler.domain.world import World

MAX_EXTENSIONS = 3


def on_stall(world: World, event: StallNoticed) -> None:
    """We may have missed beats ourselves: extend the grace, at most three times in a row."""
    storm, now, grace = world.storm, world.now.boot, world.config.grace
    if now > storm.grace_until + grace:
        storm.extensions = 0
    if storm.extensions < MAX_EXTENSIONS:
        storm.extensions += 1
        storm.grace_until = max(storm.grace_until, now + grace)


def grace_of(world: World, worker: Worker) -> Instant:
    """Until when this worker is not declared lost for our own sake."""
    storm = world.storm
    return storm.grace_until if worker.greeted else max(storm.grace_until, storm.start_until)


def in_grace(world: World, worker: Worker) -> bool:
    """Whether this worker is not declared lost for our own sake."""
    return world.now.boot < grace_of(world, worker)


def hold_of(world: World, worker: Worker) -> Instant:
    """Until when a planned restart of the worker's agent may take."""
    now = world.now
    return now.until(worker.hold_until_ns, world.config.hold_limit) if worker.hold_until_ns else now.boot


def note_live(world: World) -> None:
    """Record how many workers are live now; to be called after every change of it."""
    storm, now = world.storm, world.now.boot
    count = sum(1 for worker in world.workers.values() if worker.live_revision)
    live = storm.live
    live.append((now, count))
    while len(live) > 1 and live[1][0] <= now - world.config.storm_window:
        live.popleft()
    if count and storm.all_lost:
        # The others are probably on their way back as well.
        storm.all_lost = False
        storm.grace_until = max(storm.grace_until, now + world.config.grace)
    elif not count and most_recently_live(world) >= 2:
        storm.all_lost = True


def most_recently_live(world: World) -> int:
    """The most workers that were live at any time within the window."""
    return max((count for _, count in world.storm.live), default=0)


def live_before(world: World) -> int:
    """How many workers were live one window ago, or as early as this leader knows."""
    start = world.now.boot - world.config.storm_window
    before = 0
    for index, (since, count) in enumerate(world.storm.live):
        if index and since > start:
            break
        before = count
    return before


def note_gone(world: World, worker: Worker) -> None:
    """A worker was found gone: does this make a storm?"""
    storm, config, now = world.storm, world.config, world.now.boot
    seen = storm.seen
    seen.append(now)
    while seen and seen[0] <= now - config.storm_window:
        seen.popleft()
    threshold = max(config.storm_floor, config.storm_share * live_before(world))
    if len(seen) > threshold and not storm.active:
        storm.active = True
        storm.pause_until = storm.next_at = now + config.storm_pause


def next_chance(world: World, worker: Worker, *, held: bool = True) -> Instant | None:
    """When this worker may be declared lost at the earliest; None: not before some worker is live again.

    Without `held` as if no hold had been announced.
    """
    storm, now = world.storm, world.now
    if storm.all_lost:
        return None
    hold = hold_of(world, worker) if held else now.boot
    chance = max(now.boot, hold, grace_of(world, worker), spared_until(worker))
    return max(chance, storm.next_at) if storm.active else chance


def spared_until(worker: Worker) -> Instant:
    """Until when it may say Hello, having been heard."""
    return worker.spared_until


def spend_chance(world: World) -> None:
    """A loss is declared: in a storm the next one has to wait."""
    storm = world.storm
    if storm.active:
        storm.next_at = world.now.boot + 1.0 / world.config.storm_rate


def calm(world: World) -> None:
    """End the storm when its pause is over and nobody is missing any more."""
    storm = world.storm
    if storm.active and not storm.gone and world.now.boot >= storm.pause_until:
        storm.active = False
