"""What only the loaded certificates can tell of a configuration."""

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applications import write_outbound
from processes import write_ini
from sasgate import trust
from sasgate.config import load
from sasgate.errors import ConfigError
from sasgate.generation import load_trust
from sasgate.lab.pki import Lab
from sasgate.upstream_tls import ServerTrust


PLAIN = "backend = http://127.0.0.1:9\n\n[inbound:production]"


def configuration(lab: Lab, folder: Path, sections: str) -> Path:
    certificate, key = lab.server_paths()
    path = folder / "gate.ini"
    path.write_text(
        f"[inbound]\nenvironment = one two\nlisten = tcp:0:interface=127.0.0.1\n"
        f"certificate = {certificate}\nkey = {key}\nbackend = http://127.0.0.1:8080\n"
        f"[revocation]\nmode = off\n{sections}"
    )
    return path


def environment(name: str, root: Path, issuer: Path, client: str) -> str:
    return (
        f"[environment:{name}]\nroots = {root}\nissuers = {issuer}\n"
        f"clients = {client}\naddresses = any\n"
    )


def faults(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_trust(load(path), datetime.now(UTC))
    return [str(fault) for fault in caught.value.faults]


def test_two_environments_with_copies_of_one_ca_and_the_same_client_are_refused(
    lab: Lab, tmp_path: Path
) -> None:
    """S9: which environment a client belongs to is never a matter of order."""
    root, issuer = lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST")
    copy = tmp_path / "copy.cer"
    shutil.copy(issuer, copy)
    text = environment("one", root, issuer, "CN=a,OU=1") + environment(
        "two", root, copy, "CN=a,OU=1"
    )
    (fault,) = faults(configuration(lab, tmp_path, text))
    assert "one and two have the same CA and the same client CN=a, OU=1" in fault


def test_two_environments_of_one_ca_with_other_clients_are_fine(lab: Lab, tmp_path: Path) -> None:
    root, issuer = lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST")
    text = environment("one", root, issuer, "CN=a,OU=1") + environment(
        "two", root, issuer, "CN=a,OU=2"
    )
    loaded = load_trust(load(configuration(lab, tmp_path, text)), datetime.now(UTC))
    assert set(loaded.anchors) == {"one", "two"}


def test_productions_ca_under_another_name_is_not_run_without_revocation(
    lab: Lab, tmp_path: Path, shared: Path
) -> None:
    genuine = shared / "igc-sante"
    text = environment(
        "one", genuine / "ACR-EL.cer", genuine / "ACI-EL-ORG.cer", "CN=a,OU=1"
    ) + environment("two", lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST"), "CN=a,OU=1")
    (fault,) = faults(configuration(lab, tmp_path, text))
    assert "one trusts production's CA" in fault


def test_a_rule_that_denies_nobody_is_refused(lab: Lab, tmp_path: Path) -> None:
    """A slip in the issuer's name must not leave the certificate admitted."""
    root, issuer = lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST")
    text = environment("one", root, issuer, "CN=a,OU=1") + "deny = AC OF NOBODY:157A\n"
    text += environment("two", root, issuer, "CN=a,OU=2")
    (fault,) = faults(configuration(lab, tmp_path, text))
    assert "deny = AC OF NOBODY:157A: denies nobody" in fault


def test_a_rule_that_names_the_issuer_is_taken(lab: Lab, tmp_path: Path) -> None:
    root, issuer = lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST")
    name = "LAB TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS"
    text = environment("one", root, issuer, "CN=a,OU=1") + f"deny = {name}:157A\n"
    text += environment("two", root, issuer, "CN=a,OU=2")
    load_trust(load(configuration(lab, tmp_path, text)), datetime.now(UTC))


def test_one_file_for_certificate_and_key_that_is_missing_is_named_once(
    lab: Lab, tmp_path: Path
) -> None:
    root, issuer = lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST")
    path = configuration(
        lab,
        tmp_path,
        environment("one", root, issuer, "CN=a,OU=1")
        + environment("two", root, issuer, "CN=a,OU=2"),
    )
    certificate, key = lab.server_paths()
    text = path.read_text().replace(f"key = {key}\n", "")
    path.write_text(text.replace(str(certificate), str(tmp_path / "absent.pem")))
    (fault,) = faults(path)
    assert fault.endswith(f"[inbound] certificate = {tmp_path}/absent.pem: does not exist")


def test_one_file_without_a_key_is_named_as_such(lab: Lab, tmp_path: Path) -> None:
    root, issuer = lab.ca_path("ACR-EL-TEST"), lab.ca_path("ACI-EL-ORG-TEST")
    path = configuration(
        lab,
        tmp_path,
        environment("one", root, issuer, "CN=a,OU=1")
        + environment("two", root, issuer, "CN=a,OU=2"),
    )
    key = lab.server_paths()[1]
    path.write_text(path.read_text().replace(f"key = {key}\n", ""))
    (fault,) = faults(path)
    assert "[inbound] key = " in fault


class TestReadOnce:
    """S54: connections are known by what they trust, also where a file changes at that moment."""

    @pytest.fixture
    def roots(self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A file of CAs that is replaced by another after each time it is read."""
        path, read = tmp_path / "roots.pem", trust._read
        contents = [lab.public_root, lab.ca_path("ACR-EL-TEST")]
        shutil.copy(contents[0], path)

        def read_and_replace(file: Path) -> bytes:
            content = read(file)
            if file == path:
                contents.reverse()
                shutil.copy(contents[0], path)
            return content

        monkeypatch.setattr(trust, "_read", read_and_replace)
        return path

    def test_of_sas(self, lab: Lab, tmp_path: Path, roots: Path) -> None:
        ini = write_outbound(lab, tmp_path, {"a": "https://sas.example"})
        known_by = self.outbound(ini)
        ini.write_text(ini.read_text().replace(str(lab.public_root), str(roots)))
        assert self.outbound(ini) == known_by

    def outbound(self, ini: Path) -> str:
        return load_trust(load(ini), datetime.now(UTC)).outbounds["outbound:a"].server.made_of

    def test_of_all_backends_of_a_listener(self, lab: Lab, tmp_path: Path, roots: Path) -> None:
        backends = " ".join(f"https://localhost:{port}" for port in range(1, 9))
        texts = [
            f"backend = {backends}\nbackend_roots = {file}\n\n[inbound:production]"
            for file in (lab.public_root, roots)
        ]
        known_by = [
            {each.made_of for each in self.servers(write_ini(lab, tmp_path, changes={PLAIN: text}))}
            for text in texts
        ]
        assert len(known_by[0]) == 1
        assert known_by[0] == known_by[1]

    def servers(self, ini: Path) -> Iterable[ServerTrust]:
        return load_trust(load(ini), datetime.now(UTC)).servers.values()
