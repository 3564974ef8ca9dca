"""Client library and command line of Tenure.

    import tenure

    async with tenure.Client() as client:
        task = await client.run(tenure.process(["date"]))
        print(task.state, task.exit_code)

Nothing is imported before it is used: `import tenure` costs about a millisecond.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tenure import errors
    from tenure.buffers import keep_buffers
    from tenure.client import Client, Submitted
    from tenure.contexts import Tls
    from tenure.fencing import Fence, current_fence
    from tenure.specs import echo, noop, process
    from tenure.v1.task_pb2 import Task, TaskFilter
    from tenure.v1.task_spec_pb2 import TaskSpec

__all__ = [
    "Client",
    "Fence",
    "Submitted",
    "Task",
    "TaskFilter",
    "TaskSpec",
    "Tls",
    "current_fence",
    "echo",
    "errors",
    "keep_buffers",
    "noop",
    "process",
]

_HOME: Final = {
    "Client": "tenure.client",
    "Fence": "tenure.fencing",
    "Submitted": "tenure.client",
    "Task": "tenure.v1.task_pb2",
    "TaskFilter": "tenure.v1.task_pb2",
    "TaskSpec": "tenure.v1.task_spec_pb2",
    "Tls": "tenure.contexts",
    "current_fence": "tenure.fencing",
    "echo": "tenure.specs",
    "keep_buffers": "tenure.buffers",
    "noop": "tenure.specs",
    "process": "tenure.specs",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("tenure.errors")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'tenure' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
