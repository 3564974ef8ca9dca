"""How much of a no-op task's way is the scheduler's, and where does its time go?

A leading scheduler, a real etcd with fsync and a scripted agent that reports every start as succeeded at
once: what is measured is the scheduler and etcd, not an agent. The reference is measured in the same
minute.

    python -m bench.scheduler_speed [--profile FILE] [--pending 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import psutil

from bench import references
from bench.figures import percentile
from tenure.v1 import task_service_pb2 as pb
from tenure.v1.task_spec_pb2 import CallBody, Resources, TaskSpec
from tenure_runtime.rpc.transport import create_channel
from tests.support.etcd_server import EtcdServers
from tests.support.ports import borrowed_ports

SUBMIT = "/tenure.v1.TaskService/SubmitTasks"
WAIT = "/tenure.v1.TaskService/WaitTasks"
BATCH = 100
SPEC = TaskSpec(call=CallBody(type="noop"))
ROOT = Path(__file__).resolve().parents[1]


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT)


@contextlib.contextmanager
def fleet(profile: str | None) -> Iterator[tuple[str, int]]:
    """etcd, one scheduler and one automatic agent; yields the scheduler's address and its process id."""
    with borrowed_ports() as ports:
        servers = EtcdServers(ports)
        (etcd,) = servers.launch()
        address = f"127.0.0.1:{ports.take()}"
        profiler = ["-m", "cProfile", "-o", profile] if profile else []
        scheduler = _start(
            *profiler, "-m", "tenure_scheduler", "--listen", address, "--etcd-endpoints", etcd.endpoint
        )
        agent: subprocess.Popen[str] | None = None
        try:
            asyncio.run(_serving(address))
            agent = _start("-m", "tests.adapters.scheduler.scripted_agent", "bench", address)
            assert agent.stdout is not None and agent.stdout.readline().startswith("ready")
            yield address, scheduler.pid
        finally:
            for process in (agent, scheduler):
                if process is not None:
                    process.send_signal(signal.SIGTERM)
                    process.wait(20)
            servers.remove()


async def _serving(address: str) -> None:
    channel: Any = create_channel(address)
    end = time.monotonic() + 20
    while True:
        try:
            await channel.unary_unary("/tenure.v1.TaskService/CountTasks")(b"", timeout=1)
            break
        except grpc.aio.AioRpcError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
    await channel.close(None)


class Caller:
    """The client's side, as cheap as it can be."""

    def __init__(self, address: str) -> None:
        self.channel: Any = create_channel(address)
        self._submit = self.channel.unary_unary(SUBMIT, None, pb.SubmitTasksResponse.FromString)
        self._wait = self.channel.unary_unary(WAIT, None, pb.WaitTasksResponse.FromString)

    async def run(self, count: int, spec: TaskSpec = SPEC) -> None:
        """Submit so many tasks at once and wait for all of them."""
        ids = await self.submit(count, spec)
        done = await self._wait(pb.WaitTasksRequest(task_ids=ids).SerializeToString(), timeout=60)
        assert len(done.finished) == count, done.unfinished

    async def submit(self, count: int, spec: TaskSpec = SPEC) -> list[str]:
        """Submit so many tasks; their ids."""
        request = pb.SubmitTasksRequest(items=[pb.SubmitTasksItem(spec=spec)] * count)
        response = await self._submit(request.SerializeToString(), timeout=60)
        return [result.task_id for result in response.results]


async def per_second(caller: Caller, calls: int, count: int, in_flight: int) -> float:
    """Tasks per second of `calls` submissions of `count` tasks, `in_flight` of them at a time."""
    left = calls

    async def one_after_the_other() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await caller.run(count)

    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return calls * count / (time.perf_counter() - began)


async def idle_p50_ms(caller: Caller, samples: int = 300) -> tuple[float, float]:
    """Milliseconds from the submission to the result of a task that is alone: p50 and p99."""
    took = []
    for _ in range(samples):
        began = time.perf_counter()
        await caller.run(1)
        took.append((time.perf_counter() - began) * 1000)
    return percentile(took, 50), percentile(took, 99)


async def speed(address: str, scheduler: int) -> dict[str, float]:
    """The figures of throughput and latency."""
    caller = Caller(address)
    await per_second(caller, 20, BATCH, 8)
    p50, p99 = await idle_p50_ms(caller)
    process = psutil.Process(scheduler)
    cpu = sum(process.cpu_times()[:2])
    batches = await per_second(caller, 300, BATCH, 8)
    cpu = sum(process.cpu_times()[:2]) - cpu
    singles = await per_second(caller, 5000, 1, 64)
    await caller.channel.close(None)
    return {
        "noop_batch_per_s": batches,
        "scheduler_us_per_task": cpu / (300 * BATCH) * 1e6,
        "noop_single_per_s": singles,
        "idle_p50_ms": p50,
        "idle_p99_ms": p99,
    }


async def memory_mb(address: str, scheduler: int, pending: int) -> float:
    """Resident megabytes with so many tasks that no worker takes."""
    caller = Caller(address)
    for number in range(pending // 500):
        spec = TaskSpec(
            name=f"task {number}",
            call=CallBody(type="noop"),
            resources=Resources(indexed={"none": 1}),
        )
        await caller.submit(500, spec)
    await caller.channel.close(None)
    return psutil.Process(scheduler).memory_info().rss / 1e6


async def reference() -> dict[str, float]:
    """The references of bench.references that this is compared with."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.references"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdin is not None
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{int(await process.stdout.readline())}")
    try:
        return {
            "ref_unary_per_s": await references.unary_per_second(channel),
            "ref_unary_p50_ms": await references.unary_p50_ms(channel),
        }
    finally:
        await channel.close(None)
        process.stdin.close()
        await process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", help="write the scheduler's profile to this file")
    parser.add_argument("--pending", type=int, default=0, help="measure the memory of so many pending tasks")
    options = parser.parse_args()
    figures = asyncio.run(reference())
    with fleet(options.profile) as (address, scheduler):
        figures |= asyncio.run(speed(address, scheduler))
    if options.pending:
        with fleet(None) as (address, scheduler):
            figures["rss_mb"] = asyncio.run(memory_mb(address, scheduler, options.pending))
    for name, value in figures.items():
        print(f"{name:<24} {value:12.2f}")
    print(f"{'batches / reference':<24} {figures['noop_batch_per_s'] / figures['ref_unary_per_s']:12.2f}")
    print(f"{'singles / reference':<24} {figures['noop_single_per_s'] / figures['ref_unary_per_s']:12.2f}")
    print(f"{'idle p50 / reference':<24} {figures['idle_p50_ms'] / figures['ref_unary_p50_ms']:12.2f}")


if __name__ == "__main__":
    main()
