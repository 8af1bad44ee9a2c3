"""IGC Santé's own lists, and OpenSSL beside us: what it reads in a list, and lists it made."""

import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from crl_judging import NOW, ORG, ORG_LIST, ROOT_LIST, refusal, signed, verify
from openssl import program
from sasgate.environments import ACI_EL_ORG_TEST, ACR_EL_TEST, PublishedCA
from sasgate.lab.authority import Authority
from sasgate.lab.lists import many_serials, reason, revoked
from sasgate.lab.pki import Lab
from sasgate.revocation.crl import LoadedList, verify_list
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.scope import WHOLE


@pytest.fixture(scope="module")
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


class TestGenuine:
    """IGC Santé's own lists, of June 2019."""

    @pytest.mark.parametrize(
        ("file", "ca", "number", "entries"),
        [(ORG_LIST, ACI_EL_ORG_TEST, 1287, 1013), (ROOT_LIST, ACR_EL_TEST, 73, 0)],
    )
    def test_are_verified_against_their_own_ca(
        self, shared: Path, file: str, ca: PublishedCA, number: int, entries: int
    ) -> None:
        loaded = verify_list(genuine(shared, file), genuine_cas(shared), NOW)
        assert loaded.facts.number == number
        assert loaded.facts.entries == len(loaded.serials) == entries
        assert loaded.facts.issuers == (ca.sha256,)
        assert loaded.facts.scope == WHOLE
        assert loaded.facts.expired(NOW)
        assert not loaded.facts.expired(loaded.facts.this_update)

    @pytest.mark.parametrize("file", [ORG_LIST, ROOT_LIST])
    def test_are_refused_under_the_other_tree(self, shared: Path, file: str) -> None:
        production = [ca for ca in genuine_cas(shared) if "TEST" not in ca.subject.rfc4514_string()]
        assert len(production) == 2
        with pytest.raises(ListRefused) as refused:
            verify_list(genuine(shared, file), production, NOW)
        assert refused.value.kind is Refusal.WRONG_ISSUER

    def test_each_byte_of_the_empty_list_counts(self, shared: Path) -> None:
        """S18: no single bit can be turned."""
        der, cas = genuine(shared, ROOT_LIST), genuine_cas(shared)
        for at in range(len(der)):
            turned = der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
            with pytest.raises(ListRefused):
                verify_list(turned, cas, NOW)


def genuine(shared: Path, file: str) -> bytes:
    return (shared / "igc-sante" / file).read_bytes()


def genuine_cas(shared: Path) -> list[x509.Certificate]:
    files = sorted((shared / "igc-sante").glob("*.cer"))
    return [x509.load_der_x509_certificate(file.read_bytes()) for file in files]


class TestOpenSSL:
    """What OpenSSL reads in a list, and lists that OpenSSL made."""

    @pytest.mark.parametrize("file", [ORG_LIST, ROOT_LIST])
    def test_reads_the_same_in_a_genuine_list(self, shared: Path, file: str) -> None:
        der = genuine(shared, file)
        self.compare(der, verify_list(der, genuine_cas(shared), NOW))

    def test_reads_the_same_in_a_lab_list(self, org: Authority) -> None:
        hold = revoked(1 << 150, reason(x509.ReasonFlags.certificate_hold))
        der = signed(org, hold, *map(revoked, many_serials(300)), number=1 << 100)
        self.compare(der, verify(der, org))

    def compare(self, der: bytes, loaded: LoadedList) -> None:
        said = openssl("crl", "-inform", "DER", "-noout", "-text", "-nameopt", "RFC2253", send=der)
        serials = re.findall(r"Serial Number: ([0-9A-F]+)", said)
        assert loaded.facts.entries == len(serials)
        assert len(loaded.serials) == len(set(serials))
        assert all(int(serial, 16) in loaded.serials for serial in serials)
        assert f"Last Update: {openssl_date(loaded.facts.this_update)}" in said
        assert f"Next Update: {openssl_date(loaded.facts.next_update)}" in said
        number = openssl("crl", "-inform", "DER", "-noout", "-crlnumber", send=der)
        assert int(number.removeprefix("crlNumber="), 16) == loaded.facts.number

    def test_made_a_list_that_is_taken(self, lab: Lab, tmp_path: Path) -> None:
        serials = [0x5, 0x1BADC0DE, (1 << 159) - 7]
        der = openssl_list(lab, tmp_path, serials, crl_extensions="aki")
        loaded = verify_list(der, [lab.authorities[ORG].certificate], datetime.now(UTC))
        assert loaded.facts.number == 0x1001
        assert loaded.facts.entries == 4
        assert all(serial in loaded.serials for serial in serials)
        assert 0x6 in loaded.serials
        assert 0x7 not in loaded.serials

    @pytest.mark.parametrize(
        ("extensions", "kind"),
        [
            ("indirect", Refusal.INDIRECT),
            ("reasons", Refusal.UNSUPPORTED_SCOPE),
            ("delta", Refusal.DELTA),
            ("unknown", Refusal.UNKNOWN_CRITICAL),
        ],
    )
    def test_made_a_list_that_is_refused(
        self, extensions: str, kind: Refusal, lab: Lab, tmp_path: Path
    ) -> None:
        """S20."""
        der = openssl_list(lab, tmp_path, [5], crl_extensions=extensions)
        refused = refusal(der, lab.authorities[ORG], now=datetime.now(UTC))
        assert refused.kind is kind

    @pytest.mark.parametrize("digest", ["md5", "sha1", "sha224"])
    def test_made_a_list_with_a_weak_signature(self, digest: str, lab: Lab, tmp_path: Path) -> None:
        """S18."""
        der = openssl_list(lab, tmp_path, [5], crl_extensions="aki", digest=digest)
        refused = refusal(der, lab.authorities[ORG], now=datetime.now(UTC))
        assert refused.kind is Refusal.WEAK_SIGNATURE


OPENSSL_CA = """
[ca]
default_ca = it
[it]
database = index.txt
crlnumber = number
default_md = sha256
[aki]
authorityKeyIdentifier = keyid
[indirect]
issuingDistributionPoint = critical, @indirect_point
[indirect_point]
indirectCRL = TRUE
[reasons]
issuingDistributionPoint = critical, @reasons_point
[reasons_point]
onlysomereasons = keyCompromise
fullname = URI:http://x.invalid
[delta]
2.5.29.27 = critical, DER:020110
[unknown]
1.2.250.1.999.1 = critical, DER:0500
"""


def openssl_list(
    lab: Lab, folder: Path, serials: Iterable[int], *, crl_extensions: str, digest: str = "sha256"
) -> bytes:
    """A list by `openssl ca -gencrl` of the lab's ORGANISATIONS, and one certificate on hold."""
    entry = "R\t300101000000Z\t260101000000Z{}\t{}\tunknown\t/CN=x\n"
    hold = entry.format(",holdInstruction,holdInstructionReject", "06")
    listed = (entry.format(",keyCompromise", hexadecimal(serial)) for serial in serials)
    (folder / "index.txt").write_text(hold + "".join(listed))
    (folder / "number").write_text("1001\n")
    (folder / "ca.cnf").write_text(OPENSSL_CA)
    ca = lab.directory / "authorities" / f"{ORG}.pem"
    openssl(
        "ca", "-gencrl", "-config", "ca.cnf", "-keyfile", str(ca), "-cert", str(ca),
        "-crldays", "6", "-md", digest, "-crlexts", crl_extensions, "-out", "list.pem", cwd=folder,
    )  # fmt: skip
    return (folder / "list.pem").read_bytes()


def hexadecimal(serial: int) -> str:
    digits = f"{serial:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def openssl(*arguments: str, send: bytes = b"", cwd: Path | None = None) -> str:
    command = [program("openssl"), *arguments]
    done = subprocess.run(command, input=send, capture_output=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def openssl_date(instant: datetime) -> str:
    return f"{instant:%b} {instant.day:2} {instant:%H:%M:%S %Y} GMT"
