"""How many tasks does a fleet run, and how long does one take when it is alone?

Everything goes the whole way: a client process, the leading scheduler with a follower beside it, etcd with
fsync, one agent with its warden. A task counts when its terminal state was committed and read back by the
client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.figures import percentile
from tenure import noop, process

if TYPE_CHECKING:
    from tenure import Client
    from tenure.v1.task_spec_pb2 import TaskSpec

BATCH = 100
BATCHES_IN_FLIGHT = 8
SINGLES_IN_FLIGHT = 64
PROCESSES_CPU_MILLI = 250
"""On two processors eight at a time: enough to hide the way to the scheduler and back."""


async def _run_batches(client: Client, spec: TaskSpec, batches: int, in_flight: int) -> float:
    """Tasks per second when whole batches are submitted and waited for, `in_flight` of them at a time."""
    left = batches

    async def one_at_a_time() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            submitted = await client.submit_many([spec] * BATCH)
            tasks = await client.wait_many([one.task_id for one in submitted])
            assert len(tasks) == BATCH

    began = time.perf_counter()
    await asyncio.gather(*(one_at_a_time() for _ in range(in_flight)))
    return batches * BATCH / (time.perf_counter() - began)


async def noop_batch_per_second(client: Client, *, batches: int = 300) -> float:
    """No-op tasks per second in batches of 100."""
    await _run_batches(client, noop(name="warm"), 20, BATCHES_IN_FLIGHT)
    return await _run_batches(client, noop(name="noop"), batches, BATCHES_IN_FLIGHT)


async def noop_single_per_second(client: Client, *, tasks: int = 5000) -> float:
    """No-op tasks per second, submitted and waited for one by one, 64 at a time."""
    left = tasks

    async def one_at_a_time() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.run(noop(name="single"))

    began = time.perf_counter()
    await asyncio.gather(*(one_at_a_time() for _ in range(SINGLES_IN_FLIGHT)))
    return tasks / (time.perf_counter() - began)


async def process_per_second(client: Client, *, batches: int = 30) -> float:
    """Tasks per second that run /bin/true, each in its own working directory and process group."""
    spec = process("/bin/true", name="true", cpu=PROCESSES_CPU_MILLI / 1000)
    await _run_batches(client, spec, 2, 2)
    return await _run_batches(client, spec, batches, 4)


async def idle_latency_ms(client: Client, *, samples: int = 300) -> Sequence[float]:
    """(p50, p99) milliseconds from the submission of a no-op to its result, one in flight."""
    spec = noop(name="idle")
    for _ in range(20):
        await client.run(spec)
    took = []
    for _ in range(samples):
        began = time.perf_counter()
        await client.run(spec)
        took.append((time.perf_counter() - began) * 1e3)
    return percentile(took, 50), percentile(took, 99)
