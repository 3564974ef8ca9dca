"""Builders of frames for the relay's domain tests."""

from __future__ import annotations

from tenure_core.frames import Frame, encode_gap, encode_header, scan

GAP = "gap"
Spec = tuple[int, bytes] | tuple[int, int]
"""(channel, payload), or (channel, bytes that are missing)."""


def encoded(specs: list[Spec], *, number: int = 0) -> list[bytes]:
    """Frames in a row, each with the next number and offset."""
    offsets = {1: 0, 2: 0, 3: 0}
    out = []
    for channel, what in specs:
        common = {
            "channel": channel,
            "number": number,
            "offset": offsets[channel],
            "wall_ns": number,
            "boot_ns": 0,
        }
        if isinstance(what, int):
            out.append(encode_gap(what, GAP, **common))
            offsets[channel] += what
        else:
            out.append(encode_header(what, **common) + what)
            offsets[channel] += len(what)
        number += 1
    return out


def decoded(frames: list[bytes]) -> list[Frame]:
    """What `scan` makes of them."""
    return list(scan(b"".join(frames)))
