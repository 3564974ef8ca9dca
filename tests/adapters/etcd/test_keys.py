"""Every key of a cluster is built and taken apart in one place, without loss."""

from __future__ import annotations

import pytest

from tenure_runtime.etcd.keys import Keys, Kind, ParsedKey

KEYS = Keys("demo")


@pytest.mark.parametrize(
    ("key", "text", "parsed"),
    [
        (KEYS.incarnation, "meta/incarnation", ParsedKey(Kind.META, "incarnation")),
        (KEYS.leader, "leader", ParsedKey(Kind.LEADER)),
        (KEYS.commit, "commit", ParsedKey(Kind.COMMIT)),
        (KEYS.replica("s1"), "replicas/s1", ParsedKey(Kind.REPLICA, "s1")),
        (KEYS.relay("r1"), "relays/r1", ParsedKey(Kind.RELAY, "r1")),
        (KEYS.worker_reg("w1"), "workers/w1/reg", ParsedKey(Kind.WORKER_REG, "w1")),
        (KEYS.worker_live("w1"), "workers/w1/live", ParsedKey(Kind.WORKER_LIVE, "w1")),
        (KEYS.own("t1"), "own/t1", ParsedKey(Kind.OWN, "t1")),
        (KEYS.task("t1"), "tasks/t1", ParsedKey(Kind.TASK, "t1")),
        (KEYS.spec("t1"), "specs/t1", ParsedKey(Kind.SPEC, "t1")),
        (KEYS.request("ns", "ab12"), "requests/ns/ab12", ParsedKey(Kind.REQUEST, "ns", "ab12")),
        (KEYS.workflow("r7"), "workflows/r7", ParsedKey(Kind.WORKFLOW, "r7")),
        (KEYS.type("resize", "3"), "types/resize/3", ParsedKey(Kind.TYPE, "resize", "3")),
    ],
)
def test_each_key_has_one_form(key: bytes, text: str, parsed: ParsedKey) -> None:
    assert key == f"/tenure/demo/{text}".encode()
    assert KEYS.parse(key) == parsed


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "tasks",
        "tasks/",
        "tasks/a/b",
        "workers/w1",
        "workers/w1/dead",
        "requests/ns",
        "leader/x",
        "new/key",
    ],
)
def test_unknown_keys_are_told_apart_from_known_ones(rest: str) -> None:
    assert KEYS.parse(KEYS.prefix + rest.encode()) is None


def test_keys_of_another_cluster_are_not_ours() -> None:
    assert KEYS.parse(Keys("demo2").task("t1")) is None


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_part_cannot_break_out_of_its_key(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a key"):
        KEYS.worker_live(name)


@pytest.mark.parametrize("cluster", ["", "A", "a/b", "-a", "a" * 64])
def test_cluster_names_are_plain(cluster: str) -> None:
    with pytest.raises(ValueError, match="cluster name"):
        Keys(cluster)
