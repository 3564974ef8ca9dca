"""How is JSON read without losing where things stand?

The json module judges the text first; what it has accepted is read once more for positions.
"""

from __future__ import annotations

import json
import re
from typing import Final

from tenure.specfile.nodes import Mapping, Mark, Node, Scalar, Sequence, Unreadable

_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


def read_json(text: str) -> list[Node]:
    """The value of a JSON text, or the values of a text with one JSON value a line."""
    whole = _fault(text)
    if whole is None:
        return [_Reader(text, 1).value()]
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) < 2 or _fault(lines[0][1]):
        raise whole
    for number, line in lines:
        if (fault := _fault(line)) is not None:
            raise Unreadable(Mark(number, fault.fault.mark.column), fault.fault.message)
    return [_Reader(line, number).value() for number, line in lines]


def _fault(text: str) -> Unreadable | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return Unreadable(Mark(error.lineno, error.colno), f"not JSON: {error.msg}")
    except (RecursionError, ValueError) as error:
        return Unreadable(Mark(1, 1), f"not JSON that can be read: {error}")
    return None


class _Reader:
    def __init__(self, text: str, line: int) -> None:
        self._text = text
        self._line = line
        self._tokens = list(_TOKEN.finditer(text))
        self._next = 0
        self._counted = 0

    def value(self) -> Node:
        mark, token = self._take()
        if token == "[":
            items = Sequence(mark)
            while self._more("]"):
                items.items.append(self.value())
            return items
        if token == "{":
            table = Mapping(mark)
            while self._more("}"):
                key_mark, key = self._take()
                self._take()
                table.entries.append((Scalar(key_mark, json.loads(key), quoted=True), self.value()))
            return table
        if token[0] == '"':
            return Scalar(mark, json.loads(token), quoted=True)
        return Scalar(mark, token)

    def _take(self) -> tuple[Mark, str]:
        match = self._tokens[self._next]
        start = match.start()
        # Lines are counted on the way: counting from the start each time would be quadratic.
        self._line += self._text.count("\n", self._counted, start)
        self._counted = start
        self._next += 1
        return Mark(self._line, start - self._text.rfind("\n", 0, start)), match[0]

    def _more(self, end: str) -> bool:
        token = self._tokens[self._next][0]
        self._next += token in (",", end)
        return token != end
