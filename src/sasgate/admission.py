"""Who may pass: from what a handshake left to a verdict.

One pure function, `judge`, in the order of the design: address; certificate present; chain and
dates; pinned issuer; AUTH_CLI (each 401); CN and OU (403); deny list (401). Everything that is
not known to be right refuses. It knows no socket and no clock.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum

from attrs import frozen
from OpenSSL import SSL

from sasgate.addresses import allowed
from sasgate.identity import Identity, NamePair
from sasgate.settings import Address, Denial, DeniedFingerprint, DeniedSerial, Network


class Verify(Enum):
    """The word on the certificate, as clients, backends, journal and metrics see it."""

    NONE = "NONE"
    SUCCESS = "SUCCESS"
    UNTRUSTED_ISSUER = "FAILED:untrusted issuer"
    EXPIRED = "FAILED:expired"
    NOT_YET_VALID = "FAILED:not yet valid"
    NOT_AUTH_CLI = "FAILED:not AUTH_CLI"
    REVOKED = "FAILED:revoked"
    STATUS_UNKNOWN = "FAILED:status unknown"
    MALFORMED = "FAILED:malformed"


class Outcome(Enum):
    """What follows from the judgement: pass, 401 or 403."""

    ADMITTED = "admitted"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"


@frozen
class ChainFault:
    """One not-ok of OpenSSL's verification: its error number and the depth, leaf 0."""

    errno: int
    depth: int


@frozen
class Presented:
    """What a finished handshake left of the client; recorded once, judged as often as needed.

    `identity` is None without a certificate, or where it could not be read (`unreadable` says
    why). `calls` counts OpenSSL's verification steps and `faults` all its not-oks, since its
    final result reads OK once a callback has let an error pass (S2). `chain` is the verified
    chain as DER, leaf first.
    """

    identity: Identity | None
    unreadable: str = ""
    calls: int = 0
    faults: tuple[ChainFault, ...] = ()
    chain: tuple[bytes, ...] = ()


@frozen
class EnvironmentRules:
    """Who one environment admits; roots and issuers as DER."""

    name: str
    roots: frozenset[bytes]
    issuers: frozenset[bytes]
    clients: frozenset[NamePair]
    addresses: tuple[Network, ...] | None
    deny: tuple[Denial, ...]


@frozen
class Verdict:
    """The judgement of one connection; `detail` is the exact reason, for the journal."""

    outcome: Outcome
    verify: Verify
    detail: str
    identity: Identity | None = None
    environment: str | None = None


def address_admitted(rules: tuple[EnvironmentRules, ...], peer: Address | None) -> bool:
    """Whether any environment takes calls from this address; the test before the handshake."""
    return any(allowed(peer, environment.addresses) for environment in rules)


def judge(
    presented: Presented,
    peer: Address | None,
    rules: tuple[EnvironmentRules, ...],
    now: datetime,
) -> Verdict:
    """Judge a client against the environments of the listener it came to.

    `rules` belong to the listener: neither SNI nor Host plays a part (S16). `now` is aware.
    """
    identity = presented.identity
    if not address_admitted(rules, peer):
        return _refuse(Verify.NONE, f"address {peer} is not allowed", identity)
    if identity is None:
        if presented.unreadable:
            return _refuse(Verify.MALFORMED, presented.unreadable)
        return _refuse(Verify.NONE, "no certificate was presented")
    broken = _chain_fault(presented, identity, now)
    if broken is not None:
        return _refuse(*broken, identity)
    trusting = tuple(_trusting(rules, presented.chain))
    if not trusting:
        return _refuse(
            Verify.UNTRUSTED_ISSUER,
            "its issuer is not one that this listener pins",
            identity,
        )
    if not identity.auth_cli:
        return _refuse(Verify.NOT_AUTH_CLI, _usage_detail(identity), identity)
    return _judge_names(identity, peer, trusting)


def _judge_names(
    identity: Identity, peer: Address | None, trusting: tuple[EnvironmentRules, ...]
) -> Verdict:
    pair = identity.pair
    if pair is None:
        reason = "ambiguous: more than one CN or OU" if identity.ambiguous else "CN or OU is absent"
        return _forbid(reason, identity)
    matched = next((rules for rules in trusting if pair in rules.clients), None)
    if matched is None:
        return _forbid("CN and OU are not a client of this listener's environments", identity)
    if not allowed(peer, matched.addresses):
        reason = f"address {peer} is not one of {matched.name}'s"
        return _forbid(reason, identity, matched.name)
    if any(_denies(denial, identity) for denial in matched.deny):
        return Verdict(
            Outcome.UNAUTHORIZED, Verify.REVOKED, "on the deny list", identity, matched.name
        )
    return Verdict(Outcome.ADMITTED, Verify.SUCCESS, "admitted", identity, matched.name)


def _chain_fault(
    presented: Presented, identity: Identity, now: datetime
) -> tuple[Verify, str] | None:
    if presented.faults:
        return _worst(presented.faults)
    if presented.calls < 1 or not presented.chain or presented.chain[0] != identity.der:
        return Verify.UNTRUSTED_ISSUER, "the verification of the chain was not complete"
    # Judged again later in the connection's life, when OpenSSL's verdict on dates has aged.
    if now > identity.not_after:
        return Verify.EXPIRED, f"expired on {identity.not_after:%Y-%m-%d %H:%M:%S} UTC"
    if now < identity.not_before:
        return Verify.NOT_YET_VALID, f"valid from {identity.not_before:%Y-%m-%d %H:%M:%S} UTC"
    return None


def _trusting(
    rules: tuple[EnvironmentRules, ...], chain: tuple[bytes, ...]
) -> Iterator[EnvironmentRules]:
    # By DER: a CA of the same name can be minted under another intermediate (S11).
    return (
        environment
        for environment in rules
        if len(chain) >= 2 and chain[1] in environment.issuers and chain[-1] in environment.roots
    )


def _worst(faults: tuple[ChainFault, ...]) -> tuple[Verify, str]:
    """The word for several faults: an unknown issuer outweighs what its certificate says."""
    word = min(map(_word, faults), key=_GRAVITY.index)
    return word, "; ".join(f"{openssl_text(each.errno)} at depth {each.depth}" for each in faults)


_GRAVITY = (Verify.UNTRUSTED_ISSUER, Verify.EXPIRED, Verify.NOT_YET_VALID, Verify.NOT_AUTH_CLI)


def _word(fault: ChainFault) -> Verify:
    if fault.errno == SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED:
        return Verify.EXPIRED
    if fault.errno == SSL.X509VerificationCodes.ERR_CERT_NOT_YET_VALID:
        return Verify.NOT_YET_VALID
    if fault.errno == SSL.X509VerificationCodes.ERR_INVALID_PURPOSE and fault.depth == 0:
        return Verify.NOT_AUTH_CLI
    return Verify.UNTRUSTED_ISSUER


def openssl_text(errno: int) -> str:
    """OpenSSL's own name of a fault of a chain."""
    return _OPENSSL_NAMES.get(errno, f"error {errno}")


_OPENSSL_NAMES = {
    number: name.removeprefix("ERR_").replace("_", " ").lower()
    for name, number in vars(SSL.X509VerificationCodes).items()
    if name.startswith("ERR_")
}


def _usage_detail(identity: Identity) -> str:
    if not identity.client_auth:
        return "extendedKeyUsage has no clientAuth"
    return "extendedKeyUsage has serverAuth beside clientAuth (SSL_SERV)"


def _denies(denial: Denial, identity: Identity) -> bool:
    match denial:
        case DeniedFingerprint(sha256):
            return sha256 == identity.sha256
        case DeniedSerial(issuer_cn, serial):
            return (issuer_cn, serial) == (identity.issuer_cn, identity.serial)


def _refuse(verify: Verify, detail: str, identity: Identity | None = None) -> Verdict:
    return Verdict(Outcome.UNAUTHORIZED, verify, detail, identity)


def _forbid(detail: str, identity: Identity, environment: str | None = None) -> Verdict:
    return Verdict(Outcome.FORBIDDEN, Verify.SUCCESS, detail, identity, environment)
