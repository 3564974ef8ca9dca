"""How fast is the log relay alone, from an agent's push to a reader, fsync included?

    python -m bench.relay_speed [megabytes]

Four processes: the relay, a pusher that makes frames as a warden does (checksums included), a reader, and
for the reference a server and a reader of a bare grpc.aio stream of 256 KiB messages. Rounds of the
reference and of the relay alternate; medians are printed as one JSON object. The relay keeps its log in the
folder of `TMPDIR`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc

from tenure.dispatch.v1.log_ingest_service_pb2 import PushChunk, PushRequest, PushResponse
from tenure.dispatch.v1.log_ingest_service_pb2_grpc import LogIngestServiceStub
from tenure.v1.log_service_pb2 import TailLogsRequest, TailLogsResponse
from tenure_core.frames import encode_header
from tenure_log_relay.adapters.wire import varint
from tenure_runtime.allocator import keep_buffers

FRAME = 256 * 1024
ROUNDS = 3
DELAY_LINES = 300
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PUSH = "/tenure.dispatch.v1.LogIngestService/Push"
TASK = "bench" + "0" * 14


def fence(kind: str) -> str:
    """A fence of an attempt of its own for each measurement."""
    return f"1.{TASK}{kind}.1"


# The reference


async def reference_server() -> None:
    message = os.urandom(FRAME)

    async def stream(request: bytes, context: Any) -> Any:
        for _ in range(int(request)):
            yield message

    server = grpc.aio.server(options=OPTIONS)
    handlers = {"Stream": grpc.unary_stream_rpc_method_handler(stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Reference", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


async def reference_read(address: str, megabytes: int) -> None:
    count = megabytes * 1_000_000 // FRAME
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub: Any = channel.unary_stream("/bench.Reference/Stream")
        began, size = time.perf_counter(), 0
        async for message in stub(str(count).encode()):
            size += len(message)
        report(size / (time.perf_counter() - began) / 1e6)


# The relay


async def push(address: str, kind: str, megabytes: int) -> None:
    """Push frames and wait for the last ack."""
    payload = os.urandom(FRAME) if kind == "b" else lines_of(100 if kind == "m" else 24)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub: Any = channel.stream_stream(PUSH, response_deserializer=PushResponse.FromString)
        call = stub()
        acked = asyncio.create_task(last_ack(call))
        offset = number = 0
        while offset < megabytes * 1_000_000:
            header = encode_header(
                payload, channel=1, number=number, offset=offset, wall_ns=time.time_ns(), boot_ns=number
            )
            await call.write(request_of(fence(kind), header, payload))
            offset += len(payload)
            number += 1
        last = PushRequest(chunks=[PushChunk(fence=fence(kind), final_frames=number)])
        await call.write(last.SerializeToString())
        await acked
        call.cancel()


def request_of(name: str, *parts: bytes) -> bytes:
    """A `PushRequest` with frames in several parts, which are copied once."""
    size = sum(map(len, parts))
    chunk = b"\x0a" + varint(len(name)) + name.encode() + b"\x12" + varint(size)
    return b"".join((b"\x12", varint(len(chunk) + size), chunk, *parts))


async def last_ack(call: Any) -> None:
    while not (await call.read()).acks[0].complete:
        pass


def lines_of(size: int) -> bytes:
    """A frame full of lines of `size` bytes, newline included."""
    return b"".join(b"%0*d\n" % (size - 1, number) for number in range(FRAME // size))


async def read(address: str, kind: str, megabytes: int) -> None:
    """Follow an attempt until all bytes came; the rate counts from the first message with output."""
    request = TailLogsRequest(task_id=TASK + kind, follow=True, format=2 if kind == "b" else 1)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub: Any = channel.unary_stream("/tenure.v1.LogService/TailLogs")
        began, size, count = 0.0, 0, 0
        async for data in stub(request.SerializeToString()):
            message = TailLogsResponse.FromString(data)
            began = began or (time.perf_counter() if size or not message.HasField("attempt_begin") else 0.0)
            if kind == "b":
                size += len(message.chunk.data)
            else:
                count += len(message.lines.entries)
                size += sum([len(entry.text) + 1 for entry in message.lines.entries])
            if size >= megabytes * 1_000_000:
                break
        seconds = time.perf_counter() - began
        report((size / 1e6 if kind == "b" else count) / seconds)


def line_request(kind: str, number: int) -> PushRequest:
    """A push of one line, the `number`th."""
    line = b"line %6d\n" % number
    offset = number * len(line)
    header = encode_header(line, channel=1, number=number, offset=offset, wall_ns=time.time_ns(), boot_ns=0)
    return PushRequest(chunks=[PushChunk(fence=fence(kind), frames=header + line)])


async def delays(address: str, kind: str, megabytes: int) -> None:
    """Milliseconds from the push of a line to its arrival at a reader, at 100 lines/s."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        push_stub: Any = LogIngestServiceStub(channel)
        pushing = push_stub.Push()
        stub: Any = channel.unary_stream("/tenure.v1.LogService/TailLogs")
        await pushing.write(line_request(kind, 0))
        await pushing.read()
        tail = stub(TailLogsRequest(task_id=TASK + kind, follow=True).SerializeToString())
        while not TailLogsResponse.FromString(await tail.read()).lines.entries:
            pass
        found: list[float] = []
        for number in range(1, DELAY_LINES):
            request = line_request(kind, number)
            began = time.perf_counter()
            await pushing.write(request)
            while not TailLogsResponse.FromString(await tail.read()).lines.entries:
                pass
            found.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(max(0.0, 0.01 - (time.perf_counter() - began)))
        tail.cancel()
        pushing.cancel()
        found.sort()
        print(json.dumps([found[len(found) // 2], found[int(len(found) * 0.99)]]), flush=True)


def report(rate: float) -> None:
    print(json.dumps(rate), flush=True)


# The run


def spawn(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> Any:
    with process:
        out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args} failed")
    return json.loads(out.splitlines()[-1])


def start_relay(folder: str, etcd: str) -> tuple[subprocess.Popen[str], str]:
    """A relay without a scheduler: it serves, and finds no outcomes."""
    command = [sys.executable, "-m", "tenure_log_relay", "--listen", "127.0.0.1:0", "--data-dir", folder]
    command += ["--etcd-endpoints", etcd, "--schedulers", "127.0.0.1:1", "--log-format", "json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line)
        if "address" in event:
            return process, event["address"]
    raise RuntimeError("the relay did not start")


def relay_round(kind: str, megabytes: int, etcd: str) -> tuple[float, float]:
    """(rate at the reader, CPU seconds of the relay)."""
    with tempfile.TemporaryDirectory() as folder:
        relay, address = start_relay(folder, etcd)
        started = cpu_seconds(relay.pid)
        pushing = spawn("push", address, kind, megabytes)
        wait_for_attempt(address, kind)
        rate = answer(spawn("read", address, kind, megabytes))
        with pushing:
            pushing.wait()
        cpu = cpu_seconds(relay.pid) - started
        relay.terminate()
        with relay:
            relay.communicate()
        return rate, cpu


def wait_for_attempt(address: str, kind: str) -> None:
    """Until the relay knows the attempt: a tail without a scheduler needs a log."""
    channel = grpc.insecure_channel(address)
    stub: Any = channel.unary_unary("/tenure.v1.LogService/ListLogStreams")
    for _ in range(500):
        try:
            stub(TailLogsRequest(task_id=TASK + kind).SerializeToString())
            break
        except grpc.RpcError:
            time.sleep(0.01)
    channel.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def delay_round(etcd: str) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        relay, address = start_relay(folder, etcd)
        found: list[float] = answer(spawn("delays", address, "d", 0))
        relay.terminate()
        with relay:
            relay.communicate()
        return found


def main(megabytes: int, etcd: str) -> None:
    server = spawn("reference-server")
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())["address"]
    rates: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        rates.setdefault("ref_stream_mb_per_s", []).append(answer(spawn("reference", address, megabytes)))
        for kind, name in (("b", "mb_per_s"), ("m", "lines_100b_per_s"), ("s", "lines_24b_per_s")):
            amount = {"b": megabytes, "m": megabytes // 2, "s": megabytes // 8}[kind]
            rate, cpu = relay_round(kind, amount, etcd)
            rates.setdefault(name, []).append(rate)
            rates.setdefault(f"relay_cpu_ms_per_mb_{kind}", []).append(cpu * 1e3 / amount)
    server.terminate()
    with server:
        server.wait()
    middle, late = zip(*(delay_round(etcd) for _ in range(ROUNDS)), strict=True)
    rates["push_to_reader_p50_ms"], rates["push_to_reader_p99_ms"] = list(middle), list(late)
    result = {name: round(statistics.median(values), 3) for name, values in rates.items()}
    result["ratio_to_ref"] = round(result["mb_per_s"] / result["ref_stream_mb_per_s"], 3)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    first, *rest = sys.argv[1:] or ["1000"]
    if first == "reference-server":
        asyncio.run(reference_server())
    elif first == "reference":
        asyncio.run(reference_read(rest[0], int(rest[1])))
    elif first in ("push", "read", "delays"):
        keep_buffers()
        work = {"push": push, "read": read, "delays": delays}[first]
        asyncio.run(work(rest[0], rest[1], int(rest[2])))
    else:
        # Started by its path, this finds the bench folder alone; etcd is started as the tests start it.
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from tests.support.etcd_server import EtcdServers
        from tests.support.ports import borrowed_ports

        with borrowed_ports() as ports:
            servers = EtcdServers(ports)
            try:
                main(int(first), servers.launch()[0].endpoint)
            finally:
                servers.remove()
