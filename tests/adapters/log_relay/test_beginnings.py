"""Does a reader get exactly what it asked for, also when it goes on from any of its cursors?"""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tenure.v1.log_service_pb2 import LOG_FORMAT_CHUNKS, LOG_FORMAT_LINES, TailLogsRequest
from tenure.v1.log_service_pb2_grpc import LogServiceStub
from tenure.v1.task_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    LOG_STATE_COMPLETE,
    LOG_STATE_INCOMPLETE,
    TASK_STATE_PENDING,
    TASK_STATE_RUNNING,
)
from tests.adapters.log_relay.relays import tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.adapters.log_relay.served import ServedLog, served
from tests.adapters.log_relay.spools import Spool
from tests.adapters.log_relay.test_holes import states, succeeded, texts
from tests.adapters.log_relay.test_round_trip import FENCE, TASK, entries, flat
from tests.support.waiting import eventually

SECOND = 1_000_000_000


def at(seconds: float) -> Timestamp:
    instant = Timestamp()
    instant.FromNanoseconds(int(seconds * SECOND))
    return instant


def eight_lines() -> Spool:
    spool = Spool(FENCE)
    for number in range(8):
        spool.write(b"%d\n" % number, wall_ns=(1_000 + number) * SECOND)
    return spool


def ragged(seed: int) -> Spool:
    """Lines of two channels that begin and end anywhere in frames; the last of each may be open."""
    chance = random.Random(seed)
    spool = Spool(FENCE)
    for number in range(120):
        pieces = [b"%d" % number * chance.randrange(60) for _ in range(chance.randrange(1, 5))]
        spool.write(b"\n".join(pieces) or b"\n", chance.choice((1, 1, 1, 2)))
    return spool


async def same_from_everywhere(relay: ServedLog, **fields: Any) -> None:
    """What follows a message also follows its cursor."""
    whole = await tail(relay, TASK, **fields)
    for name in ("last_lines", "since"):
        fields.pop(name, None)
    for index, message in enumerate(whole):
        rest = await tail(relay, TASK, cursor=message.cursor, **fields)
        assert flat(rest) == flat(whole[index + 1 :])


@pytest.mark.parametrize("cut", [LOG_FORMAT_LINES, LOG_FORMAT_CHUNKS])
async def test_the_first_cursor_yields_no_more_than_was_asked_for(
    tmp_path: Path, scheduler: SchedulerEndpoint, cut: int
) -> None:
    spool = eight_lines()
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        for start in ({"last_lines": 2}, {"since": at(1_006)}):
            whole = await tail(relay, TASK, format=cut, follow=True, **start)
            assert whole[0].HasField("attempt_begin")
            data = b"".join(b"".join(e.text + b"\n" for e in m.lines.entries) + m.chunk.data for m in whole)
            assert data == b"6\n7\n"
            await same_from_everywhere(relay, format=cut, follow=True, **start)


@pytest.mark.parametrize("seed", range(4))
async def test_the_last_lines_are_the_last_of_all(
    tmp_path: Path, scheduler: SchedulerEndpoint, seed: int
) -> None:
    """However many records and channels they are spread over."""
    spool = ragged(seed)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        for start in range(0, len(spool.frames), 7):
            await relay.take(Spool.of(spool, start + 7), start=start)
            await relay.fill(6_000)
        whole = entries(await tail(relay, TASK))
        for count in (0, 1, 2, 3, 5, 20, 100, len(whole) - 1, len(whole), len(whole) + 5):
            found = entries(await tail(relay, TASK, last_lines=count))
            assert found == whole[max(0, len(whole) - count) :]
        for channel in (1, 2):
            of_channel = entries(await tail(relay, TASK, channels=[channel]))
            found = entries(await tail(relay, TASK, last_lines=3, channels=[channel]))
            assert found == of_channel[-3:]
        for count in (1, 5, 40):
            await same_from_everywhere(relay, last_lines=count)


async def test_every_line_may_carry_a_cursor(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    """Behind which the very next line follows, whichever message it was in."""
    spool, chance = ragged(5), random.Random(6)
    spool.write(b"z" * 200_000 + b"\nend")
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        plain = await tail(relay, TASK)
        assert not any(entry.cursor for entry in entries(plain))
        whole = await tail(relay, TASK, entry_cursors=True)
        assert flat(whole) == flat(plain)
        assert [m.cursor for m in whole] == [
            m.lines.entries[-1].cursor if m.HasField("lines") else m.cursor for m in whole
        ]
        found = entries(whole)
        assert len(found) > 2 * len(whole)
        for index in sorted(chance.sample(range(len(found)), 40)):
            rest = await tail(relay, TASK, cursor=found[index].cursor)
            assert flat(rest)[:-2] == flat(plain)[index + 2 : -2]


async def test_a_long_line_is_one_of_the_last_lines(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    spool = Spool(FENCE)
    for payload in (b"a\n", b"x" * 100_000, b"y" * 100_000, b"\nz"):
        spool.write(payload)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool)
        assert texts(await tail(relay, TASK, last_lines=1)) == [b"z"]
        found = texts(await tail(relay, TASK, last_lines=2))
        assert b"".join(found) == b"x" * 100_000 + b"y" * 100_000 + b"z"
        assert texts(await tail(relay, TASK, last_lines=3)) == [b"a", *found]
        await same_from_everywhere(relay, last_lines=2)


async def test_an_instant_holds_for_what_comes_later(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    """No output is late enough yet, and the next to come is not either."""
    spool = eight_lines()
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(Spool.of(spool, 4))
        (begin,) = await tail(relay, TASK, since=at(1_006))
        following = [
            asyncio.create_task(tail(relay, TASK, follow=True, **start))
            for start in ({"since": at(1_006)}, {"cursor": begin.cursor})
        ]
        await eventually(lambda: relay.log.attempts[FENCE].readers == 2)
        await relay.take(spool, start=4, final=True)
        succeeded(scheduler, spool)
        for found in await asyncio.wait_for(asyncio.gather(*following), 20):
            assert texts(found) == [b"6", b"7"]
            assert states(found) == [LOG_STATE_COMPLETE, LOG_STATE_COMPLETE]


async def test_an_instant_holds_for_later_attempts(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    first, second = eight_lines(), Spool(f"1.{TASK}.2")
    for number in range(4):
        second.write(b"again %d\n" % number, wall_ns=(1_008 + number) * SECOND)
    scheduler.set(TASK, TASK_STATE_PENDING, 1, outcome=ATTEMPT_OUTCOME_FAILED, stdout_bytes=first.end(1))
    succeeded(scheduler, second, 2)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(first, final=True)
        await relay.take(second, final=True)
        for instant, expected in ((1_010, 2), (1_009, 3), (2_000, 0)):
            found = await tail(relay, TASK, follow=True, since=at(instant))
            assert texts(found) == [b"again %d" % n for n in range(4)][4 - expected :]
            await same_from_everywhere(relay, follow=True, since=at(instant))


async def test_of_a_later_attempt_everything_is_wanted(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    """Also when most of it is there before the reader gets to it."""
    first, second = eight_lines(), Spool(f"1.{TASK}.2")
    for number in range(4):
        second.write(b"again %d\n" % number)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(first)
        following = asyncio.create_task(tail(relay, TASK, follow=True, last_lines=2))
        await eventually(lambda: relay.log.attempts[FENCE].readers == 1)
        await relay.take(second, final=True)
        scheduler.set(TASK, TASK_STATE_PENDING, 1, outcome=ATTEMPT_OUTCOME_FAILED, stdout_bytes=first.end(1))
        succeeded(scheduler, second, 2)
        await relay.finish(first)
        found = await asyncio.wait_for(following, 20)
        assert texts(found) == [b"6", b"7", *(b"again %d" % number for number in range(4))]


async def test_the_state_of_the_log_survives_its_last_cursor(
    tmp_path: Path, scheduler: SchedulerEndpoint
) -> None:
    spool = eight_lines()
    spool.gap(100, "the node's disk was full")
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        whole = await tail(relay, TASK, follow=True)
        assert states(whole) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
        rest = await tail(relay, TASK, follow=True, cursor=whole[-2].cursor)
        assert states(rest) == [LOG_STATE_INCOMPLETE]


async def test_the_end_is_only_told_to_who_got_all_before_it(
    tmp_path: Path, scheduler: SchedulerEndpoint
) -> None:
    """Also without follow, when the rest of an ended attempt arrives while its beginning is read."""
    spool = Spool(FENCE)
    for number in range(24):
        spool.write(b"%d" % (number % 10) * 1_000_000)
    spool.write(b"the last\n")
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay, relay.channel() as channel:
        await relay.take(Spool.of(spool, 24))
        stub: Any = LogServiceStub(channel)
        messages = aiter(stub.TailLogs(TailLogsRequest(task_id=TASK, format=LOG_FORMAT_CHUNKS)))
        found = [await anext(messages)]
        await relay.take(spool, start=24, final=True)
        found += [message async for message in messages]
        assert sum(len(m.chunk.data) for m in found) == spool.end(1)
        assert states(found) == [LOG_STATE_COMPLETE, LOG_STATE_COMPLETE]


async def offset_refused(relay: ServedLog, **fields: Any) -> str:
    """The sentence with which the relay refuses an offset that is not there."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asyncio.wait_for(tail(relay, TASK, attempt=1, channels=[1], **fields), 20)
    assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE
    return refused.value.details() or ""


async def test_an_offset_behind_the_end_is_out_of_range(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    spool = eight_lines()
    succeeded(scheduler, spool)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(spool, final=True)
        for follow in (True, False):
            said = await offset_refused(relay, offset=1_999, follow=follow)
            assert said == "stdout of attempt 1 ends at byte 16: byte 1,999 does not exist"
            at_end = await tail(relay, TASK, attempt=1, channels=[1], offset=16, follow=follow)
            assert [m.WhichOneof("item") for m in at_end] == ["attempt_begin", "attempt_end", "end"]


async def test_an_offset_that_is_to_come_is_waited_for(tmp_path: Path, scheduler: SchedulerEndpoint) -> None:
    spool = eight_lines()
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(Spool.of(spool, 4))
        said = await offset_refused(relay, offset=11)
        assert said == "stdout of attempt 1 has 8 bytes so far: follow it to wait for byte 11"
        wanted: dict[str, Any] = {"attempt": 1, "channels": [1], "follow": True, "format": LOG_FORMAT_CHUNKS}
        following = asyncio.create_task(tail(relay, TASK, offset=11, **wanted))
        too_far = asyncio.create_task(offset_refused(relay, offset=17, follow=True))
        await eventually(lambda: relay.log.attempts[FENCE].readers == 2)
        for number in range(4, 8):
            await relay.take(Spool.of(spool, number + 1), start=number)
        await relay.finish(spool)
        succeeded(scheduler, spool)
        found = await asyncio.wait_for(following, 20)
        assert b"".join(m.chunk.data for m in found) == b"\n6\n7\n"
        assert next(m.chunk.offset for m in found if m.HasField("chunk")) == 11
        assert "stdout of attempt 1 ends at byte 16" in await too_far
        for index, message in enumerate(found):
            rest = await tail(relay, TASK, cursor=message.cursor, **wanted)
            assert flat(rest) == flat(found[index + 1 :])


async def test_an_offset_within_what_was_promised_is_a_gap(
    tmp_path: Path, scheduler: SchedulerEndpoint
) -> None:
    spool = eight_lines()
    succeeded(scheduler, spool)
    scheduler.judge_log(TASK, LOG_STATE_INCOMPLETE)
    async with served(tmp_path, scheduler.address) as relay:
        await relay.take(Spool.of(spool, 4))
        begun = time.monotonic()
        found = await tail(relay, TASK, attempt=1, channels=[1], offset=12, follow=True)
        assert [(m.gap.from_offset, m.gap.to_offset) for m in found if m.HasField("gap")] == [(12, 16)]
        assert states(found) == [LOG_STATE_INCOMPLETE, LOG_STATE_INCOMPLETE]
        assert time.monotonic() - begun < 15
