from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskRecord(_message.Message):
    __slots__ = ("birth", "state", "reason", "attempt", "attempts", "dropped_attempts", "failures", "losses", "updated_at_ns", "next_attempt_at_ns", "log_state", "log_missing_bytes", "cancelling", "cancel_reason", "outcome", "avoid_until_ns", "notes")
    BIRTH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_NS_FIELD_NUMBER: _ClassVar[int]
    LOG_STATE_FIELD_NUMBER: _ClassVar[int]
    LOG_MISSING_BYTES_FIELD_NUMBER: _ClassVar[int]
    CANCELLING_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    AVOID_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    birth: TaskBirth
    state: int
    reason: str
    attempt: int
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptRecord]
    dropped_attempts: int
    failures: int
    losses: int
    updated_at_ns: int
    next_attempt_at_ns: int
    log_state: int
    log_missing_bytes: int
    cancelling: bool
    cancel_reason: str
    outcome: int
    avoid_until_ns: int
    notes: _containers.RepeatedCompositeFieldContainer[TaskNote]
    def __init__(self, birth: _Optional[_Union[TaskBirth, _Mapping]] = ..., state: _Optional[int] = ..., reason: _Optional[str] = ..., attempt: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[AttemptRecord, _Mapping]]] = ..., dropped_attempts: _Optional[int] = ..., failures: _Optional[int] = ..., losses: _Optional[int] = ..., updated_at_ns: _Optional[int] = ..., next_attempt_at_ns: _Optional[int] = ..., log_state: _Optional[int] = ..., log_missing_bytes: _Optional[int] = ..., cancelling: _Optional[bool] = ..., cancel_reason: _Optional[str] = ..., outcome: _Optional[int] = ..., avoid_until_ns: _Optional[int] = ..., notes: _Optional[_Iterable[_Union[TaskNote, _Mapping]]] = ...) -> None: ...

class TaskNote(_message.Message):
    __slots__ = ("at_ns", "kind", "attempt", "text")
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at_ns: int
    kind: int
    attempt: int
    text: str
    def __init__(self, at_ns: _Optional[int] = ..., kind: _Optional[int] = ..., attempt: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class TaskBirth(_message.Message):
    __slots__ = ("sequence", "created_at_ns", "request_id", "spec", "spec_digest", "retry_of", "traceparent", "spec_apart")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    SPEC_APART_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    created_at_ns: int
    request_id: str
    spec: bytes
    spec_digest: bytes
    retry_of: str
    traceparent: str
    spec_apart: bool
    def __init__(self, sequence: _Optional[int] = ..., created_at_ns: _Optional[int] = ..., request_id: _Optional[str] = ..., spec: _Optional[bytes] = ..., spec_digest: _Optional[bytes] = ..., retry_of: _Optional[str] = ..., traceparent: _Optional[str] = ..., spec_apart: _Optional[bool] = ...) -> None: ...

class AttemptRecord(_message.Message):
    __slots__ = ("number", "worker", "session", "outcome", "exit_code", "signal", "reason", "evidence", "counted", "assigned_at_ns", "started_at_ns", "ended_at_ns", "granted", "pid", "relay", "log_frames", "log_stdout", "log_stderr", "log_records", "incarnation", "start_ticks", "boot_id", "ruling", "late")
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: GrantedIndexes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[GrantedIndexes, _Mapping]] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RELAY_FIELD_NUMBER: _ClassVar[int]
    LOG_FRAMES_FIELD_NUMBER: _ClassVar[int]
    LOG_STDOUT_FIELD_NUMBER: _ClassVar[int]
    LOG_STDERR_FIELD_NUMBER: _ClassVar[int]
    LOG_RECORDS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    RULING_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    number: int
    worker: str
    session: int
    outcome: int
    exit_code: int
    signal: int
    reason: str
    evidence: int
    counted: bool
    assigned_at_ns: int
    started_at_ns: int
    ended_at_ns: int
    granted: _containers.MessageMap[str, GrantedIndexes]
    pid: int
    relay: str
    log_frames: int
    log_stdout: int
    log_stderr: int
    log_records: int
    incarnation: int
    start_ticks: int
    boot_id: str
    ruling: Ruling
    late: LateEnd
    def __init__(self, number: _Optional[int] = ..., worker: _Optional[str] = ..., session: _Optional[int] = ..., outcome: _Optional[int] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[str] = ..., evidence: _Optional[int] = ..., counted: _Optional[bool] = ..., assigned_at_ns: _Optional[int] = ..., started_at_ns: _Optional[int] = ..., ended_at_ns: _Optional[int] = ..., granted: _Optional[_Mapping[str, GrantedIndexes]] = ..., pid: _Optional[int] = ..., relay: _Optional[str] = ..., log_frames: _Optional[int] = ..., log_stdout: _Optional[int] = ..., log_stderr: _Optional[int] = ..., log_records: _Optional[int] = ..., incarnation: _Optional[int] = ..., start_ticks: _Optional[int] = ..., boot_id: _Optional[str] = ..., ruling: _Optional[_Union[Ruling, _Mapping]] = ..., late: _Optional[_Union[LateEnd, _Mapping]] = ...) -> None: ...

class Ruling(_message.Message):
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
    __slots__ = ("outcome", "exit_code", "signal", "reason", "started_at_ns", "ended_at_ns", "reported_at_ns", "unseen")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    REPORTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    UNSEEN_FIELD_NUMBER: _ClassVar[int]
    outcome: int
    exit_code: int
    signal: int
    reason: str
    started_at_ns: int
    ended_at_ns: int
    reported_at_ns: int
    unseen: bool
    def __init__(self, outcome: _Optional[int] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[str] = ..., started_at_ns: _Optional[int] = ..., ended_at_ns: _Optional[int] = ..., reported_at_ns: _Optional[int] = ..., unseen: _Optional[bool] = ...) -> None: ...

class GrantedIndexes(_message.Message):
    __slots__ = ("indexes",)
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class WatchFloor(_message.Message):
    __slots__ = ("revision", "next_sequence")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    revision: int
    next_sequence: int
    def __init__(self, revision: _Optional[int] = ..., next_sequence: _Optional[int] = ...) -> None: ...
