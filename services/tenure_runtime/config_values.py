"""How is one value of a configuration written, and what does it mean?

Durations are written with a unit (`10s`, `500ms`, `1h30m`), sizes likewise (`64KiB`, `10GiB`; a bare number
is bytes). In files lists and tables are TOML's own; in the environment and on the command line they are
`a,b` and `k=v,k=v`.
"""

from __future__ import annotations

import re
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin


@dataclass(frozen=True, slots=True)
class Duration:
    """Marks a float as seconds, written with a unit."""


@dataclass(frozen=True, slots=True)
class Size:
    """Marks an int as bytes, written with a unit."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The lowest value allowed."""

    value: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """The highest value allowed."""

    value: float


@dataclass(frozen=True, slots=True)
class Matches:
    """The regular expression that the whole text has to match, and what is said of one that does not."""

    pattern: str
    says: str


_HOST_AND_PORT: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\],]+):\d{1,5}"
_SOCKET: Final = r"unix(?:-abstract)?:\S+"

Address = Annotated[
    str,
    Matches(f"{_HOST_AND_PORT}|{_SOCKET}", "is {!r}, not an address: write host:port, as in 127.0.0.1:7420"),
]
MaybeAddress = Annotated[
    str,
    Matches(f"|{_HOST_AND_PORT}|{_SOCKET}", "is {!r}, not an address: write host:port, as in node-7:7420"),
]
Endpoint = Annotated[
    str,
    Matches(
        rf"(?:https?://)?{_HOST_AND_PORT}/?|{_SOCKET}",
        "is {!r}, not an address: write host:port or https://host:port",
    ),
]
MaybeName = Annotated[
    str,
    Matches(
        r"|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?",
        "is {!r}: use 1 to 128 letters, digits, '.', '_', '-', with a letter or digit at both ends",
    ),
]
ClusterName = Annotated[
    str,
    Matches(
        "[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?",
        "is {!r}: use 1 to 63 of a-z, 0-9, '.', '_', '-', with a letter or digit at both ends",
    ),
]
Seconds = Annotated[float, Duration()]
Bytes = Annotated[int, Size()]

DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS: Final = {
    "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_TRUTH: Final = {
    "true": True,
    "yes": True,
    "1": True,
    "on": True,
    "false": False,
    "no": False,
    "0": False,
    "off": False,
}


class BadValue(ValueError):
    """The value does not mean anything here; the message ends the sentence "<where>: <option> …"."""


def parse_duration(text: str) -> float:
    """Seconds of `10s`, `500ms`, `1h30m`; BadValue otherwise."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise BadValue(f"is {text!r}, not a duration: write a number and ms, s, m, h or d, as in 10s")
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """The shortest way to write it that reads back the same."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / DURATION_UNITS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds!r}s"


def parse_size(text: str) -> int:
    """Bytes of `64KiB`, `10GiB`, `1.5MB` or `4096`; BadValue otherwise."""
    if text.strip().isdecimal():
        return int(text)
    match = _SIZE.fullmatch(text.strip())
    units = {unit.lower(): factor for unit, factor in SIZE_UNITS.items()}
    if match is None or match[2].lower() not in units:
        raise BadValue(f"is {text!r}, not a size: write a number and B, KiB, MiB, GiB or TiB, as in 64KiB")
    return int(float(match[1]) * units[match[2].lower()])


def format_size(size: int) -> str:
    """The size with the largest binary unit that loses nothing."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % SIZE_UNITS[unit] == 0:
            return f"{size // SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


def convert(annotation: Any, raw: Any) -> Any:
    """The value of `raw` (from TOML, or text of a variable or flag) for a field; BadValue if it has none."""
    marks: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        marks = (*marks, *more)
    value = _converted(annotation, marks, raw)
    for mark in marks:
        if isinstance(mark, AtLeast) and value is not None and value < mark.value:
            raise BadValue(f"is {written(value, marks)}, at least {written(mark.value, marks)} is needed")
        if isinstance(mark, AtMost) and value is not None and value > mark.value:
            raise BadValue(f"is {written(value, marks)}, at most {written(mark.value, marks)} is allowed")
        if isinstance(mark, Matches) and re.fullmatch(mark.pattern, value) is None:
            raise BadValue(mark.says.format(value))
    return value


def _converted(annotation: Any, marks: tuple[Any, ...], raw: Any) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        if raw == "":
            return None
        (inner,) = (arm for arm in get_args(annotation) if arm is not type(None))
        return convert(Annotated[inner, *marks] if marks else inner, raw)
    if Duration() in marks:
        return parse_duration(_a(str, raw, 'a duration in quotes, as in "10s"'))
    if Size() in marks:
        return raw if type(raw) is int and raw >= 0 else parse_size(_a(str, raw, 'a size, as in "64KiB"'))
    if origin is Literal:
        if raw not in get_args(annotation):
            raise BadValue(f"is {raw!r}, known are {', '.join(map(str, get_args(annotation)))}")
        return raw
    if origin is tuple:
        items = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        return tuple(convert(get_args(annotation)[0], item) for item in _a(list, items, "a list"))
    if origin is dict:
        return {key: convert(get_args(annotation)[1], item) for key, item in _pairs(raw).items()}
    return _scalar(annotation, raw)


def _scalar(annotation: Any, raw: Any) -> Any:
    if annotation is bool:
        return _a(bool, _TRUTH.get(raw.lower(), raw) if isinstance(raw, str) else raw, "true or false")
    if annotation is Path:
        return Path(_a(str, raw, "a path"))
    if annotation in (int, float):
        return _number(annotation, raw)
    return _a(str, raw, "text")


def _number(annotation: Any, raw: Any) -> Any:
    what = "a whole number" if annotation is int else "a number"
    if isinstance(raw, str):
        try:
            return annotation(raw)
        except ValueError:
            raise BadValue(f"is {raw!r}, not {what}") from None
    if isinstance(raw, bool) or not isinstance(raw, (int, annotation)):
        raise BadValue(f"is {raw!r}, not {what}")
    return annotation(raw)


def _pairs(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, str):
        table: dict[str, Any] = _a(dict, raw, "a table")
        return table
    pairs = [part.partition("=") for part in raw.split(",") if part.strip()]
    if any(not middle for _, middle, _ in pairs):
        raise BadValue(f"is {raw!r}, not a list of key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _a(kind: type, raw: Any, what: str) -> Any:
    if not isinstance(raw, kind):
        raise BadValue(f"is {raw!r}, not {what}")
    return raw


def written(value: Any, marks: tuple[Any, ...] = ()) -> str:
    """The value as TOML that `convert` reads back."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if Duration() in marks:
        return f'"{format_duration(value)}"'
    if Size() in marks:
        return f'"{format_size(value)}"'
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(written(item, marks) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {written(item)}" for key, item in value.items()) + "}"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
