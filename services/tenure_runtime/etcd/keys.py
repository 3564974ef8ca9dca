"""Which key holds what?

Everything of a cluster lies below `/tenure/<cluster>/`; ownership decides by these keys, so they are built
and taken apart here and nowhere else. Parts of a key are text without `/`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

_CLUSTER: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


class Kind(Enum):
    """The kinds of keys; the value is the first part of the key below the cluster's prefix."""

    META = "meta"
    LEADER = "leader"
    COMMIT = "commit"
    REPLICA = "replicas"
    RELAY = "relays"
    WORKER_REG = "workers/reg"
    WORKER_LIVE = "workers/live"
    OWN = "own"
    TASK = "tasks"
    SPEC = "specs"
    REQUEST = "requests"
    WORKFLOW = "workflows"
    TYPE = "types"


class ParsedKey(NamedTuple):
    """A key taken apart: `name` is the id, `second` the other part of keys that have two."""

    kind: Kind
    name: str = ""
    second: str = ""


_ONE_PART: Final = {
    kind.value: kind
    for kind in (Kind.META, Kind.REPLICA, Kind.RELAY, Kind.OWN, Kind.TASK, Kind.SPEC, Kind.WORKFLOW)
}
_TWO_PARTS: Final = {kind.value: kind for kind in (Kind.REQUEST, Kind.TYPE)}
_WORKER: Final = {"reg": Kind.WORKER_REG, "live": Kind.WORKER_LIVE}


class Keys:
    """The keys of one cluster. Attributes ending in `s` are prefixes, to be read with `prefix=True`."""

    def __init__(self, cluster: str) -> None:
        if not _CLUSTER.fullmatch(cluster):
            raise ValueError(
                f"cluster name {cluster!r}: use 1 to 63 of a-z, 0-9, '.', '_', '-', letters at the ends"
            )
        self.cluster = cluster
        self.prefix = f"/tenure/{cluster}/".encode()
        self.incarnation = self.prefix + b"meta/incarnation"
        self.incarnations = self.prefix + b"meta/incarnations"
        self.rolled_back = self.prefix + b"meta/rolled_back"
        self.leader = self.prefix + b"leader"
        self.commit = self.prefix + b"commit"
        self.replicas = self.prefix + b"replicas/"
        self.relays = self.prefix + b"relays/"
        self.workers = self.prefix + b"workers/"
        self.owns = self.prefix + b"own/"
        self.tasks = self.prefix + b"tasks/"
        self.specs = self.prefix + b"specs/"
        self.requests = self.prefix + b"requests/"
        self.workflows = self.prefix + b"workflows/"
        self.types = self.prefix + b"types/"

    def replica(self, replica: str) -> bytes:
        """`replicas/<id>`: a scheduler's own registration."""
        return self.replicas + _part(replica)

    def relay(self, relay: str) -> bytes:
        """`relays/<id>`: a log relay's own registration."""
        return self.relays + _part(relay)

    def worker_reg(self, worker: str) -> bytes:
        """`workers/<w>/reg`: what the leader has committed about a worker."""
        return self.workers + _part(worker) + b"/reg"

    def worker_live(self, worker: str) -> bytes:
        """`workers/<w>/live`: on the lease of the worker's session; absent: the session is over."""
        return self.workers + _part(worker) + b"/live"

    def own(self, task: str) -> bytes:
        """`own/<task>`: on the worker's lease, visible evidence of ownership."""
        return self.owns + _part(task)

    def task(self, task: str) -> bytes:
        """`tasks/<task>`: the task's state."""
        return self.tasks + _part(task)

    def task_id(self, key: bytes) -> str:
        """The id in a key of a task's state, however damaged."""
        return key[len(self.tasks) :].decode(errors="replace")

    def spec(self, task: str) -> bytes:
        """`specs/<task>`: the task's specification, if it is not in its state."""
        return self.specs + _part(task)

    def request(self, namespace: str, digest: str) -> bytes:
        """`requests/<ns>/<hash>`: what a request id made."""
        return self.requests + _part(namespace) + b"/" + _part(digest)

    def workflow(self, run: str) -> bytes:
        """`workflows/<run>`: the state of a workflow run."""
        return self.workflows + _part(run)

    def type(self, name: str, version: str) -> bytes:
        """`types/<name>/<v>`: a registered task type."""
        return self.types + _part(name) + b"/" + _part(version)

    def parse(self, key: bytes) -> ParsedKey | None:
        """Take a key apart; None: not a key of this cluster that this version knows."""
        if not key.startswith(self.prefix):
            return None
        first, _, rest = key[len(self.prefix) :].decode(errors="replace").partition("/")
        if kind := _ONE_PART.get(first):
            return ParsedKey(kind, rest) if rest and "/" not in rest else None
        if not rest:
            return {"leader": ParsedKey(Kind.LEADER), "commit": ParsedKey(Kind.COMMIT)}.get(first)
        name, _, second = rest.partition("/")
        if not name or not second or "/" in second:
            return None
        if first == "workers":
            return ParsedKey(_WORKER[second], name) if second in _WORKER else None
        return ParsedKey(_TWO_PARTS[first], name, second) if first in _TWO_PARTS else None


def _part(text: str) -> bytes:
    if not text or "/" in text:
        raise ValueError(f"{text!r} cannot be part of a key: it is empty or contains '/'")
    return text.encode()
