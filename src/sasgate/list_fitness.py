"""Whether a revocation list can be relied on: whose it is, who signed it, until when it holds."""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.fitness import PublishedCAs, Verdict, unverified
from sasgate.identity import printable_name
from sasgate.revocation.crl import verify_list
from sasgate.revocation.refusal import ListRefused


def as_list(crl: x509.CertificateRevocationList, cas: PublishedCAs, now: datetime) -> Verdict:
    """How a list does as one of ANS's; `now` is aware."""
    ca = cas.named(crl.issuer)
    dates = tuple(_date_faults(crl, now))
    if ca is None:
        issuer = printable_name(crl.issuer)
        return Verdict("list", wrong=(f"it is of {issuer}, none of ANS's CAs", *dates))
    fits = f"ANS's {ca.name}, {cas.uses_of(ca)}"
    held = cas.held.get(ca.name)
    if held is None:
        return Verdict("list", fits, dates, (unverified(ca),))
    try:
        verify_list(crl.public_bytes(Encoding.DER), [held], now)
    except ListRefused as error:
        return Verdict("list", fits, (str(error), *dates))
    return Verdict("list", fits, dates)


def _date_faults(crl: x509.CertificateRevocationList, now: datetime) -> Iterator[str]:
    end = crl.next_update_utc
    if end is not None and now > end:
        yield (
            f"it expired on {end:%Y-%m-%d %H:%M} UTC: what it revokes stays revoked, of all others "
            "it says nothing any more; fetch the present one"
        )
