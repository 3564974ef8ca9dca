"""Has the store gone back?

Within one life of etcd a linearizable answer never shows a lower revision than an answer that came before the
question. If one does, the store was restored from an older state, or is another one: what was promised since
is forgotten there, and fences may be given out a second time. Then only a new incarnation makes it safe to go
on, and a process that sees the old one stops with that sentence.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from tenure_runtime.etcd.errors import EtcdError, EtcdNoSpace, EtcdUnavailable, EtcdUnknownOutcome
from tenure_runtime.etcd.ops import absent, put, value_is
from tenure_runtime.logging_setup import get_logger
from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from tenure_runtime.etcd.client import EtcdClient
    from tenure_runtime.etcd.keys import Keys

WHAT_TO_DO: Final = "stop the schedulers and call `tenure cluster new-incarnation`"
_LOOK_SECONDS: Final = 1.0
_PAUSE: Final = 0.2
_log = get_logger("etcd")


class Asked(NamedTuple):
    """What was known when a question was sent."""

    life: int
    mark: int


class HighWater:
    """The highest revision that this process has seen; `went_back` is set when a later answer is below it."""

    def __init__(self) -> None:
        self.mark = 0
        self.found = 0
        """The revision that was below the mark."""
        self.went_back = asyncio.Event()
        self._life = 0

    def asked(self) -> Asked:
        """A question is sent now; give this to `answered` with its answer."""
        return Asked(self._life, self.mark)

    def answered(self, asked: Asked, revision: int) -> None:
        """A linearizable answer came; to a question of an earlier life it proves nothing, either way."""
        if asked.life != self._life:
            return
        if revision > self.mark:
            self.mark = revision
        elif revision < asked.mark:
            self.found = revision
            self.went_back.set()

    def begin_anew(self) -> None:
        """What was seen belongs to an earlier life of the cluster."""
        self._life += 1
        self.mark = self.found
        self.went_back.clear()


async def guard(client: EtcdClient, keys: Keys, who: str, *, known: bytes | None = None) -> NoReturn:
    """Look from time to time; raises CannotStart when the store went back within one incarnation.

    From the moment at which that is seen no leadership of this client lasts, see `Leadership.remaining`.
    The proof is left in the store, because whoever starts anew has not seen it. With another incarnation all
    is well: the process goes on with what it finds. `known` is the incarnation seen so far, if one was.
    """
    water = client.high_water
    known = known or await _incarnation(client, keys)
    while True:
        try:
            await asyncio.wait_for(water.went_back.wait(), _LOOK_SECONDS)
        except TimeoutError:
            pass
        found = await _incarnation(client, keys)
        if water.went_back.is_set():
            if found == known and known is not None:
                went = f"which is now at {water.found}: it was rolled back"
                sentence = f"{who} saw revision {water.mark} of the store, {went}"
                await _leave_proof(client, keys, known, sentence)
                raise CannotStart(f"{sentence}. {WHAT_TO_DO[0].upper()}{WHAT_TO_DO[1:]}")
            _log.warning(
                "the store is another one: going on with its incarnation",
                incarnation=(found or b"none").decode(errors="replace"),
                was=(known or b"none").decode(errors="replace"),
            )
            water.begin_anew()
        known = found or known


async def _incarnation(client: EtcdClient, keys: Keys) -> bytes | None:
    """The value of `meta/incarnation`, once etcd answers; None: there is no cluster yet."""
    while True:
        try:
            found = await client.get(keys.incarnation)
        except EtcdError:
            await asyncio.sleep(_PAUSE)
        else:
            return None if found is None else found.value


async def _leave_proof(client: EtcdClient, keys: Keys, incarnation: bytes, sentence: str) -> None:
    """Write it down in this incarnation, unless somebody else has; until etcd takes it, or never will.

    Whoever is started in our place knows nothing of it: as long as it is not written, better nobody is.
    """
    compares = [value_is(keys.incarnation, incarnation), absent(keys.rolled_back)]
    told = False
    while True:
        try:
            await client.txn(compares, [put(keys.rolled_back, sentence.encode())])
        except (EtcdUnavailable, EtcdUnknownOutcome, EtcdNoSpace) as error:
            if not told:
                told = True
                _log.error("cannot leave the proof in etcd yet", proof=sentence, reason=str(error))
            await asyncio.sleep(_PAUSE)
        except EtcdError:
            return
        else:
            return
