from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Incarnation(_message.Message):
    __slots__ = ("uuid", "n")
    UUID_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    n: int
    def __init__(self, uuid: _Optional[str] = ..., n: _Optional[int] = ...) -> None: ...

class Leader(_message.Message):
    __slots__ = ("replica", "address", "process")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    replica: str
    address: str
    process: str
    def __init__(self, replica: _Optional[str] = ..., address: _Optional[str] = ..., process: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("epoch", "sequence", "replica")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TRY_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    replica: str
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., replica: _Optional[str] = ..., **kwargs) -> None: ...

class Registration(_message.Message):
    __slots__ = ("id", "address", "version", "process")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    version: str
    process: str
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., process: _Optional[str] = ...) -> None: ...
