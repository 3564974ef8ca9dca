"""Does every error survive the way over gRPC?"""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status

from tenure import statuses
from tenure_core import errors as e
from tenure_runtime.rpc import status


def all_classes() -> list[type[e.TenureError]]:
    found, waiting = [], [e.TenureError]
    while waiting:
        cls = waiting.pop()
        if cls.__module__ == e.__name__:
            found.append(cls)
            waiting.extend(cls.__subclasses__())
    return sorted(found, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", all_classes(), ids=lambda cls: cls.__name__)
def test_every_class_round_trips_with_its_message(cls: type[e.TenureError]) -> None:
    for error in (cls(), cls("with words of its own — größer")):
        back = status.from_status(Status.FromString(status.to_status(error).SerializeToString()))
        assert type(back) is cls
        assert (back.message, back.reason, back.retryable) == (error.message, error.reason, error.retryable)


FULL = [
    e.InvalidArgument(violations=(e.Violation("tasks[3].spec.name", "is required"), e.Violation("", "x"))),
    e.NotFound(kind="task", name="abc"),
    e.AlreadyExists(kind="task", name="abc", differing=("spec.process.argv", "spec.name")),
    e.Unavailable(retry_after=0.25),
    e.NotLeader(leader="10.0.0.1:7420", retry_after=1.5),
    e.ResourceExhausted("full", retry_after=3.0),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_what_an_error_holds_round_trips(error: e.TenureError) -> None:
    assert vars(status.from_status(status.to_status(error))) == vars(error)


def test_reasons_are_unique_and_upper_case() -> None:
    reasons = [cls.reason for cls in all_classes()]
    assert len(set(reasons)) == len(reasons)
    assert all(reason == reason.upper() for reason in reasons)


def test_fenced_is_a_failed_precondition_with_reason_fenced() -> None:
    code, _, ((key, data),) = status.to_abort(e.Fenced())
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert key == "grpc-status-details-bin"
    assert b"FENCED" in data
    assert b"tenure.dev" in data


def test_a_status_fits_any_peers_trailers() -> None:
    many = tuple(e.Violation(f"items[{i}].spec.process.argv[0]", "must not be empty") for i in range(5_000))
    sent = status.to_status(e.InvalidArgument(violations=many))
    assert sent.ByteSize() <= status.MAX_STATUS_BYTES
    back = status.from_status(sent)
    assert isinstance(back, e.InvalidArgument)
    shown = len(back.violations) - 1
    assert back.violations[:shown] == many[:shown]
    assert str(5_000 - shown) in back.violations[-1].description


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_a_status_of_another_origin_becomes_the_class_of_its_code(code: grpc.StatusCode) -> None:
    back = status.from_status(Status(code=code.value[0], message="words"))
    assert back.message == "words"
    if code is not grpc.StatusCode.OK:
        assert status.code_of(type(back)) is code


def test_details_that_nobody_knows_are_skipped() -> None:
    strange = Status(code=5, message="m", details=[AnyMessage(type_url="x.y/z.Unknown", value=b"\xff")])
    assert type(status.from_status(strange)) is e.NotFound


@pytest.mark.parametrize("error", [*(cls() for cls in all_classes()), *FULL], ids=lambda e: type(e).__name__)
def test_the_client_reads_what_the_servers_send(error: e.TenureError) -> None:
    client = statuses.from_status(status.to_status(error))
    assert type(client).__name__ == type(error).__name__
    assert (client.reason, client.retryable) == (error.reason, error.retryable)
    plain = {name: value for name, value in vars(error).items() if name != "violations"}
    assert {name: value for name, value in vars(client).items() if name != "violations"} == plain
    violations = [list(map(str, getattr(side, "violations", ()))) for side in (client, error)]
    assert violations[0] == violations[1]


def test_a_class_of_a_service_is_sent_with_its_ancestors_code() -> None:
    class QuotaReached(e.ResourceExhausted):
        """The quota is reached."""

        reason = "QUOTA_REACHED_IN_TEST"

    back = status.from_status(status.to_status(QuotaReached(retry_after=1.0)))
    assert type(back) is QuotaReached
    assert back.retry_after == 1.0
