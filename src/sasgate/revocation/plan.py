"""Which lists are needed: where they come from, and the CAs that may have signed them."""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen
from cryptography import x509

from sasgate.identity import fingerprint, printable_name
from sasgate.settings import RevocationMode, Settings
from sasgate.trust import CA, Anchors


@frozen
class Plan:
    """Sources as URLs and paths of files or folders, each once; CAs, each certificate once.

    `stems` are the names of the CAs' files without suffix, by SHA-256: ANS's names for them.
    """

    sources: tuple[str, ...] = ()
    authorities: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    stems: Mapping[str, str] = field(factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def of(cls, settings: Settings, anchors: Mapping[str, Anchors]) -> "Plan":
        """What the inbound listeners need; no source where revocation is not checked."""
        used = dict.fromkeys(
            environment for inbound in settings.inbounds for environment in inbound.environments
        )
        cas: dict[bytes, CA] = {ca.der: ca for each in used for ca in anchors[each].all}
        checked = settings.revocation.mode is not RevocationMode.OFF
        sources = [source for each in used for source in settings.environments[each].crl]
        return cls(
            tuple(dict.fromkeys(sources)) if checked else (),
            tuple(ca.certificate for ca in cas.values()),
            MappingProxyType({ca.sha256: ca.path.stem for ca in cas.values()}),
        )

    def named(self, name: str) -> tuple[x509.Certificate, ...]:
        """The CAs of that name: CN, whole name, name of the file, or SHA-256.

        Raises:
            LookupError: there is none; says which there are.
        """
        found = tuple(ca for ca in self.authorities if name in self._names(ca))
        if not found:
            known = ", ".join(sorted({self._names(ca)[0] for ca in self.authorities})) or "none"
            raise LookupError(f"no CA is called {name}; known: {known}")
        return found

    def _names(self, ca: x509.Certificate) -> tuple[str, ...]:
        sha256 = fingerprint(ca)
        common = ca.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = (*(str(each.value) for each in common), printable_name(ca.subject), sha256)
        return (self.stems[sha256], *names) if sha256 in self.stems else names
