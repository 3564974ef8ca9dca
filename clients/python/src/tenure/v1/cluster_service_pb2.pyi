import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from tenure.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "replica", "leading", "leader", "leader_address", "incarnation", "epoch", "cluster", "etcd_version", "schedulers", "log_relays", "limits")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    LEADING_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    ETCD_VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    LOG_RELAYS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    version: str
    replica: str
    leading: bool
    leader: str
    leader_address: str
    incarnation: int
    epoch: int
    cluster: str
    etcd_version: str
    schedulers: _containers.RepeatedCompositeFieldContainer[Endpoint]
    log_relays: _containers.RepeatedCompositeFieldContainer[Endpoint]
    limits: Limits
    def __init__(self, version: _Optional[str] = ..., replica: _Optional[str] = ..., leading: _Optional[bool] = ..., leader: _Optional[str] = ..., leader_address: _Optional[str] = ..., incarnation: _Optional[int] = ..., epoch: _Optional[int] = ..., cluster: _Optional[str] = ..., etcd_version: _Optional[str] = ..., schedulers: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., log_relays: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("id", "address", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    version: str
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("submit_tasks", "request_bytes", "spec_bytes", "finished_retention", "finished_tasks", "worker_ttl")
    SUBMIT_TASKS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPEC_BYTES_FIELD_NUMBER: _ClassVar[int]
    FINISHED_RETENTION_FIELD_NUMBER: _ClassVar[int]
    FINISHED_TASKS_FIELD_NUMBER: _ClassVar[int]
    WORKER_TTL_FIELD_NUMBER: _ClassVar[int]
    submit_tasks: int
    request_bytes: int
    spec_bytes: int
    finished_retention: _duration_pb2.Duration
    finished_tasks: int
    worker_ttl: _duration_pb2.Duration
    def __init__(self, submit_tasks: _Optional[int] = ..., request_bytes: _Optional[int] = ..., spec_bytes: _Optional[int] = ..., finished_retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., finished_tasks: _Optional[int] = ..., worker_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class VerifyFenceRequest(_message.Message):
    __slots__ = ("fence",)
    FENCE_FIELD_NUMBER: _ClassVar[int]
    fence: str
    def __init__(self, fence: _Optional[str] = ...) -> None: ...

class VerifyFenceResponse(_message.Message):
    __slots__ = ("valid", "current_fence", "reason")
    VALID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    current_fence: str
    reason: str
    def __init__(self, valid: _Optional[bool] = ..., current_fence: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
