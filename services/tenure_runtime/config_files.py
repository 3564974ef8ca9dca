"""What do the documented configuration files in deploy/config say?

    python -m tenure_runtime.config_files DIRECTORY

writes them from the definitions of the services; a test tells when they are behind. The services are named
here as text and imported only when the files are written: this package may not depend on them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from tenure_runtime.config_text import example_text

FILES: Final = {
    "scheduler.toml": ("tenure_scheduler.config", "SchedulerConfig"),
    "worker-agent.toml": ("tenure_worker_agent.config", "WorkerAgentConfig"),
    "log-relay.toml": ("tenure_log_relay.config", "LogRelayConfig"),
}


def texts() -> dict[str, str]:
    """The files by name."""
    found = {}
    for file, (module_name, class_name) in FILES.items():
        module = import_module(module_name)
        found[file] = example_text(getattr(module, class_name), program=module.PROGRAM, prefix=module.PREFIX)
    return found


if __name__ == "__main__":
    for file, text in texts().items():
        Path(sys.argv[1], file).write_text(text, encoding="utf-8")
