"""Lists signed at one moment, and what is made of them; shared by the tests of lists."""

from datetime import UTC, datetime

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sasgate.lab.authority import Authority
from sasgate.lab.lists import ListTemplate, sign_list
from sasgate.revocation.crl import LoadedList, verify_list
from sasgate.revocation.refusal import ListRefused


NOW = datetime(2026, 6, 15, 5, 0, tzinfo=UTC)
ORG, PERS, ROOT, SAME_NAME = (
    "ACI-EL-ORG-TEST", "ACI-EL-PERS-TEST", "ACR-EL-TEST", "SAME-NAME-ACI-EL-ORG-TEST",
)  # fmt: skip
ORG_LIST, ROOT_LIST = "ACI-EL-ORG-TEST-crl1287-20190627.crl", "ACR-EL-TEST-crl73-20190601.crl"
# An OID that nobody knows, with a NULL in it.
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00")


def signed(
    authority: Authority, *entries: x509.RevokedCertificate, now: datetime = NOW, **changes: object
) -> bytes:
    template = evolve(ListTemplate(entries=entries), **changes)
    return sign_list(authority, template, now=now)


def verify(data: bytes, *authorities: Authority, now: datetime = NOW) -> LoadedList:
    return verify_list(data, [authority.certificate for authority in authorities], now)


def refusal(data: bytes, *authorities: Authority, now: datetime = NOW) -> ListRefused:
    with pytest.raises(ListRefused) as refused:
        verify(data, *authorities, now=now)
    return refused.value


def sha256(authority: Authority) -> str:
    return authority.certificate.fingerprint(hashes.SHA256()).hex()
