"""The leader keeps etcd small, and says when there is no room in it or when it is not fit for production."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tenure_runtime.config_sections import EtcdConfig
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdCompacted
from tenure_runtime.etcd.fitness import check, for_production, parse_version
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.startup import CannotStart
from tenure_scheduler.adapters.housekeeping import Housekeeping
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.adapters.scheduler.processes import SchedulerProcess
    from tests.support.etcd_server import EtcdServer


async def test_history_that_nobody_needs_is_compacted(etcd: EtcdServer, cluster_name: str) -> None:
    key = Keys(cluster_name).task("t")
    async with EtcdClient([etcd.endpoint]) as client:
        first = await client.put(key, b"1")
        care = Housekeeping(client, quota_bytes=1 << 31, refuse_at=0.7, compact_every=0.1, poll=0.05)
        caring = asyncio.create_task(care.run())

        async def compacted() -> bool:
            await client.put(key, b"2")
            try:
                await client.range(key, revision=first)
            except EtcdCompacted:
                return True
            return False

        try:
            await eventually(compacted)
            assert care.full is None
        finally:
            caring.cancel()
            await asyncio.gather(caring, return_exceptions=True)


async def test_submissions_are_refused_before_the_quota_is_reached(etcd: EtcdServer) -> None:
    async with EtcdClient([etcd.endpoint]) as client:
        care = Housekeeping(client, quota_bytes=1 << 12, refuse_at=0.7, compact_every=60, poll=0.05)
        heard: list[float] = []
        care.on_pressure = heard.append
        caring = asyncio.create_task(care.run())
        try:
            await eventually(lambda: care.full is not None)
            assert "more than 70% of its quota" in str(care.full)
            await eventually(lambda: heard)
            assert heard[0] == 1
        finally:
            caring.cancel()
            await asyncio.gather(caring, return_exceptions=True)


async def test_the_version_in_use_is_told(etcd: EtcdServer) -> None:
    config = EtcdConfig(endpoints=(etcd.endpoint,))
    async with EtcdClient(config.endpoints) as client:
        assert parse_version(await check(client, config)) >= (3, 4, 0)


async def test_an_etcd_below_the_floor_for_production_is_warned_of_once(
    etcd: EtcdServer, scheduler: SchedulerProcess
) -> None:
    config = EtcdConfig(endpoints=(etcd.endpoint,))
    async with EtcdClient(config.endpoints) as client:
        fit = for_production(parse_version(await check(client, config)))
    assert scheduler.said().count("this etcd is below the floor for production") == (0 if fit else 1)


async def test_an_old_etcd_is_refused(etcd: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    config = EtcdConfig(endpoints=(etcd.endpoint,))
    monkeypatch.setattr("tenure_runtime.etcd.fitness.OLDEST", (99, 0, 0))
    async with EtcdClient(config.endpoints) as client:
        with pytest.raises(CannotStart, match="or newer is needed"):
            await check(client, config)


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("3.4.23", False),
        ("3.5.32", False),
        ("3.5.33", True),
        ("3.6.0", False),
        ("3.6.14", True),
        ("3.7.0-rc.1", True),
        ("4.0.0", True),
        ("unknown", False),
    ],
)
def test_which_releases_are_for_production(text: str, fit: bool) -> None:
    assert for_production(parse_version(text)) is fit
