"""Which driver runs a task, and is the task one that this worker can run at all?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from tenure.v1.task_spec_pb2 import TaskSpec
from tenure_worker_agent.domain.plans import NOTHING_TO_RUN, Impossible, Plan, RunProcess
from tenure_worker_agent.drivers.echo import plan_echo
from tenure_worker_agent.drivers.process import Grant, Node, plan_process

Driver: TypeAlias = Callable[[TaskSpec, Grant, Node], RunProcess]

CALLS: Final[dict[str, Driver]] = {"echo": plan_echo}
TASK_TYPES: Final = ("process", "noop", *CALLS)
_REMEMBERED: Final = 1024


class Catalog:
    """The drivers of this node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._noops: set[bytes] = set()
        """Specs that were found to be noops: batches of them are often alike to the byte."""

    def is_noop(self, spec: bytes) -> bool:
        """Whether `spec` is known to be a noop without decoding it."""
        return spec in self._noops

    def plan(self, spec: bytes, grant: Grant) -> Plan:
        """What to do about a task; never raises: what is malformed is impossible."""
        try:
            decoded = TaskSpec.FromString(spec)
        except DecodeError:
            return Impossible("the task's spec cannot be decoded by this worker")
        match decoded.WhichOneof("body"):
            case "process":
                return self._checked(decoded, grant)
            case "call":
                return self._call(spec, decoded, grant)
            case None:
                return Impossible("the task says nothing to run, or something that this worker does not know")
            case body:
                return Impossible(f"this worker has no driver for {body} tasks")

    def _checked(self, spec: TaskSpec, grant: Grant) -> Plan:
        argv = spec.process.argv
        if not argv or not argv[0]:
            return Impossible("argv is empty: there is no program to run")
        return plan_process(spec, grant, self._node)

    def _call(self, spec: bytes, decoded: TaskSpec, grant: Grant) -> Plan:
        name = decoded.call.type
        if name == "noop":
            if len(self._noops) >= _REMEMBERED:
                self._noops.clear()
            self._noops.add(spec)
            return NOTHING_TO_RUN
        driver = CALLS.get(name)
        if driver is None:
            return Impossible(f"this worker does not know the task type {name!r}")
        return driver(decoded, grant, self._node)
