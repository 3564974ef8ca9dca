"""Does the demo get its row even when the output of a finished task died with its node?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import tenure
from tenure.demo.board import Board, keep_reading, keep_watching, repeat_unreadable
from tenure.demo.inputs import find_files, sha256_of, task_for
from tenure.local.fleet import Fleet

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_task_whose_output_died_with_its_node_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (path,) = find_files(tmp_path, 10).chosen
    board = Board()
    async with Fleet(agents=2) as fleet, tenure.Client(fleet.address) as client:
        readers = asyncio.gather(keep_watching(client, board, "r"), keep_reading(client, board))
        await client.run(tenure.noop())
        await client.cordon("worker-2")
        await fleet.pause("relay-1")
        spec = task_for(path, "r")
        first = await client.submit(spec)
        board.files[first] = path
        await client.wait(first)
        await fleet.kill_node("worker-1")
        await client.uncordon("worker-2")
        await fleet.resume("relay-1")
        await board.until(1)
        await board.to_read.join()
        assert first in board.gaps
        assert board.row(first) is None
        await repeat_unreadable(client, board)
        ((second, _),) = board.files.items()
        row = board.row(second)
        readers.cancel()
        await asyncio.gather(readers, return_exceptions=True)
    assert row is not None
    assert row["sha256"] == sha256_of(path)
    assert (board.repeated, second != first) == (1, True)
