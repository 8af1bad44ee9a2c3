"""ANS's environments with the lab's CAs in the place of the pinned ones."""

from collections.abc import Mapping

from attrs import evolve
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from sasgate.environments import PRESETS, Preset, PublishedCA
from sasgate.lab.pki import Lab


def lab_presets(lab: Lab) -> Mapping[str, Preset]:
    """The three environments, pinned to the lab's CAs."""
    return {
        name: evolve(preset, root=_pinned(lab, preset.root), issuer=_pinned(lab, preset.issuer))
        for name, preset in PRESETS.items()
    }


def _pinned(lab: Lab, ca: PublishedCA) -> PublishedCA:
    certificate = lab.authorities[ca.name].certificate
    (cn,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    sha256 = certificate.fingerprint(hashes.SHA256()).hex()
    return evolve(ca, common_name=str(cn.value), sha256=sha256)
