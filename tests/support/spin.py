"""Which spin may a test run, and how is one had when none is installed?

The one on the PATH; else Debian's package, unpacked below the project's own folder for such things. Nothing
is installed and no root is needed. spin's models become C programs: gcc has to be there.
"""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from tenure.local.etcd_binary import Unusable, download

PLACE = Path(__file__).parents[2] / ".tools" / "spin"
ADVICE = "Install spin and gcc (on Debian or Ubuntu: apt-get install spin gcc)."


@functools.cache
def spin_program() -> str:
    """The path of a spin that can be run; AssertionError with advice when there is none."""
    assert shutil.which("gcc"), f"gcc is not there. {ADVICE}"
    found = shutil.which("spin") or _unpacked()
    version = subprocess.run([found, "-V"], capture_output=True, text=True, timeout=20, check=False)
    assert "Spin Version" in version.stdout, f"{found} is no spin. {ADVICE}"
    return found


def _unpacked() -> str:
    program = PLACE / "usr" / "bin" / "spin"
    if program.exists():
        return str(program)
    PLACE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".spin-", dir=PLACE.parent) as folder:
        try:
            package = download(Path(folder), "spin")
        except Unusable as error:
            raise AssertionError(f"spin is not installed and cannot be had: {error}. {ADVICE}") from None
        fresh = Path(folder, "unpacked")
        subprocess.run(["dpkg", "-x", package, fresh], check=True, timeout=60)
        if not PLACE.exists():
            fresh.rename(PLACE)
    return str(program)


class Verdict:
    """What spin's verifier said of one model."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.errors = int(output.partition("errors: ")[2].split()[0]) if "errors: " in output else -1
        self.states = (
            int(float(output.partition(" states, stored")[0].split()[-1])) if self.errors >= 0 else 0
        )
        self.assertion = output.partition("assertion violated ")[2].partition(" (at depth")[0]

    @property
    def complete(self) -> bool:
        """Whether every state that can be reached was looked at."""
        cut = ("max search depth too small", "out of memory", "Search not completed")
        return self.errors == 0 and not any(words in self.output for words in cut)


def verify(model: Path, folder: Path, *switches: str) -> Verdict:
    """Check a model exhaustively, or until the first error; `switches` are macros that are defined."""
    defines = [f"-D{switch}" for switch in switches]
    subprocess.run([spin_program(), "-a", *defines, str(model)], cwd=folder, check=True, timeout=60)
    # States are kept as they are: with COLLAPSE they take half the memory, 1.4 GB, and twice the time.
    compiler = ["gcc", "-w", "-O2", "-DSAFETY", "-DNOFAIR", "-DMEMLIM=6000", "-o", "pan", "pan.c"]
    subprocess.run(compiler, cwd=folder, check=True, timeout=120)
    done = subprocess.run(
        ["./pan", "-m2000000"], cwd=folder, capture_output=True, text=True, timeout=400, check=False
    )
    return Verdict(done.stdout)
