import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tenure.v1 import options_pb2 as _options_pb2
from tenure.v1 import task_pb2 as _task_pb2
from tenure.v1 import worker_admin_service_pb2 as _worker_admin_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionRequest(_message.Message):
    __slots__ = ("hello", "report", "hold")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    report: Report
    hold: Hold
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("worker", "instance", "boot_id", "connect", "incarnation", "epoch", "version", "capacity", "labels", "task_types", "held", "reduced_guarantees", "welcomed", "forward")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WORKER_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPES_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    REDUCED_GUARANTEES_FIELD_NUMBER: _ClassVar[int]
    WELCOMED_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    worker: str
    instance: str
    boot_id: str
    connect: int
    incarnation: int
    epoch: int
    version: str
    capacity: _worker_admin_service_pb2.Capacity
    labels: _containers.ScalarMap[str, str]
    task_types: _containers.RepeatedScalarFieldContainer[str]
    held: _containers.RepeatedCompositeFieldContainer[HeldAttempt]
    reduced_guarantees: _containers.RepeatedScalarFieldContainer[str]
    welcomed: int
    forward: bool
    def __init__(self, worker: _Optional[str] = ..., instance: _Optional[str] = ..., boot_id: _Optional[str] = ..., connect: _Optional[int] = ..., incarnation: _Optional[int] = ..., epoch: _Optional[int] = ..., version: _Optional[str] = ..., capacity: _Optional[_Union[_worker_admin_service_pb2.Capacity, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., task_types: _Optional[_Iterable[str]] = ..., held: _Optional[_Iterable[_Union[HeldAttempt, _Mapping]]] = ..., reduced_guarantees: _Optional[_Iterable[str]] = ..., welcomed: _Optional[int] = ..., forward: _Optional[bool] = ...) -> None: ...

class HeldAttempt(_message.Message):
    __slots__ = ("fence", "started", "started_at", "result", "pid", "stopping", "start_ticks")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STOPPING_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    fence: str
    started: bool
    started_at: _timestamp_pb2.Timestamp
    result: AttemptResult
    pid: int
    stopping: bool
    start_ticks: int
    def __init__(self, fence: _Optional[str] = ..., started: _Optional[bool] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., result: _Optional[_Union[AttemptResult, _Mapping]] = ..., pid: _Optional[int] = ..., stopping: _Optional[bool] = ..., start_ticks: _Optional[int] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("last_command", "attempts", "phase", "level")
    LAST_COMMAND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    last_command: int
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptReport]
    phase: _worker_admin_service_pb2.WorkerPhase
    level: Level
    def __init__(self, last_command: _Optional[int] = ..., attempts: _Optional[_Iterable[_Union[AttemptReport, _Mapping]]] = ..., phase: _Optional[_Union[_worker_admin_service_pb2.WorkerPhase, str]] = ..., level: _Optional[_Union[Level, _Mapping]] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("hold_ms",)
    HOLD_MS_FIELD_NUMBER: _ClassVar[int]
    hold_ms: int
    def __init__(self, hold_ms: _Optional[int] = ...) -> None: ...

class Level(_message.Message):
    __slots__ = ("last_command", "count", "digest", "whole", "held")
    LAST_COMMAND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    last_command: int
    count: int
    digest: int
    whole: bool
    held: _containers.RepeatedCompositeFieldContainer[HeldAttempt]
    def __init__(self, last_command: _Optional[int] = ..., count: _Optional[int] = ..., digest: _Optional[int] = ..., whole: _Optional[bool] = ..., held: _Optional[_Iterable[_Union[HeldAttempt, _Mapping]]] = ...) -> None: ...

class AttemptReport(_message.Message):
    __slots__ = ("fence", "started", "result", "not_started", "stopped", "end")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    NOT_STARTED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    fence: str
    started: AttemptStarted
    result: AttemptResult
    not_started: str
    stopped: bool
    end: AttemptResult
    def __init__(self, fence: _Optional[str] = ..., started: _Optional[_Union[AttemptStarted, _Mapping]] = ..., result: _Optional[_Union[AttemptResult, _Mapping]] = ..., not_started: _Optional[str] = ..., stopped: _Optional[bool] = ..., end: _Optional[_Union[AttemptResult, _Mapping]] = ...) -> None: ...

class AttemptStarted(_message.Message):
    __slots__ = ("pid", "start_ticks", "at")
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    pid: int
    start_ticks: int
    at: _timestamp_pb2.Timestamp
    def __init__(self, pid: _Optional[int] = ..., start_ticks: _Optional[int] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AttemptResult(_message.Message):
    __slots__ = ("outcome", "exit_code", "signal", "reason", "evidence", "started_at", "ended_at", "log", "pid", "start_ticks")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    START_TICKS_FIELD_NUMBER: _ClassVar[int]
    outcome: _task_pb2.AttemptOutcome
    exit_code: int
    signal: int
    reason: str
    evidence: _task_pb2.LossEvidence
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    log: LogFinals
    pid: int
    start_ticks: int
    def __init__(self, outcome: _Optional[_Union[_task_pb2.AttemptOutcome, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[str] = ..., evidence: _Optional[_Union[_task_pb2.LossEvidence, str]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., log: _Optional[_Union[LogFinals, _Mapping]] = ..., pid: _Optional[int] = ..., start_ticks: _Optional[int] = ...) -> None: ...

class LogFinals(_message.Message):
    __slots__ = ("frames", "stdout", "stderr", "records")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    frames: int
    stdout: int
    stderr: int
    records: int
    def __init__(self, frames: _Optional[int] = ..., stdout: _Optional[int] = ..., stderr: _Optional[int] = ..., records: _Optional[int] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "redirect", "refusal", "commands")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    redirect: Redirect
    refusal: Refusal
    commands: Commands
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., redirect: _Optional[_Union[Redirect, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., commands: _Optional[_Union[Commands, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session", "connect", "lease_id", "live_revision", "ttl_ms", "margin_ms", "incarnation", "epoch", "adopted", "schedulers")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LIVE_REVISION_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    MARGIN_MS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    session: int
    connect: int
    lease_id: int
    live_revision: int
    ttl_ms: int
    margin_ms: int
    incarnation: int
    epoch: int
    adopted: _containers.RepeatedScalarFieldContainer[str]
    schedulers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session: _Optional[int] = ..., connect: _Optional[int] = ..., lease_id: _Optional[int] = ..., live_revision: _Optional[int] = ..., ttl_ms: _Optional[int] = ..., margin_ms: _Optional[int] = ..., incarnation: _Optional[int] = ..., epoch: _Optional[int] = ..., adopted: _Optional[_Iterable[str]] = ..., schedulers: _Optional[_Iterable[str]] = ...) -> None: ...

class Redirect(_message.Message):
    __slots__ = ("leader_address",)
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    leader_address: str
    def __init__(self, leader_address: _Optional[str] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "message", "retry_after_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retry_after_ms: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class Commands(_message.Message):
    __slots__ = ("number", "starts", "stops", "accepted", "fenced", "placements", "list_held", "hold_ms")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    STOPS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    FENCED_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    LIST_HELD_FIELD_NUMBER: _ClassVar[int]
    HOLD_MS_FIELD_NUMBER: _ClassVar[int]
    number: int
    starts: _containers.RepeatedCompositeFieldContainer[Start]
    stops: _containers.RepeatedCompositeFieldContainer[Stop]
    accepted: _containers.RepeatedScalarFieldContainer[str]
    fenced: _containers.RepeatedCompositeFieldContainer[Fenced]
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    list_held: bool
    hold_ms: int
    def __init__(self, number: _Optional[int] = ..., starts: _Optional[_Iterable[_Union[Start, _Mapping]]] = ..., stops: _Optional[_Iterable[_Union[Stop, _Mapping]]] = ..., accepted: _Optional[_Iterable[str]] = ..., fenced: _Optional[_Iterable[_Union[Fenced, _Mapping]]] = ..., placements: _Optional[_Iterable[_Union[Placement, _Mapping]]] = ..., list_held: _Optional[bool] = ..., hold_ms: _Optional[int] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("fence", "relay_id", "relay_address")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    RELAY_ID_FIELD_NUMBER: _ClassVar[int]
    RELAY_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    fence: str
    relay_id: str
    relay_address: str
    def __init__(self, fence: _Optional[str] = ..., relay_id: _Optional[str] = ..., relay_address: _Optional[str] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("fence", "spec", "granted", "relay_id", "relay_address", "traceparent")
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _task_pb2.GrantedIndexes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_task_pb2.GrantedIndexes, _Mapping]] = ...) -> None: ...
    FENCE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    RELAY_ID_FIELD_NUMBER: _ClassVar[int]
    RELAY_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    fence: str
    spec: bytes
    granted: _containers.MessageMap[str, _task_pb2.GrantedIndexes]
    relay_id: str
    relay_address: str
    traceparent: str
    def __init__(self, fence: _Optional[str] = ..., spec: _Optional[bytes] = ..., granted: _Optional[_Mapping[str, _task_pb2.GrantedIndexes]] = ..., relay_id: _Optional[str] = ..., relay_address: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("fence", "outcome", "reason")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    fence: str
    outcome: _task_pb2.AttemptOutcome
    reason: str
    def __init__(self, fence: _Optional[str] = ..., outcome: _Optional[_Union[_task_pb2.AttemptOutcome, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Fenced(_message.Message):
    __slots__ = ("fence", "current", "reason")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    fence: str
    current: str
    reason: str
    def __init__(self, fence: _Optional[str] = ..., current: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class BeatRequest(_message.Message):
    __slots__ = ("worker", "session", "lease_id", "live_revision")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LIVE_REVISION_FIELD_NUMBER: _ClassVar[int]
    worker: str
    session: int
    lease_id: int
    live_revision: int
    def __init__(self, worker: _Optional[str] = ..., session: _Optional[int] = ..., lease_id: _Optional[int] = ..., live_revision: _Optional[int] = ...) -> None: ...

class BeatResponse(_message.Message):
    __slots__ = ("ttl_ms", "exclusive", "leader_address")
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ttl_ms: int
    exclusive: _containers.RepeatedScalarFieldContainer[str]
    leader_address: str
    def __init__(self, ttl_ms: _Optional[int] = ..., exclusive: _Optional[_Iterable[str]] = ..., leader_address: _Optional[str] = ...) -> None: ...
