"""What a certificate says of its holder; nobody else reads names out of certificates.

Names are compared as parsed attribute values, never as a printed DN (S6). A certificate whose
contents cannot be read raises `UnreadableCertificate`, and the caller refuses it.
"""

import re
import warnings
from datetime import datetime
from functools import lru_cache

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class UnreadableCertificate(Exception):
    """The certificate's names, usages or dates could not be decoded."""


@frozen
class NamePair:
    """The CN and OU that together name one client; compared exactly and as a pair (S9)."""

    cn: str
    ou: str

    def __str__(self) -> str:
        return f"CN={self.cn}, OU={self.ou}"


@frozen
class Identity:
    """One certificate, read once.

    `serial` is upper-case hexadecimal without leading zeros; `subject` and `issuer` are RFC 4514
    texts in printable ASCII; dates are aware, in UTC, both ends valid (RFC 5280, 4.1.2.5).
    """

    common_names: tuple[str, ...]
    organizational_units: tuple[str, ...]
    subject: str
    issuer: str
    issuer_cn: str
    serial: str
    not_before: datetime
    not_after: datetime
    client_auth: bool
    server_auth: bool
    sha256: str
    der: bytes = field(repr=False)

    @classmethod
    def read(cls, certificate: x509.Certificate) -> "Identity":
        """The identity in a certificate.

        Raises:
            UnreadableCertificate: anything in it that is needed could not be decoded.
        """
        try:
            with warnings.catch_warnings():
                # A CN of no or more than 64 characters is a stranger's, not worth a line of log.
                warnings.simplefilter("ignore", UserWarning)
                subject, issuer = certificate.subject, certificate.issuer
            usages = _extended_key_usages(certificate)
            return cls(
                common_names=_values(subject, NameOID.COMMON_NAME),
                organizational_units=_values(subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
                subject=printable_name(subject),
                issuer=printable_name(issuer),
                issuer_cn=", ".join(_values(issuer, NameOID.COMMON_NAME)),
                serial=f"{certificate.serial_number:X}",
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                client_auth=ExtendedKeyUsageOID.CLIENT_AUTH in usages,
                server_auth=ExtendedKeyUsageOID.SERVER_AUTH in usages,
                sha256=fingerprint(certificate),
                der=certificate.public_bytes(serialization.Encoding.DER),
            )
        except Exception as error:
            raise UnreadableCertificate(str(error)) from error

    @property
    def pair(self) -> NamePair | None:
        """CN and OU, or None unless there is exactly one of each (S8)."""
        if len(self.common_names) == 1 and len(self.organizational_units) == 1:
            return NamePair(self.common_names[0], self.organizational_units[0])
        return None

    @property
    def ambiguous(self) -> bool:
        """Whether two readers could take different values for the CN or the OU (S8)."""
        return len(self.common_names) > 1 or len(self.organizational_units) > 1

    @property
    def cn(self) -> str:
        """All CNs for a person to read; judge by `pair`."""
        return ", ".join(self.common_names)

    @property
    def ou(self) -> str:
        """All OUs for a person to read; judge by `pair`."""
        return ", ".join(self.organizational_units)

    @property
    def auth_cli(self) -> bool:
        """IGC Santé's AUTH_CLI profile: clientAuth without serverAuth (facts page; S4)."""
        return self.client_auth and not self.server_auth


@lru_cache(maxsize=64)
def identity_of(der: bytes) -> Identity:
    """The identity in a certificate's DER; those read last are kept, at 150 µs for each reading.

    Raises:
        UnreadableCertificate: as `Identity.read`; and nothing of such a one is kept.
        ValueError: no certificate.
    """
    return Identity.read(x509.load_der_x509_certificate(der))


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate's DER, lower-case hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def parse_pair(text: str) -> NamePair:
    """The pair in an RFC 4514 name such as `CN=sas-agregateur-recette,OU=499700234190004`.

    Other attributes are refused, since they would seem to be compared and are not.

    Raises:
        ValueError: not an RFC 4514 name, or not exactly one CN and one OU.
    """
    # The journal shows a space after the comma, and whoever copies from it means the same.
    name = x509.Name.from_rfc4514_string(_SPACES_AFTER_COMMA.sub(",", text))
    cns, ous = _values(name, NameOID.COMMON_NAME), _values(name, NameOID.ORGANIZATIONAL_UNIT_NAME)
    if len(cns) != 1 or len(ous) != 1 or len(list(name)) != 2:
        raise ValueError("exactly one CN and one OU are needed, and nothing else is compared")
    return NamePair(cns[0], ous[0])


def printable_name(name: x509.Name) -> str:
    r"""RFC 4514 text in which everything but printable ASCII is a `\XX` of its UTF-8 bytes."""
    return _escape(name.rfc4514_string())


def printable_value(value: str) -> str:
    r"""One attribute value, fit for a header field: printable ASCII, all else `\XX` (S39)."""
    return _escape(value.replace("\\", "\\5C"))


def _escape(text: str) -> str:
    return _NOT_PRINTABLE.sub(
        lambda match: "".join(
            f"\\{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")
        ),
        text,
    )


_SPACES_AFTER_COMMA = re.compile(r"(?<!\\), +")
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(
        value if isinstance(value := attribute.value, str) else value.decode("latin-1")
        for attribute in name.get_attributes_for_oid(oid)
    )


def _extended_key_usages(certificate: x509.Certificate) -> tuple[x509.ObjectIdentifier, ...]:
    try:
        return tuple(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return ()
