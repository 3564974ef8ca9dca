"""A snapshot is whole or it is not there, and etcd's own tools restore it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tenure_core.errors import AlreadyExists, DataLoss
from tenure_runtime.etcd.client import EtcdClient
from tenure_runtime.etcd.errors import EtcdUnavailable
from tenure_runtime.etcd.snapshot import take_snapshot
from tests.support.etcdctl import restore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.etcd_server import EtcdServer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_snapshot_is_restored_by_etcds_own_tool(
    own_server: EtcdServer, own_client: EtcdClient, tmp_path: Path
) -> None:
    await own_client.put(b"before", b"1")
    heard: list[tuple[int, int]] = []
    for n in range(12):
        await own_client.put(b"large/%d" % n, os.urandom(1 << 20))
    revision = (await own_client.status()).revision
    taken = await take_snapshot(
        own_client, tmp_path / "it.db", lambda done, total: heard.append((done, total))
    )
    content = await asyncio.to_thread(taken.path.read_bytes)
    assert hashlib.sha256(content[:-32]).hexdigest() == content[-32:].hex() == taken.sha256
    assert taken.size == len(content)
    assert mode(taken.path) == 0o600
    assert heard == sorted(heard)
    assert heard[-1][1] == taken.size - 32
    assert names(tmp_path) == ["it.db"]
    for n in range(5):
        await own_client.put(b"after", b"%d" % n)
    own_server.stop()
    restore(taken.path, own_server)
    own_server.start()
    await own_server.ready()
    async with EtcdClient([own_server.endpoint]) as client:
        kept = await client.get(b"before")
        assert kept is not None
        assert kept.value == b"1"
        assert await client.get(b"after") is None
        assert (await client.status()).revision == revision


async def test_a_file_that_exists_is_kept(client: EtcdClient, tmp_path: Path) -> None:
    kept = tmp_path / "it.db"
    await asyncio.to_thread(kept.write_text, "precious")
    with pytest.raises(AlreadyExists, match="never replaces"):
        await take_snapshot(client, kept)
    assert await asyncio.to_thread(kept.read_text) == "precious"


@pytest.mark.parametrize("what", ["cut", "changed", "away"])
async def test_nothing_is_left_of_a_snapshot_that_is_not_whole(
    client: EtcdClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await client.put(b"k", b"v")
    real = client.snapshot

    async def broken() -> AsyncIterator[tuple[bytes, int]]:
        last = b""
        async for blob, remaining in real():
            if what == "away":
                raise EtcdUnavailable("gone")
            if last:
                yield last, remaining
            last = b"x" + blob[1:] if what == "changed" else blob
        if what == "changed":
            yield last, 0

    monkeypatch.setattr(client, "snapshot", broken)
    with pytest.raises((DataLoss, EtcdUnavailable)):
        await take_snapshot(client, tmp_path / "it.db")
    assert names(tmp_path) == []
