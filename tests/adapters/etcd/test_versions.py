"""Which etcd is refused, warned about or accepted, and who may import its stubs?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tenure_runtime.etcd
from tenure_runtime.etcd.versions import EtcdVersion, Verdict, judge


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("3.3.27", Verdict.REFUSE),
        ("3.4.0", Verdict.WARN),
        ("3.4.23", Verdict.WARN),
        ("3.5.32", Verdict.WARN),
        ("3.5.33", Verdict.GOOD),
        ("3.6.0-rc.1", Verdict.WARN),
        ("3.6.14", Verdict.GOOD),
        ("3.7.0", Verdict.GOOD),
        ("4.0.0", Verdict.GOOD),
    ],
)
def test_versions_are_judged(text: str, verdict: Verdict) -> None:
    found, sentence = judge(EtcdVersion.parse(text))
    assert found is verdict
    assert bool(sentence) == (verdict is not Verdict.GOOD)


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="not a version"):
        EtcdVersion.parse("latest")


def test_one_module_imports_the_stubs() -> None:
    services = Path(str(tenure_runtime.etcd.__file__)).parents[2]
    importing = re.compile(r"^\s*(from|import) aetcd\b", re.MULTILINE)
    found = [path.name for path in services.rglob("*.py") if importing.search(path.read_text())]
    assert found == ["stubs.py"]
