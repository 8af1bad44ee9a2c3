"""What a certificate, a request or a list is good for with SAS, and what is wrong with it.

Judgements for people, of files that nothing was decided on yet; admission and the loading of a
configuration have rules of their own. What is read here may be anybody's: all texts are printable.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from attrs import field, frozen
from cryptography import x509

from sasgate.editor_certificate import NEAR_THE_END, name_doubts
from sasgate.environments import Preset, PublishedCA
from sasgate.identity import Identity, fingerprint
from sasgate.trust import signed_by


@frozen
class Verdict:
    """How something does in one use: `fits` says for what, `wrong` why not; `notes` are milder."""

    use: str
    fits: str = ""
    wrong: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it can be used so."""
        return not self.wrong


@frozen
class Signer:
    """The CA of ANS that a certificate comes from; unless `verified`, by its issuer's name alone.

    `denied`: that CA is at hand, and did not sign it.
    """

    ca: PublishedCA
    verified: bool
    denied: bool = False


@frozen
class PublishedCAs:
    """The CAs that ANS publishes; `held` are those at hand, by ANS's names, each the pinned one."""

    presets: tuple[Preset, ...]
    held: Mapping[str, x509.Certificate] = field(factory=dict)

    @property
    def all(self) -> tuple[PublishedCA, ...]:
        """Roots and issuers, each once."""
        both = (ca for preset in self.presets for ca in (preset.root, preset.issuer))
        return tuple({ca.name: ca for ca in both}.values())

    def signer_of(self, certificate: x509.Certificate) -> Signer | None:
        """Which of them issued a certificate, None where none did."""
        for ca in self.all:
            if ca.name in self.held and signed_by(certificate, self.held[ca.name]):
                return Signer(ca, verified=True)
        namesake = self.named(certificate.issuer)
        if namesake is None:
            return None
        return Signer(namesake, verified=False, denied=namesake.name in self.held)

    def named(self, name: x509.Name) -> PublishedCA | None:
        """The CA that bears a name, by its CN."""
        common_names = {each.value for each in name.get_attributes_for_oid(_CN)}
        return next((ca for ca in self.all if common_names == {ca.common_name}), None)

    def with_issuer(self, ca: PublishedCA) -> tuple[Preset, ...]:
        """The environments whose certificates a CA issues."""
        return tuple(each for each in self.presets if each.issuer.name == ca.name)

    def uses_of(self, ca: PublishedCA) -> str:
        """What a CA is to which environments, in words."""
        roots = [each.name for each in self.presets if each.root.name == ca.name]
        issuer = [each.name for each in self.with_issuer(ca)]
        return f"the root of {listed(roots)}" if roots else f"the issuer of {listed(issuer)}"


def listed(words: Iterable[str]) -> str:
    """Words as a text: `recette and preproduction`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def as_client(leaf: x509.Certificate, cas: PublishedCAs, now: datetime) -> Verdict:
    """How a certificate does when it is presented to SAS, or by SAS; `now` is aware.

    Raises:
        UnreadableCertificate: it cannot be decoded.
    """
    identity = Identity.read(leaf)
    signer = cas.signer_of(leaf)
    wrong = (
        *_issuer_faults(identity, signer, cas),
        *_profile_faults(leaf, identity),
        *date_faults(identity.not_before, identity.not_after, now),
    )
    environments = cas.with_issuer(signer.ca) if signer is not None else ()
    notes: list[str] = []
    if signer is not None and not signer.verified and not signer.denied:
        notes.append(unverified(signer.ca))
    if not wrong and (days := (identity.not_after - now).days) < NEAR_THE_END:
        notes.append(f"it ends in {days} days: order the next one")
    platform = [each for each in environments if _is_platform(identity, each)]
    if platform:
        notes.append("it is the SAS platform's own, which calls editors, and no editor's")
    elif environments:
        notes.extend(name_doubts(identity, environments[0].name))
    names = [each.name for each in platform or environments]
    return Verdict("client", listed(names) if names else "", wrong, tuple(notes))


def as_ca(ca: x509.Certificate, cas: PublishedCAs, now: datetime) -> Verdict:
    """Whether a CA is one of ANS's: byte by byte, whatever its name; `now` is aware."""
    sha256 = fingerprint(ca)
    dates = tuple(date_faults(ca.not_valid_before_utc, ca.not_valid_after_utc, now))
    for published in cas.all:
        if published.sha256 == sha256:
            return Verdict("CA", f"ANS's {published.name}, {cas.uses_of(published)}", dates)
    namesake = cas.named(ca.subject)
    if namesake is not None:
        why = f"it bears the name of ANS's {namesake.name} and is another one: ANS's has SHA-256 "
        return Verdict("CA", wrong=(why + namesake.sha256, *dates))
    names = listed(each.name for each in cas.all)
    return Verdict("CA", wrong=(f"it is none of ANS's, {names}", *dates))


def unverified(ca: PublishedCA) -> str:
    """The note on what was judged by a name alone."""
    return (
        f"by its issuer's name alone, the signature was not verified: {ca.name}.cer is not at hand "
        "(--ca DIR)"
    )


def date_faults(begin: datetime, end: datetime, now: datetime) -> Iterator[str]:
    """Why a certificate is not valid at `now` (aware), if it is not."""
    if now > end:
        yield f"it ended on {end:%Y-%m-%d %H:%M} UTC: order a new one"
    if now < begin:
        yield f"it is not valid before {begin:%Y-%m-%d %H:%M} UTC"


def _issuer_faults(identity: Identity, signer: Signer | None, cas: PublishedCAs) -> Iterator[str]:
    issuers = " or ".join(dict.fromkeys(each.issuer.name for each in cas.presets))
    if signer is None:
        yield f"it was issued by {identity.issuer}, not by ANS's {issuers}"
    elif signer.denied:
        yield f"it names ANS's {signer.ca.name} as its issuer, which did not sign it"
    elif not cas.with_issuer(signer.ca):
        yield f"it was issued by {signer.ca.name}, not by ANS's {issuers}"


def _profile_faults(leaf: x509.Certificate, identity: Identity) -> Iterator[str]:
    if not identity.auth_cli:
        has = (
            "both" if identity.client_auth else "serverAuth" if identity.server_auth else "neither"
        )
        yield f"it is not AUTH_CLI: clientAuth without serverAuth is needed, it has {has}"
    if not _may_sign(leaf):
        yield "its key usage lacks digitalSignature, which TLS needs"
    if identity.ambiguous:
        yield "it has several CN or OU, and each reader may take another one"
    elif identity.pair is None:
        yield "it has no CN or no OU, by which SAS knows its callers"


def _may_sign(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _is_platform(identity: Identity, preset: Preset) -> bool:
    pair = identity.pair
    return pair is not None and (pair.cn, pair.ou) == (preset.client_cn, preset.client_ou)


_CN = x509.NameOID.COMMON_NAME
