"""How is TOML read without losing where things stand?

tomllib judges the text first and says where it is wrong; what it has accepted is then read once more for
positions, so that this reader need not know what is forbidden.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from tenure.specfile.nodes import Mapping, Mark, Node, Scalar, Sequence, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|"
    r"[\[\]{}=,\n]|\#[^\n]*|[^\s\[\]{}=,\"'#]+",
    re.DOTALL,
)
_PLACE: Final = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


def read_toml(text: str) -> list[Node]:
    """The table of a TOML text, alone in its list; nothing for an empty text."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.fullmatch(str(error))
        end = Mark(text.count("\n") + 1, 1)
        mark = Mark(int(found[2]), int(found[3])) if found else end
        what = found[1] if found else str(error).removesuffix(" (at end of document)")
        raise Unreadable(mark, f"not TOML: {what}") from None
    return [_Reader(text).document()] if data else []


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._tokens = [m for m in _TOKEN.finditer(self._text) if not m[0].startswith("#")]
        self._next = 0

    def document(self) -> Mapping:
        root = Mapping(Mark(1, 1))
        table = root
        while self._next < len(self._tokens):
            token = self._peek()
            if token == "\n":
                self._next += 1
            elif token == "[":
                table = self._header(root)
            else:
                self._assign(table)
        return root

    def _header(self, root: Mapping) -> Mapping:
        """`[a.b]` or `[[a.b]]`: the table that the next lines fill."""
        self._next += 1
        twice = self._peek() == "["
        self._next += twice
        keys = self._keys("]")
        self._next += 1 + twice
        table = _within(root, keys[:-1])
        if not twice:
            return _within(table, keys[-1:])
        items = _child(table, keys[-1].text)
        if items is None:
            items = Sequence(keys[-1].mark)
            table.entries.append((keys[-1], items))
        assert isinstance(items, Sequence)
        items.items.append(Mapping(keys[-1].mark))
        return items.items[-1]  # type: ignore[return-value]

    def _assign(self, table: Mapping) -> None:
        keys = self._keys("=")
        self._next += 1
        _within(table, keys[:-1]).entries.append((keys[-1], self._value()))

    def _keys(self, end: str) -> list[Scalar]:
        """The parts of a dotted key up to `end`, which stays."""
        keys: list[Scalar] = []
        while self._peek() != end:
            mark, token = self._mark(), self._peek()
            parts = [_unquoted(token)] if token[0] in "\"'" else [part for part in token.split(".") if part]
            keys.extend(Scalar(mark, part, quoted=True) for part in parts)
            self._next += 1
        return keys

    def _value(self) -> Node:
        mark, token = self._mark(), self._peek()
        self._next += 1
        if token == "[":
            items = Sequence(mark)
            while self._more("]"):
                items.items.append(self._value())
            return items
        if token == "{":
            table = Mapping(mark)
            while self._more("}"):
                self._assign(table)
            return table
        if token[0] in "\"'":
            return Scalar(mark, _unquoted(token), quoted=True)
        return Scalar(mark, self._rest_of(token))

    def _rest_of(self, token: str) -> str:
        """A date and a time may stand apart by a space."""
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", token) and re.match(r"\d{2}:", self._peek() or ""):
            token = f"{token}T{self._peek()}"
            self._next += 1
        return token

    def _more(self, end: str) -> bool:
        while self._peek() in (",", "\n"):
            self._next += 1
        if self._peek() == end:
            self._next += 1
            return False
        return True

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _mark(self) -> Mark:
        start = self._tokens[self._next].start()
        return Mark(self._text.count("\n", 0, start) + 1, start - self._text.rfind("\n", 0, start))


def _within(table: Mapping, keys: Iterable[Scalar]) -> Mapping:
    for key in keys:
        found = _child(table, key.text)
        if isinstance(found, Sequence):
            found = found.items[-1]
        if found is None:
            found = Mapping(key.mark)
            table.entries.append((key, found))
        assert isinstance(found, Mapping)
        table = found
    return table


def _child(table: Mapping, name: str) -> Node | None:
    return next((value for key, value in table.entries if key.text == name), None)


def _unquoted(token: str) -> str:
    return str(tomllib.loads(f"v = {token}")["v"])
