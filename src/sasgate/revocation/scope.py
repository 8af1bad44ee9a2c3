"""Which certificates of its CA a list speaks of (RFC 5280, 5.2.5): exactly, or refused (S20).

A list that leaves out a part of the certificates says nothing on them: for those it is no list.
"""

from collections.abc import Collection

from attrs import frozen
from cryptography import x509

from sasgate.identity import printable_name
from sasgate.revocation.refusal import ListRefused, Refusal


@frozen
class Scope:
    """Leaves, CAs or both; with `points`, only certificates that name one of them.

    Two lists of one CA replace each other only where their scopes are equal. `points` are sorted
    texts such as `URI:http://…` and `DirName:CN=…`; none means that it does not matter.
    """

    leaves: bool = True
    authorities: bool = True
    points: tuple[str, ...] = ()

    def covers(self, *, ca: bool, points: Collection[str] = ()) -> bool:
        """Whether the list speaks of a certificate (6.3.3, b.2).

        `ca` is basicConstraints' cA, `points` those of `distribution_points`.
        """
        kind = self.authorities if ca else self.leaves
        return kind and (not self.points or not set(self.points).isdisjoint(points))


WHOLE = Scope()


def distribution_points(certificate: x509.Certificate) -> frozenset[str]:
    """Where the lists of a certificate's own CA are, by its cRLDistributionPoints.

    Points that name another CRL issuer are left out: they speak of indirect lists.

    Raises:
        ValueError: the extensions can't be read.
    """
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return frozenset()
    names = (name for point in points if not point.crl_issuer for name in point.full_name or ())
    return frozenset(text for name in names if (text := _text(name)) is not None)


def scope_of(extensions: x509.Extensions) -> Scope:
    """The scope in a list's issuingDistributionPoint; without one it is all of its CA's.

    Raises:
        ListRefused: DELTA, INDIRECT, or UNSUPPORTED_SCOPE.
    """
    for extension in extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise ListRefused(
                Refusal.DELTA, f"changes list {extension.value.crl_number}; a whole list is needed"
            )
    for extension in extensions:
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            return _partial(extension.value)
    return WHOLE


def _partial(point: x509.IssuingDistributionPoint) -> Scope:
    if point.indirect_crl:
        raise ListRefused(Refusal.INDIRECT, "issuingDistributionPoint says indirectCRL")
    if point.only_some_reasons is not None:
        raise ListRefused(Refusal.UNSUPPORTED_SCOPE, "only some reasons of revocation")
    if point.only_contains_attribute_certs:
        raise ListRefused(Refusal.UNSUPPORTED_SCOPE, "only attribute certificates")
    if point.relative_name is not None:
        raise ListRefused(
            Refusal.UNSUPPORTED_SCOPE, "its distribution point is named relative to the CA"
        )
    return Scope(
        leaves=not point.only_contains_ca_certs,
        authorities=not point.only_contains_user_certs,
        points=tuple(sorted({_known(name) for name in point.full_name or ()})),
    )


def _known(name: x509.GeneralName) -> str:
    text = _text(name)
    if text is None:
        raise ListRefused(
            Refusal.UNSUPPORTED_SCOPE,
            f"its distribution point is a {type(name).__name__}, neither a URI nor a name",
        )
    return text


def _text(name: x509.GeneralName) -> str | None:
    match name:
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case x509.DirectoryName():
            return f"DirName:{printable_name(name.value)}"
        case _:
            return None
