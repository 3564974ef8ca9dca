from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Permission(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_UNSPECIFIED: _ClassVar[Permission]
    PERMISSION_READ: _ClassVar[Permission]
    PERMISSION_SUBMIT: _ClassVar[Permission]
    PERMISSION_READ_LOGS: _ClassVar[Permission]
    PERMISSION_OPERATE: _ClassVar[Permission]
    PERMISSION_WORK: _ClassVar[Permission]
    PERMISSION_RELAY: _ClassVar[Permission]
    PERMISSION_CLAIM: _ClassVar[Permission]
    PERMISSION_ADMINISTER: _ClassVar[Permission]
PERMISSION_UNSPECIFIED: Permission
PERMISSION_READ: Permission
PERMISSION_SUBMIT: Permission
PERMISSION_READ_LOGS: Permission
PERMISSION_OPERATE: Permission
PERMISSION_WORK: Permission
PERMISSION_RELAY: Permission
PERMISSION_CLAIM: Permission
PERMISSION_ADMINISTER: Permission
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor
