"""The command line of Tenure: `tenure --help`.

Nothing heavy is imported before a command needs it: help must come at once, and `tenure run` should start its
task before a person notices that Python was started.
"""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and exit with its code."""
    # Before gRPC is loaded: its own remarks about a connection would stand between our sentences.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from tenure.cli.app import start

        start()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
