"""Is a reader told exactly what is missing, and never that a log with a hole is complete?"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tenure.v1.log_service_pb2 import LOG_FORMAT_CHUNKS, LOG_FORMAT_LINES, TailLogsResponse
from tenure.v1.task_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    LOG_STATE_COMPLETE,
    LOG_STATE_INCOMPLETE,
    TASK_STATE_RUNNING,
    TASK_STATE_SUCCEEDED,
)
from tests.adapters.log_relay.relays import RelayProcess, push_all, tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.adapters.log_relay.served import OTHER, ServedLog, served
from tests.adapters.log_relay.spools import Spool
from tests.adapters.log_relay.test_round_trip import FENCE, TASK, flat
from tests.support.etcd_server import EtcdServer
from tests.support.waiting import eventually

FORMATS = pytest.mark.parametrize("cut", [LOG_FORMAT_LINES, LOG_FORMAT_CHUNKS])


def gaps(messages: list[TailLogsResponse]) -> list[tuple[int, int, int]]:
    found = [m.gap for m in messages if m.HasField("gap")]
    assert all(gap.reason for gap in found)
    return [(gap.channel, gap.from_offset, gap.to_offset) for gap in found]


def texts(messages: list[TailLogsResponse]) -> list[bytes]:
    return [e.text for m in messages for e in m.lines.entries]


def states(messages: list[TailLogsResponse]) -> Sequence[int]:
    """What the end markers say of the log."""
    ends = [m.attempt_end.log_state for m in messages if m.HasField("attempt_end")]
    return ends + [m.end.log_state for m in messages if m.HasField("end")]


def succeeded(scheduler: SchedulerEndpoint, spool: Spool, attempt: int = 1) -> None:
    """The task ended well, and the scheduler holds its log for complete."""
    finals = {"stdout_bytes": spool.end(1), "stderr_bytes": spool.end(2)}
    scheduler.set(
        TASK, TASK_STATE_SUCCEEDED, attempt, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0, **finals
    )
    scheduler.judge_log(TASK, LOG_STATE_COMPLETE)


def lines_of(count: int, size: int = 900) -> Spool:
    """One line in each frame, on both channels in turn."""
    spool = Spool(FENCE)
    for number in range(count):
        spool.write(b"%0*d\n" % (size - 1, number), 1 + number % 2)
    return spool


async def resumed_everywhere(relay: ServedLog, whole: list[TailLogsResponse], cut: int) -> None:
    """Each cursor goes on with what followed, to the same end: no gap again, none left out."""
    for index, message in enumerate(whole):
        rest = await tail(relay, TASK, format=cut, follow=True, cursor=message.cursor)
        assert flat(rest) == flat(whole[index + 1 :])
        assert gaps(rest) == gaps(whole[index + 1 :])
        assert states(rest) == states(whole[index + 1 :])


@FORMATS
async def test_a_rotten_end_is_a_gap(tmp_path: Path, scheduler: SchedulerEndpoint, cut: int) -> None:
    spool = lines_of(10)
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        relay.rot(spool, 8)
        relay.rot(spool, 9)
        whole = await tail(relay, TASK, format=cut, follow=True)
        assert gaps(whole) == [(1, 3_600, 4_500), (2, 3_600, 4_500)]
        assert states(whole) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
        await resumed_everywhere(relay, whole, cut)
        assert gaps(await tail(relay, TASK, format=cut)) == gaps(whole)


async def test_a_rotten_end_behind_an_index_is_a_gap(
    tmp_path: Path, scheduler: SchedulerEndpoint, etcd: EtcdServer
) -> None:
    """A relay that starts by the index of a segment has not looked at what lies in it."""
    spool, other = lines_of(10), Spool(f"1.{OTHER}.1")
    for _ in range(40):
        other.write(b"y" * 65_536)
    relay = RelayProcess(
        tmp_path, scheduler.address, etcd.endpoint, "--storage-segment", "1MiB", "--storage-hot", "1MiB"
    )
    await relay.start()
    await push_all(relay, spool)
    await push_all(relay, other)
    await eventually(lambda: relay.segments[0].with_suffix(".tli").exists())
    await relay.end()
    path = relay.segments[0]
    data = bytearray(path.read_bytes())
    data[data.index(spool.frames[-1]) + 100] ^= 4
    path.write_bytes(data)
    await relay.start()
    try:
        succeeded(scheduler, spool)
        found = await tail(relay, TASK, follow=True)
        assert [end for _, _, end in gaps(found)] == [4_500, 4_500]
        assert len(texts(found)) * 900 + sum(end - start for _, start, end in gaps(found)) == 9_000
        assert states(found) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
    finally:
        await relay.kill()


async def test_a_rotten_middle_makes_the_log_incomplete(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    spool = lines_of(10)
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        relay.rot(spool, 4)
        whole = await tail(relay, TASK, follow=True)
        assert gaps(whole) == [(1, 1_800, 2_700)]
        assert len(texts(whole)) == 9
        assert states(whole) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
        await resumed_everywhere(relay, whole, LOG_FORMAT_LINES)


@FORMATS
async def test_what_retention_took_of_a_running_attempt_is_a_gap(
    tmp_path: Path, scheduler: SchedulerEndpoint, cut: int
) -> None:
    """Told while it runs, and not again when it ends; also by a relay that was started in between."""
    spool = lines_of(4)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    filler = Spool(f"1.{OTHER}.1")
    async with served(tmp_path, scheduler.address, filler=filler) as relay:
        await relay.take(spool)
        await relay.forget_old()
        assert not len(relay.log.attempts[FENCE].extents)
        running = await tail(relay, TASK, format=cut)
        assert gaps(running) == [(1, 0, 1_800), (2, 0, 1_800)]
    async with served(tmp_path, scheduler.address, filler=filler) as relay:
        following = asyncio.create_task(tail(relay, TASK, format=cut, follow=True))
        resumed = asyncio.create_task(tail(relay, TASK, format=cut, follow=True, cursor=running[-1].cursor))
        spool.write(b"more\n")
        await relay.take(spool, start=4, final=True)
        succeeded(scheduler, spool)
        found = await asyncio.wait_for(following, 20)
        assert gaps(found) == [(1, 0, 1_800), (2, 0, 1_800)]
        assert flat(found)[-3:-2] == flat(await resumed)[:1]
        assert gaps(await resumed) == []
        assert states(await resumed) == states(found) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
        await resumed_everywhere(relay, found, cut)


async def test_an_attempt_that_ends_after_its_output_went_is_incomplete(
    tmp_path: Path, scheduler: SchedulerEndpoint
) -> None:
    spool = lines_of(4)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool)
        await relay.forget_old()
        await relay.finish(spool)
        succeeded(scheduler, spool)
        whole = await tail(relay, TASK, follow=True)
        assert gaps(whole) == [(1, 0, 1_800), (2, 0, 1_800)]
        assert states(whole) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
        await resumed_everywhere(relay, whole, LOG_FORMAT_LINES)


async def test_a_cursor_inside_a_hole_goes_on_there(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    """It was handed out before the output was lost."""
    spool = lines_of(4)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(Spool.of(spool, 2))
        cursor = (await tail(relay, TASK))[-1].cursor
        await relay.take(spool, start=2)
        await relay.forget_old()
        await relay.finish(spool)
        succeeded(scheduler, spool)
        assert gaps(await tail(relay, TASK, follow=True, cursor=cursor)) == [(1, 900, 1_800), (2, 900, 1_800)]


async def test_a_hole_outside_of_what_is_asked_for_is_not_told(
    tmp_path: Path, scheduler: SchedulerEndpoint
) -> None:
    spool = lines_of(10)
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(Spool.of(spool, 5))
        await relay.forget_old()
        await relay.take(spool, start=5, final=True)
        since = Timestamp()
        since.FromNanoseconds(1_700_000_000_000_000_000 + 7 * 1_000_000)
        behind = {"since": since}, {"last_lines": 3}, {"attempt": 1, "channels": [1], "offset": 3_600}
        for fields in behind:
            found = await tail(relay, TASK, follow=True, **fields)
            assert gaps(found) == []
            assert [int(text) for text in texts(found)] == ([8] if "offset" in fields else [7, 8, 9])
            assert states(found) == [LOG_STATE_COMPLETE, LOG_STATE_COMPLETE]
        since.FromNanoseconds(1_700_000_000_000_000_000)
        within = {"since": since}, {"last_lines": 8}, {"last_lines": 100_000}
        for fields in within:
            found = await tail(relay, TASK, follow=True, **fields)
            assert sorted(gaps(found)) == [(1, 0, 2_700), (2, 0, 1_800)]
            assert [int(text) for text in texts(found)] == [5, 6, 7, 8, 9]
            assert states(found) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]


async def test_nothing_old_is_owed_to_who_begins_at_the_end(
    tmp_path: Path, scheduler: SchedulerEndpoint
) -> None:
    spool = lines_of(4)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool)
        await relay.forget_old()
        following = asyncio.create_task(tail(relay, TASK, follow=True, last_lines=0))
        await eventually(lambda: relay.log.attempts[FENCE].readers == 1)
        spool.write(b"more\n")
        await relay.take(spool, start=4, final=True)
        succeeded(scheduler, spool)
        found = await asyncio.wait_for(following, 20)
        assert (texts(found), gaps(found)) == ([b"more"], [])
        assert states(found) == [LOG_STATE_COMPLETE, LOG_STATE_COMPLETE]


async def test_a_log_that_retention_took_whole_is_a_gap(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    spool = lines_of(4)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        await relay.forget_old()
        assert FENCE not in relay.log.attempts
        succeeded(scheduler, spool)
        whole = await tail(relay, TASK, follow=True)
        assert gaps(whole) == [(1, 0, 1_800), (2, 0, 1_800)]
        assert not [m for m in whole if "did not arrive" in m.gap.reason]
        assert states(whole) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
