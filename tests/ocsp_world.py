"""One client of the lab, its issuer, and everybody who may want to answer for it."""

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen
from cryptography import x509

from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential
from sasgate.lab.ocsp_answers import Saying, Signatory, signatories
from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp import Asked
from sasgate.revocation.ocsp_signer import Signers


@frozen(eq=False)
class World:
    """`now` is the moment at which the lab was made."""

    now: datetime
    client: Credential
    authority: Authority
    signatories: Mapping[str, Signatory]

    @classmethod
    def of(cls, lab: Lab) -> "World":
        client = lab.clients["recette"]
        known = signatories(lab.authorities, client, lab.created)
        return cls(lab.created, client, lab.authorities[trees.ORG_TEST], known)

    @property
    def leaf(self) -> x509.Certificate:
        return self.client.certificate

    @property
    def issuer(self) -> x509.Certificate:
        return self.authority.certificate

    @property
    def signers(self) -> Signers:
        return Signers(self.issuer)

    @property
    def asked(self) -> Asked:
        return Asked.about(self.leaf, self.issuer)

    def answer(self, signatory: str = "delegate", saying: Saying | None = None) -> bytes:
        """What this signatory says of the client."""
        chosen = self.signatories[signatory]
        return chosen.answer(self.leaf, self.issuer, saying or Saying(), self.now)
