"""Does the reader of push requests that copies nothing find what the generated class finds?"""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tenure.dispatch.v1.log_ingest_service_pb2 import PushChunk, PushRequest
from tenure_log_relay.adapters.push_request import Push

chunks = st.builds(
    PushChunk,
    fence=st.text(max_size=40),
    frames=st.binary(max_size=300),
    final_frames=st.none() | st.integers(0, 2**64 - 1),
)
requests = st.builds(PushRequest, worker=st.text(max_size=20), chunks=st.lists(chunks, max_size=4))


def found(data: bytes) -> tuple[str, list[tuple[str, bytes, int | None]]]:
    push = Push.FromString(data)
    return push.worker, [(c.fence, bytes(c.frames), c.final_frames) for c in push.chunks]


def expected(request: PushRequest) -> tuple[str, list[tuple[str, bytes, int | None]]]:
    return request.worker, [
        (c.fence, c.frames, c.final_frames if c.HasField("final_frames") else None) for c in request.chunks
    ]


@given(requests, st.binary(max_size=8))
def test_finds_the_same(request: PushRequest, unknown: bytes) -> None:
    data = request.SerializeToString() + b"\x7a" + bytes([len(unknown)]) + unknown
    assert found(data) == expected(PushRequest.FromString(data))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        push = found(data)
    except DecodeError:
        return
    try:
        assert push == expected(PushRequest.FromString(data))
    except DecodeError:
        return


@pytest.mark.parametrize("data", [b"\x12\x05ab", b"\x12", b"\x0a\x01\xff", b"\x00\x00", b"\x0b"])
def test_damaged_messages_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Push.FromString(data)
