import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tenure.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_VERDICT_UNSPECIFIED: _ClassVar[WorkerVerdict]
    WORKER_VERDICT_ACTIVE: _ClassVar[WorkerVerdict]
    WORKER_VERDICT_DRAINING: _ClassVar[WorkerVerdict]
    WORKER_VERDICT_LOST: _ClassVar[WorkerVerdict]
    WORKER_VERDICT_RETIRED: _ClassVar[WorkerVerdict]

class WorkerPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_PHASE_UNSPECIFIED: _ClassVar[WorkerPhase]
    WORKER_PHASE_BOOTING: _ClassVar[WorkerPhase]
    WORKER_PHASE_READY: _ClassVar[WorkerPhase]
    WORKER_PHASE_STOPPING: _ClassVar[WorkerPhase]
WORKER_VERDICT_UNSPECIFIED: WorkerVerdict
WORKER_VERDICT_ACTIVE: WorkerVerdict
WORKER_VERDICT_DRAINING: WorkerVerdict
WORKER_VERDICT_LOST: WorkerVerdict
WORKER_VERDICT_RETIRED: WorkerVerdict
WORKER_PHASE_UNSPECIFIED: WorkerPhase
WORKER_PHASE_BOOTING: WorkerPhase
WORKER_PHASE_READY: WorkerPhase
WORKER_PHASE_STOPPING: WorkerPhase

class Capacity(_message.Message):
    __slots__ = ("cpu_milli", "memory_bytes", "counts", "indexed")
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
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    INDEXED_FIELD_NUMBER: _ClassVar[int]
    cpu_milli: int
    memory_bytes: int
    counts: _containers.ScalarMap[str, int]
    indexed: _containers.ScalarMap[str, int]
    def __init__(self, cpu_milli: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., counts: _Optional[_Mapping[str, int]] = ..., indexed: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Worker(_message.Message):
    __slots__ = ("name", "verdict", "cordoned", "phase", "connected", "session", "instance", "boot_id", "labels", "capacity", "granted", "attempts", "version", "updated_at", "task_types", "reduced_guarantees", "drain_deadline", "reason", "held_until")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    REDUCED_GUARANTEES_FIELD_NUMBER: _ClassVar[int]
    DRAIN_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HELD_UNTIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    verdict: WorkerVerdict
    cordoned: bool
    phase: WorkerPhase
    connected: bool
    session: int
    instance: str
    boot_id: str
    labels: _containers.ScalarMap[str, str]
    capacity: Capacity
    granted: Capacity
    attempts: int
    version: str
    updated_at: _timestamp_pb2.Timestamp
    task_types: _containers.RepeatedScalarFieldContainer[str]
    reduced_guarantees: _containers.RepeatedScalarFieldContainer[str]
    drain_deadline: _timestamp_pb2.Timestamp
    reason: str
    held_until: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., verdict: _Optional[_Union[WorkerVerdict, str]] = ..., cordoned: _Optional[bool] = ..., phase: _Optional[_Union[WorkerPhase, str]] = ..., connected: _Optional[bool] = ..., session: _Optional[int] = ..., instance: _Optional[str] = ..., boot_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., granted: _Optional[_Union[Capacity, _Mapping]] = ..., attempts: _Optional[int] = ..., version: _Optional[str] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., task_types: _Optional[_Iterable[str]] = ..., reduced_guarantees: _Optional[_Iterable[str]] = ..., drain_deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., held_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkerFilter(_message.Message):
    __slots__ = ("names", "verdicts", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMES_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    verdicts: _containers.RepeatedScalarFieldContainer[WorkerVerdict]
    labels: _containers.ScalarMap[str, str]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., verdicts: _Optional[_Iterable[_Union[WorkerVerdict, str]]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: WorkerFilter
    def __init__(self, filter: _Optional[_Union[WorkerFilter, _Mapping]] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class GetWorkerRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetWorkerResponse(_message.Message):
    __slots__ = ("worker", "fences")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    FENCES_FIELD_NUMBER: _ClassVar[int]
    worker: Worker
    fences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker: _Optional[_Union[Worker, _Mapping]] = ..., fences: _Optional[_Iterable[str]] = ...) -> None: ...

class CordonWorkersRequest(_message.Message):
    __slots__ = ("names", "reason")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class CordonWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class UncordonWorkersRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class UncordonWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class DrainWorkersRequest(_message.Message):
    __slots__ = ("names", "deadline", "reason")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    deadline: _duration_pb2.Duration
    reason: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class DrainWorkersResponse(_message.Message):
    __slots__ = ("workers", "remaining", "done", "running")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    remaining: int
    done: bool
    running: _containers.RepeatedCompositeFieldContainer[DrainingAttempt]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ..., remaining: _Optional[int] = ..., done: _Optional[bool] = ..., running: _Optional[_Iterable[_Union[DrainingAttempt, _Mapping]]] = ...) -> None: ...

class DrainingAttempt(_message.Message):
    __slots__ = ("fence", "worker", "task_id", "task_name", "started_at", "stopping")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STOPPING_FIELD_NUMBER: _ClassVar[int]
    fence: str
    worker: str
    task_id: str
    task_name: str
    started_at: _timestamp_pb2.Timestamp
    stopping: bool
    def __init__(self, fence: _Optional[str] = ..., worker: _Optional[str] = ..., task_id: _Optional[str] = ..., task_name: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stopping: _Optional[bool] = ...) -> None: ...

class CancelDrainRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class CancelDrainResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class DeclareWorkersDeadRequest(_message.Message):
    __slots__ = ("names", "reason")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class DeclareWorkersDeadResponse(_message.Message):
    __slots__ = ("lost",)
    LOST_FIELD_NUMBER: _ClassVar[int]
    lost: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lost: _Optional[_Iterable[str]] = ...) -> None: ...
