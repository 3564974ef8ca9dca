"""Where in a TOML file does each key stand?

tomllib reads values but forgets positions; this reads positions and skips values. It is given only texts that
tomllib has accepted, so it need not judge them.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str, ...]
Positions = dict[Path, tuple[int, int]]

_TOKEN: Final = re.compile(
    r"""(?P<text>"{3}(?:\\.|[^\\])*?"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
    r"""|(?P<skip>\#[^\n]*|[ \t\r]+)|(?P<mark>[\[\]{}=,.\n])|(?P<bare>[^\s\[\]{}=,."'#]+)""",
    re.DOTALL,
)


def positions(text: str) -> Positions:
    """Line and column (from 1) of every key and table header, by its full path."""
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, int]] = list(self._scan(text))
        self._next = 0
        self._found: Positions = {}

    @staticmethod
    def _scan(text: str) -> Iterator[tuple[str, int]]:
        for match in _TOKEN.finditer(text):
            if match.lastgroup != "skip":
                yield match[0], match.start()

    def document(self) -> Positions:
        table: Path = ()
        while self._next < len(self._tokens):
            token, _ = self._tokens[self._next]
            if token == "\n":
                self._next += 1
            elif token == "[":
                self._skip("[")
                table = self._key((), "]")
                self._skip("]")
            else:
                self._value(self._key(table, "="))
        return self._found

    def _skip(self, mark: str) -> None:
        while self._next < len(self._tokens) and self._tokens[self._next][0] == mark:
            self._next += 1

    def _key(self, prefix: Path, end: str) -> Path:
        """Read a key up to `end`, which stays (`]`) or is consumed (`=`); note where it stands."""
        start = self._tokens[self._next][1]
        parts: list[str] = []
        while (token := self._tokens[self._next][0]) != end:
            if token != ".":
                parts.append(_plain(token))
            self._next += 1
        if end == "=":
            self._next += 1
        path = (*prefix, *parts)
        line = self._text.count("\n", 0, start) + 1
        self._found.setdefault(path, (line, start - self._text.rfind("\n", 0, start)))
        return path

    def _value(self, path: Path) -> None:
        token = self._tokens[self._next][0]
        if token == "{":
            self._inside(path, "}")
        elif token == "[":
            self._inside(path, "]")
        else:
            while self._next < len(self._tokens) and self._tokens[self._next][0] not in ("\n", ",", "}", "]"):
                self._next += 1

    def _inside(self, path: Path, end: str) -> None:
        self._next += 1
        while (token := self._tokens[self._next][0]) != end:
            if token in (",", "\n"):
                self._next += 1
            elif end == "}":
                self._value(self._key(path, "="))
            else:
                self._value(path)
        self._next += 1


def _plain(token: str) -> str:
    """A part of a key without its quotes."""
    if token[0] not in "\"'":
        return token
    value: dict[str, Any] = tomllib.loads(f"key = {token}")
    return str(value["key"])
