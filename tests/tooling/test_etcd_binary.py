"""Is an etcd found where it should be, refused when it does not serve, and had from Debian without root?"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.local import etcd_binary
from tenure.local.etcd_binary import EtcdNotFound, EtcdVersion, find_etcd, probe


def program(path: Path, version: str) -> Path:
    """Write a program that answers --version as that etcd does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which no etcd can be found or had."""
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_the_named_program_comes_first(tmp_path: Path, environ: dict[str, str]) -> None:
    program(tmp_path / "bin/etcd", "3.5.1")
    named = program(tmp_path / "mine", "3.6.14")
    found = find_etcd(environ | {"TENURE_ETCD_BINARY": str(named)})
    assert found.path == named
    assert found.version == EtcdVersion(3, 6, 14)
    assert str(found.version) == "3.6.14"


def test_a_named_program_is_never_replaced_by_another(tmp_path: Path, environ: dict[str, str]) -> None:
    program(tmp_path / "bin/etcd", "3.5.1")
    with pytest.raises(
        EtcdNotFound, match=r"TENURE_ETCD_BINARY is /nowhere/etcd: .* does not exist\. Install"
    ):
        find_etcd(environ | {"TENURE_ETCD_BINARY": "/nowhere/etcd"})


def test_then_the_path_then_the_cache(tmp_path: Path, environ: dict[str, str]) -> None:
    cached = program(tmp_path / f"cache/tenure/etcd/debian-{os.uname().machine}/usr/bin/etcd", "3.4.23")
    assert find_etcd(environ).path == cached
    installed = program(tmp_path / "bin/etcd", "3.5.1")
    assert find_etcd(environ).path == installed


def test_an_old_one_is_passed_over_and_named(tmp_path: Path, environ: dict[str, str]) -> None:
    old = program(tmp_path / "bin/etcd", "3.3.27")
    with pytest.raises(EtcdNotFound) as refusal:
        find_etcd(environ)
    lines = str(refusal.value).splitlines()
    assert f"  PATH: {old} is etcd 3.3.27, too old: 3.4.0 is the oldest that works" in lines
    assert "  Debian's package: apt-get is not available on this machine" in lines
    assert "apt-get install etcd-server" in lines[-1]
    assert "TENURE_ETCD_BINARY" in lines[-1]


@pytest.mark.parametrize("body", ["echo hello", "exit 1", "echo 'etcd Version: new'"])
def test_another_program_is_refused(tmp_path: Path, body: str) -> None:
    other = tmp_path / "other"
    other.write_text(f"#!/bin/sh\n{body}\n")
    other.chmod(0o755)
    with pytest.raises(Exception, match="does not answer --version as etcd does"):
        probe(other)


def test_settings_of_a_server_do_not_reach_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME_OF_NO_FLAG", "x")
    monkeypatch.setenv("ETCD_HEARTBEAT_INTERVAL", "not a number")
    assert probe(find_etcd().path).version >= EtcdVersion(3, 4, 0)


def test_the_program_says_in_sentences_what_is_wrong(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tenure.local.etcd_binary"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("No usable etcd was found. Tried:\n")


NOBODY = 65534


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """Give a folder of the user `nobody`, or of this user if it is not root; tmp_path is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="tenure-test-nobody-"))
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def unprivileged(*command: str | Path) -> list[str | Path]:
    """Return the command that runs as a user who may change nothing outside folders of its own."""
    if os.getuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


def python_for(folder: Path) -> str:
    """Return a Python that an unprivileged user can run; one below root's home cannot."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        attempt = unprivileged(candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))")
        if subprocess.run(attempt, cwd=folder, capture_output=True).returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 here can be run by an unprivileged user")


def programs_without_etcd(folder: Path) -> Path:
    """Return a folder of links to the system's programs, etcd excepted: it may be installed here."""
    links = folder / "bin"
    links.mkdir(mode=0o755)
    for system in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(system).iterdir():
            link = links / program.name
            if not program.name.startswith("etcd") and not link.is_symlink():
                link.symlink_to(program)
    links.chmod(0o755)
    return links


@pytest.mark.skipif(not shutil.which("apt-get"), reason="only Debian and its kin have apt-get")
@pytest.mark.timeout(300)
def test_without_root_and_without_package_lists_debians_is_unpacked(nobodys_folder: Path) -> None:
    """Run as a user who owns nothing here, apt's own lists hidden, against the machine's package sources."""
    settings = nobodys_folder / "apt.conf"
    settings.write_text('Dir::State::lists "/nonexistent/lists";\n')
    settings.chmod(0o644)
    script = shutil.copy(etcd_binary.__file__, nobodys_folder)
    environ = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    environ |= {"PATH": str(programs_without_etcd(nobodys_folder)), "APT_CONFIG": str(settings)}
    environ |= {"HOME": "/nonexistent", "XDG_CACHE_HOME": str(nobodys_folder / "cache")}
    command = unprivileged(python_for(nobodys_folder), script)
    done = subprocess.run(command, cwd=nobodys_folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "etcd is not installed: getting Debian's package" in done.stderr
    unpacked = Path(done.stdout.strip())
    assert probe(unpacked).path.is_relative_to(nobodys_folder / "cache")
    assert [entry.name for entry in (nobodys_folder / "cache/tenure/etcd").iterdir()] == [unpacked.parts[-4]]
