"""Run seeds, or one seed again: `python -m tests.simulation --seeds 2000`, `… --seed 17`."""

from __future__ import annotations

from tests.simulation.run import main

main()
