"""A CA of the lab, and what it issues."""

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.lab.profile import Publication, Template, extensions, new_serial


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A throw-away RSA key; OpenSSL lets other threads run meanwhile."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@frozen
class Credential:
    """A certificate with its key; `chain` is what may be sent after it, issuer first, no root."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    def pem(self, *, chain: bool = False) -> bytes:
        """Key, certificate and, if asked for, `chain`, in the order of ANS's one PEM file."""
        certificates = (self.certificate, *self.chain) if chain else (self.certificate,)
        return self.key_pem() + pem_of(certificates)

    def key_pem(self) -> bytes:
        """The key alone, PKCS #8, not encrypted."""
        return self.key.private_bytes(
            Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def read(cls, *paths: Path) -> "Credential":
        """The inverse of `pem(chain=True)`, from one file or from several.

        Raises:
            ValueError: the files aren't what the lab wrote.
            OSError: they can't be read.
        """
        text = b"".join(path.read_bytes() for path in paths)
        # The lab wrote it: validation of each RSA key would cost a second at each opening.
        key = serialization.load_pem_private_key(text, None, unsafe_skip_rsa_key_validation=True)
        certificate, *chain = x509.load_pem_x509_certificates(text)
        return cls(certificate, cast("rsa.RSAPrivateKey", key), tuple(chain))


@frozen
class Authority:
    """A CA: `name` is ANS's name of its file, `publication` says where its lists are.

    `credential.chain` holds the CAs between this one and its root, which is left out.
    """

    name: str
    credential: Credential
    publication: Publication | None = None

    @classmethod
    def found(
        cls,
        name: str,
        template: Template,
        key: rsa.RSAPrivateKey,
        *,
        now: datetime,
        publication: Publication | None = None,
    ) -> "Authority":
        """A new root, which signs itself."""
        issuer = _Issuer(template.subject, key, publication)
        certificate = _certificate(template, key.public_key(), issuer, now)
        return cls(name, Credential(certificate, key), publication)

    @property
    def certificate(self) -> x509.Certificate:
        """The CA's own certificate."""
        return self.credential.certificate

    @property
    def key(self) -> rsa.RSAPrivateKey:
        """The CA's key."""
        return self.credential.key

    @property
    def der(self) -> bytes:
        """The CA's certificate as ANS publishes it."""
        return self.certificate.public_bytes(Encoding.DER)

    def certify(
        self, template: Template, public_key: rsa.RSAPublicKey, *, now: datetime | None = None
    ) -> x509.Certificate:
        """A certificate for somebody else's key; `now` is by default the present."""
        issuer = _Issuer(self.certificate.subject, self.key, self.publication)
        return _certificate(template, public_key, issuer, now or datetime.now(UTC))

    def issue(
        self,
        template: Template,
        key: rsa.RSAPrivateKey | None = None,
        *,
        now: datetime | None = None,
    ) -> Credential:
        """A certificate with its key, a new one of 2048 bits by default."""
        key = key or new_key()
        certificate = self.certify(template, key.public_key(), now=now)
        root = self.certificate.subject == self.certificate.issuer
        chain = () if root else (self.certificate, *self.credential.chain)
        return Credential(certificate, key, chain)

    def subordinate(
        self,
        name: str,
        template: Template,
        key: rsa.RSAPrivateKey,
        *,
        now: datetime,
        publication: Publication | None = None,
    ) -> "Authority":
        """A CA under this one; whether `template` makes a CA of it is the caller's choice."""
        return Authority(name, self.issue(template, key, now=now), publication)

    def splice(self, credential: Credential, old: bytes, new: bytes) -> Credential:
        """The same certificate with other bytes in it, signed again by this CA.

        For contents that `cryptography` would not encode. `old` must occur once in the signed
        part and `new` be as long: then no DER length changes, and nothing has to be assembled.

        Raises:
            ValueError: `old` occurs more than once or not at all, or lengths differ.
        """
        certificate = credential.certificate
        signed = certificate.tbs_certificate_bytes
        if len(old) != len(new) or signed.count(old) != 1:
            raise ValueError(f"{old!r} can't be replaced by {new!r} in place")
        spliced = signed.replace(old, new)
        algorithm = certificate.signature_hash_algorithm or hashes.SHA256()
        signature = self.key.sign(spliced, padding.PKCS1v15(), algorithm)
        der = certificate.public_bytes(Encoding.DER).replace(signed, spliced)
        der = der[: -len(signature)] + signature
        return evolve(credential, certificate=x509.load_der_x509_certificate(der))


def tampered(credential: Credential) -> Credential:
    """The same certificate with the last bit of its signature turned."""
    der = bytearray(credential.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return evolve(credential, certificate=x509.load_der_x509_certificate(bytes(der)))


def pem_of(certificates: tuple[x509.Certificate, ...]) -> bytes:
    """Certificates one after the other, PEM."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


@frozen
class _Issuer:
    name: x509.Name
    key: rsa.RSAPrivateKey
    publication: Publication | None


def _certificate(
    template: Template, public_key: rsa.RSAPublicKey, issuer: _Issuer, now: datetime
) -> x509.Certificate:
    begin, end = template.validity(now)
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(new_serial() if template.serial is None else template.serial)
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key
    ours, theirs = identifier(public_key), identifier(issuer.key.public_key())
    for extension in extensions(template, ours, issuer.name, theirs, issuer.publication):
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(issuer.key, template.algorithm)
