"""Where in its chain of commits does a leadership stand?

The value of the key `commit`: rewritten by every batch and compared by the next one. It is text, so that an
operator can read it: `<epoch>.<sequence>.<try>`. The epoch counts leaderships, the sequence the batches of
one, the try the forms of one batch (a batch that lost a worker's lease on the way is another form).
"""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """One batch of one leadership; two leaderships never write the same one."""

    epoch: int
    sequence: int
    attempt: int

    @classmethod
    def first(cls, epoch: int) -> Position:
        """What the transaction writes that begins a leadership."""
        return cls(epoch, 0, 1)

    def following(self) -> Position:
        """The next batch."""
        return Position(self.epoch, self.sequence + 1, 1)

    def again(self) -> Position:
        """The same batch in another form."""
        return self._replace(attempt=self.attempt + 1)

    def encode(self) -> bytes:
        """The bytes in etcd."""
        return b"%d.%d.%d" % self

    @classmethod
    def decode(cls, value: bytes) -> Position:
        """Read the bytes in etcd; raises ValueError for anything else."""
        parts = value.split(b".")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            raise ValueError(f"not the position of a commit: {value!r}")
        return cls(int(parts[0]), int(parts[1]), int(parts[2]))
