"""The editor's certificate at load: what SAS would refuse is refused, with the way out (S55)."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from applications import environment, own_file, write_outbound
from sasgate.config import load
from sasgate.editor_certificate import ANS_STRUCTURE
from sasgate.errors import ConfigError, Fault
from sasgate.generation import load_trust
from sasgate.lab import trees
from sasgate.lab.authority import Credential, new_key, pem_of
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.lab.trees import platform_name
from sasgate.outbound_rules import OutboundTrust


CN = "sas-agregateur-test-ACME"


@frozen
class Desk:
    """Loads the configuration of one outbound listener whose certificate is `pem`."""

    lab: Lab
    folder: Path

    @property
    def pem(self) -> Path:
        return self.folder / "ACME_TEST.key.crt.ca.pem"

    def put(self, content: bytes | Credential) -> "Desk":
        if isinstance(content, Credential):
            own_file(content, self.pem)
        else:
            self.pem.touch(0o600)
            self.pem.write_bytes(content)
        return self

    def credential(
        self, *, issuer: str = trees.ORG_TEST, cn: str = CN, **changes: Any
    ) -> Credential:
        ou = changes.pop("ou", "300000000000017")
        template = evolve(Template(platform_name(cn, ou, "ACME")), **changes)
        return self.lab.authorities[issuer].issue(template, now=self.lab.created)

    def trust(self, now: datetime | None = None, **keys: object) -> OutboundTrust:
        ini = write_outbound(
            self.lab,
            self.folder,
            {"a": "https://localhost"},
            listeners={"a": {"certificate": self.pem, **keys}},
        )
        return load_trust(load(ini), now or datetime.now(UTC)).outbounds["outbound:a"]

    def faults(self, now: datetime | None = None, **keys: object) -> tuple[Fault, ...]:
        with pytest.raises(ConfigError) as refused:
            self.trust(now, **keys)
        return refused.value.faults

    def fault(self, now: datetime | None = None, **keys: object) -> Fault:
        """The one fault, which names the listener."""
        (fault,) = self.faults(now, **keys)
        assert fault.section == "outbound:a"
        assert str(keys.get("key", self.pem)) in str(fault)
        return fault


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Desk:
    return Desk(lab, tmp_path)


@pytest.fixture
def good(lab: Lab) -> Credential:
    return lab.editors["ACME_TEST"]


class TestGood:
    def test_anss_one_pem_is_taken(self, desk: Desk, good: Credential) -> None:
        trust = desk.put(good).trust()
        assert trust.identity.cn == CN
        assert trust.doubts == ()

    def test_key_and_certificate_apart_are_too(self, desk: Desk, good: Credential) -> None:
        key = desk.folder / "acme.key"
        key.touch(0o600)
        key.write_bytes(good.key_pem())
        desk.put(pem_of((good.certificate, *good.chain)))
        desk.pem.chmod(0o644)
        assert desk.trust(key=key).identity.cn == CN

    def test_the_root_behind_it_does_no_harm(self, desk: Desk, good: Credential) -> None:
        root = desk.lab.authorities[trees.ROOT_TEST].certificate
        desk.put(good.pem(chain=True) + pem_of((root,)))
        assert desk.trust().identity.cn == CN

    def test_a_key_that_its_group_can_read_is_taken(self, desk: Desk, good: Credential) -> None:
        """S57."""
        desk.put(good).pem.chmod(0o640)
        assert desk.trust().identity.cn == CN

    def test_the_key_in_its_older_form_is_taken(self, desk: Desk, good: Credential) -> None:
        """As `openssl genrsa -traditional`, and older guides, write it."""
        key = good.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        desk.put(key + pem_of((good.certificate, *good.chain)))
        assert desk.trust().identity.cn == CN


class TestUnusable:
    """S55; each fault says what to do."""

    def test_a_key_of_another_certificate(self, desk: Desk, good: Credential) -> None:
        fault = desk.put(evolve(good, key=new_key())).fault()
        assert "the key does not belong to the certificate" in fault.reason
        assert "CSR" in fault.remedy

    def test_an_encrypted_key(self, desk: Desk, good: Credential) -> None:
        key = good.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
        fault = desk.put(key + pem_of((good.certificate, *good.chain))).fault()
        assert fault.reason == "the key is encrypted"
        assert "openssl pkey" in fault.remedy

    def test_the_cas_before_the_certificate(self, desk: Desk, good: Credential) -> None:
        fault = desk.put(good.key_pem() + pem_of((*good.chain, good.certificate))).fault()
        assert "not the first in the file" in fault.reason
        assert fault.remedy == "put it before its CAs"

    def test_cas_in_the_wrong_order(self, desk: Desk, good: Credential) -> None:
        root = desk.lab.authorities[trees.ROOT_TEST].certificate
        chain = (good.certificate, root, *good.chain)
        for fault in desk.put(good.key_pem() + pem_of(chain)).faults():
            assert "was not signed by the next one" in fault.reason
            assert "before the CA that signed it" in fault.remedy

    def test_no_intermediate(self, desk: Desk, good: Credential) -> None:
        fault = desk.put(good.pem()).fault()
        assert fault.reason == "the intermediate CA ACI-EL-ORG-TEST is missing"
        assert fault.remedy == "append ACI-EL-ORG-TEST to the file, as PEM"

    def test_the_root_in_the_place_of_the_intermediate(self, desk: Desk, good: Credential) -> None:
        root = desk.lab.authorities[trees.ROOT_TEST].certificate
        fault = desk.put(good.pem() + pem_of((root,))).fault()
        assert "was not signed by the next one" in fault.reason

    def test_an_intermediate_of_the_same_name_by_another_root(self, desk: Desk) -> None:
        fault = desk.put(desk.credential(issuer=trees.OTHER_ORG)).fault()
        assert fault.reason == "the CA behind it is not ANS's ACI-EL-ORG-TEST"

    def test_an_intermediate_of_the_same_name_by_the_same_root(self, desk: Desk) -> None:
        fault = desk.put(desk.credential(issuer=trees.SAME_NAME)).fault()
        assert fault.reason == "the CA behind it is not ANS's ACI-EL-ORG-TEST"

    def test_a_persons_certificate(self, desk: Desk) -> None:
        fault = desk.put(desk.credential(issuer=trees.PERS_TEST)).fault()
        assert "PERSONNES" in fault.reason
        assert "this environment's is ACI-EL-ORG-TEST" in fault.reason

    def test_one_that_browsers_know(self, desk: Desk) -> None:
        assert "it was issued by" in desk.put(desk.credential(issuer=trees.PUBLIC)).fault().reason

    def test_one_for_production_on_the_test_tree(self, desk: Desk, lab: Lab) -> None:
        fault = desk.put(lab.editors["ACME_PROD"]).fault()
        assert "this environment's is ACI-EL-ORG-TEST" in fault.reason
        assert fault.remedy == "use the certificate that was made for this environment"

    def test_a_test_certificate_on_productions_tree(
        self, desk: Desk, lab: Lab, good: Credential
    ) -> None:
        ini = write_outbound(lab, desk.folder, {"a": "https://localhost"})
        other = environment(lab, "https://localhost", production=True)
        text = ini.read_text()
        for name, before in environment(lab, "https://localhost").items():
            text = text.replace(f"{name} = {before}\n", f"{name} = {other[name]}\n")
        ini.write_text(text)
        with pytest.raises(ConfigError) as refused:
            load_trust(load(ini), datetime.now(UTC))
        (fault,) = refused.value.faults
        assert "this environment's is ACI-EL-ORG" in fault.reason
        assert "TEST" in fault.reason

    def test_one_that_has_ended(self, desk: Desk, good: Credential) -> None:
        after = good.certificate.not_valid_after_utc + timedelta(seconds=1)
        fault = desk.put(good).fault(after)
        assert re.match(r"the certificate expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC", fault.reason)
        assert fault.remedy == "renew it"

    def test_one_that_has_not_begun(self, desk: Desk, good: Credential) -> None:
        before = good.certificate.not_valid_before_utc - timedelta(seconds=1)
        assert "not valid before" in desk.put(good).fault(before).reason

    @pytest.mark.parametrize(
        "usages",
        [
            (ExtendedKeyUsageOID.SERVER_AUTH,),
            (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
            (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
        ],
    )
    def test_one_that_is_not_auth_cli(self, desk: Desk, usages: tuple[Any, ...]) -> None:
        fault = desk.put(desk.credential(usages=usages)).fault()
        assert fault.reason == "it is not of the type AUTH_CLI"
        assert "order" in fault.remedy

    def test_one_that_says_nothing_of_its_use(self, desk: Desk) -> None:
        without = frozenset({ExtensionOID.EXTENDED_KEY_USAGE})
        fault = desk.put(desk.credential(without=without)).fault()
        assert fault.reason == "it is not of the type AUTH_CLI"

    def test_one_that_cannot_be_decoded(self, desk: Desk) -> None:
        fault = desk.put(desk.credential(usages=())).fault()
        assert "cannot be decoded" in fault.reason

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o777])
    def test_a_key_that_others_reach(self, desk: Desk, good: Credential, mode: int) -> None:
        """S57."""
        desk.put(good).pem.chmod(mode)
        fault = desk.fault()
        assert "every user" in fault.reason
        assert fault.remedy == f"run: chmod o-rwx {desk.pem}"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "is empty"),
            (b"<!DOCTYPE html><title>Connexion</title>", "is a web page"),
            (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "without a whole"),
        ],
    )
    def test_what_is_no_certificate(self, desk: Desk, content: bytes, reason: str) -> None:
        faults = desk.put(content).faults()
        assert {fault.section for fault in faults} == {"outbound:a"}
        assert any(reason in fault.reason for fault in faults)

    def test_a_certificate_alone(self, desk: Desk, good: Credential) -> None:
        fault = desk.put(pem_of((good.certificate, *good.chain))).fault()
        assert (fault.key, fault.reason) == ("key", "no private key is in it")

    def test_all_faults_at_once(self, desk: Desk) -> None:
        usages = (ExtendedKeyUsageOID.SERVER_AUTH,)
        faults = desk.put(evolve(desk.credential(usages=usages), chain=())).faults()
        assert len(faults) == 2

    def test_no_fault_shows_the_key(self, desk: Desk, good: Credential) -> None:
        """S57."""
        lines = good.key_pem().decode().splitlines()[1:-1]
        desk.put(good.pem().replace(b"BEGIN PRIVATE", b"BEGIN SECRET"))
        text = "\n".join(map(str, desk.faults()))
        assert not any(line in text for line in lines)


class TestDoubtful:
    """What is odd is said, and taken."""

    def doubts(self, desk: Desk, credential: Credential, now: datetime | None = None) -> str:
        return "; ".join(desk.put(credential).trust(now).doubts)

    @pytest.mark.parametrize(("days", "told"), [(61, False), (60, False), (59, True), (0, True)])
    def test_an_end_within_60_days(
        self, desk: Desk, good: Credential, days: int, told: bool
    ) -> None:
        now = good.certificate.not_valid_after_utc - timedelta(days=days)
        expected = f"it ends in {days} days: order the next one" if told else ""
        assert self.doubts(desk, good, now) == expected

    @pytest.mark.parametrize(
        "cn", ["ACME", "sas-agregateur-test-", "sas-aggregator-test-ACME", "SAS-agregateur-test-A"]
    )
    def test_a_cn_of_another_form(self, desk: Desk, cn: str) -> None:
        text = self.doubts(desk, desk.credential(cn=cn))
        assert f"its CN {cn} is not of the form" in text

    def test_an_ou_of_anss_own(self, desk: Desk) -> None:
        text = self.doubts(desk, desk.credential(ou=ANS_STRUCTURE))
        assert text == f"its OU {ANS_STRUCTURE} is ANS's own: ANS issued it on your behalf"
