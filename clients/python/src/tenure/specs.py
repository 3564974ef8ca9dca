"""How is a task described in a few words?

Builders for the common bodies; everything else is set on the returned `TaskSpec`, a plain protobuf message
whose fields the reference describes.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.duration_pb2 import Duration

from tenure.v1.task_spec_pb2 import CallBody, ProcessBody, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_SIZES: Final = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12,
    "ki": 2**10, "kib": 2**10, "mi": 2**20, "mib": 2**20,
    "gi": 2**30, "gib": 2**30, "ti": 2**40, "tib": 2**40,
}  # fmt: skip
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")
LONGEST_SECONDS: Final = 10 * 366 * 86400.0


def process(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    stdin: bytes = b"",
    cpu: float | None = None,
    memory: int | str = 0,
    timeout: float | timedelta | str | None = None,
    retries: int = 0,
    **fields: Any,
) -> TaskSpec:
    """A task that runs a program without a shell.

    Args:
        argv: program and arguments.
        env: variables added to the small environment that every attempt gets.
        cwd: absolute directory to start in; empty: a fresh one for every attempt.
        stdin: what the program reads.
        cpu: processors to hold, 1 by default; fractions are fine.
        memory: bytes, or a text such as "64MiB".
        timeout: longest run of one attempt, in seconds, as a timedelta, or as a text such as "10s".
        retries: how many failed attempts are tried again.
        fields: other fields of TaskSpec, such as `name`, `labels`, `queue` and `priority`.
    """
    spec = TaskSpec(process=ProcessBody(argv=argv, env=env, working_directory=cwd, stdin=stdin), **fields)
    if cpu is not None:
        spec.resources.cpu_milli = round(cpu * 1000)
    if memory:
        spec.resources.memory_bytes = memory if isinstance(memory, int) else parse_size(memory)
    if timeout is not None:
        spec.timeouts.run.CopyFrom(duration(timeout))
    if retries:
        spec.retry.max_failures = retries
    return spec


def noop(**fields: Any) -> TaskSpec:
    """A task that does nothing, by the whole path of a task: for measuring and for trying things."""
    return TaskSpec(call=CallBody(type="noop"), **fields)


def echo(script: str, **fields: Any) -> TaskSpec:
    """A task of the built-in type "echo"; the script has lines of ECHO, SLEEP, LOG, RETURN and RAISE."""
    return TaskSpec(call=CallBody(type="echo", text=script), **fields)


def duration(value: float | timedelta | str) -> Duration:
    """A protobuf duration of seconds, a timedelta or a text such as "1m30s"."""
    if isinstance(value, str):
        seconds = parse_duration(value)
    else:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    result = Duration()
    result.FromNanoseconds(round(seconds * 1e9))
    return result


def parse_duration(text: str) -> float:
    """The seconds that "10s", "1m30s", "500ms" or a bare number say.

    Raises:
        ValueError: with a sentence for the writer of the text.
    """
    stripped = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        seconds = float(stripped)
    elif stripped and _DURATION.sub("", stripped) == "":
        seconds = math.fsum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(stripped))
    else:
        raise ValueError(f"{text!r} is not a duration: write 10s, 1m30s, 500ms or seconds as a number")
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"{text!r} is longer than ten years")
    return seconds


def parse_size(text: str) -> int:
    """The bytes that "64MiB", "1.5G" or a bare number say: k, M, G, T count by 1000, Ki, Mi, Gi, Ti by 1024.

    Raises:
        ValueError: with a sentence for the writer of the text.
    """
    found = _SIZE.fullmatch(text)
    factor = _SIZES.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise ValueError(f"{text!r} is not a size: write 64MiB, 1.5G or bytes as a number")
    size = int(float(found[1]) * factor) if "." in found[1] else int(found[1]) * factor
    if size >= 2**63:
        raise ValueError(f"{text!r} is too large")
    return size
