"""Do the diagrams and tables in the documentation say what the code says?"""

import re
from importlib import import_module
from pathlib import Path

import pytest

from tenure_runtime.telemetry_metrics import METRICS

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
CONCEPTS = Path(__file__).resolve().parents[2] / "docs" / "concepts.md"
PRINTED = re.compile(r"<!-- printed: ([\w.]+)\.(\w+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(("module", "function", "text"), PRINTED.findall(CONCEPTS.read_text()))
def test_a_printed_table_is_the_one_in_the_code(module: str, function: str, text: str) -> None:
    assert text == getattr(import_module(module), function)()


def test_there_are_printed_tables() -> None:
    assert len(PRINTED.findall(CONCEPTS.read_text())) == 2


def test_the_documented_metrics_are_those_that_are_sent() -> None:
    rows = re.findall(
        r"^\| `(tenure\.[\w.]+)` \| (\S+) \| ([\w, ]*?) ?\|", OPERATIONS.read_text(), re.MULTILINE
    )
    assert rows == [(metric.name, metric.unit, ", ".join(metric.attributes)) for metric in METRICS]
