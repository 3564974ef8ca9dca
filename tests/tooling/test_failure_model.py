"""Does every test that the failure model names exist?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEXT = (ROOT / "docs/failure-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`", _TEXT)))


def test_the_failure_model_names_many_tests() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[f"{file}::{name}" for file, name in NAMED])
def test_what_the_failure_model_names_exists(file: str, name: str) -> None:
    path = ROOT / file
    assert path.exists()
    if name:
        assert re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE)
