"""Does every command of the grpcurl cookbook do against a live fleet what the document says?"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tenure.local.fleet import Fleet

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
RECIPE = re.compile(r"<!-- expect: (.*?) -->\n```bash cookbook\n(.*?)```", re.DOTALL)


def grpcurl() -> str:
    """Where the real grpcurl is; in CI it has to be there."""
    found = shutil.which("grpcurl", path=f"{ROOT / '.tools'}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        message = "grpcurl is not here: `make grpcurl` builds it where Go is at hand"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def run_recipes(recipes: list[tuple[str, str]], environment: dict[str, str]) -> list[str]:
    """The output of each recipe, all run by one shell so that variables carry over."""
    mark = "=== end of recipe ==="
    script = "set -euo pipefail\n" + "".join(f"{commands}\necho '{mark}'\n" for _, commands in recipes)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split(mark)


async def test_every_recipe_of_the_cookbook_answers_as_written() -> None:
    program = grpcurl()
    document = OPERATIONS.read_text()
    recipes = RECIPE.findall(document)
    assert len(recipes) == document.count("```bash"), "every command says what to expect of it"
    assert len(recipes) >= 17
    async with Fleet() as fleet:
        environment = {
            **os.environ,
            "PATH": f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}",
            "SCHEDULER": fleet.address,
            "RELAY": fleet.relay_addresses[0],
        }
        outputs = run_recipes(recipes, environment)
    assert outputs.pop() == "\n"
    for (expected, commands), output in zip(recipes, outputs, strict=True):
        assert expected in output, f"{commands}\nanswered\n{output}"
