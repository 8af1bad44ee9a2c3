"""A verified chain as revocation looks at it: whose lists speak of which of its certificates."""

import hashlib
from functools import lru_cache
from itertools import pairwise

from attrs import field, frozen
from cryptography import x509

from sasgate.revocation.lists import Subject
from sasgate.revocation.scope import distribution_points
from sasgate.revocation.serials import LOWEST


@frozen
class Chain:
    """The leaf, and the CAs between it and the root, whose word is not asked for.

    `issuer` is the CA that signed the leaf; `sha256` is the leaf's own.
    """

    leaf: Subject
    cas: tuple[Subject, ...]
    sha256: str
    issuer: x509.Certificate = field(repr=False, eq=False)

    @classmethod
    def read(cls, chain: tuple[bytes, ...]) -> "Chain":
        """The chain in DER, leaf first, root last.

        Raises:
            ValueError: it has no issuer, or one of its certificates cannot be read.
        """
        return _read(chain)

    @classmethod
    def of_nobody(cls, issuer: bytes, root: bytes) -> "Chain":
        """A chain whose leaf no list can hold: what is known of all certificates of a CA."""
        leaf = Subject(_sha256(issuer), _NOBODY, ca=False)
        return cls(leaf, (_ca(issuer, root),), "", _certificate(issuer))


# One less than the lowest serial that there can be.
_NOBODY = LOWEST - 1


# A client comes again and again with the same chain, and reading one takes longer than all look-ups
# in lists. Whoever would not be admitted is refused before theirs is read.
@lru_cache(maxsize=32)
def _read(chain: tuple[bytes, ...]) -> Chain:
    if len(chain) < 2:
        raise ValueError("a chain without an issuer")
    leaf = x509.load_der_x509_certificate(chain[0])
    return Chain(
        _subject(leaf, _sha256(chain[1]), ca=False),
        tuple(_ca(certificate, issuer) for certificate, issuer in pairwise(chain[1:])),
        hashlib.sha256(chain[0]).hexdigest(),
        _certificate(chain[1]),
    )


# CAs are few and the same in every chain; what a stranger sends is never looked at here.
@lru_cache(maxsize=32)
def _sha256(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


@lru_cache(maxsize=32)
def _certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=32)
def _ca(der: bytes, issuer: bytes) -> Subject:
    return _subject(_certificate(der), _sha256(issuer), ca=True)


def _subject(certificate: x509.Certificate, issuer: str, *, ca: bool) -> Subject:
    return Subject(issuer, certificate.serial_number, ca, distribution_points(certificate))
