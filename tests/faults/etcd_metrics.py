"""What does a member of etcd say that it has really done?"""

from __future__ import annotations

import asyncio
import re
import urllib.request
from typing import Final

_TIMEOUT: Final = 5.0
_SYNCED: Final = "etcd_disk_wal_fsync_duration_seconds"
_DEFRAGMENTED: Final = "etcd_disk_backend_defrag_duration_seconds_count"
_LINE: Final = re.compile(r"^(\S+) (\S+)$", re.MULTILINE)


async def read(address: str) -> dict[str, float]:
    """The metrics of the member at `host:port`; raises OSError when it does not answer."""
    text = await asyncio.to_thread(_fetch, address)
    return {name: float(value) for name, value in _LINE.findall(text)}


def _fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=_TIMEOUT) as answer:
        text: str = answer.read().decode()
    return text


def syncs(metrics: dict[str, float]) -> float:
    """How often it has synced its log since it started."""
    return metrics[f"{_SYNCED}_count"]


def slower_syncs(metrics: dict[str, float], seconds: float) -> float:
    """How many of these took so long, or as long as the next lower one of etcd's bounds: 128, 256, 512 ms."""
    bounds = re.findall(rf'{_SYNCED}_bucket{{le="([\d.]+)"}}', "\n".join(metrics))
    bound = max((bound for bound in bounds if float(bound) <= seconds), key=float)
    return syncs(metrics) - metrics[f'{_SYNCED}_bucket{{le="{bound}"}}']


def defragmentations(metrics: dict[str, float]) -> float:
    """How often it has been defragmented since it started."""
    return metrics[_DEFRAGMENTED]
