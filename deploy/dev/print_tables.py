"""Write the tables that are printed from code into the documentation: `python deploy/dev/print_tables.py`."""

import re
from importlib import import_module
from pathlib import Path

CONCEPTS = Path(__file__).resolve().parents[2] / "docs" / "concepts.md"
PRINTED = re.compile(r"(<!-- printed: ([\w.]+)\.(\w+) -->\n```\w+\n)(.*?)```", re.DOTALL)


def _print(found: re.Match[str]) -> str:
    head, module, function, _ = found.groups()
    return f"{head}{getattr(import_module(module), function)()}```"


if __name__ == "__main__":
    CONCEPTS.write_text(PRINTED.sub(_print, CONCEPTS.read_text()))
