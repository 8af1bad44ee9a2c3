"""Which certificates a list speaks of: applied exactly, or the list is refused (S20)."""

from ipaddress import ip_address

import pytest
from attrs import evolve
from cryptography import x509

from sasgate.environments import RECETTE
from sasgate.lab.client import platform
from sasgate.lab.lists import delta, partial
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Extension
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.scope import WHOLE, Scope, distribution_points, scope_of


HERE, THERE = "http://here.invalid/a.crl", "http://there.invalid/b.crl"


def scope(*extensions: Extension) -> Scope:
    return scope_of(x509.Extensions(extensions))


def named(*names: x509.GeneralName) -> Extension:
    point = x509.IssuingDistributionPoint(names, None, False, False, None, False, False)
    return x509.Extension(point.oid, True, point)


def not_critical(extension: Extension) -> Extension:
    return x509.Extension(extension.oid, False, extension.value)


@pytest.mark.parametrize(
    ("extension", "leaf", "ca"),
    [
        (None, True, True),
        (partial(leaves=True), True, False),
        (partial(authorities=True), False, True),
    ],
)
def test_kinds_of_certificate(extension: Extension | None, leaf: bool, ca: bool) -> None:
    found = scope(extension) if extension else scope()
    assert (found.covers(ca=False), found.covers(ca=True)) == (leaf, ca)


@pytest.mark.parametrize(
    ("points", "covered"),
    [
        ((), False),
        ((f"URI:{THERE}",), False),
        ((f"URI:{HERE}",), True),
        ((f"URI:{THERE}", f"URI:{HERE}"), True),
        ((HERE,), False),
        ((f"URI:{HERE}/",), False),
        ((f"URI:{HERE.upper()}",), False),
    ],
)
def test_a_named_point_covers_only_who_names_it(points: tuple[str, ...], covered: bool) -> None:
    assert scope(partial(urls=[HERE])).covers(ca=False, points=points) is covered


def test_a_named_point_does_not_widen_the_kind() -> None:
    narrow = scope(partial(urls=[HERE], leaves=True))
    assert not narrow.covers(ca=True, points=[f"URI:{HERE}"])


def test_the_order_of_names_does_not_matter() -> None:
    assert scope(partial(urls=[HERE, THERE])) == scope(partial(urls=[THERE, HERE, THERE]))


def test_scopes_differ_by_point_and_kind() -> None:
    all_of_them = {
        scope(),
        scope(partial(leaves=True)),
        scope(partial(authorities=True)),
        scope(partial(urls=[HERE])),
        scope(partial(urls=[THERE])),
        scope(partial(urls=[HERE], leaves=True)),
    }
    assert len(all_of_them) == 6


def test_a_directory_name_is_a_point(lab: Lab) -> None:
    name = lab.authorities["ACI-EL-ORG-TEST"].certificate.subject
    found = scope(named(x509.DirectoryName(name)))
    assert found.points[0].startswith("DirName:CN=LAB TEST AC IGC-SANTE")


@pytest.mark.parametrize(
    ("extension", "kind"),
    [
        (delta(1), Refusal.DELTA),
        (not_critical(delta(1)), Refusal.DELTA),
        (partial(indirect=True), Refusal.INDIRECT),
        (not_critical(partial(indirect=True)), Refusal.INDIRECT),
        (partial(indirect=True, leaves=True), Refusal.INDIRECT),
        (partial(attributes=True), Refusal.UNSUPPORTED_SCOPE),
        (
            partial(reasons=frozenset({x509.ReasonFlags.key_compromise}), leaves=True),
            Refusal.UNSUPPORTED_SCOPE,
        ),
        (named(x509.DNSName("here.invalid")), Refusal.UNSUPPORTED_SCOPE),
        (
            named(x509.UniformResourceIdentifier(HERE), x509.IPAddress(ip_address("::1"))),
            Refusal.UNSUPPORTED_SCOPE,
        ),
    ],
    ids=str,
)  # fmt: skip
def test_refused(extension: Extension, kind: Refusal) -> None:
    with pytest.raises(ListRefused) as refused:
        scope(extension)
    assert refused.value.kind is kind


def test_a_relative_point_is_refused() -> None:
    part = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    point = x509.IssuingDistributionPoint(None, part, False, False, None, False, False)
    with pytest.raises(ListRefused) as refused:
        scope(x509.Extension(point.oid, True, point))
    assert refused.value.kind is Refusal.UNSUPPORTED_SCOPE


def test_a_delta_is_told_before_its_scope() -> None:
    with pytest.raises(ListRefused) as refused:
        scope(partial(indirect=True), delta(7))
    assert refused.value.kind is Refusal.DELTA
    assert "list 7" in refused.value.detail


def test_the_points_of_a_client_are_those_of_its_ca(lab: Lab) -> None:
    ca, client = lab.authorities["ACI-EL-ORG-TEST"], lab.clients["recette"]
    assert ca.publication is not None
    points = distribution_points(client.certificate)
    assert f"URI:{ca.publication.crl_url}" in points
    assert len(points) == 2
    assert Scope(points=(f"URI:{ca.publication.crl_url}",)).covers(ca=False, points=points)


def test_a_root_has_no_points_and_only_whole_lists_cover_it(lab: Lab) -> None:
    root = lab.authorities["ACR-EL-TEST"].certificate
    assert distribution_points(root) == frozenset()
    assert WHOLE.covers(ca=True, points=distribution_points(root))


def test_points_of_another_issuer_are_left_out(lab: Lab) -> None:
    """They speak of indirect lists, which are refused."""
    ca = lab.authorities["ACI-EL-ORG-TEST"]
    other = [x509.DirectoryName(lab.authorities["ACR-EL-TEST"].certificate.subject)]
    here = [x509.UniformResourceIdentifier(HERE)]
    points = x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(here, None, None, other),
            x509.DistributionPoint([x509.DNSName("x.invalid")], None, None, None),
        ]
    )
    template = evolve(platform(RECETTE), extra=(x509.Extension(points.oid, False, points),))
    leaf = ca.issue(template, lab.clients["recette"].key).certificate
    assert distribution_points(leaf) == frozenset()
