"""Does the tree keep the rules that no tool checks: sizes, pure imports, nothing of one machine in it?"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE, LONGEST_FUNCTION = 500, 60
WRITTEN_BY_HAND = {".py", ".proto", ".sh"}
# In two parts, so that this file does not name them.
REGISTRIES = [
    f"{name}.{domain}"
    for name, domain in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("yarnpkg", "com"),
        ("proxy.golang", "org"),
        ("crates", "io"),
        ("repo.maven", "apache.org"),
        ("repo1.maven", "org"),
    ]
]
IMPURE = {"asyncio", "grpc", "os", "random", "socket", "time", "uuid"}
PURE = ["tenure_core", "tenure_log_relay/domain", "tenure_scheduler/domain", "tenure_worker_agent/domain"]
SERVICES = ["tenure_log_relay", "tenure_runtime", "tenure_scheduler", "tenure_worker_agent"]


def tracked() -> list[Path]:
    """Return the files under version control that are there."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def generated(path: Path) -> bool:
    return path.stem.endswith(("_pb2", "_pb2_grpc"))


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix in WRITTEN_BY_HAND and not generated(path)]


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_file_is_too_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in sources()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    too_long = []
    for path in (path for path in sources() if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert too_long == []


@pytest.mark.parametrize("package", PURE)
def test_decisions_import_only_what_is_pure(package: str) -> None:
    allowed = (sys.stdlib_module_names - IMPURE) | {"tenure_core", package.partition("/")[0]}
    if package == "tenure_core":
        allowed |= {"isal"}  # in `checksum` only, where zlib stands in for it
    impure = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "services" / package).rglob("*.py")
        for name in imports(path)
        if name.partition(".")[0] not in allowed
    ]
    assert impure == []


@pytest.mark.parametrize("package", SERVICES)
def test_services_use_only_the_generated_code_of_the_client(package: str) -> None:
    foreign = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "services" / package).rglob("*.py")
        for name in imports(path)
        if name.startswith("tenure.") and not name.startswith(("tenure.v1.", "tenure.dispatch.v1."))
    ]
    assert foreign == []


def test_nothing_names_a_registry_or_a_checkout_on_some_machine() -> None:
    somewhere = r"(?<![\w./~-])/(?:home|root|Users|work|workspace|workspaces)/\w"
    here = rf"(?<![\w.]){re.escape(str(ROOT))}\b" if len(ROOT.parts) > 2 else somewhere
    registry = "|".join(map(re.escape, REGISTRIES))
    pattern = re.compile(f"{registry}|{somewhere}|{here}")
    found = []
    for path in tracked():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert [entry for entry in found if not entry.startswith("tests/tooling/test_tree.py")] == []
