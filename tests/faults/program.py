"""What does a task of a fault run do? Run as `python program.py LEDGER SECONDS LINES`, standard library only.

It tells the ledger of its start, writes lines that say who they are, beats, and has its effect at the end.
A refusal means that a newer attempt holds the task: it ends at once with 75, as user code should.
"""

import json
import os
import socket
import sys
import time
import zlib
from pathlib import Path

REFUSED = 75
BEAT_SECONDS = 0.2


def machine_clock() -> float:
    """CLOCK_BOOTTIME of the machine in seconds, also on a node whose own has started again.

    What the time namespace has added is in /proc/self/timens_offsets (man 7 time_namespaces).
    """
    here = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        lines = Path("/proc/self/timens_offsets").read_text().splitlines()
    except OSError:
        return here  # a kernel without time namespaces
    offsets = {name: int(seconds) + int(ns) / 1e9 for name, seconds, ns in map(str.split, lines)}
    return here - offsets.get("boottime", 0.0)


def main(ledger: str, seconds: float, lines: int) -> int:
    """Run for so long and write so many lines; the exit code."""
    task, attempt = os.environ["TENURE_TASK_ID"], os.environ["TENURE_ATTEMPT"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(ledger)
        answers = connection.makefile("r")

        def write(what: str) -> None:
            entry = {
                "what": what,
                "fence": os.environ["TENURE_FENCE"],
                "process": f"{os.getpid()}.{started}",
                "worker": os.environ["TENURE_WORKER"],
                "at": machine_clock(),
            }
            connection.sendall(json.dumps(entry).encode() + b"\n")
            if answers.readline().strip() != "accepted":
                raise SystemExit(REFUSED)

        started = f"{machine_clock():.6f}"
        write("start")
        beats = max(1, round(seconds / BEAT_SECONDS))
        for beat in range(beats):
            for number in range(lines * beat // beats, lines * (beat + 1) // beats):
                text = f"{task} {attempt} {number} {'last' if number == lines - 1 else 'more'}"
                sys.stdout.write(f"{text} {zlib.crc32(text.encode()):08x}\n")
            sys.stdout.flush()
            time.sleep(seconds / beats)
            if beat:
                write("beat")
        write("effect")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
