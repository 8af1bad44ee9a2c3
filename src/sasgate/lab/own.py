"""Certificates of the editor's own: the gateway's public one, and those for calls to SAS."""

import ipaddress
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential
from sasgate.lab.names import CN, name
from sasgate.lab.profile import Template, key_usage
from sasgate.lab.trees import LEAF_KEY, OTHER_LEAF_KEY, Keys, platform_name


@frozen
class Own:
    """A certificate that the lab's gateway or platform presents, and what is particular to it.

    `names_responder` adds the address of the lab's OCSP responder, which certificates of IGC Santé
    have anyway.
    """

    says: str
    template: Template = field(repr=False)
    issuer: str = trees.PUBLIC
    key: str = OTHER_LEAF_KEY
    names_responder: bool = False

    def credential(
        self, authorities: Mapping[str, Authority], keys: Keys, now: datetime
    ) -> Credential:
        """The certificate, signed at `now`."""
        template, site = self.template, authorities[trees.ORG_TEST].publication
        if self.names_responder and site is not None:
            template = naming_responder(template, site.ocsp_url)
        return authorities[self.issuer].issue(template, keys[self.key], now=now)


def naming_responder(template: Template, url: str) -> Template:
    """The same with the address of an OCSP responder in it."""
    where = x509.UniformResourceIdentifier(url)
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)]
    )
    return evolve(template, extra=(*template.extra, x509.Extension(access.oid, False, access)))


_HERE: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


def _server(
    *names: x509.GeneralName,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=396),
) -> Template:
    return Template(
        name((CN, "localhost")),
        not_before=begins,
        not_after=ends,
        key_usage=key_usage("digital_signature", "key_encipherment"),
        usages=(usage,),
        alternative_names=names,
    )


SERVERS: Mapping[str, Own] = MappingProxyType(
    {
        "server": Own("good for localhost, 127.0.0.1 and ::1", _server(*_HERE)),
        "expired": Own(
            "ended an hour ago",
            _server(*_HERE, begins=timedelta(days=-90), ends=timedelta(hours=-1)),
        ),
        "no-san": Own("localhost in its CN only", _server()),
        "other-name": Own("good, for somebody else", _server(x509.DNSName("other.invalid"))),
        "client-auth": Own(
            "the right names, for clients only",
            _server(*_HERE, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        ),
        "stapling": Own("good, and names an OCSP responder", _server(*_HERE), names_responder=True),
    }
)

EDITORS: Mapping[str, Own] = MappingProxyType(
    {
        "ACME_TEST": Own(
            "the editor towards recette and preproduction (specification, 4.3.1)",
            Template(platform_name("sas-agregateur-test-ACME", "300000000000017", "ACME")),
            trees.ORG_TEST,
            LEAF_KEY,
        ),
        "ACME_PROD": Own(
            "the editor towards production",
            Template(platform_name("sas-agregateur-prod-ACME", "300000000000017", "ACME")),
            trees.ORG,
            LEAF_KEY,
        ),
    }
)
