"""Is the committed code the one that the protocol definitions produce, and if not, make it so.

    generate.py             write the generated code, remove what no definition produces any more
    generate.py --check     change nothing; list the differences and exit 1 if there are any
    generate.py --baseline  write protos/baseline.binpb, what `buf breaking` compares with
    generate.py --borrow    only lay out the definitions of others in .deps, where buf finds them

Everything comes from installed packages; nothing is fetched. Code is generated into a temporary folder first,
so that a faulty definition leaves the committed code untouched.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = {"buf.gen.yaml": "protos/tenure", "buf.gen.state.yaml": "protos/tenure_state"}
GENERATED_ROOTS = ("clients/python/src/tenure", "services/tenure_state")
BORROWED = ("google/rpc/code.proto", "google/rpc/error_details.proto", "google/rpc/status.proto")


def borrow_definitions(into: Path) -> None:
    """Copy the definitions of google.rpc out of their wheel, where buf can see them as a module."""
    package = find_spec("google.rpc")
    if package is None or not package.submodule_search_locations:
        sys.exit("generate: googleapis-common-protos is not installed; run `make setup`")
    site = Path(next(iter(package.submodule_search_locations))).parents[1]
    for name in BORROWED:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site / name, target)


def buf(*arguments: str) -> None:
    """Run buf with this environment's programs first on the PATH; end with its exit code if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(["buf", *arguments], cwd=ROOT, env={**os.environ, "PATH": path}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def is_generated(path: Path) -> bool:
    return path.suffix in {".py", ".pyi"} and path.stem.endswith(("_pb2", "_pb2_grpc"))


def generated_files(root: Path) -> Iterator[Path]:
    """Yield the generated files below `root`, as paths relative to it, in a stable order."""
    for folder in GENERATED_ROOTS:
        for path in sorted((root / folder).rglob("*_pb2*")):
            if is_generated(path):
                yield path.relative_to(root)


def differences(fresh: Path) -> dict[Path, str]:
    """Say for each generated file that is not as in `fresh` what is wrong with it."""
    wanted, present = set(generated_files(fresh)), set(generated_files(ROOT))
    found = dict.fromkeys(wanted - present, "missing")
    found |= dict.fromkeys(present - wanted, "stale: no definition produces it")
    changed = (path for path in wanted & present if (fresh / path).read_bytes() != (ROOT / path).read_bytes())
    return found | dict.fromkeys(changed, "differs")


def generate(fresh: Path) -> None:
    for template, source in TEMPLATES.items():
        if any((ROOT / source).rglob("*.proto")):
            buf("generate", "--template", template, "--output", str(fresh))


def apply(fresh: Path, path: Path) -> None:
    if (fresh / path).exists():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / path, ROOT / path)
    else:
        (ROOT / path).unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description="Generate the Python code of the protocol definitions.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only list differences; exit 1 if there are any")
    what.add_argument("--baseline", action="store_true", help="write protos/baseline.binpb")
    what.add_argument("--borrow", action="store_true", help="only copy the definitions of others into .deps")
    options = parser.parse_args()
    borrow_definitions(ROOT / ".deps/protos")
    if options.borrow:
        return 0
    if options.baseline:
        buf("build", "protos", "--exclude-source-info", "--output", "protos/baseline.binpb")
        return 0
    with tempfile.TemporaryDirectory(prefix="tenure-generate-") as folder:
        fresh = Path(folder)
        generate(fresh)
        found = differences(fresh)
        for path, complaint in sorted(found.items()):
            print(f"{path}: {complaint}" if options.check else f"updated {path}")
            if not options.check:
                apply(fresh, path)
    if options.check and found:
        print(
            "The generated code is not what the definitions produce: run `make generate`, commit the result."
        )
    return 1 if options.check and found else 0


if __name__ == "__main__":
    sys.exit(main())
