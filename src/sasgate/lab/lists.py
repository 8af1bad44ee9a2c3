"""The lists of the lab's CAs, good and bad; the defaults are IGC Santé's profile (facts page)."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import SignatureAlgorithmOID as Algorithm

from sasgate.lab.authority import Authority
from sasgate.lab.profile import Digest, Extension


# As the genuine ones: 16 octets with a common beginning.
_PREFIX = 0x1D5DE25E << 96
_PLACEHOLDER = _PREFIX | 1
_ALGORITHMS = {
    "md5": Algorithm.RSA_WITH_MD5,
    "sha1": Algorithm.RSA_WITH_SHA1,
    "sha224": Algorithm.RSA_WITH_SHA224,
    "sha256": Algorithm.RSA_WITH_SHA256,
    "sha384": Algorithm.RSA_WITH_SHA384,
    "sha512": Algorithm.RSA_WITH_SHA512,
}


@frozen(eq=False)
class ListTemplate:
    """What to write into a list.

    `number` None leaves the CRLNumber out. Dates are instants, or distances from the moment of
    signing. `extra` extensions follow AKI and CRLNumber.
    """

    number: int | None = 1
    this_update: datetime | timedelta = timedelta(0)
    next_update: datetime | timedelta = timedelta(days=6)
    entries: tuple[x509.RevokedCertificate, ...] = ()
    extra: tuple[Extension, ...] = ()
    algorithm: Digest = field(factory=hashes.SHA256)


def revoked(
    serial: int,
    *extensions: x509.ExtensionType,
    when: datetime | None = None,
    critical: bool = False,
) -> x509.RevokedCertificate:
    """An entry; `when` is by default a day ago, `critical` is said of all its extensions."""
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(serial)
        .revocation_date(when or datetime.now(UTC) - timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build()


def reason(flag: x509.ReasonFlags) -> x509.CRLReason:
    """The reason of a revocation, for `revoked`."""
    return x509.CRLReason(flag)


def delta(base: int) -> Extension:
    """What makes a list a delta to list `base`."""
    indicator = x509.DeltaCRLIndicator(base)
    return x509.Extension(indicator.oid, True, indicator)


def partial(
    *,
    urls: Iterable[str] = (),
    leaves: bool = False,
    authorities: bool = False,
    attributes: bool = False,
    indirect: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
) -> Extension:
    """What makes a list speak of a part only: of what is found at `urls`, only of leaves, …."""
    points = [x509.UniformResourceIdentifier(url) for url in urls]
    point = x509.IssuingDistributionPoint(
        full_name=points or None,
        relative_name=None,
        only_contains_user_certs=leaves,
        only_contains_ca_certs=authorities,
        only_some_reasons=reasons,
        indirect_crl=indirect,
        only_contains_attribute_certs=attributes,
    )
    return x509.Extension(point.oid, True, point)


def sign_list(
    authority: Authority, template: ListTemplate | None = None, *, now: datetime | None = None
) -> bytes:
    """A list by a CA, DER; `now` is by default the present."""
    template = template or ListTemplate()
    begin, end = _dates(template, now)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(begin)
        .next_update(end)
    )
    for extension in _extensions(authority, template):
        builder = builder.add_extension(extension.value, extension.critical)
    for entry in template.entries:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, template.algorithm).public_bytes(Encoding.DER)


def plain_list(
    authority: Authority,
    serials: Iterable[int],
    template: ListTemplate | None = None,
    *,
    now: datetime | None = None,
) -> bytes:
    """A list of any serials in their order, instead of the template's entries.

    Takes those that `cryptography` would not write (zero, negative, too long), and a million of
    them in 3 s. All entries are of the day before, without extensions.
    """
    template = template or ListTemplate()
    begin, _ = _dates(template, now)
    when = begin - timedelta(days=1)
    one = evolve(template, entries=(revoked(_PLACEHOLDER, when=when),))
    listed = b"".join(_entry(serial, when) for serial in serials)
    old, new = _sequence(_entry(_PLACEHOLDER, when)), _sequence(listed) if listed else b""
    return resigned(authority, sign_list(authority, one, now=now), _replacing(old, new))


def many_serials(count: int, *, seed: int = 1) -> Iterator[int]:
    """As many serials of 16 octets, in no order; always the same for a seed."""
    random = Random(seed)  # noqa: S311 - nothing secret
    return (_PREFIX | random.getrandbits(96) for _ in range(count))


def forged(der: bytes) -> bytes:
    """The same list with the last bit of its signature turned."""
    return der[:-1] + bytes([der[-1] ^ 1])


def without_next_update(authority: Authority, der: bytes) -> bytes:
    """The same list without a nextUpdate."""
    then = x509.load_der_x509_crl(der).next_update_utc
    if then is None:
        return der
    return resigned(authority, der, _replacing(asn1.encode_der(asn1.UTCTime(then)), b""))


def resigned(
    authority: Authority,
    der: bytes,
    edit: Callable[[bytes], bytes] = bytes,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A list signed again, with `edit` applied to the contents of its signed part.

    For what `cryptography` would not encode, MD5 and SHA-1 among it; `digest` is SHA-256 by
    default.
    """
    crl = x509.load_der_x509_crl(der)
    digest = digest or hashes.SHA256()
    algorithm = _algorithm(_ALGORITHMS[digest.name])
    contents = bytes(asn1.decode_der(asn1.TLV, crl.tbs_certlist_bytes).data)
    contents = contents.replace(_algorithm(crl.signature_algorithm_oid), algorithm, 1)
    signed = _sequence(edit(contents))
    signature = authority.key.sign(signed, padding.PKCS1v15(), digest)
    return _sequence(signed + algorithm + asn1.encode_der(asn1.BitString(signature, 0)))


@asn1.sequence
class _Entry:
    serial: int
    date: asn1.UTCTime


@asn1.sequence
class _Algorithm:
    oid: x509.ObjectIdentifier
    parameters: asn1.Null


def _entry(serial: int, when: datetime) -> bytes:
    return asn1.encode_der(_Entry(serial=serial, date=asn1.UTCTime(when)))


def _algorithm(oid: x509.ObjectIdentifier) -> bytes:
    return asn1.encode_der(_Algorithm(oid=oid, parameters=asn1.Null()))


def _sequence(contents: bytes) -> bytes:
    # An OCTET STRING of the same contents has the same length octets.
    return b"\x30" + asn1.encode_der(contents)[1:]


def _replacing(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def edit(contents: bytes) -> bytes:
        if contents.count(old) != 1:
            raise ValueError(f"{old.hex()} occurs {contents.count(old)} times")
        return contents.replace(old, new)

    return edit


def _dates(template: ListTemplate, now: datetime | None) -> tuple[datetime, datetime]:
    now = (now or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    begin, end = (
        now + date if isinstance(date, timedelta) else date
        for date in (template.this_update, template.next_update)
    )
    return begin, end


def _extensions(authority: Authority, template: ListTemplate) -> Iterator[Extension]:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    yield x509.Extension(identifier.oid, False, identifier)
    if template.number is not None:
        number = x509.CRLNumber(template.number)
        yield x509.Extension(number.oid, False, number)
    yield from template.extra
