"""The editor's IGC Santé certificate, which the gateway presents to SAS (specification, 4.3)."""

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.environments import PRESETS, PRODUCTION
from sasgate.identity import Identity, UnreadableCertificate, printable_value
from sasgate.trust import Anchors, Credential


# Days before its end from which a renewal is called for: it goes through ANS, by people.
NEAR_THE_END = 60
# What ANS itself puts into the OU of certificates that it issues on an editor's behalf (4.3.2.2).
ANS_STRUCTURE = PRODUCTION.client_ou

# How the predefined CNs begin (4.3.1); what follows is the name of the editor's software.
PRODUCTION_FORM, TEST_FORM = "sas-agregateur-prod-", "sas-agregateur-test-"


def unusable(credential: Credential, anchors: Anchors) -> Iterator[tuple[str, str]]:
    """Why SAS would refuse a certificate, each reason with the way out."""
    try:
        identity = Identity.read(credential.leaf)
    except UnreadableCertificate as error:
        yield f"the certificate cannot be decoded: {error}", ""
        return
    issuers = {ca.der: ca for ca in anchors.issuers}
    sent = [each.public_bytes(Encoding.DER) for each in credential.chain[1:]]
    names = " or ".join(sorted({ca.path.stem for ca in anchors.issuers}))
    if not any(ca.certificate.subject == credential.leaf.issuer for ca in issuers.values()):
        yield (
            f"it was issued by {identity.issuer}, and this environment's is {names}",
            "use the certificate that was made for this environment",
        )
    elif not sent:
        yield f"the intermediate CA {names} is missing", f"append {names} to the file, as PEM"
    elif sent[0] not in issuers:
        yield f"the CA behind it is not ANS's {names}", f"append {names} itself, as PEM"
    if not identity.auth_cli:
        yield "it is not of the type AUTH_CLI", "order an ORG certificate of the type AUTH_CLI"


def doubts(credential: Credential, environment: str, now: datetime) -> Iterator[str]:
    """What is odd about a certificate for an environment that may be taken; `now` is aware."""
    leaf = credential.leaf
    days = (leaf.not_valid_after_utc - now).days
    if days < NEAR_THE_END:
        yield f"it ends in {days} days: order the next one"
    yield from name_doubts(Identity.read(leaf), environment)


def name_doubts(identity: Identity, environment: str) -> Iterator[str]:
    """What is odd about a certificate's CN and OU for an environment."""
    forms = _forms(environment)
    if not any(identity.cn.startswith(form) and identity.cn != form for form in forms):
        shown = " or ".join(f"{form}<EDITEUR>" for form in forms)
        yield f"its CN {printable_value(identity.cn)} is not of the form {shown}"
    if identity.ou == ANS_STRUCTURE:
        yield f"its OU {identity.ou} is ANS's own: ANS issued it on your behalf"


def _forms(environment: str) -> tuple[str, ...]:
    """How CNs begin (4.3.1); an environment of the editor's own may be either."""
    if environment not in PRESETS:
        return PRODUCTION_FORM, TEST_FORM
    return (PRODUCTION_FORM if environment == PRODUCTION.name else TEST_FORM,)
