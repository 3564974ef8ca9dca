"""A process notices that the store went back, and goes on only if an operator has declared it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from tenure_runtime.etcd import high_water
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdError
from tenure_runtime.etcd.high_water import HighWater, guard
from tenure_runtime.etcd.incarnation import lay_foundation
from tenure_runtime.etcd.new_incarnation import begin_new_incarnation
from tenure_runtime.etcd.stubs import rpc
from tenure_runtime.etcd.values import Alarm
from tenure_runtime.startup import CannotStart
from tenure_scheduler.adapters.loading import read_everything
from tenure_scheduler.adapters.projection import Projection
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tenure_runtime.etcd.keys import Keys
    from tests.adapters.etcd.conftest import Lead
    from tests.support.etcd_server import EtcdServer
    from tests.support.ports import Ports


def test_only_an_answer_to_a_later_question_is_proof() -> None:
    water = HighWater()
    at_first = water.asked()
    water.answered(at_first, 7)
    water.answered(at_first, 5)  # asked before 7 was seen
    assert (water.mark, water.went_back.is_set()) == (7, False)
    water.answered(water.asked(), 6)
    assert (water.found, water.went_back.is_set()) == (6, True)
    water.begin_anew()
    assert (water.mark, water.went_back.is_set()) == (6, False)


def test_answers_to_questions_of_an_earlier_life_prove_nothing() -> None:
    water = HighWater()
    water.answered(water.asked(), 70)
    earlier = water.asked()
    water.answered(water.asked(), 60)
    water.begin_anew()
    water.answered(earlier, 61)  # both were on their way when the new incarnation was found
    water.answered(earlier, 61)
    assert (water.mark, water.went_back.is_set()) == (60, False)
    water.answered(earlier, 75)  # of the store before, and late
    water.answered(water.asked(), 61)
    assert (water.mark, water.went_back.is_set()) == (61, False)


class Store:
    """An etcd whose data can be put back to what it was."""

    def __init__(self, server: EtcdServer, folder: Path) -> None:
        self.server = server
        self._copy = folder / "copy"

    async def save(self) -> None:
        self.server.stop()
        await asyncio.to_thread(shutil.copytree, self.server.data_dir, self._copy)
        await self._start()

    async def put_back(self) -> None:
        await self._put_back()
        await self._start()

    @contextlib.asynccontextmanager
    async def put_back_at(self, endpoint: str) -> AsyncIterator[EtcdClient]:
        """Put it back, and for a while nobody reaches it but a client of this other address."""
        await self._put_back()
        usual, self.server.endpoint = self.server.endpoint, endpoint
        await self._start()
        async with EtcdClient([endpoint]) as client:
            yield client
        self.server.stop()
        self.server.endpoint = usual
        await self._start()

    async def _put_back(self) -> None:
        self.server.stop()
        await asyncio.to_thread(shutil.rmtree, self.server.data_dir)
        await asyncio.to_thread(shutil.copytree, self._copy, self.server.data_dir)

    async def _start(self) -> None:
        self.server.start()
        await self.server.ready()


async def answers(client: EtcdClient, keys: Keys) -> bool:
    try:
        await client.get(keys.commit, timeout=1)
    except EtcdError:
        return False
    return True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(high_water, "_LOOK_SECONDS", 0.1)


async def test_a_store_that_went_back_ends_the_process_with_the_sentence(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys, tmp_path: Path
) -> None:
    store = Store(own_server, tmp_path)
    await lay_foundation(own_client, keys)
    await store.save()
    await eventually(lambda: answers(own_client, keys))
    guarding = asyncio.create_task(guard(own_client, keys, "scheduler a"))
    for n in range(5):
        await own_client.put(keys.task("t"), b"%d" % n)
    mark = own_client.high_water.mark
    await store.put_back()
    with pytest.raises(CannotStart, match=r"it was rolled back\. Stop the schedulers and call") as told:
        await asyncio.wait_for(guarding, 20)
    assert f"scheduler a saw revision {mark} of the store" in str(told.value)
    proof = await own_client.get(keys.rolled_back)
    assert proof is not None
    assert b"scheduler a saw revision" in proof.value


async def test_nobody_leads_and_nobody_ends_before_the_proof_is_in_the_store(
    own_client: EtcdClient, keys: Keys, lead: Lead
) -> None:
    leadership = await lead(own_client)
    alarm = Alarm((await own_client.status()).member_id, "NOSPACE")
    raised = rpc.AlarmRequest(action=rpc.AlarmRequest.ACTIVATE, alarm=rpc.NOSPACE, memberID=alarm.member_id)
    await own_client.endpoints.call(lambda stubs: stubs.maintenance.Alarm, raised, timeout=5, write=True)
    guarding = asyncio.create_task(guard(own_client, keys, "scheduler a"))
    water = own_client.high_water
    water.answered(water.asked(), water.mark + 100)  # as if more had been seen than there is
    await eventually(water.went_back.is_set, within=5)
    assert not leadership.is_current()
    assert "went back" in leadership.reason
    await asyncio.sleep(1)
    assert not guarding.done()
    await own_client.disarm(alarm)
    with pytest.raises(CannotStart, match="it was rolled back"):
        await asyncio.wait_for(guarding, 5)
    assert await own_client.get(keys.rolled_back) is not None


async def test_a_process_goes_on_with_a_new_incarnation(
    own_server: EtcdServer, own_client: EtcdClient, keys: Keys, tmp_path: Path
) -> None:
    store = Store(own_server, tmp_path)
    await lay_foundation(own_client, keys)
    await store.save()
    await eventually(lambda: answers(own_client, keys))
    for n in range(9):
        await own_client.put(keys.task("t"), b"%d" % n)
    mark = own_client.high_water.mark
    known = await own_client.get(keys.incarnation)
    assert known is not None
    await store.put_back()
    async with EtcdClient([own_server.endpoint]) as operator:
        await begin_new_incarnation(operator, keys, now=0)
    guarding = asyncio.create_task(guard(own_client, keys, "log relay a", known=known.value))
    try:
        await eventually(lambda: 0 < own_client.high_water.mark < mark, within=20)
        assert not own_client.high_water.went_back.is_set()
        assert not guarding.done()
    finally:
        guarding.cancel()
        await asyncio.gather(guarding, return_exceptions=True)


@pytest.mark.parametrize("declared", ["early", "late"])
async def test_a_standby_that_missed_a_restore_takes_nothing_of_before_for_true(
    own_server: EtcdServer,
    own_client: EtcdClient,
    keys: Keys,
    lead: Lead,
    ports: Ports,
    tmp_path: Path,
    declared: str,
) -> None:
    """The store gets further meanwhile than it had been: the watch goes on as if nothing had happened."""
    store = Store(own_server, tmp_path)
    await lay_foundation(own_client, keys)
    await store.save()
    await eventually(lambda: answers(own_client, keys))
    projection = Projection(own_client, keys)
    projection.start()
    try:
        for n in range(4):
            mark = await own_client.put(keys.task("gone"), b"%d" % n)
        await eventually(lambda: projection.revision == mark)
        async with store.put_back_at(f"127.0.0.1:{ports.take()}") as operator:
            await operator.put(keys.task("new"), b"0")
            if declared == "early":
                await begin_new_incarnation(operator, keys, now=0)
            while await operator.put(keys.replica("s9"), b"") <= mark:
                pass
            if declared == "late":
                await begin_new_incarnation(operator, keys, now=0)
        await eventually(lambda: answers(own_client, keys))
        leadership = await lead(own_client)
        found = await projection.at_leadership(leadership.revision, leadership.term.incarnation)
        found = found or await read_everything(own_client, keys)
        assert [key for key in found.raw if key.startswith(keys.tasks)] == [keys.task("new")]
    finally:
        await projection.stop()
