"""What do operators see of a service's configuration, start, stop and failure? A small one to look at."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field

from tenure_runtime import failpoints
from tenure_runtime.config import Seconds, from_command_line
from tenure_runtime.config_sections import LogConfig, TelemetryConfig, TlsConfig
from tenure_runtime.rpc.server import Server
from tenure_runtime.supervise import Process, run
from tests.adapters.runtime.probe import PROBE, SENTENCE, Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleConfig:
    """A sample service."""

    listen: str = "127.0.0.1:0"
    """Where it listens."""

    insecure: bool = False
    """Whether TLS is not needed."""

    fail_after: Seconds = 0.0
    """When a task of it fails; 0ms: never."""

    end_early: bool = False
    """Whether a task ends that should not."""

    tls: TlsConfig = field(default_factory=TlsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)


async def fail(after: float) -> None:
    await asyncio.sleep(after)
    raise RuntimeError("a task broke")


async def note(word: str) -> None:
    print(word, flush=True)


async def serve(process: Process, config: SampleConfig) -> None:
    process.at_shutdown("say that the store is closed", lambda: note("store closed"))
    server = Server(tls=config.tls, insecure=config.insecure)
    server.add(PROBE, Probe(), unimplemented=SENTENCE)
    (port,) = await server.start([config.listen])
    process.at_shutdown("stop serving", server.stop)
    process.at_shutdown("say that serving ends", lambda: note("serving ends"))
    if failpoints.ACTIVE:
        await failpoints.reach("sample.before_ready")
    if config.fail_after:
        process.spawn("breaks", fail(config.fail_after))
    if config.end_early:
        process.spawn("ends", note("ended"))
    await server.set_serving(True)
    await process.ready("serving", port=port)
    print(f"ready {port}", flush=True)


if __name__ == "__main__":
    run(
        "sample",
        serve,
        configure=lambda: from_command_line(
            SampleConfig, program="sample", prefix="SAMPLE_", argv=sys.argv[1:]
        ),
    )
