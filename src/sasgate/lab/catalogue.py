"""The catalogue of clients: every certificate that a test or a demonstration presents.

All leaves share one key, since nothing depends on distinct ones; a test that needs its own mints
it with `Authority.issue`. S-ids are those of the security requirements.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

from attrs import evolve
from cryptography.x509.oid import ExtendedKeyUsageOID

from sasgate.environments import PREPRODUCTION, PRODUCTION, RECETTE
from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential, tampered
from sasgate.lab.client import (
    ADMITTED,
    EXPIRED,
    MALFORMED,
    NOT_AUTH_CLI,
    NOT_YET_VALID,
    OTHER_PAIR,
    UNTRUSTED,
    Client,
    Listener,
    named,
    pair,
    platform,
)
from sasgate.lab.deceivers import DECEIVERS
from sasgate.lab.names import CN, OU, StringType, attribute
from sasgate.lab.profile import Template, key_usage


_WANTED_CN, _WANTED_OU = RECETTE.client_cn, RECETTE.client_ou
_RECETTE = platform(RECETTE)
_REVOKED_SERIAL = 0x1BADC0DE << 96 | 0x5A5


def _usages(*usages: str) -> Template:
    return evolve(_RECETTE, usages=tuple(getattr(ExtendedKeyUsageOID, each) for each in usages))


def _encoded(string_type: StringType) -> Template:
    return named(attribute(OU, _WANTED_OU, string_type), attribute(CN, _WANTED_CN, string_type))


def _and_sends(*names: str) -> Callable[[Credential, Mapping[str, Authority]], Credential]:
    def extend(credential: Credential, authorities: Mapping[str, Authority]) -> Credential:
        more = tuple(authorities[each].certificate for each in names)
        return evolve(credential, chain=credential.chain + more)

    return extend


def _tampered(credential: Credential, _: Mapping[str, Authority]) -> Credential:
    return tampered(credential)


def _unreadable(credential: Credential, authorities: Mapping[str, Authority]) -> Credential:
    return authorities[trees.ORG_TEST].splice(
        credential, b"Sant-e", "Santé".encode("latin-1") + b" "
    )


_PLATFORM = (
    Client("recette", "SAS from recette", ADMITTED, _RECETTE),
    Client("preproduction", "SAS from preproduction", ADMITTED, platform(PREPRODUCTION)),
    Client(
        "production",
        "SAS from production",
        ADMITTED,
        platform(PRODUCTION),
        issuer=trees.ORG,
        listener=Listener.PRODUCTION,
    ),
    Client(
        "extra-chain",
        "SAS from recette, sending certificates that have nothing to do with it (S11)",
        ADMITTED,
        _RECETTE,
        alter=_and_sends(trees.PERS, trees.OTHER_ROOT, trees.ROOT),
    ),
    Client(
        "revoked",
        "good until a list of ACI-EL-ORG-TEST holds it",
        ADMITTED,
        evolve(_RECETTE, serial=_REVOKED_SERIAL),
        revoked=True,
    ),
    Client(
        "same-serial",
        "production, with the serial that `revoked` has under another issuer (S21)",
        ADMITTED,
        evolve(platform(PRODUCTION), serial=_REVOKED_SERIAL),
        issuer=trees.ORG,
        listener=Listener.PRODUCTION,
    ),
)

_ENCODINGS = tuple(
    Client(
        f"recette-{string_type.name.removesuffix('String').lower()}",
        f"SAS from recette, CN and OU as {string_type.name} (S10)",
        ADMITTED,
        _encoded(string_type),
    )
    for string_type in (
        StringType.PrintableString,
        StringType.BMPString,
        StringType.T61String,
        StringType.UniversalString,
        StringType.IA5String,
    )
)

_OTHER_ENVIRONMENT = (
    Client(
        "crossed-pair",
        "recette's CN with preproduction's OU (S9)",
        OTHER_PAIR,
        pair(RECETTE.client_cn, PREPRODUCTION.client_ou),
    ),
    Client(
        "crossed-pair-reversed",
        "preproduction's CN with recette's OU (S9)",
        OTHER_PAIR,
        pair(PREPRODUCTION.client_cn, RECETTE.client_ou),
    ),
    Client(
        "recette-from-production-ca",
        "recette's pair, issued by the production CA (S9)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.ORG,
    ),
    Client(
        "production-from-test-ca",
        "production's pair, issued by the test CA (S9)",
        UNTRUSTED,
        platform(PRODUCTION),
        listener=Listener.PRODUCTION,
    ),
    Client(
        "production-pair-on-test",
        "production's pair, issued by the test CA, on the test listener (S9)",
        OTHER_PAIR,
        platform(PRODUCTION),
    ),
)

_DATES = (
    Client(
        "expired",
        "ended an hour ago (S2)",
        EXPIRED,
        evolve(_RECETTE, not_before=timedelta(days=-1096), not_after=timedelta(hours=-1)),
    ),
    Client(
        "not-yet-valid",
        "begins in a year (S2)",
        NOT_YET_VALID,
        evolve(_RECETTE, not_before=timedelta(days=365)),
    ),
)

_USAGES = (
    Client(
        "ssl-serv",
        "ANS's SSL_SERV profile: serverAuth and clientAuth (S4)",
        NOT_AUTH_CLI,
        _usages("SERVER_AUTH", "CLIENT_AUTH"),
    ),
    Client("server-auth", "serverAuth only (S4)", NOT_AUTH_CLI, _usages("SERVER_AUTH")),
    Client("e-mail", "emailProtection only (S4)", NOT_AUTH_CLI, _usages("EMAIL_PROTECTION")),
    Client(
        "any-usage",
        "anyExtendedKeyUsage only (S4)",
        NOT_AUTH_CLI,
        _usages("ANY_EXTENDED_KEY_USAGE"),
    ),
    Client("no-usage", "no extendedKeyUsage (S4)", NOT_AUTH_CLI, evolve(_RECETTE, usages=None)),
    Client(
        "key-encipherment",
        "keyUsage without digitalSignature (S4)",
        NOT_AUTH_CLI,
        evolve(_RECETTE, key_usage=key_usage("key_encipherment")),
    ),
)

_PATHS = (
    Client(
        "person",
        "the right pair, issued by PERSONNES of the same root (S11)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.PERS_TEST,
    ),
    Client("self-signed", "the right pair, signed by itself (S2)", UNTRUSTED, _RECETTE, None),
    Client(
        "other-ca",
        "from CAs of the right names and other keys, root sent along (S2)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.OTHER_ORG,
        alter=_and_sends(trees.OTHER_ROOT),
    ),
    Client(
        "same-name-ca",
        "from a CA of the right name and another key, under the right root (S11)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.SAME_NAME,
    ),
    Client(
        "same-name-ca-no-aki",
        "the same, whose issuer can only be found by name (S11)",
        UNTRUSTED,
        trees.without_key_identifier(_RECETTE),
        issuer=trees.SAME_NAME,
    ),
    Client(
        "ca-without-client-auth",
        "from a CA under the right root, for e-mail only (S4)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.NO_CLIENT_AUTH,
    ),
    Client(
        "subordinate-ca",
        "from a CA under ACI-EL-ORG-TEST, whose pathlen is 0 (S11)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.SUBORDINATE,
    ),
    Client(
        "issued-by-leaf",
        "issued with the key of a client certificate (S11)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.LEAF_AS_CA,
    ),
    Client(
        "looped-chain",
        "from two CAs that issued each other (S11)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.LOOP,
    ),
    Client(
        "deep-chain",
        f"under the right root by way of {trees.DEEP_INTERMEDIATES} intermediates (S11)",
        UNTRUSTED,
        _RECETTE,
        issuer=trees.DEEP,
    ),
    Client(
        "bad-signature",
        "the last bit of its signature is wrong (S2)",
        UNTRUSTED,
        _RECETTE,
        alter=_tampered,
    ),
    Client(
        "unreadable-name",
        "its CN is a T61String in Latin-1, which OpenSSL passes and cryptography can't decode",
        MALFORMED,
        named((OU, _WANTED_OU), attribute(CN, "Sant-e", StringType.T61String)),
        alter=_unreadable,
    ),
)

CATALOGUE: Mapping[str, Client] = MappingProxyType(
    {
        client.name: client
        for client in (
            *_PLATFORM,
            *_ENCODINGS,
            *_OTHER_ENVIRONMENT,
            *_DATES,
            *_USAGES,
            *_PATHS,
            *DECEIVERS,
        )
    }
)
