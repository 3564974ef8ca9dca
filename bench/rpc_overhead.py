"""What does Tenure's RPC server cost on top of bare grpc.aio, per unary call?

    python bench/rpc_overhead.py [calls per round] [rounds]

Each server runs in a process of its own, with the real GetTask messages. CPU time of the server process per
call is what counts: it depends least on what else the machine does. Rounds alternate between the servers and
the least disturbed one is printed; `validate_spec_us` times the validation of a typical task alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import grpc

from tenure.v1 import task_service_pb2 as pb
from tenure.v1 import task_service_pb2_grpc as stubs
from tenure.v1 import task_spec_pb2 as spec_pb
from tenure_runtime.config_sections import TelemetryConfig
from tenure_runtime.rpc.server import Server
from tenure_runtime.rpc.validation import Validator, enum, mapping, message, number, one_of, repeated, text
from tenure_runtime.telemetry import Telemetry
from tenure_runtime.telemetry import start as start_telemetry

SERVICE = pb.DESCRIPTOR.services_by_name["TaskService"]
IN_FLIGHT = 64
TITLES = ("bare grpc.aio", "Tenure", "… rules and router", "… and telemetry on")
TRACED = TelemetryConfig(exporter="file", file=Path(os.devnull))
ANSWER = pb.GetTaskResponse()
RULES = Validator({pb.GetTaskRequest: {"task_id": text(required=True, max=64), "view": enum(required=False)}})


class Bare(stubs.TaskServiceServicer):
    async def GetTask(self, request: Any, context: Any) -> Any:  # noqa: N802
        return ANSWER


class Ours:
    async def GetTask(self, request: Any, call: Any) -> Any:  # noqa: N802
        return ANSWER


async def start(kind: str) -> tuple[Any, int]:
    """Start one of the servers to compare."""
    if kind == "bare":
        server = grpc.aio.server()
        stubs.add_TaskServiceServicer_to_server(cast("Any", Bare)(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    async def here(_method: str) -> None:
        return None

    full = kind != "plain"
    traced = start_telemetry(TRACED, service="bench", instance="1") if kind == "traced" else Telemetry()
    ours = Server(rules=RULES if full else None, router=here if full else None, observer=traced.observer)
    ours.add(SERVICE, Ours(), unimplemented="not part of this measurement")
    (port,) = await ours.start(["127.0.0.1:0"])
    return ours, port


async def serve(kind: str) -> None:
    """The server process: prints its port, then its CPU seconds for every line that it reads."""
    _server, port = await start(kind)
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(time.process_time(), flush=True)


class Peer:
    """One server process as the client side sees it."""

    def __init__(self, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "serve", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def cpu(self) -> float:
        """CPU seconds that the server process has used so far."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.communicate()


async def round_of(peer: Peer, calls: int) -> tuple[float, float]:
    """Server CPU and wall microseconds per call."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{peer.port}") as channel:
        stub: Any = stubs.TaskServiceStub(channel)
        request = pb.GetTaskRequest(task_id="0123456789abcdefghjk")
        await stub.GetTask(request)
        todo = iter(range(calls))

        async def worker() -> None:
            for _ in todo:
                await stub.GetTask(request)

        cpu, wall = peer.cpu(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return (peer.cpu() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6


def validation_us() -> float:
    """Microseconds to validate a typical spec with a rule on each field that it sets."""
    spec = spec_pb.TaskSpec.DESCRIPTOR
    rules = Validator(
        {
            spec_pb.TaskSpec: {
                "name": text(max=200, pattern=r"[a-zA-Z0-9][a-zA-Z0-9._-]*"),
                "namespace": text(max=63, pattern=r"[a-z0-9][a-z0-9-]*"),
                "queue": text(max=63, pattern=r"[a-z0-9][a-z0-9-]*"),
                "labels": mapping(key=text(required=True, max=63), value=text(max=63), max=64),
                "priority": number(min=-1000, max=1000),
                "process": message(max_bytes=65_536),
                **{name: one_of() for name in spec.oneofs_by_name if not name.startswith("_")},
                **{f.name: enum(required=False) for f in spec.fields if f.enum_type is not None},
            },
            spec_pb.ProcessBody: {"argv": repeated(text(required=True, max=4096), min=1, max=1000)},
        }
    )
    check = rules.check_of(spec)
    assert check is not None
    typical = spec_pb.TaskSpec(name="encode-17", namespace="media", queue="default", priority=5)
    typical.labels.update({"team": "video", "kind": "encode"})
    typical.process.argv.extend(["ffmpeg", "-i", "in.mov", "out.mp4"])
    assert check(typical) == ()
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(20_000):
            check(typical)
        rounds.append((time.process_time() - begun) / 20_000 * 1e6)
    return min(rounds)


async def main(calls: int, rounds: int) -> None:
    """Print the table and one JSON line."""
    kinds = ("bare", "plain", "full", "traced")
    peers = {kind: Peer(kind) for kind in kinds}
    figures: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    try:
        for _ in range(rounds):
            for kind, peer in peers.items():
                figures[kind].append(await round_of(peer, calls))
    finally:
        for peer in peers.values():
            peer.close()
    result = {"cpus": os.cpu_count(), "validate_spec_us": round(validation_us(), 2)}
    print(f"{'server':<28}{'server CPU µs/call':>20}{'wall µs/call':>15}")
    for kind, title in zip(kinds, TITLES, strict=True):
        cpu, wall = (min(column) for column in zip(*figures[kind], strict=True))
        result[f"{kind}_cpu_us"], result[f"{kind}_wall_us"] = round(cpu, 1), round(wall, 1)
        print(f"{title:<28}{cpu:>20.1f}{wall:>15.1f}")
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(sys.argv[2]))
    else:
        asyncio.run(main(*(int(a) for a in (sys.argv[1:] + ["4000", "5"][len(sys.argv) - 1 :]))))
