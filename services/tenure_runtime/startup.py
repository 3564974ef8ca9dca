"""How does a service say that it cannot start because of its surroundings?"""

from __future__ import annotations

EXIT_CANNOT_START = 2


class CannotStart(Exception):
    """A fault of configuration or environment, told in a sentence; exit code 2, no traceback."""
