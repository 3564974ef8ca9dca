"""Run faults against a real fleet: `python -m tests.faults --minutes 3 --kinds node-killed`."""

from __future__ import annotations

import sys

from tests.faults.run import main

sys.exit(main())
