import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tenure.v1 import options_pb2 as _options_pb2
from tenure.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogChannel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_CHANNEL_UNSPECIFIED: _ClassVar[LogChannel]
    LOG_CHANNEL_STDOUT: _ClassVar[LogChannel]
    LOG_CHANNEL_STDERR: _ClassVar[LogChannel]
    LOG_CHANNEL_RECORDS: _ClassVar[LogChannel]

class LogFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_FORMAT_UNSPECIFIED: _ClassVar[LogFormat]
    LOG_FORMAT_LINES: _ClassVar[LogFormat]
    LOG_FORMAT_CHUNKS: _ClassVar[LogFormat]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
LOG_CHANNEL_UNSPECIFIED: LogChannel
LOG_CHANNEL_STDOUT: LogChannel
LOG_CHANNEL_STDERR: LogChannel
LOG_CHANNEL_RECORDS: LogChannel
LOG_FORMAT_UNSPECIFIED: LogFormat
LOG_FORMAT_LINES: LogFormat
LOG_FORMAT_CHUNKS: LogFormat
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel

class TailLogsRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "channels", "cursor", "last_lines", "since", "offset", "follow", "format", "filter", "tasks", "entry_cursors")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LAST_LINES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_CURSORS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    channels: _containers.RepeatedScalarFieldContainer[LogChannel]
    cursor: str
    last_lines: int
    since: _timestamp_pb2.Timestamp
    offset: int
    follow: bool
    format: LogFormat
    filter: LogFilter
    tasks: _task_pb2.TaskFilter
    entry_cursors: bool
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[LogChannel, str]]] = ..., cursor: _Optional[str] = ..., last_lines: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., offset: _Optional[int] = ..., follow: _Optional[bool] = ..., format: _Optional[_Union[LogFormat, str]] = ..., filter: _Optional[_Union[LogFilter, _Mapping]] = ..., tasks: _Optional[_Union[_task_pb2.TaskFilter, _Mapping]] = ..., entry_cursors: _Optional[bool] = ...) -> None: ...

class LogFilter(_message.Message):
    __slots__ = ("minimum_level", "expression", "until")
    MINIMUM_LEVEL_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    minimum_level: LogLevel
    expression: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, minimum_level: _Optional[_Union[LogLevel, str]] = ..., expression: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TailLogsResponse(_message.Message):
    __slots__ = ("cursor", "lines", "chunk", "gap", "attempt_begin", "attempt_end", "end")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_BEGIN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_END_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    lines: LogLines
    chunk: LogChunk
    gap: LogGap
    attempt_begin: LogAttemptBegin
    attempt_end: LogAttemptEnd
    end: LogEnd
    def __init__(self, cursor: _Optional[str] = ..., lines: _Optional[_Union[LogLines, _Mapping]] = ..., chunk: _Optional[_Union[LogChunk, _Mapping]] = ..., gap: _Optional[_Union[LogGap, _Mapping]] = ..., attempt_begin: _Optional[_Union[LogAttemptBegin, _Mapping]] = ..., attempt_end: _Optional[_Union[LogAttemptEnd, _Mapping]] = ..., end: _Optional[_Union[LogEnd, _Mapping]] = ...) -> None: ...

class LogLines(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("offset", "time_unix_nanos", "channel", "text", "partial", "level", "attributes", "cursor")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANOS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    offset: int
    time_unix_nanos: int
    channel: LogChannel
    text: bytes
    partial: bool
    level: LogLevel
    attributes: _containers.ScalarMap[str, str]
    cursor: str
    def __init__(self, offset: _Optional[int] = ..., time_unix_nanos: _Optional[int] = ..., channel: _Optional[_Union[LogChannel, str]] = ..., text: _Optional[bytes] = ..., partial: _Optional[bool] = ..., level: _Optional[_Union[LogLevel, str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., cursor: _Optional[str] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("offset", "time_unix_nanos", "channel", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANOS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    time_unix_nanos: int
    channel: LogChannel
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., time_unix_nanos: _Optional[int] = ..., channel: _Optional[_Union[LogChannel, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class LogGap(_message.Message):
    __slots__ = ("channel", "from_offset", "to_offset", "reason")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TO_OFFSET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    channel: LogChannel
    from_offset: int
    to_offset: int
    reason: str
    def __init__(self, channel: _Optional[_Union[LogChannel, str]] = ..., from_offset: _Optional[int] = ..., to_offset: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class LogAttemptBegin(_message.Message):
    __slots__ = ("attempt", "fence", "worker")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    fence: str
    worker: str
    def __init__(self, attempt: _Optional[int] = ..., fence: _Optional[str] = ..., worker: _Optional[str] = ...) -> None: ...

class LogAttemptEnd(_message.Message):
    __slots__ = ("attempt", "outcome", "log_state")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LOG_STATE_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    outcome: _task_pb2.AttemptOutcome
    log_state: _task_pb2.LogState
    def __init__(self, attempt: _Optional[int] = ..., outcome: _Optional[_Union[_task_pb2.AttemptOutcome, str]] = ..., log_state: _Optional[_Union[_task_pb2.LogState, str]] = ...) -> None: ...

class LogEnd(_message.Message):
    __slots__ = ("state", "outcome", "exit_code", "signal", "log_state", "reason")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LOG_STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    state: _task_pb2.TaskState
    outcome: _task_pb2.AttemptOutcome
    exit_code: int
    signal: int
    log_state: _task_pb2.LogState
    reason: str
    def __init__(self, state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., outcome: _Optional[_Union[_task_pb2.AttemptOutcome, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., log_state: _Optional[_Union[_task_pb2.LogState, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ListLogStreamsRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ListLogStreamsResponse(_message.Message):
    __slots__ = ("streams",)
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    streams: _containers.RepeatedCompositeFieldContainer[LogStream]
    def __init__(self, streams: _Optional[_Iterable[_Union[LogStream, _Mapping]]] = ...) -> None: ...

class LogStream(_message.Message):
    __slots__ = ("fence", "channel", "committed_offset", "missing_bytes")
    FENCE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_OFFSET_FIELD_NUMBER: _ClassVar[int]
    MISSING_BYTES_FIELD_NUMBER: _ClassVar[int]
    fence: str
    channel: LogChannel
    committed_offset: int
    missing_bytes: int
    def __init__(self, fence: _Optional[str] = ..., channel: _Optional[_Union[LogChannel, str]] = ..., committed_offset: _Optional[int] = ..., missing_bytes: _Optional[int] = ...) -> None: ...
