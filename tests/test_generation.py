"""From settings and loaded trust to what is in force: routes and environments (S43)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_gateway import MemoryGateway
from sasgate.generation import ListenerRules, TargetRoute
from sasgate.identity import NamePair
from sasgate.lab.pki import Lab
from sasgate.pool import Balancer


BACKEND = "backend = http://127.0.0.1:9\n\n[inbound:production]"
ROUTES = f"""\
backend = http://127.0.0.1:9
routes =
    /fhir = http://127.0.0.1:10
    /fhir/Slot = http://127.0.0.1:11 http://127.0.0.1:12
    lab-recette:/fhir/Slot = http://127.0.0.1:13
    lab-preproduction:/only = http://127.0.0.1:14
base_path = /sas
{BACKEND.partition(chr(10))[2]}"""


def matches(prefix: bytes, path: bytes) -> bool:
    return TargetRoute(prefix, Balancer(())).matches(path)


class TestPrefixes:
    """S43: on `/` boundaries of the raw path, which is what is forwarded."""

    @pytest.mark.parametrize(
        "path", [b"/fhir", b"/fhir/", b"/fhir/Slot", b"/fhir//", b"/fhir/../x", b"/fhir/%2e%2e/x"]
    )
    def test_a_path_at_or_below_the_prefix_matches(self, path: bytes) -> None:
        assert matches(b"/fhir", path)

    @pytest.mark.parametrize(
        "path",
        [b"", b"/", b"/fhi", b"/fhirx", b"/fhir;a", b"/fhir%2f", b"/fhir\\", b"/fhir.", b"/FHIR",
         b"//fhir", b"/x/fhir", b"/./fhir", b"/%66hir", b"fhir", b"*"],
    )  # fmt: skip
    def test_any_other_spelling_does_not(self, path: bytes) -> None:
        """Nothing is decoded or resolved: a backend may read it otherwise than another."""
        assert not matches(b"/fhir", path)

    @given(st.binary(max_size=20))
    def test_the_root_matches_every_path(self, rest: bytes) -> None:
        assert matches(b"/", b"/" + rest)


class TestRoutes:
    @pytest.fixture
    def gateway(self, lab: Lab, tmp_path: Path) -> MemoryGateway:
        return MemoryGateway(lab, tmp_path, {BACKEND: ROUTES})

    def ports(self, gateway: MemoryGateway, environment: str, path: bytes) -> list[str] | None:
        balancer = gateway.listener.rules.route(environment, path)
        if balancer is None:
            return None
        return [pool.name.rpartition(":")[2] for pool in balancer.pools]

    @pytest.mark.parametrize(
        ("environment", "path", "ports"),
        [
            ("lab-recette", b"/", ["9"]),
            ("lab-recette", b"/other", ["9"]),
            ("lab-recette", b"/fhirs", ["9"]),
            ("lab-recette", b"/fhir", ["10"]),
            ("lab-recette", b"/fhir/Slots", ["10"]),
            ("lab-recette", b"/only", ["9"]),
            ("lab-recette", b"/fhir/Slot", ["13"]),
            ("lab-preproduction", b"/fhir/Slot", ["11", "12"]),
            ("lab-preproduction", b"/fhir/Slot/1", ["11", "12"]),
            ("lab-preproduction", b"/only/x", ["14"]),
        ],
    )
    def test_the_longest_prefix_wins_and_the_environments_own_among_equals(
        self, gateway: MemoryGateway, environment: str, path: bytes, ports: list[str]
    ) -> None:
        assert self.ports(gateway, environment, path) == ports

    @pytest.mark.parametrize("environment", ["", "lab-production", "recette", "lab-recett"])
    def test_another_environment_goes_nowhere(
        self, gateway: MemoryGateway, environment: str
    ) -> None:
        assert self.ports(gateway, environment, b"/") is None

    def test_the_check_stands_below_the_base_path(self, gateway: MemoryGateway) -> None:
        assert gateway.listener.rules.check_path == b"/sas/check"

    def test_a_generation_keeps_the_pools_of_servers_that_it_shares_with_another(
        self, gateway: MemoryGateway
    ) -> None:
        again = gateway.rules({BACKEND: ROUTES})
        pool = gateway.listener.rules.route("lab-recette", b"/fhir")
        assert pool is not None
        other = again.route("lab-recette", b"/fhir")
        assert other is not None
        assert pool is not other
        assert pool.pools == other.pools

    def test_environments_share_no_connections(self, gateway: MemoryGateway) -> None:
        """S45: what a server leaves on one reaches nobody else's caller."""
        balancers = [
            gateway.listener.rules.route(environment, b"/fhir")
            for environment in ("lab-recette", "lab-preproduction")
        ]
        one, other = (each.pools[0] for each in balancers if each is not None)
        assert one is not other
        assert one.name == other.name


class TestEnvironments:
    @pytest.fixture
    def rules(self, lab: Lab, tmp_path: Path) -> dict[str, ListenerRules]:
        return dict(MemoryGateway(lab, tmp_path).generation().listeners)

    def test_each_listener_has_its_own(self, rules: dict[str, ListenerRules]) -> None:
        names = {
            listener: [each.name for each in rules[listener].environments] for listener in rules
        }
        assert names == {
            "inbound": ["lab-recette", "lab-preproduction"],
            "inbound:production": ["lab-production"],
        }

    def test_each_has_its_clients_and_cas(self, lab: Lab, rules: dict[str, ListenerRules]) -> None:
        (production,) = rules["inbound:production"].environments
        assert production.clients == {NamePair("sas-aggregator-production", "318751275100020")}
        assert production.issuers == {lab.authorities["ACI-EL-ORG"].der}
        assert production.roots == {lab.authorities["ACR-EL"].der}

    def test_each_listener_has_a_context_of_its_own(self, rules: dict[str, ListenerRules]) -> None:
        """The certificate request names the CAs of its environments alone."""
        assert rules["inbound"].context is not rules["inbound:production"].context
