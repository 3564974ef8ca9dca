from tenure.v1 import options_pb2 as _options_pb2
from tenure.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PushRequest(_message.Message):
    __slots__ = ("worker", "chunks")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    chunks: _containers.RepeatedCompositeFieldContainer[PushChunk]
    def __init__(self, worker: _Optional[str] = ..., chunks: _Optional[_Iterable[_Union[PushChunk, _Mapping]]] = ...) -> None: ...

class PushChunk(_message.Message):
    __slots__ = ("fence", "frames", "final_frames")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FINAL_FRAMES_FIELD_NUMBER: _ClassVar[int]
    fence: str
    frames: bytes
    final_frames: int
    def __init__(self, fence: _Optional[str] = ..., frames: _Optional[bytes] = ..., final_frames: _Optional[int] = ...) -> None: ...

class PushResponse(_message.Message):
    __slots__ = ("acks",)
    ACKS_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[PushAck]
    def __init__(self, acks: _Optional[_Iterable[_Union[PushAck, _Mapping]]] = ...) -> None: ...

class PushAck(_message.Message):
    __slots__ = ("fence", "next_frame", "stdout", "stderr", "records", "complete", "refused")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FRAME_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    fence: str
    next_frame: int
    stdout: int
    stderr: int
    records: int
    complete: bool
    refused: str
    def __init__(self, fence: _Optional[str] = ..., next_frame: _Optional[int] = ..., stdout: _Optional[int] = ..., stderr: _Optional[int] = ..., records: _Optional[int] = ..., complete: _Optional[bool] = ..., refused: _Optional[str] = ...) -> None: ...

class ReportLogStateRequest(_message.Message):
    __slots__ = ("relay", "attempts")
    RELAY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    relay: str
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptLogState]
    def __init__(self, relay: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[AttemptLogState, _Mapping]]] = ...) -> None: ...

class AttemptLogState(_message.Message):
    __slots__ = ("fence", "log_state", "missing_bytes")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    LOG_STATE_FIELD_NUMBER: _ClassVar[int]
    MISSING_BYTES_FIELD_NUMBER: _ClassVar[int]
    fence: str
    log_state: _task_pb2.LogState
    missing_bytes: int
    def __init__(self, fence: _Optional[str] = ..., log_state: _Optional[_Union[_task_pb2.LogState, str]] = ..., missing_bytes: _Optional[int] = ...) -> None: ...

class ReportLogStateResponse(_message.Message):
    __slots__ = ("unknown",)
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unknown: _Optional[_Iterable[str]] = ...) -> None: ...
