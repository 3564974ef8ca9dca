"""Clients get what the API promises, from a real scheduler on a real etcd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tenure.v1 import claim_service_pb2 as claims_pb
from tenure.v1 import task_service_pb2 as pb
from tenure.v1 import worker_admin_service_pb2 as workers_pb
from tenure.v1.task_pb2 import TaskFilter, TaskState
from tenure.v1.task_spec_pb2 import (
    CallBody,
    Constraint,
    ContainerBody,
    ProcessBody,
    Resources,
    RetryPolicy,
    TaskSpec,
)
from tenure_core.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unimplemented,
)
from tenure_runtime.rpc.status import from_status
from tests.adapters.scheduler.processes import NOOP, Api
from tests.adapters.scheduler.scripted_agent import agent

if TYPE_CHECKING:
    from tests.adapters.scheduler.processes import SchedulerProcess


async def test_a_task_runs_to_its_end(api: Api, scheduler: SchedulerProcess) -> None:
    (task_id,) = await api.submit(NOOP)
    assert await api.state(task_id) == "PENDING"
    async with agent("w1", scheduler.address, automatic=True):
        (task,) = await api.wait(task_id)
    assert (task.id, task.state) == (task_id, TaskState.TASK_STATE_SUCCEEDED)
    history = await api.call("GetTaskHistory", pb.GetTaskHistoryRequest(task_id=task_id[:6]))
    assert [(a.number, a.worker) for a in history.attempts] == [(1, "w1")]


async def test_a_submission_can_wait_for_the_end(api: Api, scheduler: SchedulerProcess) -> None:
    async def submitted(seconds: float) -> list[pb.SubmitTasksResult]:
        request = pb.SubmitTasksRequest(
            items=[pb.SubmitTasksItem(spec=NOOP, request_id=f"wait-{number}") for number in range(3)]
        )
        request.wait.FromNanoseconds(int(seconds * 1e9))
        return list((await api.call("SubmitTasks", request)).results)

    first = await submitted(0.05)
    assert [(result.created, result.HasField("finished")) for result in first] == [(True, False)] * 3
    async with agent("w1", scheduler.address, automatic=True):
        again = await submitted(30)
    assert [result.finished.id for result in again] == [result.task_id for result in first]
    assert {result.finished.state for result in again} == {TaskState.TASK_STATE_SUCCEEDED}
    assert await submitted(0.05) == again


async def test_the_same_request_id_makes_one_task(api: Api) -> None:
    first = await api.submit(NOOP, NOOP, request_id="order-7")
    again = await api.submit(NOOP, NOOP, request_id="order-7")
    assert first == again
    assert len(set(first)) == 2


async def test_the_same_request_id_with_another_spec_names_what_differs(api: Api) -> None:
    (task_id,) = await api.submit(NOOP, request_id="order-8")
    other = TaskSpec(call=CallBody(type="echo", text="ECHO x"), priority=3)
    item = pb.SubmitTasksItem(spec=other, request_id="order-8")
    response = await api.call("SubmitTasks", pb.SubmitTasksRequest(items=[item]))
    error = from_status(response.results[0].error)
    assert isinstance(error, AlreadyExists)
    assert error.name == task_id
    assert set(error.differing) == {"spec.call.type", "spec.call.text", "spec.priority"}


async def test_every_violation_is_told_and_nothing_is_stored(api: Api) -> None:
    bad = [
        TaskSpec(),
        TaskSpec(process=ProcessBody()),
        TaskSpec(process=ProcessBody(argv=["", "a\0b"], working_directory="here")),
        TaskSpec(container=ContainerBody(image="x")),
        TaskSpec(call=CallBody(type="unheard-of")),
        TaskSpec(process=ProcessBody(argv=["x"], stdin=bytes(70_000))),
        TaskSpec(
            call=CallBody(type="noop"),
            priority=5000,
            namespace="Bad Name",
            labels={"UPPER": "x"},
            resources=Resources(counts={"slots": 0}),
            constraints=[Constraint(key="zone")],
            retry=RetryPolicy(backoff_factor=0.5, retry_exit_codes=[1, 1]),
        ),
    ]
    items = [pb.SubmitTasksItem(spec=spec, request_id="same") for spec in bad]
    items.append(pb.SubmitTasksItem(spec=NOOP))
    with pytest.raises(InvalidArgument) as refused:
        await api.call("SubmitTasks", pb.SubmitTasksRequest(items=items))
    paths = {violation.path for violation in refused.value.violations}
    assert paths >= {
        "items[0].spec.body",
        "items[1].spec.process.argv",
        "items[2].spec.process.argv[0]",
        "items[2].spec.process.argv[1]",
        "items[2].spec.process.working_directory",
        "items[3].spec.container",
        "items[4].spec.call.type",
        "items[5].spec",
        "items[6].spec.priority",
        "items[6].spec.namespace",
        'items[6].spec.labels["UPPER"]',
        'items[6].spec.resources.counts["slots"]',
        "items[6].spec.constraints[0].operator",
        "items[6].spec.retry.backoff_factor",
        "items[6].spec.retry.retry_exit_codes[1]",
        "items[1].request_id",
    }
    counted = await api.call("CountTasks", pb.CountTasksRequest())
    assert not counted.counts


async def test_an_echo_script_is_checked_at_the_submission(api: Api) -> None:
    spec = TaskSpec(call=CallBody(type="echo", text="ECHO fine\nSHOUT loud\nRETURN many\n"))
    with pytest.raises(InvalidArgument) as refused:
        await api.submit(spec)
    assert [str(violation) for violation in refused.value.violations] == [
        "items[0].spec.call.text: line 2, column 1: 'SHOUT' is no statement; "
        "there are ECHO, LOG, SLEEP, RETURN and RAISE",
        "items[0].spec.call.text: line 3, column 8: 'many' is no exit code from 0 to 255",
    ]
    await api.submit(TaskSpec(call=CallBody(type="echo", text="ECHO fine\n")))


async def test_bytes_that_are_no_message_are_the_callers_fault(api: Api) -> None:
    with pytest.raises(InvalidArgument):
        await api.call("SubmitTasks", b"\xff\xff\xff")


async def test_what_does_not_exist_is_not_found(api: Api) -> None:
    unknown = "0" * 20
    for name, request in {
        "GetTask": pb.GetTaskRequest(task_id=unknown),
        "WaitTasks": pb.WaitTasksRequest(task_ids=[unknown]),
        "CancelTasks": pb.CancelTasksRequest(filter=TaskFilter(ids=[unknown])),
        "ExplainTask": pb.ExplainTaskRequest(task_id=unknown),
        "GetTaskHistory": pb.GetTaskHistoryRequest(task_id=unknown),
        "RetryTask": pb.RetryTaskRequest(task_id=unknown),
    }.items():
        with pytest.raises(NotFound):
            await api.call(name, request)
    with pytest.raises(InvalidArgument):
        await api.call("GetTask", pb.GetTaskRequest(task_id="not an id"))


async def test_pages_show_every_task_once_newest_first(api: Api) -> None:
    ids = [
        *await api.submit(*[NOOP] * 30),
        *await api.submit(TaskSpec(name="other", call=CallBody(type="noop"))),
    ]
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListTasksRequest(page_size=7, page_token=token)
        page = await api.call("ListTasks", request)
        seen += [task.id for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    assert seen == ids[::-1]
    named = await api.call("ListTasks", pb.ListTasksRequest(filter=TaskFilter(names=["oth*"])))
    assert [task.id for task in named.tasks] == ids[-1:]


async def test_a_large_spec_comes_back_whole(api: Api) -> None:
    spec = TaskSpec(process=ProcessBody(argv=["cat"], stdin=bytes(range(256)) * 200))
    (task_id,) = await api.submit(spec)
    assert (await api.get(task_id)).spec == spec


async def test_cancel_ends_a_pending_task_and_stops_a_running_one(
    api: Api, scheduler: SchedulerProcess
) -> None:
    (pending,) = await api.submit(NOOP)
    (result,) = await api.cancel(pending, reason="changed my mind")
    assert result.state == TaskState.TASK_STATE_CANCELLED
    async with agent("w1", scheduler.address) as worker:
        (running,) = await api.submit(NOOP)
        await worker.started(1)
        (result,) = await api.cancel(running)
        assert result.state == TaskState.TASK_STATE_CANCELLING
        await worker.until(lambda: bool(worker.stops))
        assert [stop.fence for stop in worker.stops] == [worker.starts[0].fence]
        await worker.report_results([worker.starts[0].fence], worker.stops[0].outcome)
        (task,) = await api.wait(running)
    assert task.state == TaskState.TASK_STATE_CANCELLED


async def test_retry_makes_a_new_task(api: Api) -> None:
    (task_id,) = await api.submit(NOOP)
    with pytest.raises(FailedPrecondition):
        await api.call("RetryTask", pb.RetryTaskRequest(task_id=task_id))
    await api.cancel(task_id)
    request = pb.RetryTaskRequest(task_id=task_id, request_id="again")
    first, second = await api.call("RetryTask", request), await api.call("RetryTask", request)
    assert first.created
    assert not second.created
    assert first.task_id == second.task_id
    assert (await api.get(first.task_id)).retry_of == task_id


async def test_explain_says_why_nothing_happens(api: Api) -> None:
    (task_id,) = await api.submit(NOOP)
    explained = await api.call("ExplainTask", pb.ExplainTaskRequest(task_id=task_id))
    assert "worker" in explained.summary
    assert explained.suggestions
    assert explained.story


async def test_a_cordoned_worker_gets_nothing_until_it_is_uncordoned(
    api: Api, scheduler: SchedulerProcess
) -> None:
    async with agent("w1", scheduler.address, automatic=True):
        service = "tenure.v1.WorkerAdminService"
        with pytest.raises(NotFound):
            await api.call("CordonWorkers", workers_pb.CordonWorkersRequest(names=["w9"]), service=service)
        await api.call("CordonWorkers", workers_pb.CordonWorkersRequest(names=["w1"]), service=service)
        (task_id,) = await api.submit(NOOP)
        assert (await api.workers())["w1"].cordoned
        assert await api.state(task_id) == "PENDING"
        await api.call("UncordonWorkers", workers_pb.UncordonWorkersRequest(names=["w1"]), service=service)
        assert await api.wait(task_id)


async def test_what_does_not_exist_yet_says_so(api: Api) -> None:
    with pytest.raises(Unimplemented, match="claims do not exist yet"):
        await api.call("ClaimTasks", claims_pb.ClaimTasksRequest(), service="tenure.v1.ClaimService")


async def test_ten_thousand_tasks(api: Api, scheduler: SchedulerProcess) -> None:
    async with agent("w1", scheduler.address, automatic=True) as worker:
        worker.keep_beating()
        ids = [task_id for _ in range(20) for task_id in await api.submit(*[NOOP] * 500)]
        for start in range(0, len(ids), 1000):
            tasks = await api.wait(*ids[start : start + 1000], timeout=50)
            assert len(tasks) == 1000
        assert len(set(ids)) == 10_000
        counted = await api.call("CountTasks", pb.CountTasksRequest())
        assert [(c.state, c.count) for c in counted.counts] == [(TaskState.TASK_STATE_SUCCEEDED, 10_000)]


async def test_the_trace_of_a_submission_reaches_the_start(api: Api, scheduler: SchedulerProcess) -> None:
    trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    request = pb.SubmitTasksRequest(items=[pb.SubmitTasksItem(spec=NOOP)])
    submit = api.channel.unary_unary("/tenure.v1.TaskService/SubmitTasks")
    async with agent("w1", scheduler.address) as worker:
        await submit(request.SerializeToString(), timeout=5, metadata=(("traceparent", trace),))
        await worker.started(1)
    assert worker.starts[0].traceparent.split("-")[1] == trace.split("-")[1]
