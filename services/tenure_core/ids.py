"""How is a task named?

A task id is 20 characters of lower-case Crockford base32 made from 100 random bits. The first characters
are random as well, so that a short prefix is usually unique; order comes from the record's sequence, not
from the id.
"""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH: Final = 20
RANDOM_BYTES: Final = 13
_PAIRS: Final = tuple(a + b for a in ALPHABET for b in ALPHABET)
_ALLOWED: Final = frozenset(ALPHABET)


def task_id(random: bytes) -> str:
    """The id made from the first 100 bits of `random`.

    Raises:
        ValueError: fewer than 13 bytes were given.
    """
    if len(random) < RANDOM_BYTES:
        raise ValueError(f"a task id needs {RANDOM_BYTES} random bytes, got {len(random)}")
    bits = int.from_bytes(random[:RANDOM_BYTES], "big") >> 4
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(90, -1, -10)])


def is_task_id(text: str) -> bool:
    """Whether `text` is a whole task id."""
    return len(text) == LENGTH and _ALLOWED.issuperset(text)


def is_prefix(text: str) -> bool:
    """Whether `text` could begin a task id."""
    return 0 < len(text) <= LENGTH and _ALLOWED.issuperset(text)
