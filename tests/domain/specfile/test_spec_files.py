"""Are spec files understood, and are all of their faults told where they stand?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadConfiguration, SpecFileError, Violation
from tenure.specfile import load
from tenure.specfile.convert import DictOf, ListOf, Message
from tenure.specfile.fields import TASK
from tenure.v1.task_spec_pb2 import TaskSpec

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "spec-file.md"

FULL = """\
name: resize
namespace: media
labels: {team: "photo", size: 10}
queue: fast
priority: 5
process:
  argv: [convert, in.png, -resize, 50%]
  env:
    THREADS: 2
    FLAG: yes
  working_directory: /data
  stdin: |
    first
    second
resources: {cpu: 0.5, memory: 64MiB, counts: {licence: 2}, indexed: {gpu: 1}}
constraints:
  - {key: zone, operator: in, values: [a, b]}
preferences:
  - constraint: {key: disk, operator: exists}
    weight: 10
not_before: 2030-01-31T12:00:00+01:00
retry: {max_failures: 3, initial_backoff: 500ms, backoff_factor: 1.5, jitter: 0, retry_exit_codes: [75]}
timeouts: {run: 1m30s, stop_grace: 2s}
logs: {max_unacked: 1MiB, overflow: block}
on_disconnect: stop
"""


def one(text: str, name: str = "t.yaml") -> TaskSpec:
    (task,) = load(name, dedent(text))
    return task.spec


def faults(text: str, name: str = "t.yaml") -> tuple[str, ...]:
    with pytest.raises(SpecFileError) as raised:
        load(name, dedent(text))
    return raised.value.faults


def test_every_field_of_a_task_can_be_written() -> None:
    spec = one(FULL)
    assert spec.process.argv == ["convert", "in.png", "-resize", "50%"]
    assert spec.process.env == {"THREADS": "2", "FLAG": "yes"}
    assert spec.process.stdin == b"first\nsecond\n"
    assert (spec.resources.cpu_milli, spec.resources.memory_bytes) == (500, 64 << 20)
    assert spec.labels == {"team": "photo", "size": "10"}
    assert spec.not_before.ToJsonString() == "2030-01-31T11:00:00Z"
    assert spec.timeouts.run.ToTimedelta().total_seconds() == 90
    assert spec.retry.initial_backoff.ToMilliseconds() == 500
    assert spec.retry.HasField("jitter")


def test_yaml_toml_and_json_mean_the_same() -> None:
    toml = """
        name = "resize"
        not_before = 2030-01-31T12:00:00+01:00
        priority = 5   # soon
        [process]
        argv = [
          "convert", 'in.png',  # two
        ]
        env.THREADS = "2"
        [resources]
        cpu = 0.5
        indexed = {gpu = 1}
        [[constraints]]
        key = "zone"
        operator = "in"
        values = ["a", "b"]
        [[constraints]]
        key = "disk"
        operator = "exists"
    """
    yaml = """
        name: resize
        not_before: 2030-01-31 12:00:00+01:00
        priority: 5
        process: {argv: [convert, in.png], env: {THREADS: "2"}}
        resources: {cpu: 0.5, indexed: {gpu: 1}}
        constraints:
        - {key: zone, operator: in, values: [a, b]}
        - {key: disk, operator: exists}
    """
    spec = one(yaml)
    assert one(toml, "t.toml") == spec
    written = {
        "name": "resize",
        "not_before": "2030-01-31T12:00:00+01:00",
        "priority": 5,
        "process": {"argv": ["convert", "in.png"], "env": {"THREADS": "2"}},
        "resources": {"cpu": 0.5, "indexed": {"gpu": 1}},
        "constraints": [
            {"key": "zone", "operator": "in", "values": ["a", "b"]},
            {"key": "disk", "operator": "exists"},
        ],
    }
    assert one(json.dumps(written, indent="\t"), "t.json") == spec


def test_all_faults_are_told_at_once_each_at_its_place() -> None:
    assert faults(
        """\
        nam: resize
        priority: high
        process:
          argv: convert
          env: [a]
          argv: [x]
        timeouts: {run: soon}
        resources:
          memory: 1 elephant
          indexed: {gpu: -1}
        on_disconnect: halt
        """
    ) == (
        "t.yaml:1:1: unknown key 'nam'; did you mean 'name'?",
        "t.yaml:2:11: 'high' is not a whole number",
        "t.yaml:4:9: expected a list, found a text",
        "t.yaml:5:8: expected a mapping, found a list",
        "t.yaml:6:3: 'argv' stands here a second time; the first is in line 4",
        "t.yaml:7:17: 'soon' is not a duration: write 10s, 1m30s, 500ms or seconds as a number",
        "t.yaml:9:11: '1 elephant' is not a size: write 64MiB, 1.5G or bytes as a number",
        "t.yaml:10:18: -1 is not between 0 and 4294967295",
        "t.yaml:11:16: 'halt' is none of continue, stop",
    )


def test_toml_faults_have_places_too() -> None:
    assert faults(
        """\
        nam = "x"
        [process]
        argv = ["true"]
        evn = {A = "b"}
        [[constraints]]
        key = "zone"
        operator = "inn"
        """,
        "t.toml",
    ) == (
        "t.toml:1:1: unknown key 'nam'; did you mean 'name'?",
        "t.toml:4:1: unknown key 'evn'; did you mean 'env'?",
        "t.toml:7:12: 'inn' is none of in, not_in, exists, not_exists, greater_than, less_than; "
        "did you mean 'in'?",
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.yaml", "a: [1,", "t.yaml:2:1: not YAML: did not find expected node content"),
        ("t.yaml", "a: *b", "t.yaml:1:4: not YAML: found undefined alias"),
        ("t.yaml", "", "t.yaml:1:1: there is no task in this file"),
        ("t.yaml", "&a [*a]", "t.yaml:1:1: an alias inside of what it stands for"),
        ("t.json", '{"name": }', "t.json:1:10: not JSON: Expecting value"),
        ("t.toml", "a = 1\na = 2\n", "t.toml:2:6: not TOML: Cannot overwrite a value"),
        ("t.yaml", "name: x", "t.yaml:1:1: exactly one of process, container, call, manual is needed, found none of them"),  # noqa: E501
        ("t.yaml", "process: {}", "t.yaml:1:10: argv is missing"),
        ("t.yaml", "just text", "t.yaml:1:1: expected a mapping with "),
        ("t.yaml", "tasks: []\nname: x", "t.yaml:2:1: 'name' cannot stand beside 'tasks'"),
        ("t.yaml", "not_before: 2030-01-01T00:00:00", "'2030-01-01T00:00:00' has no time zone"),
        ("t.json", '{"name": "a", "name": "b"}', "t.json:1:15: 'name' stands here a second time"),
    ],
)  # fmt: skip
def test_what_is_no_task_is_told(name: str, text: str, expected: str) -> None:
    assert expected in "\n".join(faults(text, name))


def test_aliases_cannot_make_a_small_file_huge() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert "more than 1,000,000 values" in faults(bomb)[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.yaml", "call: {type: noop}\n---\ncall: {type: noop}\n---\n"),
        ("t.yaml", "- call: {type: noop}\n- call: {type: noop}"),
        ("t.yaml", "tasks:\n- call: {type: noop}\n- call: {type: noop}"),
        ("t.toml", '[[tasks]]\ncall.type = "noop"\n[[tasks]]\ncall.type = "noop"'),
        ("t.json", '[{"call": {"type": "noop"}}, {"call": {"type": "noop"}}]'),
        ("t.json", '{"call": {"type": "noop"}}\n{"call": {"type": "noop"}}\n'),
        ("-", '[{"call": {"type": "noop"}},\n\t{"call": {"type": "noop"}}]'),
        ("-", "call: {type: noop}\n---\ncall: {type: noop}\n"),
    ],
)
def test_a_file_may_hold_several_tasks(name: str, text: str) -> None:
    assert [task.spec.call.type for task in load(name, text)] == ["noop", "noop"]


def test_what_the_server_refuses_is_told_at_its_place() -> None:
    (task,) = load("t.yaml", "process:\n  argv: ['', x]\n  env:\n    A=B: c\n")
    assert task.locate(Violation("spec.process.argv[0]", "is empty")) == (
        "t.yaml:2:10: process.argv[0]: is empty"
    )
    assert task.locate(Violation("spec.process.env.A=B", "holds =")).startswith("t.yaml:4:10: ")
    assert task.locate(Violation("spec", "is too large")) == "t.yaml:1:1: is too large"


def test_a_request_id_may_stand_in_the_file() -> None:
    (task,) = load("t.yaml", "request_id: nightly-1\ncall: {type: noop}")
    assert task.request_id == "nightly-1"


@pytest.mark.parametrize("name", ["missing.yaml", "t.txt"])
def test_a_file_that_cannot_be_read_is_a_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(BadConfiguration, match=r"cannot read .*No such file|cannot tell its format"):
        load(str(tmp_path / name))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_json_text_arrives_unchanged(text: str) -> None:
    for ascii_only in (True, False):
        written = json.dumps({"call": {"type": "echo", "text": text}}, ensure_ascii=ascii_only)
        assert one(written, "t.json").call.text == text


@given(st.text(max_size=200), st.sampled_from(["t.yaml", "t.toml", "t.json", "-"]))
def test_no_text_makes_it_fail_in_another_way(text: str, name: str) -> None:
    faults: tuple[str, ...] = ()
    try:
        load(name, text)
    except SpecFileError as error:
        faults = error.faults
    assert all(re.match(r"(t\.\w+|<stdin>):\d+:\d+: ", fault) for fault in faults)


def test_json_input_of_a_call_keeps_its_types() -> None:
    spec = one('call: {type: t, json: {a: 1, b: "1", c: true, d: null, e: [x]}}')
    assert MessageToDict(spec.call.json) == {"a": 1, "b": "1", "c": True, "d": None, "e": ["x"]}


def test_the_reference_names_every_key() -> None:
    text = REFERENCE.read_text()

    def keys(message: Message, prefix: str = "") -> list[str]:
        found = []
        for key, (_, kind) in message.fields.items():
            found.append(prefix + key)
            inner = (
                kind.item if isinstance(kind, ListOf) else kind.value if isinstance(kind, DictOf) else kind
            )
            if isinstance(inner, Message):
                found += keys(inner, f"{prefix}{key}.")
        return found

    assert [key for key in keys(TASK) if f"`{key}`" not in text] == []


def test_the_examples_of_the_reference_are_accepted() -> None:
    blocks = re.findall(r"```(yaml|toml|json)\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for language, text in blocks:
        assert load(f"example.{language}", text)
