"""Run an echo script from standard input: `python -I -S echo_runner.py < script`.

A process of its own, like any task: its output takes the normal way, its exit code is the task's. It is
started without site-packages, so it finds the parser by its place in the tree.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tenure_core.echo import Echo, EchoSyntaxError, Log, Raise, Return, Sleep, Statement, parse

MALFORMED = 2


def execute(statements: tuple[Statement, ...]) -> int:
    """Do what the statements say; returns the exit code."""
    for statement in statements:
        match statement:
            case Echo(text):
                print(text, flush=True)
            case Log(level, text):
                print(level.upper(), text, file=sys.stderr, flush=True)
            case Sleep(seconds):
                time.sleep(seconds)
            case Return(code):
                return code
            case Raise(text):
                print(text, file=sys.stderr, flush=True)
                return 1
    return 0


def main() -> int:
    # Bytes as they came: a script is UTF-8 whatever the node's locale says.
    script = sys.stdin.buffer.read().decode()
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        return execute(parse(script))
    except EchoSyntaxError as error:
        print(f"the script has faults: {error}", file=sys.stderr)
        return MALFORMED


if __name__ == "__main__":
    sys.exit(main())
