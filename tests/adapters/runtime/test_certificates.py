"""Are certificate files that cannot be used told when the configuration is checked?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization

from tenure_runtime.config_sections import EtcdTlsConfig, TlsConfig
from tests.support.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path


def test_good_files_have_no_faults(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server", hosts=("localhost",))
    good = TlsConfig(cert=pair.cert, key=pair.key, ca=authority.ca, client_ca=authority.ca)
    assert list(good.problems()) == []
    assert list(TlsConfig().problems()) == []


def test_every_fault_names_its_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one", name="one"), authority.issue("two", name="two")
    nonsense, missing = tmp_path / "nonsense", tmp_path / "missing"
    nonsense.write_text("hello")
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(one.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    expected: dict[TlsConfig | EtcdTlsConfig, tuple[str, str]] = {
        TlsConfig(cert=one.cert, key=two.key): ("key", f"{two.key}, which is not the key of the certificate"),
        TlsConfig(cert=one.cert, key=locked): ("key", f"{locked}, which is encrypted"),
        TlsConfig(cert=nonsense, key=one.key): ("key", f"the certificate {nonsense} are not both in PEM"),
        TlsConfig(ca=nonsense): ("ca", f"{nonsense}, which holds no certificate in PEM"),
        TlsConfig(ca=missing): ("ca", f"{missing}, which is not a file"),
        EtcdTlsConfig(ca=nonsense): ("ca", f"{nonsense}, which holds no certificate in PEM"),
    }
    for tls, (option, sentence) in expected.items():
        ((at, told),) = tls.problems()
        assert at == option
        assert sentence in told
