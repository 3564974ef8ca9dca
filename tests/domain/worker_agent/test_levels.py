"""Does the agent say what it holds, completely and with every beat?"""

from __future__ import annotations

from tenure_core.levels import HeldPhase, level_digest
from tenure_core.states import AttemptOutcome
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.results import Result
from tests.domain.worker_agent.rig import MARGIN, TTL, Rig, fence, noop, process


def levels(rig: Rig) -> list[c.Level]:
    return [report.level for report in rig.take(c.SendReport) if report.level is not None]


def next_beat(rig: Rig) -> c.Level:
    """The level that follows the answer to the next beat."""
    rig.take(c.SendReport)
    rig.wait(max(0.0, rig.agent.lease.due - rig.boot))
    rig.beat()
    (level,) = levels(rig)
    return level


def test_every_answered_beat_brings_a_digest_of_what_has_not_ended() -> None:
    rig = Rig().connected()
    assert next_beat(rig) == c.Level(0, level_digest([]), None)
    rig.command(process(1), process(2), process(3), noop(4))
    rig.started(1)
    rig.started(2)
    rig.command(stops=[e.Stop(fence(2), AttemptOutcome.CANCELLED, "")])
    held = [(fence(1), HeldPhase.STARTED), (fence(2), HeldPhase.STOPPING), (fence(3), HeldPhase.HELD)]
    assert next_beat(rig) == c.Level(2, level_digest(held), None)
    rig.command(fenced=[(fence(1), "given away")])
    rig.exited(2)
    held = [(fence(1), HeldPhase.STOPPING), (fence(3), HeldPhase.HELD)]
    assert next_beat(rig) == c.Level(3, level_digest(held), None)


def test_the_order_makes_no_difference_to_a_digest_but_everything_else_does() -> None:
    one, two = (fence(1), HeldPhase.HELD), (fence(2), HeldPhase.STARTED)
    assert level_digest([one, two]) == level_digest([two, one])
    others = ([one], [one, (fence(2), HeldPhase.HELD)], [one, (fence(2, 2), HeldPhase.STARTED)])
    assert len({level_digest(each) for each in ([one, two], *others)}) == 4


def test_a_start_that_waits_for_a_beat_is_held() -> None:
    rig = Rig().connected()
    rig.wait(TTL - MARGIN)
    rig.command(process(1), list_held=True)
    (level,) = levels(rig)
    assert level.digest == level_digest([(fence(1), HeldPhase.HELD)])
    assert level.held == [c.Held(fence(1), started=False, started_ns=0, pid=0, result=None)]


def test_the_list_names_everything_and_is_sent_at_once() -> None:
    rig = Rig().connected()
    rig.command(process(1), process(2), noop(3))
    rig.started(1)
    rig.exited(2, code=3)
    rig.take(c.SendReport)
    rig.command(list_held=True, stops=[e.Stop(fence(1), AttemptOutcome.DRAINED, "")])
    (level,) = levels(rig)
    assert level.last_command == 2
    assert level.held is not None
    held = {each.fence: each for each in level.held}
    assert held.keys() == {fence(1), fence(2), fence(3)}
    assert (held[fence(1)].started, held[fence(1)].stopping, held[fence(1)].result) == (True, True, None)
    assert isinstance(held[fence(2)].result, Result)
    assert isinstance(held[fence(3)].result, Result)
    rig.command()
    assert levels(rig) == []


def test_news_are_told_before_the_level_that_takes_them_for_told() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.take(c.SendReport)
    rig.started(1)
    rig.command(list_held=True)
    (report,) = rig.take(c.SendReport)
    assert [told for told, _ in report.news] == [fence(1)]
    assert report.level is not None


def test_a_list_that_was_asked_for_on_an_ended_stream_is_not_sent() -> None:
    rig = Rig().connected()
    rig.do(e.Commanded(rig.stream, 1, list_held=True), e.StreamEnded(rig.stream, "reset"))
    rig.stream = 0
    rig.take(c.SendReport)
    rig.welcome(rig.greet(), same_lease=True)
    assert levels(rig) == []
