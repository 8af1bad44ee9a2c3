"""The CAs of the lab: both trees of IGC Santé, and CAs that want to pass for them.

Keys of 4096 bits for the six CAs of IGC Santé. The others share a few smaller ones, named below,
since nothing depends on their strength.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from attrs import evolve, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from sasgate.environments import RECETTE
from sasgate.lab.authority import Authority, new_key
from sasgate.lab.names import CN, OU, ST, C, O, name
from sasgate.lab.profile import Publication, Template, authority_template


ROOT_TEST, ORG_TEST, PERS_TEST = "ACR-EL-TEST", "ACI-EL-ORG-TEST", "ACI-EL-PERS-TEST"
ROOT, ORG, PERS = "ACR-EL", "ACI-EL-ORG", "ACI-EL-PERS"
IGC = (ROOT_TEST, ORG_TEST, PERS_TEST, ROOT, ORG, PERS)
OTHER_ROOT, OTHER_ORG = "OTHER-ACR-EL-TEST", "OTHER-ACI-EL-ORG-TEST"
SAME_NAME = "SAME-NAME-ACI-EL-ORG-TEST"
NO_CLIENT_AUTH = "NO-CLIENT-AUTH"
SUBORDINATE = "UNDER-ACI-EL-ORG-TEST"
LEAF_AS_CA = "LEAF-AS-CA"
LOOP = "LOOP"
DEEP = "DEEP"
PUBLIC_ROOT, PUBLIC = "LAB-PUBLIC-ROOT", "LAB-PUBLIC"
# Two more than the depth of 10 that ANS's samples set, not counting leaf and root (S11).
DEEP_INTERMEDIATES = 12
# The small keys: two for hostile CAs, two for the public ones, two for leaves.
STRANGER_ROOT_KEY, STRANGER_KEY = "stranger root", "stranger"
LEAF_KEY, OTHER_LEAF_KEY = "leaf", "other leaf"
_SMALL_KEYS = (
    STRANGER_ROOT_KEY, STRANGER_KEY, PUBLIC_ROOT, PUBLIC, LEAF_KEY, OTHER_LEAF_KEY,
)  # fmt: skip

Keys = Mapping[str, RSAPrivateKey]
Authorities = dict[str, Authority]


@frozen
class KeySizes:
    """RSA sizes in bits: of IGC Santé's CAs, and of all else."""

    authority: int = 4096
    other: int = 2048


def generate_keys(sizes: KeySizes) -> Keys:
    """All keys of a lab, by name; several at a time, since OpenSSL runs without the GIL."""
    wanted = {**dict.fromkeys(IGC, sizes.authority), **dict.fromkeys(_SMALL_KEYS, sizes.other)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(wanted, pool.map(new_key, wanted.values()), strict=True))


def authority_name(ca: str) -> x509.Name:
    """The name of one of IGC Santé's CAs, but for `LAB` before its CN: two OU, as the genuine."""
    test = ca.endswith("-TEST")
    kind = {ROOT: "AC RACINE IGC-SANTE ELEMENTAIRE"}.get(ca.removesuffix("-TEST"))
    kind = kind or "AC IGC-SANTE ELEMENTAIRE " + ("ORGANISATIONS" if "ORG" in ca else "PERSONNES")
    return name(
        (C, "FR"),
        (O, "ASIP-SANTE"),
        (OU, "0002 187512751"),
        (OU, "IGC-SANTE TEST" if test else "IGC-SANTE"),
        (CN, f"LAB TEST {kind}" if test else f"LAB {kind}"),
    )


def igc_tree(keys: Keys, now: datetime, base: str, *, test: bool) -> Authorities:
    """One tree of IGC Santé: the root and, under it, ORGANISATIONS and PERSONNES."""
    root_name, *issuers = (ROOT_TEST, ORG_TEST, PERS_TEST) if test else (ROOT, ORG, PERS)
    root = Authority.found(
        root_name,
        authority_template(authority_name(root_name), now),
        keys[root_name],
        now=now,
        publication=Publication(base, root_name),
    )
    tree = {root_name: root}
    for issuer in issuers:
        template = authority_template(authority_name(issuer), now, path_length=0, days_less=1)
        publication = Publication(base, issuer)
        tree[issuer] = root.subordinate(
            issuer, template, keys[issuer], now=now, publication=publication
        )
    return tree


def strangers(keys: Keys, now: datetime, genuine: Authorities) -> Authorities:
    """CAs that no gateway may take for an issuer of ANS's (S2, S4, S11)."""
    root, org = genuine[ROOT_TEST], genuine[ORG_TEST]
    root_template = authority_template(root.certificate.subject, now)
    org_template = authority_template(org.certificate.subject, now, path_length=0)
    key = keys[STRANGER_KEY]
    other_root = Authority.found(
        OTHER_ROOT, root_template, keys[STRANGER_ROOT_KEY], now=now, publication=root.publication
    )
    made = [
        other_root,
        other_root.subordinate(OTHER_ORG, org_template, key, now=now, publication=org.publication),
        root.subordinate(SAME_NAME, org_template, key, now=now, publication=org.publication),
        root.subordinate(NO_CLIENT_AUTH, _email_only(now), key, now=now),
        org.subordinate(SUBORDINATE, _plain("LAB SUBORDINATE", now), key, now=now),
        org.subordinate(LEAF_AS_CA, _leaf_as_ca(), key, now=now),
        _loop(keys, now),
        _deep(root, key, now),
    ]
    return {authority.name: authority for authority in made}


def public_tree(keys: Keys, now: datetime) -> Authorities:
    """The CA of the gateway's own certificate: looks like one that browsers know."""
    root = Authority.found(
        PUBLIC_ROOT, _plain("LAB PUBLIC ROOT", now, "LAB PUBLIC"), keys[PUBLIC_ROOT], now=now
    )
    template = _plain("LAB PUBLIC CA", now, "LAB PUBLIC")
    template = evolve(template, path_length=0, usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    return {PUBLIC_ROOT: root, PUBLIC: root.subordinate(PUBLIC, template, keys[PUBLIC], now=now)}


def platform_name(cn: str, ou: str, organization: str) -> x509.Name:
    """The subject of one of ANS's client certificates: C, ST, O, OU, CN."""
    return name((C, "FR"), (ST, "Paris (75)"), (O, organization), (OU, ou), (CN, cn))


def _plain(cn: str, now: datetime, organization: str = "LAB") -> Template:
    return authority_template(name((C, "FR"), (O, organization), (CN, cn)), now)


def _email_only(now: datetime) -> Template:
    usages = (ExtendedKeyUsageOID.EMAIL_PROTECTION,)
    return evolve(_plain("LAB E-MAIL CA", now), path_length=0, usages=usages)


def _leaf_as_ca() -> Template:
    return Template(platform_name(RECETTE.client_cn, RECETTE.client_ou, "LAB"))


def _loop(keys: Keys, now: datetime) -> Authority:
    first = Authority.found("LOOP-A", _plain("LAB LOOP A", now), keys[STRANGER_ROOT_KEY], now=now)
    second = first.subordinate("LOOP-B", _plain("LAB LOOP B", now), keys[STRANGER_KEY], now=now)
    return second.subordinate(LOOP, _plain("LAB LOOP A", now), keys[STRANGER_ROOT_KEY], now=now)


def _deep(root: Authority, key: RSAPrivateKey, now: datetime) -> Authority:
    authority = root
    for level in range(1, DEEP_INTERMEDIATES + 1):
        authority = authority.subordinate(DEEP, _plain(f"LAB DEEP {level}", now), key, now=now)
    return authority


def without_key_identifier(template: Template) -> Template:
    """The same without an AKI, so that the issuer is found by its name alone."""
    return evolve(template, without=frozenset({ExtensionOID.AUTHORITY_KEY_IDENTIFIER}))
