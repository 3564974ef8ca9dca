"""What does an echo script say?

The built-in task type "echo" runs a small script, for trying things and for tests that need a task which
does what they want. One statement a line; blank lines and lines that begin with `#` mean nothing:

    ECHO text        write the text and a newline to standard output
    LOG level text   write "LEVEL text" to standard error; debug, info, warning or error
    SLEEP seconds    wait, for example 0.5; at most a day
    RETURN code      end with this exit code, 0 to 255
    RAISE text       write the text to standard error and end with exit code 1

A script that comes to its end returns 0. The scheduler refuses one with faults when it is submitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

LEVELS: Final = ("debug", "info", "warning", "error")
LONGEST_SLEEP: Final = 86_400.0
MAX_CODE: Final = 255


@dataclass(frozen=True, slots=True)
class Echo:
    """Write a line to standard output."""

    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """Write a line with a level to standard error."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Return:
    """End with an exit code."""

    code: int


@dataclass(frozen=True, slots=True)
class Raise:
    """End as a program does that failed."""

    text: str


Statement: TypeAlias = Echo | Log | Sleep | Return | Raise


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a script; line and column count from 1."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"


class EchoSyntaxError(ValueError):
    """The script has faults; `faults` names all of them."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


class _Bad(Exception):
    """A fault of one statement: the position in its line, and what is wrong."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


def parse(script: str) -> tuple[Statement, ...]:
    """The statements of a script, in order.

    Raises:
        EchoSyntaxError: with every fault, not only the first.
    """
    statements: list[Statement] = []
    faults: list[Fault] = []
    for number, line in _lines(script):
        try:
            statements.append(_statement(line))
        except _Bad as bad:
            faults.append(Fault(number, bad.position + 1, str(bad)))
    if faults:
        raise EchoSyntaxError(faults)
    return tuple(statements)


def _lines(script: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(script.split("\n"), 1):
        meaningful = line.strip()
        if meaningful and not meaningful.startswith("#"):
            yield number, line.rstrip("\r")


def _statement(line: str) -> Statement:
    begin = len(line) - len(line.lstrip())
    word = line.split(maxsplit=1)[0]
    rest = line[begin + len(word) + 1 :]
    at = begin + len(word) + 1
    match word:
        case "ECHO":
            return Echo(rest)
        case "RAISE":
            return Raise(rest)
        case "LOG":
            return _log(rest, at)
        case "SLEEP":
            return Sleep(_seconds(rest.strip(), at))
        case "RETURN":
            return Return(_code(rest.strip(), at))
        case _:
            known = "ECHO, LOG, SLEEP, RETURN and RAISE"
            raise _Bad(begin, f"{word[:40]!r} is no statement; there are {known}")


def _log(rest: str, at: int) -> Log:
    level, _, text = rest.partition(" ")
    if level.lower() not in LEVELS:
        raise _Bad(at, f"{level[:40]!r} is no level; there are {', '.join(LEVELS)}")
    return Log(level.lower(), text)


def _seconds(text: str, at: int) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise _Bad(at, f"{text[:40]!r} is no number of seconds") from None
    if not 0 <= seconds <= LONGEST_SLEEP:
        raise _Bad(at, f"a sleep takes 0 to {LONGEST_SLEEP:.0f} seconds")
    return seconds


def _code(text: str, at: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_CODE:
        raise _Bad(at, f"{text[:40]!r} is no exit code from 0 to {MAX_CODE}")
    return int(text)
