"""The status page: one document, without a script and without anything from elsewhere."""

from base64 import b64encode
from hashlib import sha256

from sasgate.admin.chart import hour_chart
from sasgate.admin.labels import Labels
from sasgate.admin.markup import Markup, element
from sasgate.admin.page_style import STYLE
from sasgate.admin.page_tables import (
    certificates,
    decisions,
    listeners,
    lists,
    process,
    responders,
    upstreams,
)
from sasgate.admin.status import Disengaged, Level, Status
from sasgate.admin.words import clock, instant, length, worded


# Seconds after which the page asks for itself again.
REFRESH = 10

_STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode("ascii")

# Whatever stood in a certificate or a log: nothing of it can run, load or be framed.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


def page(status: Status, language: str) -> bytes:
    """The whole document, UTF-8."""
    labels = Labels(language)
    level = _name(status.level)
    title = f"sasgate: {labels[level]}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="refresh", content=REFRESH),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", type_="image/svg+xml", href=f"/icon-{level}.svg"),
        element("style", Markup(STYLE)),
    )
    body = element("body", _banner(status, labels), element("main", *_sections(status, labels)))
    document = element("html", head, body, lang=language)
    return b"<!DOCTYPE html>\n" + document.encode("utf-8")


def icon(level: str) -> bytes:
    """A dot in the colour of a level, for the browser's tab."""
    dot = element("circle", cx=8, cy=8, r=7, fill=_COLOURS[level])
    svg = element("svg", dot, xmlns="http://www.w3.org/2000/svg", viewBox="0 0 16 16")
    return svg.encode("ascii")


_COLOURS = {"ok": "#1a7f37", "warning": "#bf8700", "critical": "#cf222e"}


def _name(level: Level) -> str:
    return level.name.lower()


def _banner(status: Status, labels: Labels) -> Markup:
    since = f"{labels['up']} {length(status.process.up, labels.language)}"
    about = f"{status.configuration.file} · {since} · {labels['at']} {instant(status.at)}"
    return element(
        "header",
        element("h1", element("span", "sasgate", class_="name"), " ", labels[_name(status.level)]),
        element("p", about),
        class_=_name(status.level),
    )


def _sections(status: Status, labels: Labels) -> tuple[Markup, ...]:
    revocation = status.revocation
    return (
        _findings(status, labels),
        _disengaged(status, labels),
        _section(labels["traffic"], _legend(status, labels), hour_chart(status.minutes, labels)),
        _section(labels["listeners"], listeners(status, labels)),
        _section(labels["certificates"], certificates(status, labels)),
        _section(f"{labels['lists']} ({labels['mode']} {revocation.mode})", lists(status, labels)),
        _section(labels["ocsp"], responders(status, labels)),
        _section(labels["upstreams"], upstreams(status, labels)),
        _section(labels["decisions"], decisions(status, labels)),
        _section(labels["process"], process(status, labels)),
    )


def _section(title: str, *content: Markup) -> Markup:
    return element("section", element("h2", title), *content)


def _findings(status: Status, labels: Labels) -> Markup:
    if not status.findings:
        return _section(labels["to_do"], element("p", labels["nothing"]))
    rows = [
        element(
            "li",
            element("b", labels[_name(each.level)]),
            " ",
            worded(each, labels.language),
            class_=_name(each.level),
        )
        for each in status.findings
    ]
    return _section(labels["to_do"], element("ul", *rows, class_="findings"))


def _disengaged(status: Status, labels: Labels) -> Markup:
    in_force = status.revocation.disengaged
    if not in_force:
        return element("section", element("p", labels["engaged"]))
    boxes = [_disengagement(each, labels) for each in in_force]
    return element("section", *boxes, id="debrayage")


def _disengagement(each: Disengaged, labels: Labels) -> Markup:
    who = f"{labels['by_hand']} {each.who}" if each.by_hand else labels["by_itself"]
    without = f", {labels['without_list']}" if each.without_list else ""
    return element(
        "div",
        element("h2", labels["disengaged"]),
        element("p", clock(each.left), class_="clock"),
        element("p", f"{', '.join(each.cas) or labels['all_cas']}, {who}{without}"),
        element("p", each.why) if each.why else None,
        element(
            "p",
            f"{labels['since']} {instant(each.since)}, {labels['until']} {instant(each.until)};"
            f" {labels['admitted_under']}: {each.admitted}",
        ),
        class_="critical box",
    )


def _legend(status: Status, labels: Labels) -> Markup:
    minutes = status.minutes
    counts = {
        "requests": sum(each.requests for each in minutes),
        "refusals": sum(each.refusals for each in minutes),
        "closed": sum(each.closed for each in minutes),
    }
    shown = [
        element("span", f"{count} {labels[kind]}", class_=f"key {kind}")
        for kind, count in counts.items()
    ]
    most = max((each.requests for each in minutes), default=0)
    return element("p", *shown, element("span", f"{labels['most']}: {most}"), class_="legend")
