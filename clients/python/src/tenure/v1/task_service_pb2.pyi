import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from tenure.v1 import options_pb2 as _options_pb2
from tenure.v1 import task_pb2 as _task_pb2
from tenure.v1 import task_spec_pb2 as _task_spec_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WaitMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_MODE_UNSPECIFIED: _ClassVar[WaitMode]
    WAIT_MODE_ALL: _ClassVar[WaitMode]
    WAIT_MODE_ANY: _ClassVar[WaitMode]

class HistoryEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HISTORY_EVENT_KIND_UNSPECIFIED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_SUBMITTED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_ASSIGNED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_STARTED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_ENDED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_GIVEN_UP: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_TAKEN_BACK: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_LATE_END: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_CANCEL_REQUESTED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_HELD: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_RELEASED: _ClassVar[HistoryEventKind]
    HISTORY_EVENT_KIND_FINISHED: _ClassVar[HistoryEventKind]
WAIT_MODE_UNSPECIFIED: WaitMode
WAIT_MODE_ALL: WaitMode
WAIT_MODE_ANY: WaitMode
HISTORY_EVENT_KIND_UNSPECIFIED: HistoryEventKind
HISTORY_EVENT_KIND_SUBMITTED: HistoryEventKind
HISTORY_EVENT_KIND_ASSIGNED: HistoryEventKind
HISTORY_EVENT_KIND_STARTED: HistoryEventKind
HISTORY_EVENT_KIND_ENDED: HistoryEventKind
HISTORY_EVENT_KIND_GIVEN_UP: HistoryEventKind
HISTORY_EVENT_KIND_TAKEN_BACK: HistoryEventKind
HISTORY_EVENT_KIND_LATE_END: HistoryEventKind
HISTORY_EVENT_KIND_CANCEL_REQUESTED: HistoryEventKind
HISTORY_EVENT_KIND_HELD: HistoryEventKind
HISTORY_EVENT_KIND_RELEASED: HistoryEventKind
HISTORY_EVENT_KIND_FINISHED: HistoryEventKind

class SubmitTasksRequest(_message.Message):
    __slots__ = ("items", "wait")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[SubmitTasksItem]
    wait: _duration_pb2.Duration
    def __init__(self, items: _Optional[_Iterable[_Union[SubmitTasksItem, _Mapping]]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SubmitTasksItem(_message.Message):
    __slots__ = ("request_id", "spec")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    spec: _task_spec_pb2.TaskSpec
    def __init__(self, request_id: _Optional[str] = ..., spec: _Optional[_Union[_task_spec_pb2.TaskSpec, _Mapping]] = ...) -> None: ...

class SubmitTasksResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SubmitTasksResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SubmitTasksResult, _Mapping]]] = ...) -> None: ...

class SubmitTasksResult(_message.Message):
    __slots__ = ("task_id", "created", "error", "finished")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    created: bool
    error: _status_pb2.Status
    finished: _task_pb2.Task
    def __init__(self, task_id: _Optional[str] = ..., created: _Optional[bool] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., finished: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id", "view")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    view: _task_pb2.TaskView
    def __init__(self, task_id: _Optional[str] = ..., view: _Optional[_Union[_task_pb2.TaskView, str]] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token", "view")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    filter: _task_pb2.TaskFilter
    page_size: int
    page_token: str
    view: _task_pb2.TaskView
    def __init__(self, filter: _Optional[_Union[_task_pb2.TaskFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., view: _Optional[_Union[_task_pb2.TaskView, str]] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CountTasksRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: _task_pb2.TaskFilter
    def __init__(self, filter: _Optional[_Union[_task_pb2.TaskFilter, _Mapping]] = ...) -> None: ...

class CountTasksResponse(_message.Message):
    __slots__ = ("counts", "damaged")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[TaskStateCount]
    damaged: int
    def __init__(self, counts: _Optional[_Iterable[_Union[TaskStateCount, _Mapping]]] = ..., damaged: _Optional[int] = ...) -> None: ...

class TaskStateCount(_message.Message):
    __slots__ = ("state", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: _task_pb2.TaskState
    count: int
    def __init__(self, state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., count: _Optional[int] = ...) -> None: ...

class WatchTasksRequest(_message.Message):
    __slots__ = ("filter", "resume_token", "view", "changes_only")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    CHANGES_ONLY_FIELD_NUMBER: _ClassVar[int]
    filter: _task_pb2.TaskFilter
    resume_token: str
    view: _task_pb2.TaskView
    changes_only: bool
    def __init__(self, filter: _Optional[_Union[_task_pb2.TaskFilter, _Mapping]] = ..., resume_token: _Optional[str] = ..., view: _Optional[_Union[_task_pb2.TaskView, str]] = ..., changes_only: _Optional[bool] = ...) -> None: ...

class WatchTasksResponse(_message.Message):
    __slots__ = ("tasks", "resume_token", "synced")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    resume_token: str
    synced: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., resume_token: _Optional[str] = ..., synced: _Optional[bool] = ...) -> None: ...

class WaitTasksRequest(_message.Message):
    __slots__ = ("task_ids", "mode", "timeout")
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    mode: WaitMode
    timeout: _duration_pb2.Duration
    def __init__(self, task_ids: _Optional[_Iterable[str]] = ..., mode: _Optional[_Union[WaitMode, str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitTasksResponse(_message.Message):
    __slots__ = ("finished", "unfinished")
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    finished: _containers.RepeatedCompositeFieldContainer[_task_pb2.Task]
    unfinished: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, finished: _Optional[_Iterable[_Union[_task_pb2.Task, _Mapping]]] = ..., unfinished: _Optional[_Iterable[str]] = ...) -> None: ...

class CancelTasksRequest(_message.Message):
    __slots__ = ("filter", "reason")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    filter: _task_pb2.TaskFilter
    reason: str
    def __init__(self, filter: _Optional[_Union[_task_pb2.TaskFilter, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelTasksResponse(_message.Message):
    __slots__ = ("results", "more")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CancelTasksResult]
    more: bool
    def __init__(self, results: _Optional[_Iterable[_Union[CancelTasksResult, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class CancelTasksResult(_message.Message):
    __slots__ = ("task_id", "state")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    state: _task_pb2.TaskState
    def __init__(self, task_id: _Optional[str] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ...) -> None: ...

class RetryTaskRequest(_message.Message):
    __slots__ = ("task_id", "request_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    request_id: str
    def __init__(self, task_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RetryTaskResponse(_message.Message):
    __slots__ = ("task_id", "created")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    created: bool
    def __init__(self, task_id: _Optional[str] = ..., created: _Optional[bool] = ...) -> None: ...

class ReleaseTasksRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: _task_pb2.TaskFilter
    def __init__(self, filter: _Optional[_Union[_task_pb2.TaskFilter, _Mapping]] = ...) -> None: ...

class ReleaseTasksResponse(_message.Message):
    __slots__ = ("task_ids",)
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class ExplainTaskResponse(_message.Message):
    __slots__ = ("task", "summary", "ahead", "workers", "suggestions", "story")
    TASK_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SUGGESTIONS_FIELD_NUMBER: _ClassVar[int]
    STORY_FIELD_NUMBER: _ClassVar[int]
    task: _task_pb2.Task
    summary: str
    ahead: int
    workers: _containers.RepeatedCompositeFieldContainer[WorkerVerdictReason]
    suggestions: _containers.RepeatedScalarFieldContainer[str]
    story: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., summary: _Optional[str] = ..., ahead: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[WorkerVerdictReason, _Mapping]]] = ..., suggestions: _Optional[_Iterable[str]] = ..., story: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkerVerdictReason(_message.Message):
    __slots__ = ("worker", "fits", "reasons")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    FITS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    fits: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, worker: _Optional[str] = ..., fits: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class GetTaskHistoryRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class GetTaskHistoryResponse(_message.Message):
    __slots__ = ("task_id", "attempts", "dropped", "task", "events", "overlaps")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    OVERLAPS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempts: _containers.RepeatedCompositeFieldContainer[_task_pb2.Attempt]
    dropped: int
    task: _task_pb2.Task
    events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    overlaps: _containers.RepeatedCompositeFieldContainer[Overlap]
    def __init__(self, task_id: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[_task_pb2.Attempt, _Mapping]]] = ..., dropped: _Optional[int] = ..., task: _Optional[_Union[_task_pb2.Task, _Mapping]] = ..., events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ..., overlaps: _Optional[_Iterable[_Union[Overlap, _Mapping]]] = ...) -> None: ...

class HistoryEvent(_message.Message):
    __slots__ = ("at", "kind", "attempt", "text")
    AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    kind: HistoryEventKind
    attempt: int
    text: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[_Union[HistoryEventKind, str]] = ..., attempt: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Overlap(_message.Message):
    __slots__ = ("earlier", "later", "begins_at", "ends_at", "certain", "text")
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    LATER_FIELD_NUMBER: _ClassVar[int]
    BEGINS_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    CERTAIN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    earlier: int
    later: int
    begins_at: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    certain: bool
    text: str
    def __init__(self, earlier: _Optional[int] = ..., later: _Optional[int] = ..., begins_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., certain: _Optional[bool] = ..., text: _Optional[str] = ...) -> None: ...
