"""What do drivers make of specs, and what does the node say that it offers?"""

import base64
import sys
from pathlib import Path

import pytest

import tenure
from tenure.dispatch.v1 import worker_session_service_pb2 as pb
from tenure.v1.task_spec_pb2 import LogOverflow, OnDisconnect, TaskSpec
from tenure_core.states import AttemptOutcome, LossEvidence
from tenure_runtime.telemetry import Telemetry
from tenure_worker_agent.adapters import capacity as found
from tenure_worker_agent.adapters.dispatch_codec import Reader, report_bytes
from tenure_worker_agent.adapters.traces import Traces
from tenure_worker_agent.config import CapacityConfig
from tenure_worker_agent.domain import commands as c
from tenure_worker_agent.domain import events as e
from tenure_worker_agent.domain.plans import NOTHING_TO_RUN, Impossible, RunProcess, Start
from tenure_worker_agent.domain.results import LogFinals, Result
from tenure_worker_agent.drivers.catalog import Catalog
from tenure_worker_agent.drivers.process import Grant, Node
from tenure_worker_agent.warden.orders import Order

FENCE = "7.00000000000000000001.2"
CATALOG = Catalog(Node(worker="w", grace=5.0))


def plan(spec: TaskSpec | bytes, **grant: object) -> object:
    data = spec if isinstance(spec, bytes) else spec.SerializeToString()
    return CATALOG.plan(data, Grant(fence=FENCE, **grant))  # type: ignore[arg-type]


def order(spec: TaskSpec, **grant: object) -> Order:
    """The order as the warden reads it."""
    made = plan(spec, **grant)
    assert isinstance(made, RunProcess)
    return Order.parse({"do": "start", "fence": FENCE, **made.order})


def test_everything_that_a_spec_says_reaches_the_order() -> None:
    spec = tenure.process(["prog", "a"], env={"X": "1"}, cwd="/w", stdin=b"\0in", memory="1Mi", timeout=1.5)
    spec.timeouts.stop_grace.FromMilliseconds(250)
    spec.logs.max_unacked_bytes = 70_000
    spec.logs.overflow = LogOverflow.LOG_OVERFLOW_BLOCK
    made = order(spec, traceparent="00-a-b-01", indexes={"gpu": [0, 2], "tape.drive": [1]})
    assert (made.argv, made.cwd, made.stdin, made.memory) == (["prog", "a"], "/w", b"\0in", 1 << 20)
    assert (made.run_limit, made.grace, made.log_cap, made.overflow) == (1.5, 0.25, 70_000, "block")
    assert made.env == {
        "X": "1",
        "TENURE_FENCE": FENCE,
        "TENURE_TASK_ID": "00000000000000000001",
        "TENURE_ATTEMPT": "2",
        "TENURE_WORKER": "w",
        "TRACEPARENT": "00-a-b-01",
        "TENURE_RESOURCE_GPU": "0,2",
        "TENURE_RESOURCE_TAPE_DRIVE": "1",
    }


def test_what_a_spec_leaves_open_comes_from_the_node() -> None:
    made = order(tenure.process(["prog"]))
    assert (made.grace, made.overflow, made.run_limit, made.memory) == (5.0, "drop_oldest", 0.0, 0)


def test_stop_on_disconnect_makes_a_task_exclusive() -> None:
    spec = tenure.process(["prog"])
    spec.on_disconnect = OnDisconnect.ON_DISCONNECT_STOP
    made = plan(spec)
    assert isinstance(made, RunProcess)
    assert made.exclusive


def test_echo_is_a_process_that_reads_its_script() -> None:
    made = order(tenure.echo("ECHO hello"))
    assert made.argv[:3] == [sys.executable, "-I", "-S"]
    assert Path(made.argv[3]).is_file()
    assert made.stdin == b"ECHO hello"


def test_noops_need_no_process() -> None:
    assert plan(tenure.noop()) is NOTHING_TO_RUN
    assert CATALOG.is_noop(tenure.noop().SerializeToString())


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (b"\xff\xff", "cannot be decoded"),
        (TaskSpec(), "says nothing to run"),
        (TaskSpec(process={}), "argv is empty"),
        (TaskSpec(container={"image": "x"}), "no driver for container"),
        (TaskSpec(manual={"topic": "x"}), "no driver for manual"),
        (TaskSpec(call={"type": "sing"}), "does not know the task type 'sing'"),
    ],
)
def test_what_cannot_be_run_here_is_said_in_a_sentence(spec: TaskSpec | bytes, reason: str) -> None:
    made = plan(spec)
    assert isinstance(made, Impossible)
    assert reason in made.reason


def test_commands_arrive_whole() -> None:
    message = pb.SessionResponse()
    commands = message.commands
    commands.number = 4
    start = commands.starts.add(
        fence=FENCE, spec=tenure.process(["x"]).SerializeToString(), relay_address="r:1"
    )
    start.granted["gpu"].indexes.extend([3])
    commands.stops.add(fence=FENCE, outcome=10, reason="drain")
    commands.accepted.append("a")
    commands.fenced.add(fence="f", current="g", reason="why")
    commands.placements.add(fence="p", relay_id="r", relay_address="r:2")
    event = Reader(9, CATALOG, Traces(Telemetry(), "w")).event(message.SerializeToString())
    assert isinstance(event, e.Commanded)
    assert (event.stream, event.number, event.accepted) == (9, 4, ["a"])
    assert event.stops == [e.Stop(FENCE, AttemptOutcome.DRAINED, "drain")]
    assert (event.fenced, event.placements) == ([("f", "why")], [("p", "r:2")])
    (got,) = event.starts
    assert isinstance(got, Start)
    assert isinstance(got.plan, RunProcess)
    assert (got.fence, got.relay) == (FENCE, "r:1")
    assert got.plan.order["env"]["TENURE_RESOURCE_GPU"] == "3"


def test_news_leave_whole() -> None:
    result = Result(
        AttemptOutcome.LOST,
        None,
        9,
        "why",
        LossEvidence.OOM_KILLED,
        1_500_000_000,
        2,
        5,
        LogFinals(1, 2, 3, 4),
        11,
    )
    news: list[tuple[str, c.News]] = [
        ("a", result),
        ("b", result),
        ("c", c.Started(7, 8, 9)),
        ("d", c.NotStarted("late")),
        ("e", c.Stopped()),
        ("f", c.Stopped(result)),
    ]
    report = pb.SessionRequest.FromString(report_bytes(3, news, stopping=False)).report
    assert report.last_command == 3
    first, second, started, not_started, stopped, stopped_late = report.attempts
    assert first.result == second.result
    told = first.result
    assert (told.outcome, told.signal, told.reason, told.evidence, told.pid) == (6, 9, "why", 8, 5)
    assert not told.HasField("exit_code")
    assert (told.started_at.seconds, told.started_at.nanos, told.log.records) == (1, 500_000_000, 4)
    assert (started.started.pid, started.started.start_ticks) == (7, 8)
    assert (not_started.not_started, stopped.stopped, stopped.HasField("end")) == ("late", True, False)
    assert (told.start_ticks, stopped_late.stopped, stopped_late.end) == (11, True, told)


def test_capacity_is_configured_or_found() -> None:
    given = found.capacity(
        CapacityConfig(cpu_milli=1500, memory=1 << 30, counts={"l": 2}, indexed={"gpu": 1})
    )
    assert (given.cpu_milli, given.memory_bytes, given.counts["l"], given.indexed["gpu"]) == (
        1500,
        1 << 30,
        2,
        1,
    )
    seen = found.capacity(CapacityConfig())
    assert seen.cpu_milli >= 100
    assert seen.memory_bytes > 1 << 26
    assert {"tenure/os", "tenure/arch", "tenure/hostname"} < found.labels({"zone": "a"}).keys()


def test_stdin_is_bytes_on_the_way_to_the_warden() -> None:
    made = plan(tenure.process(["x"], stdin=b"\xff\n"))
    assert isinstance(made, RunProcess)
    assert base64.b64decode(made.order["stdin"]) == b"\xff\n"
