"""How does a service offer its RPCs?

    server = Server(tls=config.tls, insecure=config.insecure, rules=Validator(RULES), router=route)
    server.add(DESCRIPTOR.services_by_name["TaskService"], Tasks(shell))
    (port,) = await server.start([config.listen])
    await server.set_serving(True)
    …
    await server.stop(grace=2.0)

An implementation has methods named like the RPCs. `async def GetTask(self, request, call) -> Response`
answers once; `async def WatchTasks(self, request, call)` with `yield` answers with a stream; where the
caller streams, `request` is an async iterator of messages. `call` is a `tenure_runtime.rpc.call.Call`.
Errors are raised as `tenure_core.errors`. A method with an attribute `request_type` gets its requests from
that class's `FromString` instead of the generated one's, unvalidated: for paths where copies count.

Health, reflection and channelz come with every server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf import message_factory

from tenure_core.errors import Unimplemented
from tenure_runtime.rpc.access import Access, permission_of
from tenure_runtime.rpc.handlers import CallObserver, Method, Pipeline, handler_of
from tenure_runtime.rpc.standard import Standard
from tenure_runtime.rpc.transport import PUBLIC_MESSAGE_BYTES, SERVER_OPTIONS, bind, message_limits
from tenure_runtime.startup import CannotStart

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from tenure_runtime.config_sections import TlsConfig
    from tenure_runtime.rpc.call import Call
    from tenure_runtime.rpc.forward import Router
    from tenure_runtime.rpc.validation import Validator


REFUSING_SECONDS: Final = 0.1
"""How long a server that stops answers new calls with UNAVAILABLE before it closes its connections."""


class UndeclaredMethod(TypeError):
    """An RPC cannot be served: it declares no permission, or is neither implemented nor explained."""


class Server:
    """One gRPC server of a service: registered once, started once, stopped once."""

    def __init__(
        self,
        *,
        tls: TlsConfig | None = None,
        insecure: bool = False,
        rules: Validator | None = None,
        router: Router | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self._tls = tls
        self._insecure = insecure
        self._rules = rules
        checked = tls is not None and tls.client_ca is not None
        self._pipeline = Pipeline(Access(client_certificates=checked), router, observer)
        self._handlers: dict[str, dict[str, Any]] = {}
        self._largest = PUBLIC_MESSAGE_BYTES
        self._standard = Standard()
        self._server: grpc.aio.Server | None = None

    def add(
        self,
        service: ServiceDescriptor,
        implementation: object,
        *,
        unimplemented: str | Mapping[str, str] = {},
        max_message_bytes: int = PUBLIC_MESSAGE_BYTES,
    ) -> None:
        """Offer a service. Raises UndeclaredMethod for an RPC without a permission.

        An RPC that the implementation lacks answers UNIMPLEMENTED with the sentence `unimplemented` gives
        for its name (or for all); without a sentence it is refused here, so that none is forgotten.
        """
        handlers = self._handlers.setdefault(service.full_name, {})
        for rpc in service.methods:
            sentence = unimplemented if isinstance(unimplemented, str) else unimplemented.get(rpc.name, "")
            method = self._method(rpc, implementation, sentence, max_message_bytes)
            handlers[rpc.name] = handler_of(
                self._pipeline, method, takes_stream=rpc.client_streaming, gives_stream=rpc.server_streaming
            )
        self._largest = max(self._largest, max_message_bytes)

    async def start(self, addresses: Sequence[str]) -> tuple[int, ...]:
        """Listen and serve; the ports in the order of `addresses`. CannotStart when one cannot be bound.

        Health says NOT_SERVING until `set_serving(True)`.
        """
        options = (*SERVER_OPTIONS, *message_limits(self._largest))
        server = grpc.aio.server(options=options)
        for name, handlers in self._handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        await self._standard.register(server, tuple(self._handlers))
        try:
            ports = tuple(bind(server, address, self._tls, insecure=self._insecure) for address in addresses)
        except CannotStart:
            await server.stop(None)
            raise
        await server.start()
        self._server = server
        return ports

    async def set_serving(
        self, serving: bool, *, only: Collection[str] = (), but: Collection[str] = ()
    ) -> None:
        """Switch what the health service says of this server (the name "") and of each of its services.

        Args:
            only: these names and no others.
            but: all but these names.
        """
        await self._standard.set_serving(serving, only=only, but=but)

    @property
    def stopping(self) -> bool:
        """Whether `stop` has begun to end calls."""
        return self._pipeline.stopping

    async def stop(self, grace: float = 2.0) -> None:
        """Stop: health NOT_SERVING, no new calls, streams end with UNAVAILABLE now, others after `grace` s.

        A caller whose call ends so is told to retry. Connections close a moment later, because gRPC drops
        what has arrived and was not taken up yet without a word. Safe to call twice, and before `start`.
        """
        await self._standard.close()
        if self._server is None:
            return
        server, self._server = self._server, None
        self._pipeline.stopping = True
        _cancel(self._pipeline.streams)
        await asyncio.sleep(REFUSING_SECONDS)
        closing = asyncio.ensure_future(server.stop(grace + 1.0))
        done, _ = await asyncio.wait({closing}, timeout=grace)
        if not done:
            _cancel(self._pipeline.unaries | self._pipeline.streams)
        await closing

    def _method(self, rpc: MethodDescriptor, implementation: object, sentence: str, size: int) -> Method:
        name = f"/{rpc.containing_service.full_name}/{rpc.name}"
        permission = permission_of(rpc)
        if permission is None:
            raise UndeclaredMethod(f"{name} declares no permission: add option (tenure.v1.permission) to it")
        function, rules = getattr(implementation, rpc.name, None), self._rules
        if function is None:
            if not sentence:
                raise UndeclaredMethod(f"{name} is neither implemented nor explained")
            function = _unimplemented(sentence, stream=rpc.server_streaming)
            rules = None
        own_type = getattr(function, "request_type", None)
        return Method(
            name=name,
            request=own_type or message_factory.GetMessageClass(rpc.input_type),
            permission=permission,
            implementation=function,
            check=None if rules is None or own_type is not None else rules.check_of(rpc.input_type),
            max_bytes=size,
        )


def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tuple(tasks):
        task.cancel()


def _unimplemented(sentence: str, *, stream: bool) -> Any:
    async def answer(_request: object, _call: Call) -> Message:
        raise Unimplemented(sentence)

    async def answers(_request: object, _call: Call) -> Any:
        if sentence:
            raise Unimplemented(sentence)
        yield  # makes this a generator, as the method would be

    return answers if stream else answer
