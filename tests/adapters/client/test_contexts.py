"""Which cluster is meant, by arguments, environment and file?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tenure.contexts import Tls, resolve
from tenure.errors import BadConfiguration

FILE = """
current = "staging"
[contexts.staging]
address = "stage:1"
[contexts.production]
address = "one:1, two:2"
ca = "ca.pem"
server_name = "tenure"
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tenure").mkdir()
    (tmp_path / "tenure" / "config.toml").write_text(FILE)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_the_first_that_is_given_wins(env: dict[str, str]) -> None:
    assert resolve(environ={"HOME": "/nowhere"}).addresses == ("127.0.0.1:7420",)
    assert resolve(environ=env).addresses == ("stage:1",)
    env["TENURE_CONTEXT"] = "production"
    assert resolve(environ=env).addresses == ("one:1", "two:2")
    env["TENURE_ADDRESS"] = "env:3"
    assert resolve(environ=env).addresses == ("env:3",)
    assert resolve(context="staging", environ=env).addresses == ("stage:1",)
    assert resolve("arg:4", context="staging", environ=env).addresses == ("arg:4",)


def test_certificates_belong_to_the_context(env: dict[str, str]) -> None:
    folder = Path(env["XDG_CONFIG_HOME"]) / "tenure"
    assert resolve(context="production", environ=env).tls == Tls(ca=folder / "ca.pem", server_name="tenure")
    assert resolve(context="staging", environ=env).tls is None
    assert resolve("a:1", environ={"TENURE_TLS_CA": "/ca"}).tls == Tls(ca=Path("/ca"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[contexts.x]\nadress = 'a:1'", "unknown key 'adress'; did you mean 'address'?"),
        ("[contexts.x]\naddress = 1", "contexts.x.address: must be a string"),
        ("[contexts.x]\nca = 'c'", "contexts.x: address is missing"),
        ("[contexts.y]", "there is no context 'x'; known: y"),
        ("contexts", "config.toml: "),
    ],
)
def test_faults_of_the_file_are_sentences(env: dict[str, str], text: str, sentence: str) -> None:
    (Path(env["XDG_CONFIG_HOME"]) / "tenure" / "config.toml").write_text(text)
    with pytest.raises(BadConfiguration) as raised:
        resolve(context="x", environ=env)
    assert sentence in str(raised.value)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, tenure; print([m for m in ('grpc', 'asyncio', 'google.protobuf') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
