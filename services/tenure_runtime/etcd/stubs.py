"""Where do the generated etcd messages and stubs come from?

From the package `aetcd`, whose client we do not use (ADR 0001). This is the only module that imports it, so
that another source of the same protos (`rpc.proto`, `kv.proto` may be registered only once in a process) is a
change of this file. aetcd carries no types: everything here is `Any` to the type checker, and the modules
beside this one turn it into typed values at their borders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aetcd.rpc import auth_pb2, kv_pb2, rpc_pb2, rpc_pb2_grpc

if TYPE_CHECKING:
    import grpc.aio

rpc: Final[Any] = rpc_pb2
kv: Final[Any] = kv_pb2
auth: Final[Any] = auth_pb2


class Stubs:
    """The services of one etcd member over one channel."""

    __slots__ = ("auth", "cluster", "kv", "lease", "maintenance", "txn_bytes", "watch")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.kv: Any = rpc_pb2_grpc.KVStub(channel)
        self.lease: Any = rpc_pb2_grpc.LeaseStub(channel)
        self.watch: Any = rpc_pb2_grpc.WatchStub(channel)
        self.auth: Any = rpc_pb2_grpc.AuthStub(channel)
        self.cluster: Any = rpc_pb2_grpc.ClusterStub(channel)
        self.maintenance: Any = rpc_pb2_grpc.MaintenanceStub(channel)
        # A commit is resent byte for byte: its request is serialized once, outside the call.
        self.txn_bytes: Any = channel.unary_unary(
            "/etcdserverpb.KV/Txn",
            request_serializer=None,
            response_deserializer=rpc_pb2.TxnResponse.FromString,
        )
