"""Does a reader get every byte, once and in order?"""

import asyncio
import hashlib
import os
import random
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tenure.v1.log_service_pb2 import LogEntry, TailLogsResponse
from tenure.v1.task_pb2 import (
    ATTEMPT_OUTCOME_LOST,
    ATTEMPT_OUTCOME_SUCCEEDED,
    LOG_STATE_COMPLETE,
    LOG_STATE_UNKNOWN,
    TASK_STATE_PENDING,
    TASK_STATE_RUNNING,
    TASK_STATE_SUCCEEDED,
)
from tests.adapters.log_relay.relays import RelayProcess, push_all, read_bytes, tail
from tests.adapters.log_relay.scheduler_endpoint import SchedulerEndpoint
from tests.adapters.log_relay.spools import Spool
from tests.support.waiting import eventually

TASK = "abcd" + "0" * 16
FENCE = f"1.{TASK}.1"


def entries(messages: list[TailLogsResponse]) -> list[LogEntry]:
    return [entry for message in messages for entry in message.lines.entries]


def text_of(found: list[LogEntry], channel: int = 1) -> bytes:
    return b"".join(e.text + (b"" if e.partial else b"\n") for e in found if e.channel == channel)


def random_spool(size: int, seed: int, fence: str = FENCE) -> Spool:
    chance = random.Random(seed)
    spool = Spool(fence)
    while size > 0:
        length = min(size, chance.choice((1, 10, 100, 5_000, 65_536, 300_000)))
        spool.write(chance.randbytes(length), chance.choice((1, 1, 1, 2)))
        size -= length
    return spool


async def test_random_bytes_round_trip(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    spool = random_spool(20_000_000, 1)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    ack = await push_all(relay, spool)
    assert (ack.stdout, ack.stderr) == (len(spool.content[1]), len(spool.content[2]))
    found = await read_bytes(relay, TASK)
    for channel in (1, 2):
        assert hashlib.sha256(found[channel]).digest() == hashlib.sha256(spool.content[channel]).digest()
    assert scheduler.reported[FENCE].log_state == LOG_STATE_COMPLETE


async def test_lines_are_a_view_of_the_same_bytes(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    spool = Spool(FENCE)
    chance = random.Random(2)
    for _ in range(300):
        lines = [
            chance.randbytes(chance.choice((0, 1, 30, 200, 70_000 if chance.random() < 0.02 else 50)))
            for _ in range(20)
        ]
        spool.write(b"\n".join(line.replace(b"\n", b"") for line in lines), chance.choice((1, 2)))
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    await push_all(relay, spool)
    found = entries(await tail(relay, TASK))
    for channel in (1, 2):
        assert text_of(found, channel) == bytes(spool.content[channel])
        offset = 0
        for entry in found:
            if entry.channel == channel:
                assert entry.offset == offset
                assert len(entry.text) <= 65_536
                offset += len(entry.text) + (not entry.partial)


async def test_follow_ends_with_the_exit_status(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    scheduler.set(TASK, TASK_STATE_PENDING)
    following = asyncio.create_task(tail(relay, TASK, follow=True))
    spool = Spool(FENCE)
    spool.write(b"hello\nwor")
    spool.write(b"oops\n", 2)
    spool.write(b"ld\nlast")
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    await push_all(relay, spool)
    finals = {"stdout_bytes": len(spool.content[1]), "stderr_bytes": len(spool.content[2])}
    scheduler.set(TASK, TASK_STATE_SUCCEEDED, 1, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0, **finals)
    messages = await asyncio.wait_for(following, 20)
    assert messages[0].attempt_begin.fence == FENCE
    assert [(e.channel, e.text, e.partial) for e in entries(messages)] == [
        (1, b"hello", False),
        (2, b"oops", False),
        (1, b"world", False),
        (1, b"last", True),
    ]
    assert messages[-2].attempt_end.outcome == ATTEMPT_OUTCOME_SUCCEEDED
    end = messages[-1].end
    assert (end.state, end.exit_code, end.log_state) == (TASK_STATE_SUCCEEDED, 0, LOG_STATE_COMPLETE)
    assert end.HasField("exit_code")


async def test_a_task_without_output_ends_at_once(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    scheduler.set(TASK, TASK_STATE_SUCCEEDED, 1, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0)
    messages = await asyncio.wait_for(tail(relay, TASK, follow=True), 20)
    assert [m.WhichOneof("item") for m in messages] == ["attempt_begin", "attempt_end", "end"]
    assert messages[-1].end.log_state == LOG_STATE_COMPLETE


async def test_attempts_come_in_turn(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    following = asyncio.create_task(tail(relay, TASK, follow=True))
    first, second = Spool(FENCE), Spool(f"1.{TASK}.2")
    first.write(b"one\ntw")
    await push_all(relay, first, final=False)
    scheduler.set(TASK, TASK_STATE_PENDING, 1, outcome=ATTEMPT_OUTCOME_LOST)
    second.write(b"two\n")
    scheduler.set(TASK, TASK_STATE_RUNNING, 2)
    await push_all(relay, second)
    scheduler.set(
        TASK, TASK_STATE_SUCCEEDED, 2, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0, stdout_bytes=4
    )
    messages = await asyncio.wait_for(following, 20)
    kinds = [m.WhichOneof("item") for m in messages]
    assert [k for k in kinds if k != "lines"] == [
        "attempt_begin",
        "attempt_end",
        "attempt_begin",
        "attempt_end",
        "end",
    ]
    assert [e.text for e in entries(messages)] == [b"one", b"tw", b"two"]
    ends = [m.attempt_end.log_state for m in messages if m.HasField("attempt_end")]
    assert ends == [LOG_STATE_UNKNOWN, LOG_STATE_COMPLETE]


async def test_a_log_that_the_scheduler_gives_up_ends_for_its_readers(
    relay: RelayProcess, scheduler: SchedulerEndpoint
) -> None:
    """Also for those that came after the task's end: they need not wait as long as for a node that lives."""
    scheduler.set(
        TASK, TASK_STATE_SUCCEEDED, 1, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0, stdout_bytes=4
    )
    following = asyncio.create_task(tail(relay, TASK, follow=True))
    await eventually(lambda: scheduler.watches == 1)
    scheduler.judge_log(TASK, LOG_STATE_UNKNOWN)
    messages = await asyncio.wait_for(following, 20)
    assert [m.WhichOneof("item") for m in messages] == ["attempt_begin", "gap", "attempt_end", "end"]


async def test_losses_of_long_ago_are_not_waited_for(
    relay: RelayProcess, scheduler: SchedulerEndpoint
) -> None:
    an_hour_ago = Timestamp()
    an_hour_ago.FromSeconds(int(time.time()) - 3600)
    for attempt in range(1, 9):
        scheduler.set(TASK, TASK_STATE_PENDING, attempt, outcome=ATTEMPT_OUTCOME_LOST, ended_at=an_hour_ago)
    scheduler.set(TASK, TASK_STATE_SUCCEEDED, 9, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0)
    messages = await asyncio.wait_for(tail(relay, TASK, follow=True), 20)
    states = [m.attempt_end.log_state for m in messages if m.HasField("attempt_end")]
    assert states == [LOG_STATE_UNKNOWN] * 8 + [LOG_STATE_COMPLETE]


async def test_a_hundred_megabytes_without_newline(relay: RelayProcess, scheduler: SchedulerEndpoint) -> None:
    spool = Spool(FENCE)
    block = os.urandom(1 << 20).replace(b"\n", b"x")
    for _ in range(100):
        spool.write(block)
    scheduler.set(TASK, TASK_STATE_RUNNING, 1)
    await push_all(relay, spool)
    found = entries(await tail(relay, TASK))
    assert {len(e.text) for e in found} == {65_536}
    assert all(e.partial for e in found)
    assert hashlib.sha256(text_of(found)).digest() == hashlib.sha256(spool.content[1]).digest()


async def test_without_a_scheduler_history_is_still_read(
    relay: RelayProcess, scheduler: SchedulerEndpoint
) -> None:
    spool = random_spool(100_000, 3)
    await push_all(relay, spool)
    await scheduler.stop()
    assert await read_bytes(relay, TASK) == {k: bytes(v) for k, v in spool.content.items()}


@pytest.mark.parametrize("cut", [1, 2])
async def test_a_cursor_goes_on_exactly_where_its_message_ended(
    relay: RelayProcess, scheduler: SchedulerEndpoint, cut: int
) -> None:
    spool = Spool(FENCE)
    chance = random.Random(4)
    for _ in range(400):
        spool.write(
            b"".join(b"%0*d\n" % (chance.randrange(1, 90), n) for n in range(chance.randrange(1, 400)))[
                chance.randrange(9) :
            ],
            chance.choice((1, 1, 2)),
        )
    scheduler.set(TASK, TASK_STATE_SUCCEEDED, 1, outcome=ATTEMPT_OUTCOME_SUCCEEDED, exit_code=0)
    await push_all(relay, spool)
    whole = await tail(relay, TASK, format=cut)
    assert len(whole) > 5
    for index in sorted({0, len(whole) - 1, *chance.sample(range(len(whole)), min(len(whole), 25))}):
        rest = await tail(relay, TASK, format=cut, cursor=whole[index].cursor)
        assert flat(rest) == flat(whole[index + 1 :])


def flat(messages: list[TailLogsResponse]) -> list[object]:
    """Messages without how they were cut: lines one by one, bytes joined, markers by kind."""
    out: list[object] = []
    for message in messages:
        kind = message.WhichOneof("item")
        if kind == "lines":
            out += [(e.channel, e.offset, e.text, e.partial) for e in message.lines.entries]
        elif kind == "chunk":
            joined = out[-1] if out and isinstance(out[-1], tuple) and out[-1][0] == "bytes" else None
            if joined and joined[1] == message.chunk.channel:
                out[-1] = ("bytes", joined[1], joined[2] + message.chunk.data)
            else:
                out.append(("bytes", message.chunk.channel, message.chunk.data))
        else:
            out.append(kind)
    return out
