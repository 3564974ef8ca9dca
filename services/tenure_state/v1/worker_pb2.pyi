from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerRegistration(_message.Message):
    __slots__ = ("session", "connect", "verdict", "cordoned", "instance", "boot_id", "cpu_milli", "memory_bytes", "counts", "indexed", "labels", "task_types", "version", "updated_at_ns", "hold_until_ns", "lease_id", "reduced_guarantees", "reason", "drain_deadline_ns")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class IndexedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    INDEXED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    HOLD_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REDUCED_GUARANTEES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRAIN_DEADLINE_NS_FIELD_NUMBER: _ClassVar[int]
    session: int
    connect: int
    verdict: int
    cordoned: bool
    instance: str
    boot_id: str
    cpu_milli: int
    memory_bytes: int
    counts: _containers.ScalarMap[str, int]
    indexed: _containers.ScalarMap[str, int]
    labels: _containers.ScalarMap[str, str]
    task_types: _containers.RepeatedScalarFieldContainer[str]
    version: str
    updated_at_ns: int
    hold_until_ns: int
    lease_id: int
    reduced_guarantees: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    drain_deadline_ns: int
    def __init__(self, session: _Optional[int] = ..., connect: _Optional[int] = ..., verdict: _Optional[int] = ..., cordoned: _Optional[bool] = ..., instance: _Optional[str] = ..., boot_id: _Optional[str] = ..., cpu_milli: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., counts: _Optional[_Mapping[str, int]] = ..., indexed: _Optional[_Mapping[str, int]] = ..., labels: _Optional[_Mapping[str, str]] = ..., task_types: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., updated_at_ns: _Optional[int] = ..., hold_until_ns: _Optional[int] = ..., lease_id: _Optional[int] = ..., reduced_guarantees: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., drain_deadline_ns: _Optional[int] = ...) -> None: ...

class WorkerLive(_message.Message):
    __slots__ = ("session", "instance")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    session: int
    instance: str
    def __init__(self, session: _Optional[int] = ..., instance: _Optional[str] = ...) -> None: ...

class Ownership(_message.Message):
    __slots__ = ("attempt", "worker", "session")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    worker: str
    session: int
    def __init__(self, attempt: _Optional[int] = ..., worker: _Optional[str] = ..., session: _Optional[int] = ...) -> None: ...
