from tenure.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ClaimTasksRequest(_message.Message):
    __slots__ = ("worker", "topic", "max_tasks")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    MAX_TASKS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    topic: str
    max_tasks: int
    def __init__(self, worker: _Optional[str] = ..., topic: _Optional[str] = ..., max_tasks: _Optional[int] = ...) -> None: ...

class ClaimTasksResponse(_message.Message):
    __slots__ = ("fences",)
    FENCES_FIELD_NUMBER: _ClassVar[int]
    fences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fences: _Optional[_Iterable[str]] = ...) -> None: ...

class HeartbeatClaimsRequest(_message.Message):
    __slots__ = ("fences",)
    FENCES_FIELD_NUMBER: _ClassVar[int]
    fences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fences: _Optional[_Iterable[str]] = ...) -> None: ...

class HeartbeatClaimsResponse(_message.Message):
    __slots__ = ("fenced",)
    FENCED_FIELD_NUMBER: _ClassVar[int]
    fenced: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fenced: _Optional[_Iterable[str]] = ...) -> None: ...

class CompleteClaimRequest(_message.Message):
    __slots__ = ("fence", "result")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    fence: str
    result: bytes
    def __init__(self, fence: _Optional[str] = ..., result: _Optional[bytes] = ...) -> None: ...

class CompleteClaimResponse(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class FailClaimRequest(_message.Message):
    __slots__ = ("fence", "reason")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    fence: str
    reason: str
    def __init__(self, fence: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class FailClaimResponse(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ReleaseClaimsRequest(_message.Message):
    __slots__ = ("fences",)
    FENCES_FIELD_NUMBER: _ClassVar[int]
    fences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fences: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseClaimsResponse(_message.Message):
    __slots__ = ("released",)
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    released: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, released: _Optional[_Iterable[str]] = ...) -> None: ...
