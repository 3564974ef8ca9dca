"""Does one trace lead from the client over a follower to the leader, and do metrics come out?"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tenure_runtime.config_sections import TelemetryConfig
from tenure_runtime.rpc.transport import create_channel
from tenure_runtime.startup import CannotStart
from tenure_runtime.telemetry import start
from tenure_runtime.telemetry_metrics import METRICS, TASKS, TASKS_SUBMITTED
from tenure_runtime.trace_context import new_traceparent, parse_traceparent
from tests.adapters.runtime.probe import Probe, calling, failure_of, pb, serving

if TYPE_CHECKING:
    from pathlib import Path

    import grpc


def lines_of(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def on(file: Path) -> TelemetryConfig:
    return TelemetryConfig(exporter="file", file=file, interval=60.0)


async def test_one_trace_from_client_over_follower_to_leader(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    leading = start(on(file), service="leader", instance="1")
    following = start(on(file), service="follower", instance="2")
    probe = Probe("leader")
    async with serving(probe, observer=leading.observer) as leader, create_channel(leader) as ahead:

        async def route(method: str) -> grpc.aio.Channel | None:
            return ahead

        async with serving(router=route, observer=following.observer) as address, calling(address) as client:
            with leading.span("client") as root:
                assert root.traceparent is not None
                metadata = (("traceparent", root.traceparent),)
                await client.unary("Echo", pb.EchoRequest(), metadata=metadata)
                await failure_of(client.stream("Count", pb.EchoRequest(fail="Internal"), metadata=metadata))
            seen = probe.calls[0].traceparent
    await leading.close()
    await following.close()
    spans = {line["context"]["span_id"]: line for line in lines_of(file) if "context" in line}
    assert len({span["context"]["trace_id"] for span in spans.values()}) == 1
    (echo,) = (s for s in spans.values() if s["name"].endswith("Echo") and "tenure.hops" in s["attributes"])
    chain = [echo, spans[echo["parent_id"]], spans[spans[echo["parent_id"]]["parent_id"]]]
    assert [span["resource"]["attributes"]["service.name"] for span in chain] == [
        "leader",
        "follower",
        "leader",
    ]
    assert chain[-1]["name"] == "client"
    assert seen is not None
    assert seen.split("-")[2] == echo["context"]["span_id"].removeprefix("0x")
    failed = [s["status"]["status_code"] for s in spans.values() if s["name"].endswith("Count")]
    assert failed == ["ERROR", "ERROR"]


async def test_metrics_come_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    telemetry = start(on(file), service="scheduler", instance="1")
    telemetry.add(TASKS_SUBMITTED, 5)
    telemetry.watch(TASKS, lambda: [(3, {"state": "PENDING"})])
    async with serving(observer=telemetry.observer) as address, calling(address) as client:
        await client.unary("Echo", pb.EchoRequest())
    await telemetry.close()
    found = {
        metric["name"]: metric["data"]["data_points"][0]
        for line in lines_of(file)
        for resource in line.get("resource_metrics", ())
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }
    assert found["tenure.tasks.submitted"]["value"] == 5
    assert found["tenure.tasks"]["attributes"] == {"state": "PENDING"}
    assert found["tenure.rpc.duration"]["attributes"]["code"] == "OK"


async def test_without_telemetry_a_trace_is_handed_on_and_a_malformed_one_is_not() -> None:
    trace = new_traceparent()
    async with serving() as address, calling(address) as client:
        for sent, kept in ((trace, trace), ("00-xyz-1-01", "None"), (trace.replace("00-", "ff-", 1), "None")):
            answer = await client.unary("Echo", pb.EchoRequest(), metadata=(("traceparent", sent),))
            assert answer.facts["traceparent"] == kept


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"telemetry\.file: cannot write"):
        start(on(tmp_path / "nowhere" / "x"), service="s", instance="1")


def test_there_are_ten_metrics_with_names_of_their_own() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) == 10


def test_traceparents() -> None:
    assert parse_traceparent(new_traceparent()) is not None
    for bad in ("", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", new_traceparent().upper() + "x"):
        assert parse_traceparent(bad) is None


async def test_a_collector_that_says_nothing_does_not_hold_up_the_end() -> None:
    """It takes connections and never answers, as one behind a broken proxy does."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        telemetry = start(TelemetryConfig(exporter="otlp", endpoint=endpoint), service="s", instance="1")
        telemetry.begin_span("something").end()
        telemetry.add(TASKS_SUBMITTED)
        began = time.monotonic()
        await telemetry.close()
        assert time.monotonic() - began < 4


def test_no_service_loads_telemetry_or_starts_a_thread_while_it_is_off() -> None:
    code = (
        "import sys, threading; import tenure_scheduler.main, tenure_worker_agent.wiring; "
        "import tenure_log_relay.main, tenure.client, tenure.cli.app; "
        "from tenure_runtime.telemetry import start; "
        "from tenure_runtime.config_sections import TelemetryConfig; "
        "start(TelemetryConfig(), service='s', instance='1'); "
        "loaded = [m for m in sys.modules if m.startswith('opentelemetry')]; "
        "assert not loaded, loaded; assert threading.active_count() == 1, threading.enumerate()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_library_that_is_not_installed_is_a_sentence() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None; from tenure_runtime.telemetry import start; "
        "from tenure_runtime.config_sections import TelemetryConfig; "
        "start(TelemetryConfig(exporter='console'), service='s', instance='1')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stderr.splitlines()[-1] == (
        "tenure_runtime.startup.CannotStart: telemetry.exporter is console, but opentelemetry "
        "is not installed: pip install 'tenure[otel]'"
    )


def test_an_endpoint_without_a_scheme_is_refused() -> None:
    config = TelemetryConfig(exporter="otlp", endpoint="collector:4317")
    assert list(config.problems()) == [
        ("endpoint", "is 'collector:4317': write http://host:port, or https:// for TLS")
    ]
