"""Are the pinned requirements complete, hashed, and free of where they were found?"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = {"requirements.lock": ["services", "otel"], "requirements-dev.lock": ["services", "otel", "dev"]}


def pins(lock: str) -> dict[str, Version]:
    """Return the version of each package that a file pins."""
    text = (ROOT / lock).read_text()
    return {
        canonicalize_name(name): Version(version)
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_nothing_else_is_there(lock: str) -> None:
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pinned = re.compile(r"[\w.-]+==[\w.]+(?: ; [^\\]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+\s*")
    assert [entry for entry in entries if not pinned.fullmatch(entry)] == []
    assert "://" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_what_the_project_asks_for_is_pinned(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = list(project["project"]["dependencies"])
    for extra in LOCKS[lock]:
        asked += project["project"]["optional-dependencies"][extra]
    asked += project["build-system"]["requires"]
    pinned = pins(lock)
    for requirement in map(Requirement, asked):
        if requirement.name != project["project"]["name"]:
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_both_files_agree() -> None:
    small, large = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: version for name, version in small.items() if large.get(name) != version} == {}
