"""IGC Santé's certificate profile: which extensions, in which order, with which contents.

Taken from the four genuine CA files and, for the leaves, from the facts page ("Certificates").
Extension order and criticality of the CAs are those of the files, byte for byte.
"""

import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID


Digest = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
Extension = x509.Extension[x509.ExtensionType]
PRIVATE_EXTENSION = x509.ObjectIdentifier("1.2.250.1.71.1.2.5")
# Made up: UTF8String "LAB". What ANS writes there isn't published, and nothing reads it.
PRIVATE_VALUE = b"\x0c\x03LAB"
BASE_URL = "http://igc-sante.lab.invalid"
_ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")
_DIRECTORY = "ldap://annuaire-igc.lab.invalid"
_ENTRY = "?{attribute};binary?base?objectclass=pkiCa"


def key_usage(*bits: str) -> x509.KeyUsage:
    """A keyUsage with these bits, by `cryptography`'s names (`digital_signature`, …)."""
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{bit: bit in bits for bit in names})


SIGNS = key_usage("digital_signature")
CERTIFIES = key_usage("key_cert_sign", "crl_sign")


@frozen(eq=False)
class Template:
    """What to write into a certificate; the defaults are IGC Santé's AUTH_CLI profile.

    Dates are instants, or distances from the moment of signing. `not_after` None is three years
    after `not_before`, to the second. `serial` None draws 16 random bytes. `key_usage`, `usages`
    None leave that extension out. `extra` extensions replace those of the same OID, else follow
    the others; `without` names extensions to leave out.
    """

    subject: x509.Name
    ca: bool = False
    path_length: int | None = None
    serial: int | None = None
    not_before: datetime | timedelta = timedelta(days=-1)
    not_after: datetime | timedelta | None = None
    key_usage: x509.KeyUsage | None = SIGNS
    usages: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    alternative_names: tuple[x509.GeneralName, ...] = ()
    extra: tuple[Extension, ...] = ()
    without: frozenset[x509.ObjectIdentifier] = frozenset()
    algorithm: Digest = field(factory=hashes.SHA256)

    def validity(self, now: datetime) -> tuple[datetime, datetime]:
        """First and last second of validity, for a certificate signed at `now` (aware)."""
        now = now.astimezone(UTC).replace(microsecond=0)
        begin = _instant(self.not_before, now)
        end = years_later(begin, 3) if self.not_after is None else _instant(self.not_after, now)
        return begin, end


def authority_template(
    subject: x509.Name, now: datetime, *, path_length: int | None = None, days_less: int = 0
) -> Template:
    """The template of a CA: twenty years from a midnight ten years ago, as the genuine ones."""
    begin = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0, month=6, day=25)
    begin = years_later(begin, -10)
    return Template(
        subject,
        ca=True,
        path_length=path_length,
        serial=0x1120 << 128 | secrets.randbits(128),
        not_before=begin,
        not_after=years_later(begin, 20) - timedelta(days=days_less),
        key_usage=CERTIFIES,
        usages=None,
    )


def years_later(instant: datetime, years: int) -> datetime:
    """The same second `years` later; 29 February becomes 28 where it doesn't exist."""
    try:
        return instant.replace(year=instant.year + years)
    except ValueError:
        return instant.replace(year=instant.year + years, day=28)


def new_serial() -> int:
    """A random serial of exactly 16 bytes, positive."""
    return 1 << 124 | secrets.randbits(124)


@frozen
class Publication:
    """Where one CA publishes: `base` is the URL of the site, `ca` ANS's name of the CA.

    The lab's server answers `<base>/CRL/<ca>.crl`, `<base>/AC/<ca>.cer` and `<base>/ocsp`.
    """

    base: str
    ca: str

    @property
    def crl_url(self) -> str:
        """The list of this CA."""
        return f"{self.base}/CRL/{self.ca}.crl"

    @property
    def ca_url(self) -> str:
        """The certificate of this CA, DER."""
        return f"{self.base}/AC/{self.ca}.cer"

    @property
    def ocsp_url(self) -> str:
        """The responder, one for all CAs."""
        return f"{self.base}/ocsp"

    @property
    def policy_url(self) -> str:
        """The practice statement, named in CA certificates."""
        return f"{self.base}/PC" + ("%20TEST" if self.ca.endswith("-TEST") else "")

    def crl_points(self, issuer: x509.Name) -> x509.CRLDistributionPoints:
        """HTTP, then LDAP, each a distribution point of its own."""
        return x509.CRLDistributionPoints(
            [_point(self.crl_url), _point(_ldap(issuer, "certificaterevocationlist"))]
        )

    def freshest(self, issuer: x509.Name) -> x509.FreshestCRL:
        """LDAP only: no delta can be fetched over HTTP."""
        return x509.FreshestCRL([_point(_ldap(issuer, "deltarevocationlist"))])

    def access(self) -> x509.AuthorityInformationAccess:
        """OCSP and caIssuers."""
        ocsp, issuers = AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS
        return x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(ocsp, x509.UniformResourceIdentifier(self.ocsp_url)),
                x509.AccessDescription(issuers, x509.UniformResourceIdentifier(self.ca_url)),
            ]
        )


def extensions(
    template: Template,
    subject_key: x509.SubjectKeyIdentifier,
    issuer: x509.Name,
    issuer_key: x509.SubjectKeyIdentifier,
    publication: Publication | None,
) -> list[Extension]:
    """All extensions of one certificate, in order.

    `publication` is the issuer's; None gives a certificate of another PKI, with no URL in it.
    """
    keys: list[Extension] = [
        _extension(subject_key),
        _extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key)),
    ]
    constraints = x509.BasicConstraints(ca=template.ca, path_length=template.path_length)
    listed = [_extension(constraints, critical=template.ca)]
    if template.key_usage is not None:
        listed.append(_extension(template.key_usage, critical=True))
    if template.usages is not None:
        listed.append(_extension(x509.ExtendedKeyUsage(template.usages)))
    if template.alternative_names:
        listed.append(_extension(x509.SubjectAlternativeName(template.alternative_names)))
    if publication is None:
        listed += keys
    elif template.ca:
        listed += [*_authority_urls(template, issuer, publication), *keys]
    else:
        listed += [*keys, *_leaf_urls(issuer, publication)]
    return _changed(listed, template)


def _authority_urls(
    template: Template, issuer: x509.Name, publication: Publication
) -> list[Extension]:
    policies = x509.CertificatePolicies(
        [x509.PolicyInformation(_ANY_POLICY, [publication.policy_url])]
    )
    if template.subject == issuer:
        return [_extension(policies)]
    return [_extension(policies), _extension(publication.crl_points(issuer))]


def _leaf_urls(issuer: x509.Name, publication: Publication) -> list[Extension]:
    return [
        _extension(publication.access()),
        _extension(publication.crl_points(issuer)),
        _extension(publication.freshest(issuer)),
        _extension(x509.UnrecognizedExtension(PRIVATE_EXTENSION, PRIVATE_VALUE)),
    ]


def _changed(listed: list[Extension], template: Template) -> list[Extension]:
    extra = {extension.oid: extension for extension in template.extra}
    kept = [
        extra.pop(extension.oid, extension)
        for extension in listed
        if extension.oid not in template.without
    ]
    return [*kept, *extra.values()]


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> Extension:
    return x509.Extension(value.oid, critical, value)


def _instant(when: datetime | timedelta, now: datetime) -> datetime:
    return now + when if isinstance(when, timedelta) else when


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def _ldap(issuer: x509.Name, attribute: str) -> str:
    entry = quote(issuer.rfc4514_string(), safe="=,")
    return f"{_DIRECTORY}/{entry}{_ENTRY.format(attribute=attribute)}"
