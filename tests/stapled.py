"""The lab's own certificate that names a responder, and those who may want to answer for it."""

from datetime import datetime
from functools import cached_property
from typing import Any

from attrs import evolve, frozen
from cryptography import x509

from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential
from sasgate.lab.ocsp_answers import DELEGATE, STRANGE_OID, Saying, Signatory
from sasgate.lab.own import SERVERS, naming_responder
from sasgate.lab.pki import Lab
from sasgate.stapling import Question


@frozen(eq=False, slots=False)
class OwnWorld:
    """`now` is the moment at which the lab was made."""

    lab: Lab

    @property
    def now(self) -> datetime:
        return self.lab.created

    @property
    def credential(self) -> Credential:
        return self.lab.servers["stapling"]

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.credential.certificate, *self.credential.chain)

    @cached_property
    def question(self) -> Question:
        question = Question.of(self.chain)
        assert question is not None
        return question

    @property
    def authority(self) -> Authority:
        return self.lab.authorities[trees.PUBLIC]

    @property
    def ca(self) -> Signatory:
        return Signatory(self.authority.credential)

    @property
    def stranger(self) -> Signatory:
        """Another CA, which encloses itself."""
        return _enclosing(self.lab.authorities[trees.ORG_TEST].credential)

    @property
    def itself(self) -> Signatory:
        """The certificate that speaks for itself."""
        return _enclosing(self.credential)

    def delegate(self, **changes: Any) -> Signatory:
        """A delegate of the issuer; `changes` are made to its template."""
        template = evolve(DELEGATE, **changes)
        return _enclosing(self.authority.issue(template, self.key, now=self.now))

    @property
    def key(self) -> Any:
        return self.lab.authorities[trees.PUBLIC_ROOT].key

    def answer(
        self,
        saying: Saying | None = None,
        signatory: Signatory | None = None,
        now: datetime | None = None,
        leaf: x509.Certificate | None = None,
    ) -> bytes:
        """What is said of the certificate, or of another, `now`, by its CA or somebody else."""
        about, issuer = leaf or self.credential.certificate, self.authority.certificate
        return (signatory or self.ca).answer(about, issuer, saying or Saying(), now or self.now)

    def padded(
        self, size: int, now: datetime | None = None, leaf: x509.Certificate | None = None
    ) -> bytes:
        """A good answer of so many bytes, some thousands."""

        def answer(filler: int) -> bytes:
            value = x509.UnrecognizedExtension(STRANGE_OID, b"\0" * filler)
            said = Saying(extensions=(x509.Extension(STRANGE_OID, False, value),))
            return self.answer(said, now=now, leaf=leaf)

        # Lengths of 256 and more take two bytes each, whatever they are.
        body = answer(1000 + size - len(answer(1000)))
        assert len(body) == size
        return body

    def naming(self, url: str, serial: int | None = None) -> Credential:
        """Another certificate of the same kind, whose responder is there."""
        template = evolve(naming_responder(SERVERS["server"].template, url), serial=serial)
        return self.authority.issue(template, self.credential.key, now=self.now)


def _enclosing(credential: Credential) -> Signatory:
    return Signatory(credential, (credential.certificate,))
