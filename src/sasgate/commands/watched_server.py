"""The verification of a server, told: the decision is `upstream_tls`'s, the words are here."""

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from service_identity import VerificationError

from sasgate.admission import openssl_text
from sasgate.commands.own_certificate import names_of
from sasgate.identity import printable_name, printable_value
from sasgate.upstream_tls import VerifiedServer, is_server


@frozen
class Refusal:
    """Why a server's certificate is refused, and what can be done."""

    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason


class WatchedServer(VerifiedServer):
    """Makes connections as `VerifiedServer` does, and keeps what one handshake showed.

    `sent` is the chain as the server sent it, `refusal` None for as long as nothing was refused.
    """

    def __init__(self, context: SSL.Context, host: str) -> None:
        super().__init__(context, host)
        self.sent: tuple[x509.Certificate, ...] = ()
        self.refusal: Refusal | None = None

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, errno: int, depth: int, ok: int
    ) -> bool:
        passed = super()._verify(connection, certificate, errno, depth, ok)
        if passed and self.sent:
            return True
        try:
            self.sent = tuple(connection.get_peer_cert_chain(as_cryptography=True) or ())
            if not passed:
                judged = certificate.to_cryptography()
                self.refusal = _why(judged, errno, depth, self.sent, self._host, ok=bool(ok))
        except Exception as error:
            if not passed:
                self.refusal = Refusal(f"it cannot be read ({type(error).__name__})")
        return passed


def _why(
    certificate: x509.Certificate,
    errno: int,
    depth: int,
    sent: tuple[x509.Certificate, ...],
    host: str,
    *,
    ok: bool,
) -> Refusal:
    if ok:
        return _unfit(certificate, host)
    whose = "it" if depth == 0 else f"the CA {printable_name(certificate.subject)} behind it"
    codes = SSL.X509VerificationCodes
    if errno == codes.ERR_CERT_HAS_EXPIRED:
        return Refusal(f"{whose} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if errno == codes.ERR_CERT_NOT_YET_VALID:
        begins = certificate.not_valid_before_utc
        return Refusal(f"{whose} is not valid before {begins:%Y-%m-%d %H:%M} UTC", _CLOCK)
    if errno in {codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT, codes.ERR_SELF_SIGNED_CERT_IN_CHAIN}:
        itself = "it signed itself" if depth == 0 else f"{whose} is a root that is not trusted here"
        return Refusal(itself, _INTERCEPTED)
    if errno in _WITHOUT_ISSUER:
        return _without_issuer(certificate, sent)
    if errno == codes.ERR_INVALID_PURPOSE and depth == 0:
        return Refusal("it is not for servers: its extendedKeyUsage has no serverAuth")
    return Refusal(f"{openssl_text(errno)} (OpenSSL, at depth {depth})")


def _without_issuer(certificate: x509.Certificate, sent: tuple[x509.Certificate, ...]) -> Refusal:
    issuer = printable_name(certificate.issuer)
    if len(sent) == 1:
        return Refusal(
            f"it was issued by {issuer}, which the server does not send and is not trusted here",
            "the server has to send its intermediate CA along; or it is of a CA that is unknown",
        )
    return Refusal(f"its chain ends at {issuer}, which is not trusted here", _INTERCEPTED)


def _unfit(certificate: x509.Certificate, host: str) -> Refusal:
    """Why a certificate with a good chain is not this server's; as `is_server` decides."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return Refusal("it has no extendedKeyUsage, which must say serverAuth")
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        return Refusal("it is not for servers: its extendedKeyUsage has no serverAuth")
    names = names_of(certificate)
    if not names:
        return Refusal("it has no name in its subjectAltName", "the CN alone counts for nobody")
    shown = ", ".join(names)
    try:
        is_server(certificate, host)
    except VerificationError:
        return Refusal(f"it is for {shown}, not for {printable_value(host)}")
    except Exception as error:
        return Refusal(f"its names {shown} cannot be taken ({type(error).__name__})")
    return Refusal("the verification was not complete")


_CLOCK = "is this host's clock right?"
_INTERCEPTED = "is there a device in between that ends TLS, or are its CAs to be configured?"
_WITHOUT_ISSUER = frozenset(
    {
        SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT,
        SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        SSL.X509VerificationCodes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    }
)
