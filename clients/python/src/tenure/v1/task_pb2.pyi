import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tenure.v1 import task_spec_pb2 as _task_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_PENDING: _ClassVar[TaskState]
    TASK_STATE_BACKOFF: _ClassVar[TaskState]
    TASK_STATE_ASSIGNED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_CANCELLING: _ClassVar[TaskState]
    TASK_STATE_QUARANTINED: _ClassVar[TaskState]
    TASK_STATE_SUCCEEDED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_CANCELLED: _ClassVar[TaskState]

class AttemptOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_OUTCOME_UNSPECIFIED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_SUCCEEDED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FAILED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_TIMED_OUT: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_REJECTED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_CANCELLED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_LOST: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_NOT_STARTED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_PREEMPTED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_WORKER_SHUTDOWN: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_DRAINED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_INTERNAL_ERROR: _ClassVar[AttemptOutcome]

class LossEvidence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOSS_EVIDENCE_UNSPECIFIED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_LEASE_EXPIRED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_AGENT_UNREACHABLE: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_HOST_REBOOTED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_PROCESS_VANISHED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_WARDEN_DIED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_WORKER_REPLACED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_DECLARED_DEAD: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_OOM_KILLED: _ClassVar[LossEvidence]
    LOSS_EVIDENCE_STORE_RESTORED: _ClassVar[LossEvidence]

class LogState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_STATE_UNSPECIFIED: _ClassVar[LogState]
    LOG_STATE_OPEN: _ClassVar[LogState]
    LOG_STATE_COMPLETE: _ClassVar[LogState]
    LOG_STATE_INCOMPLETE: _ClassVar[LogState]
    LOG_STATE_UNKNOWN: _ClassVar[LogState]

class AttemptPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_PHASE_UNSPECIFIED: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_PREPARING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_RUNNING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_UPLOADING: _ClassVar[AttemptPhase]
    ATTEMPT_PHASE_CLEANING_UP: _ClassVar[AttemptPhase]

class TaskView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_VIEW_UNSPECIFIED: _ClassVar[TaskView]
    TASK_VIEW_BRIEF: _ClassVar[TaskView]
    TASK_VIEW_FULL: _ClassVar[TaskView]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_PENDING: TaskState
TASK_STATE_BACKOFF: TaskState
TASK_STATE_ASSIGNED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_CANCELLING: TaskState
TASK_STATE_QUARANTINED: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_CANCELLED: TaskState
ATTEMPT_OUTCOME_UNSPECIFIED: AttemptOutcome
ATTEMPT_OUTCOME_SUCCEEDED: AttemptOutcome
ATTEMPT_OUTCOME_FAILED: AttemptOutcome
ATTEMPT_OUTCOME_TIMED_OUT: AttemptOutcome
ATTEMPT_OUTCOME_REJECTED: AttemptOutcome
ATTEMPT_OUTCOME_CANCELLED: AttemptOutcome
ATTEMPT_OUTCOME_LOST: AttemptOutcome
ATTEMPT_OUTCOME_NOT_STARTED: AttemptOutcome
ATTEMPT_OUTCOME_PREEMPTED: AttemptOutcome
ATTEMPT_OUTCOME_WORKER_SHUTDOWN: AttemptOutcome
ATTEMPT_OUTCOME_DRAINED: AttemptOutcome
ATTEMPT_OUTCOME_INTERNAL_ERROR: AttemptOutcome
LOSS_EVIDENCE_UNSPECIFIED: LossEvidence
LOSS_EVIDENCE_LEASE_EXPIRED: LossEvidence
LOSS_EVIDENCE_AGENT_UNREACHABLE: LossEvidence
LOSS_EVIDENCE_HOST_REBOOTED: LossEvidence
LOSS_EVIDENCE_PROCESS_VANISHED: LossEvidence
LOSS_EVIDENCE_WARDEN_DIED: LossEvidence
LOSS_EVIDENCE_WORKER_REPLACED: LossEvidence
LOSS_EVIDENCE_DECLARED_DEAD: LossEvidence
LOSS_EVIDENCE_OOM_KILLED: LossEvidence
LOSS_EVIDENCE_STORE_RESTORED: LossEvidence
LOG_STATE_UNSPECIFIED: LogState
LOG_STATE_OPEN: LogState
LOG_STATE_COMPLETE: LogState
LOG_STATE_INCOMPLETE: LogState
LOG_STATE_UNKNOWN: LogState
ATTEMPT_PHASE_UNSPECIFIED: AttemptPhase
ATTEMPT_PHASE_PREPARING: AttemptPhase
ATTEMPT_PHASE_RUNNING: AttemptPhase
ATTEMPT_PHASE_UPLOADING: AttemptPhase
ATTEMPT_PHASE_CLEANING_UP: AttemptPhase
TASK_VIEW_UNSPECIFIED: TaskView
TASK_VIEW_BRIEF: TaskView
TASK_VIEW_FULL: TaskView

class Attempt(_message.Message):
    __slots__ = ("number", "fence", "worker", "session", "outcome", "exit_code", "signal", "reason", "evidence", "counted", "assigned_at", "started_at", "ended_at", "phase", "granted", "pid", "stdout_bytes", "stderr_bytes", "boot_id", "start_ticks", "ruling", "late_end")
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: GrantedIndexes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[GrantedIndexes, _Mapping]] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    RULING_FIELD_NUMBER: _ClassVar[int]
    LATE_END_FIELD_NUMBER: _ClassVar[int]
    number: int
    fence: str
    worker: str
    session: int
    outcome: AttemptOutcome
    exit_code: int
    signal: int
    reason: str
    evidence: LossEvidence
    counted: bool
    assigned_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    phase: AttemptPhase
    granted: _containers.MessageMap[str, GrantedIndexes]
    pid: int
    stdout_bytes: int
    stderr_bytes: int
    boot_id: str
    start_ticks: int
    ruling: LossRuling
    late_end: LateEnd
    def __init__(self, number: _Optional[int] = ..., fence: _Optional[str] = ..., worker: _Optional[str] = ..., session: _Optional[int] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[str] = ..., evidence: _Optional[_Union[LossEvidence, str]] = ..., counted: _Optional[bool] = ..., assigned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., phase: _Optional[_Union[AttemptPhase, str]] = ..., granted: _Optional[_Mapping[str, GrantedIndexes]] = ..., pid: _Optional[int] = ..., stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., boot_id: _Optional[str] = ..., start_ticks: _Optional[int] = ..., ruling: _Optional[_Union[LossRuling, _Mapping]] = ..., late_end: _Optional[_Union[LateEnd, _Mapping]] = ...) -> None: ...

class LossRuling(_message.Message):
    __slots__ = ("epoch", "saw", "excuse", "reported")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SAW_FIELD_NUMBER: _ClassVar[int]
    EXCUSE_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    saw: str
    excuse: str
    reported: bool
    def __init__(self, epoch: _Optional[int] = ..., saw: _Optional[str] = ..., excuse: _Optional[str] = ..., reported: _Optional[bool] = ...) -> None: ...

class LateEnd(_message.Message):
    __slots__ = ("outcome", "exit_code", "signal", "reason", "started_at", "ended_at", "reported_at", "unseen")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    REPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    UNSEEN_FIELD_NUMBER: _ClassVar[int]
    outcome: AttemptOutcome
    exit_code: int
    signal: int
    reason: str
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    reported_at: _timestamp_pb2.Timestamp
    unseen: bool
    def __init__(self, outcome: _Optional[_Union[AttemptOutcome, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reported_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unseen: _Optional[bool] = ...) -> None: ...

class GrantedIndexes(_message.Message):
    __slots__ = ("indexes",)
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "spec", "name", "namespace", "queue", "state", "reason", "attempt", "sequence", "created_at", "updated_at", "finished_at", "next_attempt_at", "log_state", "log_relay_address", "retry_of", "failures", "losses", "request_id", "outcome", "exit_code", "signal")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    LOG_STATE_FIELD_NUMBER: _ClassVar[int]
    LOG_RELAY_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: _task_spec_pb2.TaskSpec
    name: str
    namespace: str
    queue: str
    state: TaskState
    reason: str
    attempt: Attempt
    sequence: int
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    next_attempt_at: _timestamp_pb2.Timestamp
    log_state: LogState
    log_relay_address: str
    retry_of: str
    failures: int
    losses: int
    request_id: str
    outcome: AttemptOutcome
    exit_code: int
    signal: int
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[_task_spec_pb2.TaskSpec, _Mapping]] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., queue: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., reason: _Optional[str] = ..., attempt: _Optional[_Union[Attempt, _Mapping]] = ..., sequence: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., log_state: _Optional[_Union[LogState, str]] = ..., log_relay_address: _Optional[str] = ..., retry_of: _Optional[str] = ..., failures: _Optional[int] = ..., losses: _Optional[int] = ..., request_id: _Optional[str] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ...) -> None: ...

class TaskFilter(_message.Message):
    __slots__ = ("ids", "namespaces", "states", "names", "labels", "queues", "workers")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IDS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    namespaces: _containers.RepeatedScalarFieldContainer[str]
    states: _containers.RepeatedScalarFieldContainer[TaskState]
    names: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    queues: _containers.RepeatedScalarFieldContainer[str]
    workers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., namespaces: _Optional[_Iterable[str]] = ..., states: _Optional[_Iterable[_Union[TaskState, str]]] = ..., names: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., queues: _Optional[_Iterable[str]] = ..., workers: _Optional[_Iterable[str]] = ...) -> None: ...
