"""Does a rule table find everything that is wrong, and say where?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tenure_runtime.rpc import rules as r
from tenure_runtime.rpc.validation import Rules, Validator
from tests.adapters.runtime.probe import pb

if TYPE_CHECKING:
    from tenure_runtime.rpc.rules import Table

NAME = r"[a-z][a-z0-9-]*"
ITEM: Table = {
    "name": r.text(required=True, max=8, pattern=NAME, says="must be lower-case letters, digits and -"),
    "color": r.enum(),
    "weight": r.number(min=1, max=10),
    "body": r.one_of(),
    "process": r.message(max_bytes=64),
    "nothing": r.anything(),
    "labels": r.mapping(key=r.text(max=4, pattern=NAME), value=r.text(max=4), max=2),
    "after": r.duration(max=60),
    "at": r.timestamp(),
    "payload": r.blob(max=3),
    "share": r.number(min=0, max=1),
    "tags": r.repeated(r.text(required=True, max=4), max=3, unique=True),
    "child": r.message(),
    "steps": r.mapping(),
}
TABLES: Rules = {
    pb.EchoRequest: {
        "text": r.text(max=8),
        "count": r.number(max=10),
        "fail": r.anything(),
        "items": r.repeated(r.message(), max=5, unique=lambda item: item.name),
        "one": r.message(),
    },
    pb.Item: ITEM,
    pb.Process: {"argv": r.repeated(r.text(required=True), min=1)},
}
CHECK: Any = Validator(TABLES).check_of(pb.EchoRequest.DESCRIPTOR)


def an_item(**changes: Any) -> Any:
    item = pb.Item(name="n1", color=pb.COLOR_RED, process=pb.Process(argv=["true"]))
    item.MergeFrom(pb.Item(**changes))
    return item


def found(**fields: Any) -> dict[str, str]:
    return {v.path: v.description for v in CHECK(pb.EchoRequest(**fields))}


def one(item: Any) -> dict[str, str]:
    return {path.removeprefix("one."): text for path, text in found(one=item).items()}


def test_a_valid_request_has_no_violations() -> None:
    item = an_item(weight=3, labels={"a": "b"}, payload=b"abc", share=0.5, tags=["x", "y"])
    item.after.FromMilliseconds(1500)
    item.at.FromSeconds(1_700_000_000)
    item.child.CopyFrom(an_item())
    assert found(text="hi", count=3, items=[item], one=item) == {}
    assert found() == {}


def test_every_violation_is_told_with_its_path() -> None:
    bad = pb.Item(name="Bad name too", color=9, weight=0, process=pb.Process(argv=["", "x", ""]), share=2.0)
    bad.tags.extend(["long tag", "x", "x", ""])
    bad.labels.update({"UP": "value too long"})
    bad.payload = b"four"
    bad.child.CopyFrom(pb.Item())
    bad.steps["go"].CopyFrom(pb.Process())
    told = found(text="nine chars", count=11, items=[an_item(), bad, an_item()])
    assert set(told) == {
        "text",
        "count",
        "items[2]",
        "items[1].name",
        "items[1].color",
        "items[1].weight",
        "items[1].process.argv[0]",
        "items[1].process.argv[2]",
        "items[1].share",
        "items[1].tags",
        "items[1].tags[0]",
        "items[1].tags[2]",
        "items[1].tags[3]",
        'items[1].labels["UP"]',
        "items[1].payload",
        "items[1].child.name",
        "items[1].child.color",
        "items[1].child.body",
        'items[1].steps["go"].argv',
    }
    assert told["items[2]"] == "repeats items[0]"
    assert told["items[1].child.body"] == "one of process, nothing is required"
    assert told["items[1].child.name"] == "is required"
    assert told["items[1].process.argv[0]"] == "must not be empty"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.1, 1.1])
def test_numbers_that_are_none(value: float) -> None:
    assert list(one(an_item(share=value))) == ["share"]


@pytest.mark.parametrize(("seconds", "nanos"), [(-1, 0), (61, 0), (0, 2_000_000_000), (1, -1)])
def test_bad_durations(seconds: int, nanos: int) -> None:
    assert list(one(an_item(after={"seconds": seconds, "nanos": nanos}))) == ["after"]


def test_bad_times() -> None:
    assert list(one(an_item(at={"seconds": 1 << 60}))) == ["at"]


def test_sizes_count_bytes_not_characters() -> None:
    assert found(text="ääää") == {}
    assert found(text="äääää") == {"text": "has 10 bytes, at most 8 are allowed"}


def test_presence_tells_zero_from_unset() -> None:
    assert one(an_item()) == {}
    assert list(one(an_item(weight=0))) == ["weight"]


def test_a_message_over_its_size() -> None:
    assert list(one(an_item(process=pb.Process(argv=["x" * 70])))) == ["process"]


def test_a_rule_for_the_whole_message() -> None:
    def problems(request: Any) -> list[tuple[str, str]]:
        return [("count", "needs text")] if request.count and not request.text else []

    check: Any = Validator({pb.EchoRequest: {"": r.whole(problems)}}).check_of(pb.EchoRequest.DESCRIPTOR)
    assert [str(v) for v in check(pb.EchoRequest(count=1))] == ["count: needs text"]
    assert check(pb.EchoRequest(count=1, text="t")) == ()


@pytest.mark.parametrize(
    "table",
    [
        {"nonesuch": r.anything()},
        {"text": r.number()},
        {"count": r.text()},
        {"items": r.text()},
        {"text": r.repeated()},
        {"one": r.duration()},
        {"items": r.mapping()},
        {"nobody": r.one_of()},
        {"one": r.enum()},
    ],
)
def test_a_rule_that_does_not_fit_is_refused_at_once(table: Any) -> None:
    with pytest.raises(r.MisfitRule):
        Validator({pb.EchoRequest: table, pb.Item: {}})


def test_what_has_no_rule_is_named() -> None:
    assert Validator(TABLES).uncovered([pb.EchoRequest.DESCRIPTOR]) == []
    partial: Rules = {**TABLES, pb.Item: {k: v for k, v in ITEM.items() if k not in ("tags", "body")}}
    missing = Validator(partial).uncovered([pb.EchoRequest.DESCRIPTOR])
    assert missing == ["tenure.probe.v1.Item.body", "tenure.probe.v1.Item.tags"]
    assert "tenure.probe.v1.Process.argv" in Validator({}).uncovered([pb.EchoRequest.DESCRIPTOR])


def test_what_lies_behind_anything_needs_no_rule() -> None:
    table: Table = {name: r.anything() for name in ("text", "count", "fail", "items", "one")}
    assert Validator({pb.EchoRequest: table}).uncovered([pb.EchoRequest.DESCRIPTOR]) == []
