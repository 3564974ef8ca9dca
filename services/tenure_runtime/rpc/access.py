"""Who is calling, and may they?

Identity comes from the client's certificate: a URI name `tenure://<kind>/<name>`, else a common name
`<kind>/<name>` with kind worker, scheduler or relay, else the common name as a user. Without client
certificates everybody is anonymous. A replica that forwards a call sends the caller's identity in metadata;
it is believed from a scheduler, from a relay where logs are read, and from everybody where no client
certificates are asked for at all.

Every RPC declares a permission in its proto. Where client certificates are on, the kind of the caller decides
which permissions it holds: a worker can work and nothing else, so that a stolen certificate of a node submits
nothing; users hold all that no part of Tenure has to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pool

from tenure_core.errors import PermissionDenied, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.descriptor import MethodDescriptor

KINDS: Final = frozenset({"worker", "scheduler", "relay"})
URI_SCHEME: Final = "tenure://"
PERMISSION_OPTION: Final = "tenure.v1.permission"
READ_LOGS: Final = "PERMISSION_READ_LOGS"
KIND_NEEDED: Final = {"PERMISSION_WORK": "worker", "PERMISSION_RELAY": "relay"}
HELD: Final[dict[str, frozenset[str]]] = {
    "worker": frozenset({"PERMISSION_WORK"}),
    "relay": frozenset({"PERMISSION_RELAY", "PERMISSION_READ", READ_LOGS}),
    "scheduler": frozenset(),
}
"""What the parts of Tenure hold; a scheduler only hands on the calls of others."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One caller: `worker` n1, `user` alice, or anonymous."""

    kind: str
    name: str

    @property
    def anonymous(self) -> bool:
        """Whether nothing is known about the caller."""
        return self.kind == "anonymous"

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.kind


ANONYMOUS: Final = Identity("anonymous", "")


def parse_identity(text: str) -> Identity:
    """The identity that `str(identity)` wrote."""
    kind, _, name = text.partition("/")
    return Identity(kind, name) if kind else ANONYMOUS


def identity_of(auth: Mapping[str, Iterable[bytes]]) -> Identity:
    """Read the identity off a connection's auth context."""
    for raw in auth.get("x509_subject_alternative_name", ()):
        text = raw.decode("utf-8", "replace")
        if text.startswith(URI_SCHEME):
            return parse_identity(text[len(URI_SCHEME) :])
    for raw in auth.get("x509_common_name", ()):
        text = raw.decode("utf-8", "replace")
        named = parse_identity(text)
        return named if named.kind in KINDS else Identity("user", text)
    return ANONYMOUS


def permission_of(method: MethodDescriptor) -> str | None:
    """The name of the permission that a method declares by the proto option, None when it declares none."""
    try:
        option: Any = descriptor_pool.Default().FindExtensionByName(PERMISSION_OPTION)
    except KeyError:
        return None
    extensions: Any = method.GetOptions().Extensions
    if option not in extensions:
        return None
    value = extensions[option]
    if option.enum_type is not None:
        return str(option.enum_type.values_by_number[value].name) if value else None
    return str(value) or None


class Access:
    """Decides for one server whether an identity holds a permission."""

    __slots__ = ("client_certificates",)

    def __init__(self, *, client_certificates: bool = False) -> None:
        self.client_certificates = client_certificates

    def may_forward(self, identity: Identity, permission: str) -> bool:
        """Whether this peer may speak for others in a call that asks for this permission."""
        if not self.client_certificates or identity.kind == "scheduler":
            return True
        return identity.kind == "relay" and permission == READ_LOGS

    def require(self, identity: Identity, permission: str) -> None:
        """Return if allowed; raise Unauthenticated or PermissionDenied with a sentence otherwise."""
        if not self.client_certificates:
            return
        if identity.anonymous:
            raise Unauthenticated("this server asks for a client certificate that names the caller")
        needed = KIND_NEEDED.get(permission)
        if needed is not None and identity.kind != needed:
            raise PermissionDenied(
                f"{permission} asks for a certificate that names tenure://{needed}/<name>; "
                f"this one names {identity}"
            )
        if identity.kind in HELD and permission not in HELD[identity.kind]:
            raise PermissionDenied(
                f"{permission} is not for {identity.kind}s: this certificate names {identity}, "
                "use one that names a user"
            )


def require_worker(identity: Identity, worker: str) -> None:
    """Return unless a worker's certificate speaks as another worker; raise PermissionDenied then."""
    if identity.kind == "worker" and identity.name != worker:
        raise PermissionDenied(f"the certificate names worker {identity.name!r}, the request {worker!r}")
