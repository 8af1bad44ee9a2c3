"""What of a status somebody has to see to."""

from datetime import timedelta

import pytest
from attrs import evolve

from sasgate.admin.findings import certificate_level
from sasgate.admin.status import Connections, Kind, Level, Reload, Route, Unknown, Upstream
from sasgate.admin.words import FINDINGS, FRENCH, worded
from statuses import (
    DAY,
    NOW,
    UNREACHABLE,
    WELL,
    certificate,
    disengaged,
    judged,
    keys,
    no_list,
    revocation_list,
    revoking,
)


def test_a_gateway_that_fares_well_has_nothing_to_see_to() -> None:
    assert keys(judged()) == []
    assert judged().level is Level.OK


@pytest.mark.parametrize(
    ("lifetime", "left", "level"),
    [
        (365, 61, Level.OK),
        (365, 60, Level.WARNING),
        (365, 7.1, Level.WARNING),
        (365, 7, Level.CRITICAL),
        (365, -1, Level.CRITICAL),
        (90, 31, Level.OK),
        (90, 30, Level.WARNING),
        (6, 2.1, Level.OK),
        (6, 2, Level.WARNING),
        (6, 0.5, Level.CRITICAL),
        (7300, 61, Level.OK),
        (7300, 59, Level.WARNING),
    ],
)
def test_a_certificate_is_to_be_renewed_at_a_third_of_its_life_or_60_days(
    lifetime: float, left: float, level: Level
) -> None:
    assert certificate_level(certificate(left, lifetime), NOW) is level


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("left", "key"), [(20, "certificate_ends"), (-1, "certificate_ended")])
def test_a_certificate_near_its_end_is_found(kind: Kind, left: float, key: str) -> None:
    status = judged(certificates=(certificate(left, kind=kind),))
    assert [each.key for each in status.findings] == [f"{key}_{kind.value}"]


def test_an_own_certificate_that_its_ca_revoked_is_critical() -> None:
    assert keys(judged(own_revoked=("CN=gate.example",))) == [("CRITICAL", "own_revoked")]


class TestRevocation:
    def test_an_expired_list_is_critical(self) -> None:
        assert keys(revoking(lists=(revocation_list(-DAY),))) == [("CRITICAL", "list_expired")]

    def test_one_expired_list_of_two_sources_is_told_once(self) -> None:
        mirror = evolve(revocation_list(-DAY), source="http://mirror.example/list.crl")
        status = revoking(lists=(revocation_list(-DAY), mirror))
        assert keys(status) == [("CRITICAL", "list_expired")]

    @pytest.mark.parametrize(("hours", "level"), [(37, Level.OK), (35, Level.WARNING)])
    def test_a_list_is_late_in_the_last_quarter_of_its_validity(
        self, hours: int, level: Level
    ) -> None:
        assert revoking(lists=(revocation_list(timedelta(hours=hours)),)).level is level

    def test_a_source_that_failed_is_a_warning(self) -> None:
        status = revoking(lists=(revocation_list(error="HTTP 503"),))
        assert keys(status) == [("WARNING", "source_failed")]

    def test_a_ca_without_a_list_is_critical(self) -> None:
        assert keys(revoking(lists=(no_list(),), lacking=("ACI-EL-ORG",))) == [
            ("CRITICAL", "no_list")
        ]

    def test_s23_debrayage_is_critical_however_it_began(self) -> None:
        assert keys(revoking(disengaged=(disengaged(),))) == [("CRITICAL", "disengaged_by_hand")]
        by_itself = disengaged(by_hand=False, cas=("ACI-EL-ORG",), who="", why="")
        assert keys(revoking(disengaged=(by_itself,))) == [("CRITICAL", "disengaged_by_itself")]

    def test_an_unknown_status_is_critical_where_nobody_is_admitted_under_it(self) -> None:
        refused = revoking(unknown=(Unknown("ACI-EL-ORG", NOW, False),))
        assert keys(refused) == [("CRITICAL", "unknown")]
        assert keys(revoking(unknown=(Unknown("ACI-EL-ORG", NOW, True),))) == []

    def test_a_silent_responder_is_a_warning(self) -> None:
        ocsp = WELL.revocation.ocsp
        silent = evolve(ocsp.responders[0], failures=3, problem="no answer in time")
        status = revoking(ocsp=evolve(ocsp, responders=(silent,)))
        assert keys(status) == [("WARNING", "responder_failed")]


class TestServers:
    def test_one_dead_server_of_two_is_a_warning(self) -> None:
        assert keys(judged(upstreams=(Upstream("production", UNREACHABLE),))) == [
            ("WARNING", "server_unreachable")
        ]

    def test_a_route_without_a_server_is_critical(self) -> None:
        dead = Route("inbound", "production", "/", ("http://127.0.0.1:8080",), 0)
        assert keys(judged(routes=(dead,))) == [("CRITICAL", "route_dead")]

    def test_sas_out_of_reach_is_critical(self) -> None:
        listener = evolve(WELL.listeners[0], name="outbound")
        status = judged(listeners=(listener,), upstreams=(Upstream("outbound", UNREACHABLE),))
        assert keys(status) == [("CRITICAL", "sas_unreachable")]


class TestProcess:
    def test_a_refused_reload_is_a_warning_until_one_is_taken_up(self) -> None:
        configuration = WELL.configuration
        refused = evolve(configuration, last_reload=Reload(NOW, ("prod.ini:3: is no key",)))
        assert keys(judged(configuration=refused)) == [("WARNING", "reload_refused")]
        assert keys(judged(configuration=evolve(configuration, last_reload=Reload(NOW, ())))) == []

    @pytest.mark.parametrize(("count", "found"), [(1599, []), (1600, ["nearly_full"])])
    def test_four_fifths_of_the_connections(self, count: int, found: list[str]) -> None:
        status = judged(connections=Connections(count, 0, 2000, 512))
        assert [each.key for each in status.findings] == found

    def test_an_event_loop_that_was_late(self) -> None:
        status = judged(process=evolve(WELL.process, worst_lag=0.7))
        assert keys(status) == [("WARNING", "late")]


def everything() -> tuple[str, ...]:
    """Every finding there is, in French."""
    bad = judged(
        certificates=tuple(certificate(left, kind=kind) for left in (20, -1) for kind in Kind),
        revocation=evolve(
            WELL.revocation,
            lists=(
                revocation_list(-DAY),
                evolve(revocation_list(timedelta(hours=1)), cas=("ACR-EL",)),
                revocation_list(error="HTTP 503"),
            ),
            lacking=("ACR-EL-TEST",),
            unknown=(Unknown("ACR-EL", None, False),),
            disengaged=(disengaged(), disengaged(by_hand=False)),
            ocsp=evolve(
                WELL.revocation.ocsp,
                responders=(evolve(WELL.revocation.ocsp.responders[0], failures=1),),
            ),
        ),
        listeners=(evolve(WELL.listeners[0], name="outbound"),),
        upstreams=(Upstream("outbound", UNREACHABLE), Upstream("production", UNREACHABLE)),
        routes=(Route("inbound", "production", "/", ("unix:/x",), 0),),
        connections=Connections(2000, 0, 2000, 0),
        own_revoked=("CN=gate.example",),
        process=evolve(WELL.process, worst_lag=3.0),
        configuration=evolve(WELL.configuration, last_reload=Reload(NOW, ("no",))),
    )
    assert {each.key for each in bad.findings} == set(FINDINGS)
    return tuple(worded(each, FRENCH) for each in bad.findings)


def test_every_finding_has_words_in_both_languages_and_a_way_to_happen() -> None:
    assert all("{" not in text for text in everything())


def test_the_worst_comes_first() -> None:
    dead = Route("inbound", "production", "/", ("unix:/x",), 0)
    status = judged(routes=(dead,), certificates=(certificate(20),))
    assert [each.level for each in status.findings] == [Level.CRITICAL, Level.WARNING]
