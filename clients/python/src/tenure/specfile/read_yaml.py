"""How is YAML read without losing where things stand?

`yaml.compose` gives nodes with marks and no Python objects: nothing of YAML's tags can run code, and `yes`,
`010` or `1:30` stay what was written.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from tenure.specfile.nodes import Mapping, Mark, Node, Scalar, Sequence, Unreadable

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_NODES: Final = 1_000_000
_QUOTED: Final = ("'", '"', "|", ">")


def read_yaml(text: str) -> list[Node]:
    """The documents of a YAML text; empty ones are left out."""
    try:
        documents = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
        raise Unreadable(mark, f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise Unreadable(Mark(1, 1), f"not YAML: {' '.join(str(error).split())}") from None
    convert = _Conversion()
    found = [convert.node(document) for document in documents if document is not None]
    return [node for node in found if not (isinstance(node, Scalar) and node.is_null)]


class _Conversion:
    """Nodes of PyYAML to ours; counts them, since aliases can make few bytes mean billions."""

    def __init__(self) -> None:
        self._count = 0
        self._open: set[int] = set()

    def node(self, node: yaml.Node) -> Node:
        mark = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        self._count += 1
        if self._count > _MOST_NODES:
            raise Unreadable(mark, f"more than {_MOST_NODES:,} values, aliases counted out")
        if isinstance(node, yaml.ScalarNode):
            return Scalar(mark, node.value, quoted=node.style in _QUOTED)
        if id(node) in self._open:
            raise Unreadable(mark, "an alias inside of what it stands for")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Sequence(mark, [self.node(item) for item in node.value])
            return Mapping(mark, [(self._key(key), self.node(value)) for key, value in node.value])
        finally:
            self._open.discard(id(node))

    def _key(self, node: yaml.Node) -> Scalar:
        key = self.node(node)
        if not isinstance(key, Scalar):
            raise Unreadable(key.mark, "a key must be a text")
        return key
