"""Which sections do the configurations of all services share?

Plain data: importing this loads neither gRPC nor anything else that a small process could not afford.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tenure_runtime.config_values import AtLeast, AtMost, Bytes, Endpoint, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Certificates of this process; all empty means no TLS."""

    cert: Path | None = None
    """PEM file with this process's certificate chain, leaf first."""

    key: Path | None = None
    """PEM file with the private key of the certificate."""

    ca: Path | None = None
    """PEM file with the authorities that sign the servers which this process calls; empty: the system's."""

    client_ca: Path | None = None
    """PEM file with the authorities that sign client certificates; when set, callers must show one."""

    server_name: str = ""
    """Name to expect in the certificate of a called server, where it differs from the address."""

    @property
    def serves(self) -> bool:
        """Whether a server can listen with TLS."""
        return self.cert is not None and self.key is not None

    @property
    def on(self) -> bool:
        """Whether channels of this process use TLS."""
        return self.cert is not None or self.ca is not None

    def problems(self) -> Iterable[tuple[str, str]]:
        """Halves of pairs, files that are not there, and files that do not hold what they should."""
        if (self.cert is None) != (self.key is None):
            yield ("key" if self.key is None else "cert"), "is missing: a certificate needs its key"
        if self.client_ca is not None and self.cert is None:
            yield "cert", "is missing: client certificates can be asked for only with TLS"
        files = {"cert": self.cert, "key": self.key, "ca": self.ca, "client_ca": self.client_ca}
        if any(files.values()):
            # Imported here: most processes use no TLS, and the library takes its time.
            from tenure_runtime.certificates import faults

            yield from faults(files)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTlsConfig:
    """Certificates for talking to etcd; all empty means what the scheme of the endpoints says."""

    ca: Path | None = None
    """PEM file with the authorities that sign etcd's certificates; empty: the system's."""

    cert: Path | None = None
    """PEM file with the client certificate to show, where etcd asks for one."""

    key: Path | None = None
    """PEM file with the private key of the client certificate."""

    server_name: str = ""
    """Name to expect in etcd's certificate, where it differs from the endpoint."""

    def problems(self) -> Iterable[tuple[str, str]]:
        """The same faults as those of other certificates."""
        yield from TlsConfig(cert=self.cert, key=self.key, ca=self.ca).problems()


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdConfig:
    """Where the truth is kept."""

    endpoints: tuple[Endpoint, ...] = ("127.0.0.1:2379",)
    """Addresses of the members, as host:port or https://host:port."""

    user: str = ""
    """User name, where etcd's authentication is on."""

    password_file: Path | None = None
    """File whose first line is the password."""

    timeout: Annotated[Seconds, AtLeast(0.5)] = 5.0
    """How long one request may take before another member is asked."""

    tls: EtcdTlsConfig = field(default_factory=EtcdTlsConfig)

    def problems(self) -> Iterator[tuple[str, str]]:
        """No member to talk to, half of a login."""
        if not self.endpoints:
            yield "endpoints", "names no member"
        if bool(self.user) != (self.password_file is not None):
            yield "password_file", "and etcd.user belong together: set both or none"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """How etcd is kept small."""

    compact_every: Annotated[Seconds, AtLeast(1.0)] = 300.0
    """How often the leader compacts etcd's history."""

    quota: Annotated[Bytes, AtLeast(1 << 20)] = 2 << 30
    """etcd's own quota (--quota-backend-bytes), which it does not tell in every version."""

    tidy_at: Annotated[float, AtLeast(0.05), AtMost(1.0)] = 0.5
    """Share of etcd's quota from which on finished tasks go before their time; at refuse_at none is kept."""

    refuse_at: Annotated[float, AtLeast(0.1), AtMost(1.0)] = 0.7
    """Share of etcd's quota at which submits are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What the process writes about itself, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events to write."""

    format: Literal["auto", "json", "console"] = "auto"
    """One JSON object a line, or lines for people; auto is for people on a terminal and JSON elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """OpenTelemetry traces and metrics; off unless an exporter is named."""

    exporter: Literal["none", "otlp", "console", "file"] = "none"
    """Where traces and metrics go: an OTLP collector, standard error, or a file of JSON lines."""

    endpoint: str = "http://127.0.0.1:4317"
    """The OTLP collector (gRPC); http:// is without TLS."""

    file: Path | None = None
    """The file of the exporter `file`."""

    sample: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 1.0
    """Share of new traces that are recorded; a caller's decision is followed."""

    interval: Annotated[Seconds, AtLeast(0.1)] = 15.0
    """How often metrics are sent."""

    @property
    def on(self) -> bool:
        """Whether anything is recorded."""
        return self.exporter != "none"

    def problems(self) -> Iterable[tuple[str, str]]:
        """An exporter without its target."""
        if self.exporter == "file" and self.file is None:
            yield "file", "is needed by the exporter file"
        if self.exporter == "otlp" and not self.endpoint.startswith(("http://", "https://")):
            yield "endpoint", f"is {self.endpoint!r}: write http://host:port, or https:// for TLS"
