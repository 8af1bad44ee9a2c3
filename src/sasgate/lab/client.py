"""One client of the catalogue: who it is, and what the gateway must answer to it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType

from attrs import field, frozen

from sasgate.environments import PREPRODUCTION, PRODUCTION, RECETTE, Preset
from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential
from sasgate.lab.names import CN, OU, ST, Attribute, C, Kind, O, name
from sasgate.lab.profile import Template
from sasgate.lab.trees import LEAF_KEY, Keys, platform_name


ORGANIZATIONS: Mapping[str, str] = MappingProxyType(
    {
        RECETTE.name: "CABINET MLLE DENTISTE0023419",
        PREPRODUCTION.name: "CABINET M. MASSEUR0034394",
        PRODUCTION.name: "AGENCE DU NUMERIQUE EN SANTE",
    }
)


class Listener(Enum):
    """Where the lab's gateway listens: recette and preproduction, or production."""

    TEST = "inbound"
    PRODUCTION = "inbound:production"


@frozen
class Answer:
    """What the gateway must answer to `GET /Slot`: HTTP status and the body's `verify` word."""

    status: int
    verify: str


ADMITTED = Answer(200, "SUCCESS")
OTHER_PAIR = Answer(403, "SUCCESS")
UNTRUSTED = Answer(401, "FAILED:untrusted issuer")
NOT_AUTH_CLI = Answer(401, "FAILED:not AUTH_CLI")
EXPIRED = Answer(401, "FAILED:expired")
NOT_YET_VALID = Answer(401, "FAILED:not yet valid")
MALFORMED = Answer(401, "FAILED:malformed")
REVOKED = Answer(401, "FAILED:revoked")


@frozen
class Client:
    """One entry: what it is, in a line, and what it must be answered on `listener`.

    `issuer` names the CA of the lab, None a certificate that signs itself. `revoked` clients
    are good until a list holds them; then the answer is `REVOKED`. `alter` is applied last.
    """

    name: str
    says: str
    answer: Answer
    template: Template = field(repr=False)
    issuer: str | None = trees.ORG_TEST
    listener: Listener = Listener.TEST
    revoked: bool = False
    alter: Callable[[Credential, Mapping[str, Authority]], Credential] | None = None

    def credential(
        self, authorities: Mapping[str, Authority], keys: Keys, now: datetime
    ) -> Credential:
        """The client's certificate, signed at `now`."""
        key = keys[LEAF_KEY]
        if self.issuer is None:
            credential = Authority.found(self.name, self.template, key, now=now).credential
        else:
            credential = authorities[self.issuer].issue(self.template, key, now=now)
        return credential if self.alter is None else self.alter(credential, authorities)


def platform(preset: Preset) -> Template:
    """The certificate that SAS presents from one environment (specification, 3.3)."""
    organization = ORGANIZATIONS[preset.name]
    return Template(platform_name(preset.client_cn, preset.client_ou, organization))


def pair(cn: str, ou: str) -> Template:
    """A certificate of recette's organisation with another CN or OU."""
    return named((OU, ou), (CN, cn))


def named(*rest: Attribute | tuple[Kind, str]) -> Template:
    """A certificate whose C, ST and O are those of recette, followed by `rest`."""
    return Template(name((C, "FR"), (ST, "Paris (75)"), (O, _RECETTE_ORGANIZATION), *rest))


_RECETTE_ORGANIZATION = ORGANIZATIONS[RECETTE.name]
