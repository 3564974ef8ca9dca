"""What tests of the node's services share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.worker_agent.wardens import WardenProcess, a_warden


@pytest.fixture
def state() -> Iterator[Path]:
    """Return a state directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="tn-node-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "state"


@pytest.fixture(
    params=[pytest.param((), id="groups"), pytest.param(("--no-control-groups",), id="no-groups")]
)
def warden(request: pytest.FixtureRequest, state: Path) -> Iterator[WardenProcess]:
    """Run a warden, with control groups where the machine has them, and without."""
    with a_warden(state, *request.param) as process:
        yield process
