"""What ANS publishes of its environments, as data; the one home of these facts.

Sources: specification v3.2, 2.2 (CAs), 2.3 (lists, OCSP), 3.3 (CN and OU), 3.4 (addresses),
4.2 (URLs); the CAs' SHA-256 were taken from the genuine DER files.
"""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen


OCSP_URL = "http://ocsp.esante.gouv.fr"
_IGC = "http://igc-sante.esante.gouv.fr"


@frozen
class PublishedCA:
    """One CA of IGC Santé: `name` is ANS's file name without `.cer`, `sha256` that of its DER.

    `common_name` is the CN of its subject, by which people know it; judge by `sha256`.
    """

    name: str
    common_name: str
    sha256: str
    url: str
    crl_url: str


@frozen
class Preset:
    """One ANS environment; `client_cn` and `client_ou` identify the platform as a client."""

    name: str
    client_cn: str
    client_ou: str
    address: str
    url: str
    root: PublishedCA
    issuer: PublishedCA
    ocsp_url: str = OCSP_URL


ACR_EL = PublishedCA(
    "ACR-EL",
    "AC RACINE IGC-SANTE ELEMENTAIRE",
    "2d9e22ca19f777c6b745257c723ecb8df3c35fa6f1f6ec36b83600c97346967f",
    f"{_IGC}/AC/ACR-EL.cer",
    f"{_IGC}/CRL/ACR-EL.crl",
)
ACI_EL_ORG = PublishedCA(
    "ACI-EL-ORG",
    "AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
    "d834ee5b40686b73573f60547bf6052c6d404d942a5665cdb2c0b9137b5d27b2",
    f"{_IGC}/AC/ACI-EL-ORG.cer",
    f"{_IGC}/CRL/ACI-EL-ORG.crl",
)
ACR_EL_TEST = PublishedCA(
    "ACR-EL-TEST",
    "TEST AC RACINE IGC-SANTE ELEMENTAIRE",
    "01325aeb193871eec90fa89556804e4185cb362e0ca87a3d79939c71186da805",
    f"{_IGC}/AC%20TEST/ACR-EL-TEST.cer",
    f"{_IGC}/CRL/ACR-EL-TEST.crl",
)
ACI_EL_ORG_TEST = PublishedCA(
    "ACI-EL-ORG-TEST",
    "TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
    "dc528e3788691b3f7950164076f95b02c64334c68662bdede5750b4e0e5338f6",
    f"{_IGC}/AC%20TEST/ACI-EL-ORG-TEST.cer",
    f"{_IGC}/CRL/ACI-EL-ORG-TEST.crl",
)

RECETTE = Preset(
    name="recette",
    client_cn="sas-agregateur-recette",
    client_ou="499700234190004",
    address="51.91.149.173",
    url="https://sas-agregateur.integration.santefr.esante.gouv.fr/",
    root=ACR_EL_TEST,
    issuer=ACI_EL_ORG_TEST,
)
PREPRODUCTION = Preset(
    name="preproduction",
    client_cn="sas-aggregator-preproduction",
    client_ou="499700343942006",
    address="37.59.26.69",
    url="https://sas-agregateur.preproduction.santefr.esante.gouv.fr/",
    root=ACR_EL_TEST,
    issuer=ACI_EL_ORG_TEST,
)
PRODUCTION = Preset(
    name="production",
    client_cn="sas-aggregator-production",
    client_ou="318751275100020",
    address="51.68.88.222",
    url="https://sas-agregateur.production.santefr.esante.gouv.fr/",
    root=ACR_EL,
    issuer=ACI_EL_ORG,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {preset.name: preset for preset in (RECETTE, PREPRODUCTION, PRODUCTION)}
)
