"""How do lists look on a terminal?

Plain columns, so that they can be piped on; colours only on a terminal that wants them (`NO_COLOR` is
respected).
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

SHORT_ID: Final = 8
_COLOURS: Final = {
    "succeeded": "32", "active": "32", "running": "36", "assigned": "36", "cancelling": "33", "backoff": "33",
    "failed": "31", "lost": "31", "timed_out": "31", "quarantined": "31", "rejected": "31", "cancelled": "33",
    "cordoned": "33", "draining": "33",
}  # fmt: skip


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their contents; on a terminal the last column is cut at its edge."""
    table = [list(headings), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, row in enumerate(table):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if limit is not None and len(line) > limit:
            line = line[: limit - 1] + "…"
        print(line if number == 0 else coloured_words(line, row))


def coloured_words(line: str, cells: Sequence[str]) -> str:
    """The line with its state words coloured, where that is wanted."""
    if not wants_colour():
        return line
    for cell in cells:
        if cell in _COLOURS:
            return line.replace(f" {cell} ", f" \x1b[{_COLOURS[cell]}m{cell}\x1b[0m ", 1)
    return line


def wants_colour() -> bool:
    """Whether standard output is a terminal whose user has not said no to colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def clean(text: str) -> str:
    """The text without control characters, which could play with the reader's terminal."""
    return "".join(char if char.isprintable() else "�" for char in text.replace("\n", " ").replace("\t", " "))


def age(instant: Timestamp, until: Timestamp | None = None) -> str:
    """How long ago, or how long until another instant, in one or two units."""
    if not instant.ByteSize():
        return ""
    end = until.ToNanoseconds() / 1e9 if until is not None and until.ByteSize() else time.time()
    return duration(end - instant.ToNanoseconds() / 1e9)


def duration(seconds: float) -> str:
    """A length of time for people: "0.42s", "12s", "3m05s", "2h10m", "4d"."""
    if seconds < 10:
        return f"{max(seconds, 0):.2f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m{int(seconds % 60):02}s"
    if seconds < 86_400:
        return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02}m"
    return f"{int(seconds // 86_400)}d"


def size(count: int) -> str:
    """Bytes for people: "512B", "1.5KiB", "64MiB"."""
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.3g}{unit}"
        number /= 1024
    return f"{number:.3g}TiB"


def time_of(instant: Timestamp) -> str:
    """An instant in the reader's time zone, to the second."""
    if not instant.ByteSize():
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(instant.seconds))
