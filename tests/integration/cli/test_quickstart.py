"""Do the commands in the README and in the quickstart do what is said of them?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Terminal

ROOT = Path(__file__).parents[3]


def script(text: str) -> str:
    """Every command of the document in their order, with what must come out as checks."""
    lines = ["set -euo pipefail"]
    for language, block in re.findall(r"```(console|python)\n(.*?)```", text, re.DOTALL):
        if language == "python":
            lines.append(f"[ \"$(python3 - <<'PY'\n{block}PY\n)\" = $'42\\n0' ]")
            continue
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, _, rest = command.partition("\n")
            if "<<'END'" in first:
                lines.append(command.rstrip())
            elif not first.startswith(("source", "make")):
                expected = rest.rstrip().replace("'", "'\\''")
                quiet = f'set +e; said=$({first}); set -e; echo "$said" >&2'
                lines.append(f"[ \"$({first})\" = '{expected}' ]" if expected and ";" not in first else first)
                if expected and ";" in first:
                    lines[-1] = f"{quiet}; [ \"$said\" = '{expected}' ]"
    return "\n".join(lines)


@pytest.mark.parametrize("document", ["README.md", "docs/quickstart.md"])
def test_every_command_works(tmp_path: Path, document: str) -> None:
    terminal = Terminal(tmp_path)
    for name, what in {"tenure": "-m tenure.cli", "python3": ""}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {what} "$@"\n')
        program.chmod(0o755)
    text = script((ROOT / document).read_text())
    # Where another program holds the default port, its line about the address must be obeyed.
    address = "eval \"$(grep -o 'export TENURE_ADDRESS=.*' up.txt)\""
    text = text.replace("tenure up --detach", f"tenure up --detach > up.txt; {address}")
    try:
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env={**terminal.env, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=55,
        )
        assert done.returncode == 0, (done.stdout, done.stderr, text)
    finally:
        terminal("down", code=None)
