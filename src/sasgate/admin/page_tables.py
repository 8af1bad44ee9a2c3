"""The tables of the status page."""

from collections.abc import Iterable, Sequence

from sasgate.admin.chart import left_bar
from sasgate.admin.findings import certificate_level
from sasgate.admin.labels import Labels
from sasgate.admin.markup import Content, Markup, element, joined
from sasgate.admin.recorder import Recent
from sasgate.admin.status import Certificate, Level, Listener, RevocationList, Status, Upstream
from sasgate.admin.words import instant, length


def table(heads: Sequence[str], rows: Iterable[Markup]) -> Markup:
    """A table of rows that are made already."""
    head = element("tr", *(element("th", each, scope="col") for each in heads))
    return element("table", element("thead", head), element("tbody", *rows))


def _row(*cells: Content, level: str | None = None) -> Markup:
    return element("tr", *map(_cell, cells), class_=level)


def _cell(content: Content) -> Markup:
    if isinstance(content, Markup) and content.startswith("<td"):
        return content
    return element("td", content, class_="number" if isinstance(content, int) else None)


def _mark(text: str, level: str) -> Markup:
    return element("td", text, class_=f"mark {level}")


def _long(content: str) -> Markup:
    return element("td", content, class_="long")


def listeners(status: Status, labels: Labels) -> Markup:
    """Listeners with their ports and connections."""

    def row(each: Listener) -> Markup:
        ports = ", ".join(f"{port.where} ({port.listen})" for port in each.ports)
        where = _long(ports) if ports else _mark(labels["leaving"], "warning")
        return _row(each.name, ", ".join(each.environments), where, each.connections)

    heads = [labels[key] for key in ("listener", "environments", "address", "connections")]
    counts = status.connections
    note = (
        f"{labels['connections']} {labels['of_sas']}:"
        f" {counts.inbound} {labels['of']} {counts.most},"
        f" {labels['strangers']}: {counts.strangers};"
        f" {labels['of_applications']}: {counts.outbound}"
    )
    return joined(table(heads, map(row, status.listeners)), element("p", note))


def certificates(status: Status, labels: Labels) -> Markup:
    """Certificates with a bar of what is left of their lives."""

    def row(each: Certificate) -> Markup:
        level = certificate_level(each, status.at)
        ended = status.at > each.not_after
        days = labels["ended"] if ended else f"{int(each.days_left)} {labels['days']}"
        lifetime = (each.not_after - each.not_before).total_seconds() / 86400
        name = level.name.lower()
        return _row(
            labels[each.kind.value],
            each.name,
            _long(each.subject),
            instant(each.not_after),
            left_bar(each.days_left / lifetime if lifetime else 0, name, days),
            _mark(days, name),
            level=None if level is Level.OK else name,
        )

    heads = [labels["kind"], labels["name"], "", labels["until"], labels["left"], ""]
    return table(heads, map(row, status.certificates))


def lists(status: Status, labels: Labels) -> Markup:
    """Sources of revocation lists, and the CAs of which there is none."""
    late = {str(each.values.get("cas")) for each in status.findings if each.key == "list_late"}
    rows = [_list(each, late, labels) for each in status.revocation.lists]
    rows += [
        _row(ca, _mark(labels["no_list"], "critical"), level="critical")
        for ca in status.revocation.lacking
    ]
    keys = ("ca", "number", "age", "expires", "entries", "next_look", "last_error")
    return table([labels[key] for key in keys], rows)


def _list(each: RevocationList, late: set[str], labels: Labels) -> Markup:
    name = joined(
        ", ".join(each.cas) or each.issuer or "?",
        element("br"),
        element("small", f"{each.source} {each.scope}".strip()),
    )
    next_look = "" if each.next_attempt is None else instant(each.next_attempt)
    error = each.error
    if error and each.error_at is not None:
        error = f"{instant(each.error_at)}: {error}"
    fault = element("td", error, class_="long critical" if error else None)
    if each.number is None or each.next_update is None:
        none = _mark(labels["no_list"], "critical")
        return _row(_long(name), none, "", "", "", next_look, fault, level="critical")
    level = "critical" if each.expired else "warning" if ", ".join(each.cas) in late else "ok"
    word = f"{labels['expired']} " if each.expired else ""
    return _row(
        _long(name),
        _long(str(each.number)),
        length(each.age or 0, labels.language),
        _mark(f"{word}{instant(each.next_update)}", level),
        each.entries,
        next_look,
        fault,
        level=None if level == "ok" else level,
    )


def responders(status: Status, labels: Labels) -> Markup:
    """OCSP responders and the cache."""
    ocsp = status.revocation.ocsp
    if not ocsp.responders:
        return element("p", labels["never_asked"])
    rows = [
        _row(
            _long(each.url),
            each.answers,
            each.without_answer,
            "" if each.answered_at is None else instant(each.answered_at),
            _mark(each.problem or "OK", "warning" if each.failures else "ok"),
        )
        for each in ocsp.responders
    ]
    keys = ("responder", "answers", "failures", "last_answer", "state")
    note = f"{labels['cached']}: {ocsp.entries}; {labels['hits']}: {ocsp.hits}"
    return joined(table([labels[key] for key in keys], rows), element("p", note))


def upstreams(status: Status, labels: Labels) -> Markup:
    """Servers that requests go to."""

    def row(each: Upstream) -> Markup:
        pool = each.pool
        known = "reachable" if pool.tried else "untried"
        word = labels[known if pool.reachable else "unreachable"]
        level = "ok" if pool.reachable else "critical"
        return _row(
            each.owner,
            _long(pool.server),
            _mark(f"{word} {pool.problem}".strip(), level),
            pool.idle,
            level=None if pool.reachable else level,
        )

    heads = [labels[key] for key in ("for", "server_", "state", "idle")]
    return table(heads, map(row, status.upstreams))


def decisions(status: Status, labels: Labels) -> Markup:
    """The last decisions, the latest first."""
    if not status.decisions:
        return element("p", labels["nobody"])

    def row(each: Recent) -> Markup:
        decision = each.decision
        outcome = "closed_" if decision.outcome == "closed" else decision.outcome
        admitted = decision.outcome == "admitted"
        names = ", ".join(
            f"{key}={value}" for key, value in (("CN", decision.cn), ("OU", decision.ou)) if value
        )
        return _row(
            f"{each.last:%H:%M:%S}",
            _mark(labels[outcome], "ok" if admitted else "critical"),
            decision.verify,
            _long(decision.detail),
            _long(f"{decision.peer} {names}".strip()),
            f"{decision.listener} {decision.environment or ''}".strip(),
            each.count,
        )

    heads = [f"{labels['when']} (UTC)", labels["outcome"], "verify", labels["reason"]]
    heads += [labels["who"], labels["listener"], labels["times"]]
    return table(heads, map(row, status.decisions))


def process(status: Status, labels: Labels) -> Markup:
    """The process and its configuration."""
    process, configuration = status.process, status.configuration
    reload = configuration.last_reload
    rows = [
        _row(labels["version"], f"sasgate {process.version}, PID {process.pid}"),
        _row(labels["started"], instant(process.started)),
        _row(labels["configuration"], _long(configuration.file)),
        _row(labels["generation"], str(configuration.generation)),
        _row(labels["lag"], f"{process.lag * 1000:.0f} ms (max {process.worst_lag * 1000:.0f} ms)"),
    ]
    if reload is not None:
        word = labels["refused"] if reload.faults else labels["taken_up"]
        level = "critical" if reload.faults else "ok"
        text = " ".join((instant(reload.at), word, *reload.faults))
        rows.append(_row(labels["last_reload"], element("td", text, class_=f"long {level}")))
    return element("table", element("tbody", *rows))
