"""Does a collector get one trace per task and the ten metrics, and does nobody miss one that is away?"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

import tenure
from tenure.local.fleet import Fleet
from tenure.v1.cluster_service_pb2 import GetServerInfoResponse
from tenure.v1.task_pb2 import TASK_STATE_RUNNING, TASK_STATE_SUCCEEDED
from tenure_runtime.telemetry_metrics import METRICS
from tenure_runtime.trace_context import parse_traceparent
from tests.support.otlp_collector import Collector, Span
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.ports import Ports

INTERNAL, SERVER, CLIENT = 1, 2, 3
SCHEDULER, AGENT, RELAY = "tenure-scheduler", "tenure-worker-agent", "tenure-log-relay"
PROGRAM = """
import asyncio, sys
import tenure
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "program"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[2])))
trace.set_tracer_provider(provider)

async def job(client, number):
    with trace.get_tracer("program").start_as_current_span(f"job {number}"):
        return await client.submit(tenure.process(["sh", "-c", "echo $TRACEPARENT"]))

async def main():
    async with tenure.Client(sys.argv[1]) as client:
        for task_id in await asyncio.gather(job(client, 1), job(client, 2)):
            await client.wait(task_id, timeout=30)
            async for entry in client.follow_lines(task_id):
                print(entry.text.decode())

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let spans leave often, and failed exports end soon: a test waits for both."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.delenv("TRACEPARENT", raising=False)


def fleet(endpoint: str, **size: Any) -> Fleet:
    telemetry = {
        "telemetry.exporter": "otlp",
        "telemetry.endpoint": endpoint,
        "telemetry.interval": "300ms",
    }
    return Fleet(
        scheduler_options={**telemetry, "workers.ttl": "3s"},
        agent_options=telemetry,
        relay_options=telemetry,
        **size,
    )


async def follower_of(running: Fleet) -> str:
    """The address of a replica that does not lead."""
    async with tenure.Client(running.address) as client:

        async def both_known() -> GetServerInfoResponse | None:
            info = await client.server_info()
            return info if len(info.schedulers) == 2 else None

        info: GetServerInfoResponse | None = await eventually(both_known)
    assert info is not None
    return next(place.address for place in info.schedulers if place.id != info.leader)


async def program(address: str, endpoint: str) -> list[str]:
    """What a program with spans of its own prints: the trace context that each of its two tasks found."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, address, endpoint, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode().split()


def parents(collector: Collector, span: Span) -> list[Span]:
    """The span and all above it, up to the root."""
    by_id = {each.span_id: each for each in collector.spans}
    chain = [span]
    while chain[-1].parent_id:
        chain.append(by_id[chain[-1].parent_id])
    return chain


async def test_one_trace_leads_from_the_program_into_its_task() -> None:
    async with Collector() as collector, fleet(collector.endpoint, schedulers=2) as running:
        found = [
            parse_traceparent(each) for each in await program(await follower_of(running), collector.endpoint)
        ]
        assert None not in found
        seen = {f"{ids[1]:016x}" for ids in found if ids is not None}

        def attempts() -> list[Span]:
            spans = [span for span in collector.named(AGENT, "attempt") if span.span_id in seen]
            assert len(spans) == 2
            return spans

        chains = await eventually(lambda: [parents(collector, span) for span in attempts()], within=20)
        for chain in chains:
            submit = "tenure.v1.TaskService/SubmitTasks"
            assert [(span.service, span.name, span.kind) for span in chain[:-1]] == [
                (AGENT, "attempt", INTERNAL),
                (SCHEDULER, submit, SERVER),
                (SCHEDULER, submit, SERVER),
                ("program", submit, CLIENT),
            ]
            assert chain[0].attributes["tenure.worker"] == "worker-1"
            assert chain[1].attributes["tenure.hops"] == 1
            assert len({span.trace_id for span in chain}) == 1
            assert not any(span.failed for span in chain)
        assert {chain[-1].name for chain in chains} == {"job 1", "job 2"}
        assert {span.trace_id for chain in chains for span in chain} == {
            f"{ids[0]:032x}" for ids in found if ids is not None
        }
        assert not [span for span in collector.spans if "tenure.dispatch" in span.name], "nobody asked"


async def lose_a_task(running: Fleet, client: tenure.Client) -> None:
    """One task loses its first attempt with its silent node, whose report is refused when it comes back."""
    task_id = await client.submit(tenure.process(["sh", "-c", "test $TENURE_ATTEMPT = 2 || sleep 600"]))

    async def holder() -> str:
        task = await client.get(task_id)
        assert task.state == TASK_STATE_RUNNING
        return task.attempt.worker

    silent = await eventually(holder, what="the task runs")
    await running.pause(silent)
    task = await client.wait(task_id, timeout=30)
    assert (task.state, task.attempt.number) == (TASK_STATE_SUCCEEDED, 2)
    await running.resume(silent)


async def test_the_ten_metrics_arrive_with_units_and_values() -> None:
    async with Collector() as collector, fleet(collector.endpoint, agents=2) as running:
        async with tenure.Client(running.address) as client:
            await asyncio.gather(*(client.run(tenure.noop(), timeout=30) for _ in range(3)))
            talker = tenure.process(["sh", "-c", "echo 12345; echo 123 >&2; exit 3"])
            await client.run(talker, timeout=30)
            await lose_a_task(running, client)
            await client.submit(tenure.process(["true"], cpu=10_000))

            def arrived() -> None:
                metrics = collector.metrics
                assert metrics["tenure.tasks.submitted"].total() == 6
                finished = metrics["tenure.tasks.finished"]
                assert finished.total(state="SUCCEEDED") == 4
                assert finished.total(state="FAILED") == finished.total() - 4 == 1
                assert metrics["tenure.tasks"].total(state="PENDING") == 1
                assert metrics["tenure.tasks"].total(state="RUNNING") == 0
                assert metrics["tenure.task.wait"].total() == 5
                assert metrics["tenure.attempts.lost"].total(evidence="LEASE_EXPIRED") == 1
                assert metrics["tenure.attempts.lost"].total() == 1
                assert metrics["tenure.stale.refused"].total(what="report") >= 1
                assert metrics["tenure.workers"].total(verdict="ACTIVE") == 2
                assert metrics["tenure.logs.bytes"].total(channel="stdout", service=RELAY) == 6
                assert metrics["tenure.logs.bytes"].total(channel="stderr") == 4
                calls = metrics["tenure.rpc.duration"]
                assert calls.total(method="tenure.v1.TaskService/SubmitTasks", code="OK") >= 3
                assert calls.total(method="tenure.dispatch.v1.WorkerSessionService/Beat") >= 2
                commits = metrics["tenure.commit.duration"]
                assert 5 <= commits.total() < 1000
                assert 0 < sum(commits.sums.values()) < 60

            await eventually(_truth(arrived), within=25, what="every metric has its value")
    for metric in METRICS:
        series = collector.metrics[metric.name]
        kind = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}[metric.kind]
        assert (series.unit, series.kind, series.description) == (metric.unit, kind, metric.description)
        told = {name for point in series.points for name, _ in point} - {"service", "instance"}
        assert told == set(metric.attributes)
    assert {name for name in collector.metrics if name.startswith("tenure.")} == {m.name for m in METRICS}


def _truth(check: Callable[[], None]) -> Callable[[], bool]:
    def checked() -> bool:
        check()
        return True

    return checked


@pytest.mark.timeout(120)
async def test_a_collector_that_is_away_is_told_once_and_changes_nothing(ports: Ports) -> None:
    port = ports.take()
    complaint, relief = "nobody takes traces and metrics", "traces and metrics are taken again"
    async with fleet(f"http://127.0.0.1:{port}") as running:
        names = ("scheduler-1", "relay-1", "worker-1")

        async def all_said(sentence: str, times: int) -> None:
            def counted() -> None:
                found = {name: running.log(name).read_text().count(sentence) for name in names}
                assert found == dict.fromkeys(names, times), sentence

            await eventually(_truth(counted), within=25)

        async with tenure.Client(running.address) as client:
            task = await client.run(tenure.process(["echo", "all the same"]), timeout=30)
            assert task.state == TASK_STATE_SUCCEEDED
            assert [e.text async for e in client.follow_lines(task.id)] == [b"all the same"]
            await all_said(complaint, 1)
            async with Collector(port) as collector:

                async def attempt_arrived() -> bool:
                    # The spans of the first ones may be given up before the exporter connects again.
                    await client.run(tenure.process(["true"]), timeout=30)
                    return bool(collector.named(AGENT, "attempt"))

                await eventually(attempt_arrived, within=25)
                await all_said(relief, 1)
                await all_said(complaint, 1)
            assert not [name for name in names if "opentelemetry" in running.log(name).read_text()]
        pids = await running.pids()
        assert all(pids[name] for name in names)
        assert not any((await running.exits()).values()), "nobody has ended"
