"""The gateway's own certificate as ANS's acceptance kit will see it."""

from datetime import timedelta

import pytest

from sasgate.commands.own_certificate import examine_client, examine_server
from sasgate.lab.pki import Lab
from sasgate.trust import Credential, read_certificates, read_private_key


def credential(lab: Lab, name: str, *, chain: bool = True) -> Credential:
    made = lab.servers[name]
    return Credential((made.certificate, *(made.chain if chain else ())), made.key)


def server_warnings(lab: Lab, name: str, *, chain: bool = True) -> str:
    return "\n".join(examine_server(credential(lab, name, chain=chain), lab.created).warnings)


@pytest.fixture
def publicly_known(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's public root is one of the system's CAs."""
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.public_root))
    monkeypatch.setenv("SSL_CERT_DIR", str(lab.directory / "no-such-folder"))


@pytest.mark.usefixtures("publicly_known")
def test_nothing_is_doubtful_about_a_good_public_certificate(lab: Lab) -> None:
    assert server_warnings(lab, "server") == ""


@pytest.mark.usefixtures("publicly_known")
def test_a_missing_intermediate_is_named(lab: Lab) -> None:
    assert "intermediate CA is missing" in server_warnings(lab, "server", chain=False)


def test_a_private_ca_is_doubted_with_the_reason(lab: Lab) -> None:
    warnings = server_warnings(lab, "server")
    assert "ANS's kit will not trust it: unable to get local issuer" in warnings


def test_a_system_without_cas_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nonexistent")
    assert "no public CAs" in server_warnings(lab, "server")


def test_a_certificate_without_san_is_doubted(lab: Lab) -> None:
    assert "no subjectAltName" in server_warnings(lab, "no-san")


def test_a_certificate_for_clients_only_is_doubted(lab: Lab) -> None:
    assert "not serverAuth" in server_warnings(lab, "client-auth")


def test_names_days_and_issuer_are_found(lab: Lab) -> None:
    findings = examine_server(credential(lab, "server"), lab.created)
    assert findings.names == ("localhost", "127.0.0.1", "::1")
    assert findings.days == 396
    assert findings.issuer.startswith("CN=LAB PUBLIC CA,")


@pytest.mark.parametrize(("left", "doubted"), [(31, False), (30, False), (29, True), (1, True)])
def test_the_end_of_a_certificate_is_announced(lab: Lab, left: int, doubted: bool) -> None:
    good = credential(lab, "server")
    now = good.leaf.not_valid_after_utc - timedelta(days=left)
    warnings = "\n".join(examine_server(good, now).warnings)
    assert (f"it ends in {left} days" in warnings) == doubted


@pytest.mark.parametrize(("left", "doubted"), [(61, False), (60, False), (59, True), (1, True)])
def test_the_end_of_the_editors_certificate_is_announced_earlier(
    lab: Lab, left: int, doubted: bool
) -> None:
    """Specification, 4.3.2: a renewal goes through people."""
    path = lab.editor_path("ACME_TEST")
    good = Credential(read_certificates(path), read_private_key(path))
    now = good.leaf.not_valid_after_utc - timedelta(days=left)
    warnings = "\n".join(examine_client(good, "own", now).warnings)
    assert (f"it ends in {left} days" in warnings) == doubted
