"""Does the record say who gave an attempt up, on what, how it really ended, and whether two ran at once?"""

from __future__ import annotations

import pytest

from tenure_core.fence import Fence
from tenure_core.states import AttemptOutcome, LossEvidence, OnDisconnect, TaskState
from tenure_scheduler.domain import commands as c
from tenure_scheduler.domain import events as e
from tenure_scheduler.domain.history import Overlap, overlaps, timeline
from tenure_scheduler.domain.model import Task
from tenure_scheduler.domain.notes import KEPT, EventKind
from tests.domain.scheduler.rig import START_NS, Agent, Rig, Spec, failed, result, running, stands

SECOND = 10**9
K = EventKind


def begun(fence: Fence, at_ns: int) -> e.AttemptReport:
    """An attempt that started at some time by its node's clock."""
    return e.AttemptReport(fence, e.ReportKind.STARTED, started_ns=at_ns, pid=7, ticks=70)


def ended(fence: Fence, started_ns: int, ended_ns: int, code: int = 0) -> e.AttemptReport:
    outcome = AttemptOutcome.FAILED if code else AttemptOutcome.SUCCEEDED
    return e.AttemptReport(
        fence, e.ReportKind.RESULT, outcome, code, started_ns=started_ns, ended_ns=ended_ns, pid=7, ticks=70
    )


def given_away(rig: Rig, spec: Spec | None = None) -> tuple[Task, Agent, Agent]:
    """Attempt 1 was lost with a silent worker and runs on there; attempt 2 runs elsewhere."""
    first, second = rig.worker("w1"), rig.worker("w2")
    rig.do(e.CordonRequested(1, ["w2"]))
    task = rig.a_task(spec).assigned()
    first.report(begun(rig.fence(task, 1), rig.now.utc_ns))
    first.held = [begun(rig.fence(task, 1), rig.now.utc_ns)]
    rig.do(e.CordonRequested(1, ["w2"], cordoned=False))
    rig.after(20)
    revision = rig.store.lives["w1"]
    rig.end_lease("w1")
    rig.do(e.LiveGone("w1", revision, rig.boot, 4711))
    rig.after(rig.config.grace + 1)
    rig.clear()
    assert (task.attempt, task.worker) == (2, second.record)
    second.report(begun(rig.fence(task, 2), rig.now.utc_ns))
    return task, first, second


def kinds(task: Task) -> list[tuple[EventKind, int]]:
    return [(note.kind, note.attempt) for note in timeline(task)]


def test_a_loss_says_who_decided_it_and_what_was_seen() -> None:
    rig = Rig()
    task, _, _ = given_away(rig)
    lost = task.attempts[0]
    assert lost.ruling is not None
    assert lost.evidence is LossEvidence.LEASE_EXPIRED
    assert (lost.ruling.epoch, lost.ruling.excuse, lost.ruling.reported) == (1, "", False)
    assert lost.ruling.saw.endswith("was not there at revision 4711")
    assert (lost.pid, lost.ticks, lost.boot_id) == (7, 70, "b1")
    story = timeline(task)[3]
    assert (story.kind, story.attempt) == (K.GIVEN_UP, 1)
    assert "LOST (LEASE_EXPIRED)" in story.text
    assert story.text.endswith("counted as a loss")


def test_an_early_loss_says_since_when_the_connection_was_gone() -> None:
    rig = Rig()
    agent = rig.worker()
    rig.worker("w2")
    task = rig.a_task().running_on(agent)
    agent.reset()
    rig.after(3)
    ruling = task.attempts[0].ruling
    assert ruling is not None
    assert "(RESET), no Hello came for 2.0 s" in ruling.saw
    assert "was deleted" in ruling.saw


def test_until_the_end_is_known_two_attempts_may_overlap() -> None:
    rig = Rig()
    task, _, second = given_away(rig)
    began = task.attempts[1].started_ns
    text = "attempt 1 on w1 may have run on beside attempt 2 on w2"
    assert overlaps(task) == [Overlap(1, 2, began, 0, False, text)]
    second.report(ended(rig.fence(task, 2), began, began + 5 * SECOND))
    assert overlaps(task) == [Overlap(1, 2, began, began + 5 * SECOND, False, text)]


@pytest.mark.parametrize("how", ["result", "stopped"])
def test_a_late_end_shows_the_window_and_changes_nothing_else(how: str) -> None:
    rig = Rig()
    task, first, second = given_away(rig)
    began = task.attempts[1].started_ns
    late = ended(rig.fence(task, 1), task.attempts[0].started_ns, began + 2 * SECOND, code=3)
    first.held = []
    first.hello()
    before = (task.state, task.losses, task.attempts[0].outcome, task.attempts[0].counted, task.updated_ns)
    if how == "stopped":
        late = e.AttemptReport(rig.fence(task, 1), e.ReportKind.STOPPED, end=late)
    first.report(late)
    told = rig.taken(c.SendCommands)
    assert all(late.fence not in command.accepted for command in told)
    after = (task.state, task.losses, task.attempts[0].outcome, task.attempts[0].counted, task.updated_ns)
    assert after == before
    text = "attempt 1 on w1 ran on beside attempt 2 on w2"
    assert overlaps(task) == [Overlap(1, 2, began, began + 2 * SECOND, True, text)]
    assert (K.LATE_END, 1) in kinds(task)
    second.succeeds(task)
    rig.depose()
    again = rig.task(task)
    assert again.state is TaskState.SUCCEEDED
    assert again.attempts[0].late is not None
    assert again.attempts[0].late[:3] == (AttemptOutcome.FAILED, 3, None)


def lost_with_its_warden(fence: Fence, ended_ns: int) -> e.AttemptReport:
    """What the next warden says: nothing runs any more, since when is not known."""
    return e.AttemptReport(
        fence,
        e.ReportKind.RESULT,
        AttemptOutcome.LOST,
        evidence=LossEvidence.WARDEN_DIED,
        started_ns=1,
        ended_ns=ended_ns,
    )


def test_a_late_end_that_nobody_saw_is_the_latest_possible_one() -> None:
    rig = Rig()
    task, first, _ = given_away(rig)
    began = task.attempts[1].started_ns
    first.held = []
    first.hello()
    first.report(lost_with_its_warden(rig.fence(task, 1), began + 2 * SECOND))
    (overlap,) = overlaps(task)
    assert (overlap.begins_ns, overlap.ends_ns, overlap.certain) == (began, began + 2 * SECOND, False)


def test_a_loss_that_the_next_warden_tells_again_is_no_news() -> None:
    rig = Rig()
    first, second = rig.worker("w1"), rig.worker("w2")
    rig.do(e.CordonRequested(1, ["w2"]))
    task = rig.a_task().running_on(first)
    rig.do(e.CordonRequested(1, ["w2"], cordoned=False))
    first.report(lost_with_its_warden(rig.fence(task, 1), rig.now.utc_ns))
    second.starts(task)
    first.report(lost_with_its_warden(rig.fence(task, 1), rig.now.utc_ns + SECOND))
    assert (task.attempt, task.attempts[0].late, overlaps(task)) == (2, None, [])


def test_a_late_end_before_the_other_one_began_is_no_overlap() -> None:
    rig = Rig()
    task, first, _ = given_away(rig)
    first.held = []
    first.hello()
    began = task.attempts[1].started_ns
    first.report(ended(rig.fence(task, 1), began - 9 * SECOND, began - SECOND))
    assert overlaps(task) == []


def test_a_late_end_that_comes_after_the_task_has_ended_is_kept_once() -> None:
    rig = Rig()
    task, first, second = given_away(rig)
    second.succeeds(task)
    first.held = []
    first.hello()
    late = ended(rig.fence(task, 1), 1, rig.now.utc_ns, code=3)
    first.report(late)
    first.report(failed(rig.fence(task, 1), 9))
    kept = task.attempts[0].late
    assert kept is not None
    assert kept.exit_code == 3
    assert stands(task) is TaskState.SUCCEEDED
    assert (K.FINISHED, 0) in kinds(task)


def test_somebody_else_cannot_write_into_the_history_of_an_attempt() -> None:
    rig = Rig()
    task, _, second = given_away(rig)
    second.report(ended(rig.fence(task, 1), 1, rig.now.utc_ns))
    assert task.attempts[0].late is None


def test_an_end_that_was_accepted_is_no_overlap_however_wrong_the_clocks_are() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task(Spec()).running_on(agent)
    lost = result(rig.fence(task), AttemptOutcome.LOST, None)
    lost.ended_ns, lost.evidence = rig.now.utc_ns + 3600 * SECOND, LossEvidence.OOM_KILLED
    agent.held = []
    agent.report(lost)
    rig.after(60)
    agent.report(begun(rig.fence(task, 2), rig.now.utc_ns))
    first = task.attempts[0]
    assert first.ruling is not None
    assert first.ruling.reported
    assert first.ruling.saw == "worker w1 reported it in session 1"
    assert overlaps(task) == []


def test_an_exclusive_task_is_given_up_when_nothing_of_it_can_run() -> None:
    rig = Rig()
    task, first, _ = given_away(rig, Spec(on_disconnect=OnDisconnect.STOP))
    assert overlaps(task) == []
    ruling = task.attempts[0].ruling
    assert ruling is not None
    assert ruling.saw.endswith("since then its term has passed")
    # A frozen host is the exception that nobody can rule out: should it ever happen, the evidence says so.
    first.held = []
    first.hello()
    began = task.attempts[1].started_ns
    first.report(ended(rig.fence(task, 1), 1, began + SECOND))
    assert [overlap.certain for overlap in overlaps(task)] == [True]


def test_a_reboot_names_both_boots() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    agent.reset()
    agent.boot, agent.held = "b2", []
    agent.hello()
    ruling = task.attempts[0].ruling
    assert ruling is not None
    assert ruling.saw == "Hello 2 came from boot b2, the attempt began in b1"
    assert overlaps(task) == []


def test_what_is_taken_back_stays_in_the_history() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.expire(agent)
    agent.held = [running(rig.fence(task, 1))]
    agent.hello()
    assert stands(task) is TaskState.RUNNING
    assert task.attempts[0].ruling is None
    (note,) = task.notes
    assert (note.kind, note.attempt) == (K.TAKEN_BACK, 1)
    assert "still holds it: the conclusion LOST (LEASE_EXPIRED) of " in note.text


def test_why_a_loss_does_not_count_is_told() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    rig.do(e.CancelRequested(1, [task.id]))
    rig.expire(agent)
    ruling = task.attempts[0].ruling
    assert ruling is not None
    assert ruling.excuse == "the task was being cancelled"
    (gave_up,) = (note for note in timeline(task) if note.kind is K.GIVEN_UP)
    assert gave_up.text.endswith("not counted: the task was being cancelled")


def test_cancel_hold_and_release_are_dated_and_bounded() -> None:
    rig = Rig()
    agents = [rig.worker("w1"), rig.worker("w2")]
    task = rig.a_task().pending()
    for _ in range(3):
        agent = next(agent for agent in agents if task.worker is agent.record)
        agent.starts(task)
        rig.expire(agent)
        agent.held = []
        agent.hello()
    assert stands(task) is TaskState.QUARANTINED
    rig.do(e.ReleaseRequested(1, [task.id]))
    rig.do(e.CancelRequested(1, [task.id], "enough"))
    notes = [(note.kind, note.text) for note in task.notes]
    assert [kind for kind, _ in notes] == [K.HELD, K.RELEASED, K.CANCEL_REQUESTED]
    assert notes[2][1] == "enough"
    assert (K.SUBMITTED, 0) in kinds(task)
    quarantined = rig.task(task)
    rig.depose()
    assert rig.task(task).notes == quarantined.notes


def test_a_task_keeps_only_its_newest_notes() -> None:
    rig = Rig()
    agent = rig.worker()
    task = rig.a_task().running_on(agent)
    for _ in range(KEPT + 5):
        rig.expire(agent)
        agent.held = [running(rig.fence(task, 1))]
        agent.hello()
        rig.after(70)
    assert len(task.notes) == KEPT
    assert task.notes == tuple(sorted(task.notes))
    assert task.notes[0].at_ns > START_NS
