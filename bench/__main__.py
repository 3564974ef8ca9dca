"""`make bench`: every figure of the results, in one run, with the references that they are compared to."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime
from statistics import median
from typing import TypeVar

from bench import failover, logs, memory, references, tasks
from bench.figures import publish, save, table
from tenure import Client
from tenure.local.fleet import Fleet

T = TypeVar("T")
SECTIONS = ("tasks", "logs", "failover", "memory")


async def _step(sentence: str, work: Awaitable[T]) -> T:
    print(f"  {sentence} …", file=sys.stderr, flush=True)
    return await work


async def _tasks(client: Client, fleet: Fleet) -> dict[str, float]:
    figures: dict[str, float] = {}
    await asyncio.sleep(1)
    p50, p99 = await _step("one no-op at a time", tasks.idle_latency_ms(client))
    figures |= {"idle_p50_ms": p50, "idle_p99_ms": p99}
    before = await memory.etcd_writes(fleet)
    batches = 300
    figures["noop_batch_per_s"] = await _step(
        "no-ops in batches", tasks.noop_batch_per_second(client, batches=batches)
    )
    # 20 batches warm up before the 300 that are timed; all of them are counted here.
    written = await memory.etcd_writes(fleet) - before
    figures["etcd_ops_per_noop"] = written / ((batches + 20) * tasks.BATCH)
    figures["noop_single_per_s"] = await _step("no-ops one by one", tasks.noop_single_per_second(client))
    figures["process_per_s"] = await _step("processes", tasks.process_per_second(client))
    return figures


async def _logs(client: Client, address: str) -> dict[str, float]:
    p50, p99 = await _step("print to reader", logs.print_to_reader_ms(client))
    return {
        "log_mb_per_s": await _step("bytes to a reader", logs.mb_per_second(client, address)),
        "log_lines_per_s": await _step("lines to a reader", logs.lines_per_second(client, address)),
        "print_to_reader_p50_ms": p50,
        "print_to_reader_p99_ms": p99,
    }


async def _failover() -> dict[str, float]:
    return {
        "failover_kill_s": await _step("a node is killed", failover.killed_seconds()),
        "failover_silent_ttl3_s": await _step("a node falls silent, TTL 3", failover.silent_seconds(3)),
        "failover_silent_ttl10_s": await _step("a node falls silent, TTL 10", failover.silent_seconds(10)),
    }


async def measure(sections: list[str]) -> dict[str, float]:
    """The figures of the chosen sections."""
    rounds: list[dict[str, float]] = [await _step("references", references.measure())]
    figures: dict[str, float] = dict.fromkeys(rounds[0], 0.0)
    async with Fleet(schedulers=2, agents=1, relays=1) as fleet, Client(fleet.address) as client:
        if "memory" in sections:
            figures |= await memory.idle_rss(fleet)
        if "tasks" in sections:
            figures |= await _tasks(client, fleet)
            rounds.append(await _step("references again", references.measure()))
        if "logs" in sections:
            figures |= await _logs(client, fleet.address)
            rounds.append(await _step("references again", references.measure()))
        if "memory" in sections:
            figures["rss_mb_scheduler_100k"] = await _step(
                "100,000 pending tasks", memory.scheduler_with_pending(client, fleet)
            )
    if "failover" in sections:
        figures |= await _failover()
    # The machine's speed drifts while we measure: what stands between the figures is the fair reference.
    return figures | {key: median(each[key] for each in rounds) for key in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    chosen = parser.parse_args().sections
    unknown = sorted(set(chosen) - set(SECTIONS))
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}")
    figures = asyncio.run(measure(chosen))
    print(table(figures))
    if set(chosen) == set(SECTIONS):
        publish(table(figures), [datetime.now(UTC).date().isoformat()])
        print(f"\nwritten to {save(figures)}")


if __name__ == "__main__":
    main()
