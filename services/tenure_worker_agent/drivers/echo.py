"""How does a call of "echo" become an order? As a process that reads the script on its standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tenure.v1.task_spec_pb2 import TaskSpec
from tenure_worker_agent.domain.plans import RunProcess
from tenure_worker_agent.drivers.process import Grant, Node, plan_command

RUNNER: Final = str(Path(__file__).with_name("echo_runner.py"))


def plan_echo(spec: TaskSpec, grant: Grant, node: Node) -> RunProcess:
    """The order for an echo script."""
    argv = [sys.executable, "-I", "-S", RUNNER]
    return plan_command(spec, grant, node, argv, {}, "", spec.call.text.encode())
