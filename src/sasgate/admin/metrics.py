"""`/metrics`: the status and the recorder's counts in Prometheus's text format.

Nothing is kept for it: each answer is made of what lives, so a request costs no more by it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from sasgate.admin.recorder import Histogram, Recorder
from sasgate.admin.status import RevocationList, Status


# Label values of each sample, and the sample.
Samples = Iterable[tuple[tuple[str, ...], float]]


class Metrics:
    """Makes the text of a status; process metrics are prometheus_client's own."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def text(self, status: Status) -> bytes:
        """What Prometheus reads."""
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Collector(status, self._recorder))
        return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, status: Status, recorder: Recorder) -> None:
        self._status = status
        self._recorder = recorder

    def describe(self) -> Iterable[Metric]:
        """Nothing: no other collector could take these names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics but those of the process."""
        status = self._status
        yield from _counts(self._recorder)
        yield from _process(status)
        yield from _connections(status)
        yield from _certificates(status)
        yield from _lists(status)
        yield from _ocsp(status)
        yield from _disengagement(status)
        yield from _servers(status)


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"sasgate_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = CounterMetricFamily(f"sasgate_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(
    name: str, text: str, labels: tuple[str, ...], samples: Mapping[str, Histogram]
) -> Metric:
    family = HistogramMetricFamily(f"sasgate_{name}", text, labels=labels)
    for value, histogram in samples.items():
        buckets = [
            ("+Inf" if bound == float("inf") else str(bound), count)
            for bound, count in histogram.cumulative()
        ]
        family.add_metric((value,) if labels else (), buckets, histogram.total)
    return family


def _counts(recorder: Recorder) -> Iterator[Metric]:
    yield _counter(
        "decisions",
        "Judgements of clients, those closed before a handshake included.",
        ("listener", "outcome", "verify"),
        recorder.decisions.items(),
    )
    yield _counter(
        "requests",
        "Exchanges by the status that was answered; 499 where the client left.",
        ("listener", "code"),
        (((name, str(code)), count) for (name, code), count in recorder.exchanges.items()),
    )
    yield _histogram(
        "answer_seconds",
        "From the request's head until the head of the answer.",
        ("direction",),
        recorder.answers,
    )
    yield _histogram(
        "request_seconds",
        "From the request's head until the end of the exchange.",
        ("direction",),
        recorder.whole,
    )
    yield _histogram(
        "handshake_seconds", "TLS handshakes of clients.", ("listener",), recorder.handshakes
    )
    yield _histogram(
        "event_loop_lag_seconds", "How late the event loop was.", (), {"": recorder.lag}
    )


def _process(status: Status) -> Iterator[Metric]:
    process, configuration = status.process, status.configuration
    yield _gauge("info", "The version that runs.", ("version",), [((process.version,), 1)])
    yield _gauge("level", "0 all is well, 1 warning, 2 critical.", (), [((), float(status.level))])
    yield _gauge(
        "findings",
        "What is to be seen to, by its name on the status page.",
        ("level", "finding"),
        _found(status),
    )
    yield _gauge("generation", "Of the configuration.", (), [((), configuration.generation)])
    yield _counter(
        "reloads",
        "Reloads by outcome.",
        ("outcome",),
        [(("taken_up",), configuration.taken_up), (("refused",), configuration.refused)],
    )
    last = configuration.last_reload
    yield _gauge(
        "last_reload_success",
        "0 where the last reload was refused.",
        (),
        [((), float(last is None or not last.faults))],
    )
    yield _gauge(
        "last_reload_timestamp_seconds",
        "When the last reload ended, or the start.",
        (),
        [((), (process.started if last is None else last.at).timestamp())],
    )


def _found(status: Status) -> Samples:
    counts: dict[tuple[str, ...], float] = {}
    for each in status.findings:
        key = each.level.name.lower(), each.key
        counts[key] = counts.get(key, 0) + 1
    return counts.items()


def _connections(status: Status) -> Iterator[Metric]:
    connections = status.connections
    by_listener: dict[tuple[str, ...], float] = {}
    for each in status.listeners:
        key = (each.name,)
        by_listener[key] = by_listener.get(key, 0) + each.connections
    yield _gauge("connections", "Open connections of clients.", ("listener",), by_listener.items())
    yield _gauge(
        "inbound_connections",
        "Open connections of all inbound listeners.",
        (),
        [((), connections.inbound)],
    )
    yield _gauge(
        "inbound_connections_limit",
        "As many as there may be ([limits] connections).",
        (),
        [((), connections.most)],
    )
    yield _gauge(
        "inbound_strangers",
        "Open connections whose client is not admitted.",
        (),
        [((), connections.strangers)],
    )


def _certificates(status: Status) -> Iterator[Metric]:
    labels = ("kind", "name", "subject", "serial")
    shown = {
        (each.kind.value, each.name, each.subject, each.serial): each
        for each in status.certificates
    }
    yield _gauge(
        "certificate_not_after_timestamp_seconds",
        "The end of a certificate in use.",
        labels,
        ((key, each.not_after.timestamp()) for key, each in shown.items()),
    )
    yield _gauge(
        "certificate_renewal_timestamp_seconds",
        "From when on a renewal is called for: a third of its life or 60 days are left.",
        labels,
        ((key, each.warn_at.timestamp()) for key, each in shown.items()),
    )


def _lists(status: Status) -> Iterator[Metric]:
    revocation = status.revocation
    lists = {(",".join(each.cas), each.scope, each.source): each for each in revocation.lists}

    for name, text, value in _LIST_METRICS:
        found = ((key, value(each)) for key, each in lists.items())
        samples = ((key, float(number)) for key, number in found if number is not None)
        yield _gauge(f"crl_{name}", text, ("ca", "scope", "source"), samples)
    yield _gauge(
        "crl_lacking",
        "CAs of which no list is held.",
        ("ca",),
        (((ca,), 1) for ca in revocation.lacking),
    )


def _timestamp(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


_LIST_METRICS: tuple[tuple[str, str, Callable[[RevocationList], float | None]], ...] = (
    ("age_seconds", "Since the list in force was issued.", lambda each: each.age),
    ("expiry_seconds", "Until it expires; below 0 it has.", lambda each: each.expires_in),
    (
        "this_update_timestamp_seconds",
        "When it was issued.",
        lambda each: _timestamp(each.this_update),
    ),
    (
        "next_update_timestamp_seconds",
        "When it expires.",
        lambda each: _timestamp(each.next_update),
    ),
    ("number", "Its CRLNumber, to a float's precision.", lambda each: each.number),
    ("entries", "Certificates on it.", lambda each: each.entries),
    (
        "source_failed",
        "1 where the source gave no list when last asked.",
        lambda each: bool(each.error),
    ),
)


def _ocsp(status: Status) -> Iterator[Metric]:
    ocsp = status.revocation.ocsp
    outcomes = [
        ((each.url, outcome), float(count))
        for each in ocsp.responders
        for outcome, count in (("answered", each.answers), ("failed", each.without_answer))
    ]
    yield _counter(
        "ocsp_queries", "Questions to OCSP responders.", ("responder", "outcome"), outcomes
    )
    yield _gauge(
        "ocsp_responder_failures",
        "Failures since its last usable answer.",
        ("responder",),
        (((each.url,), each.failures) for each in ocsp.responders),
    )
    yield _counter("ocsp_cache_hits", "Words that were there at once.", (), [((), ocsp.hits)])
    yield _gauge("ocsp_cache_entries", "Certificates in the cache.", (), [((), ocsp.entries)])


def _disengagement(status: Status) -> Iterator[Metric]:
    revocation = status.revocation
    in_force = {
        (",".join(each.cas) or "all", "hand" if each.by_hand else "itself"): each
        for each in revocation.disengaged
    }
    labels = ("ca", "by")
    yield _gauge(
        "disengaged",
        "1 for each débrayage in force.",
        labels,
        ((key, 1) for key in in_force),
    )
    yield _gauge(
        "disengaged_until_timestamp_seconds",
        "When a débrayage in force ends by itself.",
        labels,
        ((key, each.until.timestamp()) for key, each in in_force.items()),
    )
    yield _counter(
        "disengaged_admissions",
        "Clients admitted only by débrayage.",
        ("ca",),
        (((ca,), count) for ca, count in revocation.admissions.items()),
    )
    yield _gauge(
        "status_unknown",
        "1 for each CA the status of whose certificates is unknown.",
        ("ca",),
        (((each.ca,), 1) for each in revocation.unknown),
    )


def _servers(status: Status) -> Iterator[Metric]:
    pools = {(each.owner, each.pool.server): each.pool for each in status.upstreams}
    labels = ("owner", "server")
    yield _gauge(
        "upstream_up",
        "0 for a server that could not be reached when last called.",
        labels,
        ((key, float(pool.reachable)) for key, pool in pools.items()),
    )
    yield _gauge(
        "upstream_idle_connections",
        "Kept connections that wait for a request.",
        labels,
        ((key, pool.idle) for key, pool in pools.items()),
    )
    yield _gauge(
        "routes_dead",
        "Routes of which no server answers.",
        (),
        [((), sum(not each.reachable for each in status.routes))],
    )
