"""What becomes of an attempt on its node?"""

import itertools
from typing import Any

import pytest

from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.plans import Impossible, Start
from tenure_worker_agent.domain.results import Result, result_of
from tests.domain.worker_agent.rig import MARGIN, TTL, Rig, fence, noop, outcomes, process

O = AttemptOutcome  # noqa: E741


def test_noops_share_their_result_and_a_place_in_the_outbox() -> None:
    rig = Rig().connected()
    rig.command(noop(1), noop(2))
    assert [each for each, _ in rig.one(c.KeepResults).results] == [fence(1), fence(2)]
    told = rig.told()
    assert outcomes(told.values()) == [O.SUCCEEDED] * 2
    assert told[fence(1)] is told[fence(2)]


def test_an_accepted_result_is_forgotten() -> None:
    rig = Rig().connected()
    rig.command(noop(1))
    rig.command(accepted=[fence(1)])
    assert rig.one(c.DropResults).fences == [fence(1)]
    rig.lose_stream()
    assert not rig.greet().held


def test_a_result_is_told_again_until_it_is_answered() -> None:
    rig = Rig().connected()
    rig.command(noop(1))
    rig.told()
    rig.wait(10.1)
    assert outcomes(rig.told().values()) == [O.SUCCEEDED]
    rig.command(accepted=[fence(1)])
    rig.told()
    rig.wait(10.1)
    assert not rig.told()


def test_an_agent_without_a_session_rests() -> None:
    """There is nobody to tell again that a result is unanswered: to be due for that would be to spin."""
    rig = Rig().connected()
    rig.command(noop(1))
    rig.told()
    rig.lose_stream()
    rig.wait(10.1)
    assert rig.take(c.SaveIdentity), "it is about to say hello"
    assert rig.agent.due() > rig.boot


def test_a_result_that_was_told_twice_may_be_accepted_twice_at_once() -> None:
    """The scheduler stood still for so long that it found the repetition beside the first report."""
    rig = Rig().connected()
    rig.command(noop(1))
    rig.wait(10.1)
    rig.command(accepted=[fence(1), fence(1)])
    assert rig.one(c.DropResults).fences == [fence(1)]


def test_a_result_is_on_its_way_before_it_is_written() -> None:
    rig = Rig().connected()
    commands = rig.command(noop(1))
    assert [type(command) for command in commands] == [c.SendReport, c.KeepResults]


def test_what_this_worker_can_never_run_is_rejected() -> None:
    rig = Rig().connected()
    rig.command(Start(fence(1), Impossible("no driver for container tasks")))
    (news,) = rig.told().values()
    assert isinstance(news, Result)
    assert (news.outcome, news.reason) == (O.REJECTED, "no driver for container tasks")


def test_a_start_of_a_known_fence_only_repeats_what_is_known() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.wait(0.1)
    rig.asked.clear()
    rig.command(process(1))
    assert not rig.take(c.OrderProcess)
    assert isinstance(rig.told()[fence(1)], c.Started)
    rig.exited(1, code=2)
    rig.command(accepted=[fence(1)])
    rig.command(process(1))
    assert not rig.take(c.OrderProcess)


def test_a_short_process_is_one_piece_of_news() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.exited(1, pid=101)
    rig.wait(1.0)
    reports = [report.news for report in rig.take(c.SendReport) if report.news]
    assert len(reports) == 1
    rig.command(accepted=[fence(1)])
    assert rig.one(c.ForgetAttempts).fences == [fence(1)]


def test_a_long_process_is_told_soon_after_its_start() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.wait(0.06)
    assert rig.told() == {fence(1): c.Started(101, 7, 1)}


def test_output_outlives_the_result() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.exited(1, frames=3, offsets=[10, 0, 0])
    assert rig.take(c.FinishLogs)[-1].frames == 3
    rig.command(accepted=[fence(1)])
    assert rig.one(c.AcceptExits).fences == [fence(1)]
    rig.command(placements=[(fence(1), "r:2")])
    assert rig.take(c.PlaceLogs)[-1].relay == "r:2"
    rig.do(e.LogsComplete(fence(1)))
    assert rig.one(c.ForgetAttempts).fences == [fence(1)]


def test_output_may_be_complete_before_the_result_is_accepted() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.exited(1, frames=3, offsets=[10, 0, 0])
    rig.do(e.LogsComplete(fence(1)))
    assert not rig.take(c.ForgetAttempts)
    rig.command(accepted=[fence(1)])
    assert rig.one(c.ForgetAttempts).fences == [fence(1)]


def test_stops_are_obeyed_before_starts() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.command(process(2), stops=[e.Stop(fence(1), O.CANCELLED, "enough")])
    kinds = [type(command) for command in rig.asked if isinstance(command, (c.StopProcess, c.OrderProcess))]
    assert kinds == [c.OrderProcess, c.StopProcess, c.OrderProcess]
    rig.exited(1, cause="stop", signal=15, code=None, stop={"outcome": int(O.CANCELLED), "reason": "enough"})
    news = rig.told()[fence(1)]
    assert isinstance(news, Result)
    assert (news.outcome, news.signal, news.reason) == (O.CANCELLED, 15, "enough")


def test_a_stop_for_nothing_is_answered() -> None:
    rig = Rig().connected()
    rig.command(stops=[e.Stop(fence(1), O.CANCELLED, "")])
    assert rig.told() == {fence(1): c.Stopped()}


def test_a_stop_before_the_start_means_that_it_never_ran() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.command(stops=[e.Stop(fence(1), O.CANCELLED, "")])
    rig.do(e.ProcessRefused(fence(1), "stopped", "stopped before it was started"))
    assert isinstance(rig.told()[fence(1)], c.NotStarted)


def test_a_stop_reaches_a_start_that_still_waits_for_the_lease() -> None:
    rig = Rig().begin()
    rig.welcome(rig.greet())
    rig.command(process(1))
    rig.command(stops=[e.Stop(fence(1), O.CANCELLED, "enough")])
    rig.beat()
    assert not rig.take(c.OrderProcess)
    assert rig.told()[fence(1)] == c.NotStarted("enough")


def test_a_fenced_attempt_is_killed_its_result_void_and_its_end_told() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.command(fenced=[(fence(1), "attempt 2 has taken its place")])
    assert rig.one(c.StopProcess).grace == 0.0
    rig.told()
    rig.exited(1, cause="stop", signal=9, code=None, frames=2, offsets=[5, 0, 0], ended=77)
    stopped = rig.told()[fence(1)]
    assert isinstance(stopped, c.Stopped)
    assert stopped.end is not None, "as evidence of how long it ran"
    assert (stopped.end.signal, stopped.end.ended_ns) == (9, 77)
    assert rig.take(c.FinishLogs)[-1].frames == 2
    assert rig.one(c.AcceptExits).fences == [fence(1)]


def test_a_fenced_result_is_forgotten() -> None:
    rig = Rig().connected()
    rig.command(noop(1))
    rig.command(fenced=[(fence(1), "given away")])
    assert rig.one(c.DropResults).fences == [fence(1)]


def test_news_of_a_time_without_a_stream_are_in_the_next_hello() -> None:
    rig = Rig().connected()
    rig.command(process(1), process(2))
    rig.started(1)
    rig.lose_stream()
    rig.exited(1, code=4)
    rig.started(2)
    held = {one.fence: one for one in rig.greet().held}
    result = held[fence(1)].result
    assert result is not None
    assert result.exit_code == 4
    assert (held[fence(2)].started, held[fence(2)].result) == (True, None)


def test_what_happens_between_hello_and_welcome_is_told_after_it() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.lose_stream()
    hello = rig.greet()
    rig.exited(1, code=4)
    assert not rig.told()
    rig.welcome(hello, same_lease=True)
    assert outcomes(rig.told().values()) == [O.FAILED]


def test_every_command_is_acknowledged_soon() -> None:
    rig = Rig().connected()
    rig.command()
    assert not rig.take(c.SendReport)
    rig.wait(0.3)
    assert rig.one(c.SendReport).last_command == 1


def test_exclusive_attempts_go_on_only_while_beats_name_them() -> None:
    rig = Rig().connected()
    rig.command(process(1, exclusive=True), process(2))
    first, second = rig.take(c.OrderProcess)
    assert first.exclusive is not None
    assert (first.exclusive[1], second.exclusive) == (rig.deadline, None)
    assert first.exclusive[0] < first.exclusive[1]
    rig.started(1)
    rig.wait(TTL / 4 * 1.3)
    rig.beat(fence(1), fence(2))
    assert rig.one(c.ExtendDeadlines).deadlines[fence(1)][1] == rig.boot + TTL - MARGIN
    rig.wait(TTL / 4 * 1.3)
    rig.beat()
    assert not rig.take(c.ExtendDeadlines)


def test_an_exclusive_attempt_does_not_begin_in_a_lease_in_which_it_is_to_be_stopped() -> None:
    """The scheduler stood still and comes back: its Start overtakes the answer to the beat that is due."""
    rig = Rig().connected()
    rig.command(process(1, exclusive=True))
    (term_at, _) = rig.one(c.OrderProcess).exclusive or (0.0, 0.0)
    rig.started(1)
    rig.wait(term_at + 0.1 - rig.boot)
    rig.exited(1, cause="deadline", code=None, signal=15)
    assert outcomes(rig.told().values()) == [O.LOST]
    assert rig.boot < rig.deadline
    rig.command(process(2, exclusive=True), process(3), noop(4), accepted=[fence(1)])
    assert rig.one(c.OrderProcess).fence == fence(3)
    assert rig.one(c.KeepResults).results[0][0] == fence(4)
    rig.beat()
    order = rig.one(c.OrderProcess)
    assert order.fence == fence(2)
    assert order.exclusive is not None
    assert order.not_after == order.exclusive[0] > rig.boot + TTL / 4 * 1.2


def test_an_exclusive_attempt_never_begins_while_beats_fail() -> None:
    rig = Rig().connected()
    rig.wait(TTL / 4 * 1.3)
    numbers = itertools.count(1)
    while rig.boot < rig.deadline:
        for beat in rig.take(c.SendBeat):
            rig.command(process(next(numbers), exclusive=True))
            rig.do(e.BeatFailed(beat.ticket, session_lost=False, reason="no answer in time"))
        rig.command(process(next(numbers), exclusive=True))
        rig.wait(0.1)
    rig.command(stops=[e.Stop(fence(1), O.CANCELLED, "enough")])
    assert rig.told() == {fence(1): c.NotStarted("enough")}
    assert not rig.take(c.OrderProcess)
    rig.wait(TTL)
    rig.beat()
    assert len(rig.take(c.OrderProcess)) == next(numbers) - 2


def test_the_agent_kills_exclusive_attempts_when_the_warden_is_silent() -> None:
    rig = Rig().connected()
    rig.command(process(1, exclusive=True))
    rig.started(1)
    rig.wait(rig.deadline - rig.boot - 0.01)
    assert not rig.take(c.KillProcess)
    assert rig.agent.due() <= rig.deadline
    rig.wait(0.01)
    assert rig.one(c.KillProcess).pid == 101


def test_a_dead_warden_ends_everything_and_is_told() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.do(e.WardenDied())
    assert rig.one(c.KillProcess).pid == 101
    (news,) = rig.told().values()
    assert isinstance(news, Result)
    assert (news.outcome, news.evidence) == (O.LOST, LossEvidence.WARDEN_DIED)
    rig.command(accepted=[fence(1)])
    assert rig.one(c.GiveUp).reason == "the warden died"


def test_whether_an_order_was_begun_is_left_to_the_next_warden() -> None:
    """It may be the one that killed this warden: only the journal knows."""
    rig = Rig().connected()
    rig.command(process(1))
    rig.do(e.WardenDied())
    kill = rig.one(c.KillProcess)
    assert (kill.fence, kill.pid) == (fence(1), 0)
    assert rig.told() == {}
    assert rig.one(c.GiveUp).reason == "the warden died"


def test_a_stopping_warden_takes_no_more_starts_and_its_ends_are_told_before_the_agent_goes() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.do(e.WardenStopping())
    assert rig.take(c.SendReport)[-1].stopping
    rig.command(process(2))
    assert len(rig.take(c.OrderProcess)) == 1
    assert rig.told() == {fence(2): c.NotStarted("its worker is being shut down")}
    rig.exited(1, cause="shutdown", signal=15, code=None)
    rig.do(e.StopRequested())
    assert outcomes(rig.told().values()) == [O.WORKER_SHUTDOWN]
    assert not rig.take(c.CloseStream)
    rig.command(accepted=[fence(1)])
    assert rig.one(c.CloseStream)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("late", None),
        ("stopping", None),
        ("disk", O.INTERNAL_ERROR),
        ("malformed", O.REJECTED),
        ("duplicate", O.LOST),
    ],
)
def test_what_a_refusal_of_the_warden_means(kind: str, outcome: AttemptOutcome | None) -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.do(e.ProcessRefused(fence(1), kind, "why"))
    (news,) = rig.told().values()
    if outcome is None:
        assert news == c.NotStarted("why")
    else:
        assert isinstance(news, Result)
        assert (news.outcome, news.reason) == (outcome, "why")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"cause": "self", "code": 0}, (O.SUCCEEDED, 0, None, None)),
        ({"cause": "self", "code": 3}, (O.FAILED, 3, None, None)),
        ({"cause": "self", "signal": 11}, (O.FAILED, None, 11, None)),
        ({"cause": "timeout", "signal": 15}, (O.TIMED_OUT, None, 15, None)),
        ({"cause": "stop", "code": 0, "stop": {"outcome": 10, "reason": "r"}}, (O.DRAINED, 0, None, None)),
        ({"cause": "shutdown", "signal": 15}, (O.WORKER_SHUTDOWN, None, 15, None)),
        ({"cause": "deadline", "signal": 9}, (O.LOST, None, 9, LossEvidence.LEASE_EXPIRED)),
        ({"cause": "oom", "signal": 9}, (O.LOST, None, 9, LossEvidence.OOM_KILLED)),
        ({"cause": "output", "signal": 15}, (O.FAILED, None, 15, None)),
        ({"cause": "lost", "evidence": "HOST_REBOOTED"}, (O.LOST, None, None, LossEvidence.HOST_REBOOTED)),
        ({"cause": "spawn", "error": "not_found"}, (O.REJECTED, None, None, None)),
        ({"cause": "spawn", "error": "cwd"}, (O.REJECTED, None, None, None)),
        ({"cause": "spawn", "error": "memory"}, (O.INTERNAL_ERROR, None, None, None)),
        ({"cause": "something new"}, (O.INTERNAL_ERROR, None, None, None)),
    ],
)
def test_what_an_exit_record_means(record: dict[str, Any], expected: tuple[Any, ...]) -> None:
    result = result_of({"fence": fence(1), **record})
    assert (result.outcome, result.exit_code, result.signal, result.evidence) == expected
    assert result.reason or result.outcome is O.SUCCEEDED
