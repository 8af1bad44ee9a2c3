"""The gateway's own certificate, looked at as ANS's acceptance kit will (facts page).

The kit verifies it against public CAs, with the chain that the gateway sends and its names.
"""

import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from OpenSSL import crypto

from sasgate.editor_certificate import doubts
from sasgate.identity import printable_name, printable_value
from sasgate.trust import Credential


# Let's Encrypt renews at 30 days of 90; less than that left means that a renewal has failed.
NEAR_THE_END = 30


@frozen
class Findings:
    """What a certificate says, and what is doubtful about it.

    `names` are those of its SAN; `days` how many it is still valid; `revocation` the URLs of its
    list and its responder.
    """

    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    days: int
    revocation: tuple[str, ...]
    warnings: tuple[str, ...]


def examine_server(credential: Credential, now: datetime) -> Findings:
    """The findings on a certificate that SAS and the kit will see; `now` is aware."""
    warnings = [*_about_validity(credential.leaf, now), *server_doubts(credential.chain)]
    return _findings(credential, now, warnings)


def server_doubts(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """What is doubtful, dates apart, about a chain, leaf first, that the gateway would send."""
    if not names_of(chain[0]):
        yield "it has no subjectAltName: no client takes it for any name"
    if not _serves(chain[0]):
        yield "its extended key usage is not serverAuth: clients refuse it"
    untrusted = public_trust(chain)
    if untrusted is not None:
        yield f"ANS's kit will not trust it: {untrusted}"


def examine_client(credential: Credential, environment: str, now: datetime) -> Findings:
    """The findings on a certificate that is presented to SAS; `now` is aware."""
    return _findings(credential, now, [*doubts(credential, environment, now)])


def public_trust(chain: Sequence[x509.Certificate]) -> str | None:
    """Why the system's CAs do not vouch for the chain that would be sent, or None if they do."""
    paths = ssl.get_default_verify_paths()
    store = crypto.X509Store()
    try:
        store.load_locations(paths.cafile, paths.capath)
    except (crypto.Error, TypeError):
        return "this system has no public CAs to compare with (Debian: ca-certificates)"
    sent = [crypto.X509.from_cryptography(certificate) for certificate in chain]
    try:
        crypto.X509StoreContext(store, sent[0], sent[1:]).verify_certificate()
    except crypto.X509StoreContextError as error:
        leaf = chain[0]
        if leaf.issuer == leaf.subject:
            return "it is signed by itself"
        if len(sent) == 1:
            return "the intermediate CA is missing: append it to the certificate's file"
        return f"{error} (by the CAs of this system)"
    return None


def _findings(credential: Credential, now: datetime, warnings: list[str]) -> Findings:
    leaf = credential.leaf
    return Findings(
        names=names_of(leaf),
        issuer=printable_name(leaf.issuer),
        not_after=leaf.not_valid_after_utc,
        days=(leaf.not_valid_after_utc - now).days,
        revocation=tuple(_revocation_urls(leaf)),
        warnings=tuple(warnings),
    )


def _about_validity(leaf: x509.Certificate, now: datetime) -> Iterator[str]:
    days = (leaf.not_valid_after_utc - now).days
    if days < NEAR_THE_END:
        yield f"it ends in {days} days: renew it"


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that a server's certificate is for; none where unreadable."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    hosts = names.get_values_for_type(x509.DNSName)
    return (*map(printable_value, hosts), *map(str, addresses))


def _serves(leaf: x509.Certificate) -> bool:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in usages


def _revocation_urls(leaf: x509.Certificate) -> Iterator[str]:
    try:
        for point in leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value:
            yield from (f"CRL {name.value}" for name in point.full_name or ())
    except (x509.ExtensionNotFound, ValueError):
        pass
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return
    for description in access:
        if description.access_method == AuthorityInformationAccessOID.OCSP:
            yield f"OCSP {description.access_location.value}"
