"""What Prometheus reads, and the example alerts that rest on it."""

import math
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from sasgate.admin.metrics import Metrics
from sasgate.admin.recorder import Recorder
from sasgate.admin.status import Reload, Status, Unknown, Upstream
from sasgate.journal import Access
from statuses import (
    ADMITTED,
    DAY,
    NOW,
    UNREACHABLE,
    WELL,
    certificate,
    disengaged,
    judged,
    revocation_list,
    revoking,
)


RULES = Path(__file__).parents[1] / "etc/prometheus-rules.yml"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is absent: apt-get install prometheus"
)
SLOT = Access("inbound", "recette", "192.0.2.1", "0a", "GET", b"/Slot", 200, 0, 10, 0.2, 0.03)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def recorder() -> Recorder:
    """With one of everything."""
    found = Recorder(Clock().seconds, lambda: datetime.now(UTC))
    found.decision(ADMITTED)
    found.exchange(SLOT)
    found.handshake("inbound", 0.004)
    return found


def scraped(status: Status, counts: Recorder | None = None) -> Samples:
    text = Metrics(counts or recorder()).text(status).decode("utf-8")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """Of the only sample of a name that has these labels."""
    (found,) = (
        number for (key, has), number in samples.items() if key == name and labels.items() <= has
    )
    return found


@pytest.fixture(scope="module")
def well() -> Samples:
    return scraped(judged())


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("sasgate_decisions_total", {"outcome": "admitted", "verify": "SUCCESS"}, 1),
        ("sasgate_requests_total", {"listener": "inbound", "code": "200"}, 1),
        ("sasgate_answer_seconds_bucket", {"direction": "inbound", "le": "0.025"}, 0),
        ("sasgate_answer_seconds_bucket", {"direction": "inbound", "le": "0.05"}, 1),
        ("sasgate_request_seconds_sum", {"direction": "inbound"}, 0.2),
        ("sasgate_request_seconds_count", {"direction": "outbound"}, 0),
        ("sasgate_handshake_seconds_count", {"listener": "inbound"}, 1),
        ("sasgate_connections", {"listener": "inbound"}, 4),
        ("sasgate_inbound_connections_limit", {}, 2000),
        ("sasgate_crl_number", {"ca": "ACI-EL-ORG"}, 4711),
        ("sasgate_crl_entries", {"ca": "ACI-EL-ORG"}, 100_000),
        ("sasgate_crl_age_seconds", {"ca": "ACI-EL-ORG"}, 86400),
        ("sasgate_crl_expiry_seconds", {"ca": "ACI-EL-ORG"}, 5 * 86400),
        ("sasgate_crl_source_failed", {"ca": "ACI-EL-ORG"}, 0),
        ("sasgate_ocsp_queries_total", {"outcome": "answered"}, 3),
        ("sasgate_ocsp_cache_hits_total", {}, 40),
        ("sasgate_ocsp_cache_entries", {}, 2),
        (
            "sasgate_certificate_not_after_timestamp_seconds",
            {"kind": "server"},
            (NOW + 300 * DAY).timestamp(),
        ),
        (
            "sasgate_certificate_renewal_timestamp_seconds",
            {"kind": "server"},
            (NOW + 240 * DAY).timestamp(),
        ),
        ("sasgate_reloads_total", {"outcome": "taken_up"}, 2),
        ("sasgate_last_reload_success", {}, 1),
        ("sasgate_event_loop_lag_seconds_count", {}, 0),
        ("sasgate_upstream_up", {"owner": "production"}, 1),
        ("sasgate_routes_dead", {}, 0),
        ("sasgate_level", {}, 0),
    ],
)
def test_a_gateway_that_fares_well(
    well: Samples, name: str, labels: dict[str, str], expected: float
) -> None:
    assert math.isclose(value(well, name, **labels), expected)


def test_there_is_the_process_too(well: Samples) -> None:
    assert value(well, "process_resident_memory_bytes") > 0


def test_s23_debrayage_is_seen() -> None:
    samples = scraped(
        revoking(disengaged=(disengaged(),), admissions={"ACI-EL-ORG": 7}, lacking=("ACR-EL",))
    )
    assert value(samples, "sasgate_disengaged", ca="all", by="hand") == 1
    until = value(samples, "sasgate_disengaged_until_timestamp_seconds", ca="all")
    assert until == disengaged().until.timestamp()
    assert value(samples, "sasgate_disengaged_admissions_total", ca="ACI-EL-ORG") == 7
    assert value(samples, "sasgate_crl_lacking", ca="ACR-EL") == 1
    assert value(samples, "sasgate_level") == 2


def test_an_expired_list_has_less_than_no_time_left() -> None:
    samples = scraped(revoking(lists=(revocation_list(-DAY),)))
    assert value(samples, "sasgate_crl_expiry_seconds") == -86400
    assert value(samples, "sasgate_findings", finding="list_expired", level="critical") == 1


def test_a_refused_reload_is_seen() -> None:
    configuration = evolve(WELL.configuration, refused=1, last_reload=Reload(NOW, ("no",)))
    samples = scraped(judged(configuration=configuration))
    assert value(samples, "sasgate_last_reload_success") == 0
    assert value(samples, "sasgate_last_reload_timestamp_seconds") == NOW.timestamp()


def test_s39_what_others_word_is_escaped() -> None:
    name = 'a"b\\c\nsasgate_level 0'
    samples = scraped(judged(certificates=(evolve(certificate(), subject=name),)))
    value(samples, "sasgate_certificate_not_after_timestamp_seconds", subject=name)
    assert value(samples, "sasgate_level") == 0


def test_no_series_comes_twice() -> None:
    """Prometheus refuses the whole answer otherwise."""
    twice = judged(
        certificates=(certificate(), certificate()),
        upstreams=(WELL.upstreams[0], WELL.upstreams[0]),
        listeners=(*WELL.listeners, evolve(WELL.listeners[0], ports=())),
        revocation=evolve(
            WELL.revocation,
            lists=(revocation_list(), revocation_list()),
            disengaged=(disengaged(), disengaged()),
        ),
    )
    lines = Metrics(recorder()).text(twice).decode().splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def everything() -> Samples:
    """Samples of every metric there is, with every label."""
    responder = evolve(WELL.revocation.ocsp.responders[0], without_answer=1)
    return scraped(
        judged(
            revocation=evolve(
                WELL.revocation,
                lists=(revocation_list(-DAY, error="HTTP 503"),),
                lacking=("ACR-EL",),
                disengaged=(disengaged(),),
                unknown=(Unknown("ACI-EL-ORG", NOW, True),),
                admissions={"ACI-EL-ORG": 7},
                ocsp=evolve(WELL.revocation.ocsp, responders=(responder,)),
            ),
            upstreams=(Upstream("production", UNREACHABLE),),
        )
    )


class TestRules:
    @pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
    def test_an_alert_rests_on_metrics_and_labels_that_there_are(
        self, rule: dict[str, Any]
    ) -> None:
        samples = everything()
        names = re.findall(r"\bsasgate_\w+", rule["expr"])
        known = {name for name, _ in samples}
        assert set(names) <= known
        assert names or rule["expr"] == 'up{job="sasgate"} == 0'
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        has = {key for name, labels in samples for key, _ in labels if name in names}
        assert used <= has | {"instance"}
        assert rule["labels"]["severity"] in {"warning", "critical"}

    @needs_promtool
    def test_promtool_takes_them(self) -> None:
        done = subprocess.run(
            [str(PROMTOOL), "check", "rules", RULES], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @needs_promtool
    def test_promtool_takes_the_metrics(self) -> None:
        text = Metrics(recorder()).text(judged())
        done = subprocess.run(
            [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
