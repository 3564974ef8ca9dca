"""How does an agent get, keep and lose its session?"""

import pytest

from tenure_core.states import AttemptOutcome
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.identity import Identity
from tenure_worker_agent.domain.results import Result
from tests.domain.worker_agent.rig import MARGIN, TTL, Rig, fence, noop, process


def test_no_hello_before_it_is_known_what_is_held() -> None:
    rig = Rig()
    rig.do(e.OutboxRead([]))
    rig.wait(60)
    assert not rig.asked
    rig.do(e.WardenListed("instance", "boot"))
    assert rig.one(c.SaveIdentity).connect == 1


def test_the_counter_is_durable_before_the_hello() -> None:
    rig = Rig(Identity(connect=41, warden="instance", incarnation=3, epoch=9)).begin()
    saved = rig.one(c.SaveIdentity)
    assert (saved.connect, saved.warden) == (42, "instance")
    assert not rig.take(c.OpenStream)
    rig.do(e.IdentitySaved(42))
    hello = rig.one(c.OpenStream).hello
    assert (hello.connect, hello.incarnation, hello.epoch) == (42, 3, 9)


def test_the_hello_names_everything_that_is_held() -> None:
    rig = Rig()
    kept = Result(AttemptOutcome.SUCCEEDED, started_ns=1, ended_ns=2)
    rig.do(e.OutboxRead([(fence(1), kept)]))
    rig.do(
        e.WardenListed(
            "instance",
            "boot",
            queued=[fence(2)],
            attempts=[{"fence": fence(3), "pid": 33, "ticks": 7, "at": 5, "note": {"relay": "r:1"}}],
            exits=[
                {"accepted": False, "record": {"fence": fence(4), "cause": "self", "code": 3, "pid": 44}},
                {"accepted": True, "record": {"fence": fence(5), "cause": "self", "code": 0}},
            ],
        )
    )
    held = {one.fence: one for one in rig.greet().held}
    assert held.keys() == {fence(n) for n in (1, 2, 3, 4)}
    assert held[fence(1)].result is kept
    assert (held[fence(2)].started, held[fence(3)].started, held[fence(3)].pid) == (False, True, 33)
    result = held[fence(4)].result
    assert result is not None
    assert (result.outcome, result.exit_code, result.log) == (AttemptOutcome.FAILED, 3, None)


def test_a_welcome_alone_allows_no_start() -> None:
    """It may confirm a lease that was renewed long ago."""
    rig = Rig().begin()
    rig.welcome(rig.greet())
    rig.command(process(1), noop(2))
    assert not rig.take(c.OrderProcess) + rig.take(c.KeepResults)
    rig.beat()
    assert rig.one(c.OrderProcess).fence == fence(1)
    assert rig.one(c.KeepResults).results[0][0] == fence(2)


def test_the_deadline_counts_from_the_send() -> None:
    rig = Rig().begin()
    rig.welcome(rig.greet())
    sent_at = rig.boot
    rig.beat(after=3.0)
    assert rig.agent.lease.deadline == sent_at + TTL - MARGIN
    rig.command(process(1))
    assert rig.one(c.OrderProcess).not_after == sent_at + TTL - MARGIN


def test_nothing_starts_after_the_deadline_until_a_beat_is_answered() -> None:
    rig = Rig().connected()
    rig.wait(TTL - MARGIN)
    rig.command(process(1))
    assert not rig.take(c.OrderProcess)
    rig.beat()
    assert rig.one(c.OrderProcess).fence == fence(1)


def test_starts_of_an_ended_stream_are_void() -> None:
    rig = Rig().begin()
    rig.welcome(rig.greet())
    rig.command(process(1))
    rig.lose_stream()
    rig.beat()
    hello = rig.greet()
    assert not hello.held
    rig.welcome(hello, same_lease=True)
    rig.beat()
    assert not rig.take(c.OrderProcess)


def test_a_late_answer_of_an_earlier_session_extends_nothing() -> None:
    rig = Rig().connected()
    rig.wait(TTL / 4 * 1.3)
    late = rig.one(c.SendBeat)
    rig.lose_stream()
    rig.welcome(rig.greet(), session=2)
    rig.do(e.BeatAcked(late.ticket, rig.boot, TTL, [], ""))
    rig.command(process(1))
    assert not rig.take(c.OrderProcess)


def test_beats_go_on_at_another_replica_while_the_leader_is_away() -> None:
    rig = Rig().connected()
    rig.lose_stream()
    rig.wait(TTL / 4 * 1.3)
    tried = []
    for _ in range(3):
        beat = rig.one(c.SendBeat)
        tried.append(beat.address)
        rig.do(e.BeatFailed(beat.ticket, session_lost=False, reason="connection refused"))
    assert sorted(tried) == ["s1:1", "s2:1", "s3:1"]
    assert not rig.take(c.SendBeat)
    rig.wait(TTL / 20 * 1.6)
    assert len(rig.take(c.SendBeat)) == 1


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_beats_are_spread_around_a_quarter_of_the_lifetime(chance: float) -> None:
    rig = Rig().begin()
    rig.welcome(rig.greet())
    rig.chance = chance
    rig.beat()
    rig.wait(TTL / 4 * (0.79 + 0.4 * chance))
    assert not rig.take(c.SendBeat)
    rig.wait(TTL / 4 * 0.02)
    assert len(rig.take(c.SendBeat)) == 1


def test_a_lost_session_ends_the_stream_and_then_says_hello_again() -> None:
    rig = Rig().connected()
    rig.wait(TTL / 4 * 1.3)
    rig.do(e.BeatFailed(rig.one(c.SendBeat).ticket, session_lost=True, reason="gone"))
    assert rig.one(c.CloseStream).stream == rig.stream
    rig.command(process(1))
    assert not rig.take(c.OrderProcess)
    rig.wait(5)
    assert not rig.take(c.SaveIdentity)
    rig.lose_stream()
    assert rig.greet().connect == 2


def test_a_redirect_is_followed_at_once() -> None:
    rig = Rig().begin()
    rig.do(e.IdentitySaved(rig.one(c.SaveIdentity).connect))
    assert rig.one(c.OpenStream).address == "s1:1"
    rig.do(e.Redirected(rig.stream, "s9:1"))
    rig.lose_stream()
    rig.wait(0.0)
    rig.do(e.IdentitySaved(rig.one(c.SaveIdentity).connect))
    assert rig.one(c.OpenStream).address == "s9:1"


def test_every_address_is_tried() -> None:
    rig = Rig().begin()
    tried = []
    for _ in range(4):
        if not any(isinstance(command, c.SaveIdentity) for command in rig.asked):
            rig.wait(max(0.0, rig.agent.due() - rig.boot))
        rig.do(e.IdentitySaved(rig.one(c.SaveIdentity).connect))
        tried.append(rig.one(c.OpenStream).address)
        rig.lose_stream()
    assert tried == ["s1:1", "s2:1", "s1:1", "s2:1"]
    assert len([said for said in rig.take(c.Say) if "no session yet" in said.message]) == 1


def test_pauses_between_hellos_are_bounded() -> None:
    rig = Rig().begin()
    for _ in range(40):
        rig.greet()
        rig.lose_stream()
        assert rig.agent.due() - rig.boot <= 1.0


def test_whoever_said_that_the_session_is_over_is_asked_for_the_next_one() -> None:
    """The leader that it had may be frozen, and the grace of the next leader is running."""
    rig = Rig().connected()
    rig.wait(TTL / 2)
    beat = rig.one(c.SendBeat)
    while beat.address != "s3:1":
        rig.do(e.BeatFailed(beat.ticket, session_lost=False, reason="deadline exceeded"))
        beat = rig.one(c.SendBeat)
    rig.do(e.BeatFailed(beat.ticket, session_lost=True, reason="gone"))
    rig.lose_stream()
    rig.wait(0.0)
    rig.do(e.IdentitySaved(rig.one(c.SaveIdentity).connect))
    assert rig.one(c.OpenStream).address == "s3:1"


def test_a_registration_that_failed_is_asked_for_again_at_once_and_of_the_same_leader() -> None:
    rig = Rig().begin()
    rig.greet()
    asked = rig.agent.connection._asked
    rig.do(e.Refused(rig.stream, "NOT_REGISTERED", "the new lease ended", 0.1))
    rig.lose_stream()
    assert rig.agent.due() - rig.boot <= 0.12
    rig.greet()
    assert rig.agent.connection._asked == asked


def test_a_duplicate_waits_and_tries_again_with_one_line_in_the_log() -> None:
    rig = Rig().begin()
    for _ in range(3):
        rig.greet()
        rig.do(e.Refused(rig.stream, "DUPLICATE_WORKER", "connected as another instance", 0.0))
        rig.lose_stream()
        assert 1.0 < rig.agent.due() - rig.boot < 3.0
    assert len([said for said in rig.take(c.Say) if "another instance" in said.message]) == 1


def test_a_used_counter_means_a_copy_which_kills_what_it_holds_and_takes_a_new_name() -> None:
    rig = Rig()
    running = {"fence": fence(1), "pid": 33, "ticks": 7, "at": 5, "note": {}}
    rig.begin(e.WardenListed("instance", "boot", attempts=[running]))
    assert rig.greet().instance == "instance"
    rig.do(e.Refused(rig.stream, "STALE_CONNECT", "used before", 0.0))
    assert (rig.one(c.StopProcess).fence, rig.agent.connection.identity.alias) == (fence(1), "spare")
    rig.lose_stream()
    assert rig.greet().instance == "spare"


def test_a_foreign_incarnation_ends_the_process_with_the_reason() -> None:
    rig = Rig().begin()
    rig.greet()
    rig.do(e.Refused(rig.stream, "INCARNATION", "it knows incarnation 5, this is 3", 0.0))
    assert "incarnation 5" in rig.one(c.GiveUp).reason
    rig.lose_stream()
    rig.wait(60)
    assert rig.one(c.Finished)
    assert not rig.take(c.SaveIdentity)


def test_an_unanswered_hello_is_given_up() -> None:
    rig = Rig().begin()
    rig.greet()
    rig.wait(20)
    assert rig.one(c.CloseStream)


def test_a_frozen_leader_is_given_up_before_the_grace_of_the_next_one_is_over() -> None:
    rig = Rig().connected()
    rig.lose_stream()
    frozen = dialled(rig).address
    rig.wait(TTL + MARGIN - 1.5)
    assert rig.one(c.CloseStream)
    rig.lose_stream()
    assert dialled(rig).address != frozen


def test_a_leader_that_was_silent_behind_a_detour_as_well_is_not_asked_next() -> None:
    rig = Rig().begin()
    assert dialled(rig).address == "s1:1"
    assert sent_to(rig, "s2:1").address == "s2:1"
    rig.wait(20)
    rig.lose_stream()
    assert dialled(rig).address == "s1:1"
    assert sent_to(rig, "s2:1").hello.forward
    rig.wait(20)
    rig.lose_stream()
    assert dialled(rig).address == "s1:1", "it may lead by now"
    rig.lose_stream()
    assert dialled(rig).address == "s2:1", "once is enough"


def test_a_stop_ends_the_stream_and_leaves_tasks_alone() -> None:
    rig = Rig().connected()
    rig.command(process(1))
    rig.started(1)
    rig.asked.clear()
    rig.do(e.StopRequested())
    assert not rig.take(c.SendReport)[-1].stopping
    assert rig.one(c.CloseStream)
    rig.lose_stream()
    assert rig.one(c.Finished)
    assert not rig.take(c.StopProcess)
    assert not rig.take(c.SaveIdentity)


def test_an_agent_that_is_told_to_end_announces_a_hold_and_leaves_when_it_is_committed() -> None:
    rig = Rig(hold=30.0).connected()
    rig.command(process(1))
    rig.do(e.StopRequested())
    assert rig.one(c.AnnounceHold) == c.AnnounceHold(rig.stream, 30.0)
    rig.command(process(2))
    assert not rig.take(c.CloseStream)
    rig.command(held=True)
    assert rig.one(c.CloseStream)
    rig.lose_stream()
    assert rig.one(c.Finished)


def test_it_does_not_wait_long_for_the_answer() -> None:
    rig = Rig(hold=30.0).connected()
    rig.command(process(1))
    rig.do(e.StopRequested())
    rig.wait(0.9)
    assert not rig.take(c.CloseStream)
    rig.wait(0.2)
    assert rig.one(c.CloseStream)


def test_nothing_is_held_for_a_worker_without_attempts_or_on_a_node_that_is_shut_down() -> None:
    rig = Rig(hold=30.0).connected()
    rig.do(e.StopRequested())
    assert rig.one(c.CloseStream)
    rig = Rig(hold=30.0).connected()
    rig.command(process(1))
    rig.do(e.WardenStopping())
    rig.exited(1)
    rig.command(accepted=[fence(1)])
    rig.do(e.StopRequested())
    assert rig.one(c.CloseStream)
    assert not rig.take(c.AnnounceHold)


def dialled(rig: Rig) -> c.OpenStream:
    """The next Hello, with where it goes."""
    while not any(isinstance(command, c.SaveIdentity) for command in rig.asked):
        rig.wait(max(0.0, rig.agent.due() - rig.boot))
    rig.do(e.IdentitySaved(rig.one(c.SaveIdentity).connect))
    return rig.one(c.OpenStream)


def sent_to(rig: Rig, leader: str) -> c.OpenStream:
    """The replica that was asked names the leader; the Hello that follows."""
    rig.do(e.Redirected(rig.stream, leader))
    rig.lose_stream()
    return dialled(rig)


def on_a_detour() -> Rig:
    """An agent whose leader s2:1 does not answer, and whose session goes through s1:1."""
    rig = Rig().begin()
    assert dialled(rig).address == "s1:1"
    direct = sent_to(rig, "s2:1")
    assert (direct.address, direct.hello.forward) == ("s2:1", False)
    rig.lose_stream()
    assert dialled(rig).address == "s2:1", "the turn goes on"
    rig.lose_stream()
    assert dialled(rig).address == "s1:1"
    through = sent_to(rig, "s2:1")
    assert (through.address, through.hello.forward) == ("s1:1", True)
    rig.welcome(through.hello)
    rig.take(c.CloseStream)
    return rig


def answer_beat(rig: Rig, leader: str) -> None:
    """The next beat is answered by somebody who names this leader; empty: by the leader itself."""
    rig.wait(TTL / 4 * 1.3)
    beat = rig.one(c.SendBeat)
    rig.do(e.BeatAcked(beat.ticket, rig.boot, TTL, [], leader or beat.address))


def test_a_leader_that_does_not_answer_is_reached_through_the_replica_that_names_it() -> None:
    on_a_detour()


def test_a_detour_ends_when_a_beat_is_answered_by_the_leader_itself() -> None:
    rig = on_a_detour()
    rig.beat()
    for _ in range(3):
        answer_beat(rig, "elsewhere:1")
    assert not rig.take(c.CloseStream), "nobody has heard of the leader itself"
    answer_beat(rig, "")
    assert rig.take(c.CloseStream)
    rig.lose_stream()
    direct = dialled(rig)
    assert not direct.hello.forward


def test_a_detour_is_not_ended_within_seconds() -> None:
    rig = on_a_detour()
    rig.beat()
    answer_beat(rig, "")
    assert not rig.take(c.CloseStream)


def test_a_detour_that_fails_says_nothing_of_the_replica_that_was_asked() -> None:
    """It may have been the leader who did not answer; the next one is asked for the same."""
    rig = Rig().begin()
    dialled(rig)
    sent_to(rig, "s2:1")
    for _ in range(2):
        rig.lose_stream()
        dialled(rig)
    sent_to(rig, "s2:1")
    rig.lose_stream()
    assert (again := dialled(rig)).address == "s2:1"
    assert not again.hello.forward
    rig.lose_stream()
    while (again := dialled(rig)).address != "s1:1":
        rig.lose_stream()
    assert not again.hello.forward
    assert (through := sent_to(rig, "s2:1")).hello.forward
    assert through.address == "s1:1"


def test_a_new_leader_is_dialled_itself() -> None:
    rig = on_a_detour()
    rig.lose_stream()
    dialled(rig)
    direct = sent_to(rig, "s3:1")
    assert (direct.address, direct.hello.forward) == ("s3:1", False)
