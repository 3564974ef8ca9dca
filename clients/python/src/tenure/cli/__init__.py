"""The command line of Tenure: `tenure --help`.

Nothing heavy is imported before a command needs it: help must come at once, and `tenure run` should start its
task before a person notices that Python was started.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    from tenure.cli.app import start

    start()
