"""Whether a CSR is what ANS's guide asks for (specification, 4.3.1)."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import AttributeOID, NameOID

from sasgate.editor_certificate import PRODUCTION_FORM, TEST_FORM
from sasgate.editor_names import editor_of
from sasgate.environments import PRESETS, PRODUCTION
from sasgate.fitness import Verdict, listed
from sasgate.identity import printable_name, printable_value


_KEY_BITS = 2048


def as_request(csr: x509.CertificateSigningRequest) -> Verdict:
    """How a request does, and for which environments its CN asks."""
    cns = [str(each.value) for each in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    cn = cns[0] if len(cns) == 1 else ""
    production = cn.startswith(PRODUCTION_FORM)
    others = [name for name in PRESETS if name != PRODUCTION.name]
    fits = "" if editor_of(cn) is None else PRODUCTION.name if production else listed(others)
    wrong = (*_subject_faults(csr.subject, cn), *_key_faults(csr), *_attribute_faults(csr))
    return Verdict("CSR", fits, wrong)


def _subject_faults(subject: x509.Name, cn: str) -> Iterator[str]:
    if len(list(subject)) != 1 or not cn:
        yield f"its subject is {printable_name(subject) or 'empty'}; ANS wants one CN and no more"
    if cn and editor_of(cn) is None:
        forms = f"{PRODUCTION_FORM}<EDITEUR> or {TEST_FORM}<EDITEUR>"
        yield f"its CN {printable_value(cn)} is not of the form {forms}"


def _key_faults(csr: x509.CertificateSigningRequest) -> Iterator[str]:
    if not csr.is_signature_valid:
        yield "its signature is wrong: it was changed, or cut and mended, after it was made"
    key = csr.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size != _KEY_BITS:
        yield f"its key is not RSA {_KEY_BITS}"
    if not isinstance(csr.signature_hash_algorithm, hashes.SHA256):
        yield "it is not signed with SHA-256"


def _attribute_faults(csr: x509.CertificateSigningRequest) -> Iterator[str]:
    if any(each.oid == AttributeOID.CHALLENGE_PASSWORD for each in csr.attributes):
        yield "it holds a password (challengePassword), and ANS wants none"
