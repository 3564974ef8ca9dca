"""Which etcd program may a local fleet start, and how is one had when none is installed?

In this order: the program named by TENURE_ETCD_BINARY, `etcd` on the PATH, the copy that an earlier call has
unpacked, Debian's package `etcd-server`. The package is downloaded and unpacked in the user's cache folder:
nothing is installed and no root is needed. apt checks its signature as always.

`python -m tenure.local.etcd_binary` prints the path.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PACKAGE = "etcd-server"
ADVICE = (
    f"Install etcd 3.4 or newer (on Debian or Ubuntu: apt-get install {PACKAGE}) "
    "or set TENURE_ETCD_BINARY to the path of an etcd program."
)


class EtcdVersion(NamedTuple):
    """A released version of etcd; compares as versions do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST = EtcdVersion(3, 4, 0)


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    """An etcd program that answered with its version."""

    path: Path
    version: EtcdVersion


class EtcdNotFound(Exception):
    """No usable etcd; the message lists what was tried and what to do."""


class Unusable(Exception):
    """Why one candidate does not serve."""


def find_etcd(
    environ: Mapping[str, str] = os.environ, report: Callable[[str], None] = lambda sentence: None
) -> EtcdBinary:
    """Return the first usable etcd, downloading Debian's if there is none; blocks for as long as that takes.

    `report` hears one sentence before a download starts. Raises EtcdNotFound. A program named by
    TENURE_ETCD_BINARY is never silently replaced by another.
    """
    if named := environ.get("TENURE_ETCD_BINARY"):
        try:
            return probe(Path(named))
        except Unusable as reason:
            raise EtcdNotFound(f"TENURE_ETCD_BINARY is {named}: {reason}. {ADVICE}") from None
    candidates: dict[str, Callable[[], EtcdBinary]] = {
        "PATH": lambda: _on_path(environ),
        "cache": lambda: probe(_unpacked(environ)),
        "Debian's package": lambda: _from_debian(environ, report),
    }
    tried = []
    for place, candidate in candidates.items():
        try:
            return candidate()
        except Unusable as reason:
            tried.append(f"  {place}: {reason}")
    raise EtcdNotFound("\n".join(["No usable etcd was found. Tried:", *tried, ADVICE]))


def probe(path: Path) -> EtcdBinary:
    """Run `path --version`; raise Unusable if it is no etcd that we can work with."""
    # etcd takes ETCD_* variables for flags; those of a server that is set up here must not reach this call.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    try:
        answer = subprocess.run([path, "--version"], env=environ, capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        raise Unusable(f"{path} does not exist") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{path} cannot be run ({error})") from None
    found = re.search(r"^etcd Version: (\d+)\.(\d+)\.(\d+)", answer.stdout, re.MULTILINE)
    if answer.returncode or not found:
        raise Unusable(f"{path} does not answer --version as etcd does")
    version = EtcdVersion(int(found[1]), int(found[2]), int(found[3]))
    if version < OLDEST:
        raise Unusable(f"{path} is etcd {version}, too old: {OLDEST} is the oldest that works")
    return EtcdBinary(path, version)


def _on_path(environ: Mapping[str, str]) -> EtcdBinary:
    found = shutil.which("etcd", path=environ.get("PATH", os.defpath))
    if not found:
        raise Unusable("there is no program `etcd` on it")
    return probe(Path(found))


def _cache_folder(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home(), ".cache"))
    return Path(base, "tenure", "etcd")


def _unpacked(environ: Mapping[str, str]) -> Path:
    # One folder per architecture, for homes that several machines share.
    return _cache_folder(environ) / f"debian-{platform.machine()}" / "usr" / "bin" / "etcd"


def _from_debian(environ: Mapping[str, str], report: Callable[[str], None]) -> EtcdBinary:
    """Unpack the package beside its place, try it there, then rename: a reader never sees half of it."""
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program, path=environ.get("PATH", os.defpath)):
            raise Unusable(f"{program} is not available on this machine")
    binary = _unpacked(environ)
    cache = _cache_folder(environ)
    report(f"etcd is not installed: getting Debian's package {PACKAGE} into {cache}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=cache) as work:
            fresh = Path(work, "unpacked")
            _run(["dpkg", "-x", str(download(Path(work))), str(fresh)], Path(work))
            probe(fresh / "usr" / "bin" / "etcd")
            _replace(fresh, binary.parents[2], Path(work, "old"))
    except OSError as error:
        raise Unusable(f"cannot write below {cache} ({error.strerror})") from None
    return probe(binary)


def _replace(fresh: Path, place: Path, old: Path) -> None:
    """Put `fresh` at `place`; two callers at once both succeed, with one of the two copies."""
    try:
        if place.exists():
            place.rename(old)
        fresh.rename(place)
    except OSError:
        probe(place / "usr" / "bin" / "etcd")


def download(work: Path, name: str = PACKAGE) -> Path:
    """Fetch the package with the machine's package lists or, if those are missing or stale, with our own."""
    package = work / "package"
    package.mkdir()
    private = _private_state(work / "apt")
    for preparation in ([], [["apt-get", *private, "update"]]):
        try:
            for command in preparation:
                _run(command, package)
            _run(["apt-get", *(private if preparation else []), "download", name], package)
        except Unusable as reason:
            last = reason
        else:
            return next(package.glob("*.deb"))
    raise last


def _private_state(folder: Path) -> list[str]:
    """Return the options that keep apt's lists and cache below `folder`, so that it needs no root."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::lists": folder / "state/lists",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::archives": folder / "cache/archives",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        # As root apt drops to a user of its own, which may not enter a private folder.
        "APT::Sandbox::User": "root",
    }
    return [argument for name, value in settings.items() for argument in ("-o", f"{name}={value}")]


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise Unusable(f"`{command[0]} {command[-1]}` did not end within 5 minutes") from None
    if done.returncode:
        complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        what = " ".join(part for part in command if part in {"update", "download", "-x"})
        raise Unusable(f"`{command[0]} {what}` failed: {' '.join(complaint) or f'exit {done.returncode}'}")


def main() -> int:
    try:
        print(find_etcd(report=lambda sentence: print(sentence, file=sys.stderr)).path)
    except EtcdNotFound as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
