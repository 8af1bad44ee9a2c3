"""The tables, in Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from bench.contenders import SASGATE
from bench.figures import Spread, table
from bench.machine import description
from bench.peers.everyone import PROGRAMS
from bench.revocation.asking import DELAY, Answers, Asked
from bench.revocation.cutting import BUSY, IDLE, KINDS, NEW, UNDER_WAY, Cuts, Fate


def report(answers: Answers, cuts: Cuts, load: str) -> list[str]:
    """All of it; `load` is how busy the machine was at the beginning and the end."""
    known = seconds_to_cut(cuts)
    cut = "one lived on" if known is None else f"{known.text(2)} s"
    versions = ", ".join(
        f"{name} {each.own_version()}" for name, each in PROGRAMS.items() if "stunnel" not in name
    )
    return [
        f"Measured on {date.today():%Y-%m-%d}: {description()}, {versions}.",  # noqa: DTZ011 - for people
        f"Load average at the beginning and at the end: {load}.",
        "Of each figure the median (least–most of all rounds).",
        "",
        f"### A responder that takes {DELAY * 1000:.0f} ms",
        "",
        f"{answers.rounds} rounds of {answers.calls} new connections after a first one, one after",
        f"the other. The responder took {answers.responder.text(1)} ms with everything.",
        "",
        *_asking(answers),
        "",
        "### Revoked while connected",
        "",
        f"{cuts.rounds} rounds, watched for {cuts.watched:g} s; the call takes {cuts.slow:g} s.",
        "Told: `sasgate crl refresh`; SIGHUP to nginx, SIGUSR1 to Apache (graceful), SIGUSR2 to",
        "HAProxy's master.",
        "",
        *_cutting(cuts),
        "",
        f"From the order until sasgate had cut the last connection of the revoked client: {cut}.",
    ]


def _asking(answers: Answers) -> Iterator[str]:
    head = (
        "contender",
        "first connection, ms",
        "each after it, ms",
        "CPU each, ms",
        "questions: first, each after",
    )
    rows = [
        (f"{name} (OpenSSL {answers.openssl[name]}), {what}", *_figures(rounds))
        for what, group in (("OCSP", answers.with_ocsp), ("lists alone", answers.without))
        for name, rounds in group.items()
    ]
    yield from table(head, sorted(rows))


def _figures(rounds: Sequence[Asked]) -> tuple[str, ...]:
    of: Callable[[Callable[[Asked], float]], Spread] = lambda what: Spread.of(map(what, rounds))  # noqa: E731
    first, after = of(lambda one: one.questions_first), of(lambda one: one.questions_following)
    return (
        of(lambda one: one.first).text(1),
        of(lambda one: one.following).text(1),
        of(lambda one: one.cpu).text(2),
        f"{first.median:g}, {after.median:g}",
    )


def _cutting(cuts: Cuts) -> Iterator[str]:
    rows = [
        (name, "told" if told else "not told", *(_fate(rounds, kind) for kind in KINDS))
        for (name, told), rounds in cuts.fates.items()
    ]
    yield from table(("contender", "", *KINDS), rows)


def _fate(rounds: Sequence[Mapping[str, Fate]], kind: str) -> str:
    fates = [each[kind] for each in rounds]
    ended = [each.end for each in fates if each.end is not None and not each.answered]
    lived = len(fates) - len(ended)
    went_on = "got its answer" if kind == UNDER_WAY else "goes on"
    if not ended:
        return went_on
    word = "refused" if kind == NEW else "cut"
    text = f"{word} after {Spread.of(ended).text(2)} s"
    return f"{text}; {lived} of {len(fates)} {went_on}" if lived else text


def seconds_to_cut(cuts: Cuts) -> Spread | None:
    """Until the last of the revoked client's connections to sasgate was cut; None: one lived on."""
    cut = []
    for fates in cuts.fates[SASGATE, True]:
        ends = [fates[kind].end for kind in (IDLE, BUSY, UNDER_WAY) if not fates[kind].answered]
        known = [end for end in ends if end is not None]
        if len(known) < 3:
            return None
        cut.append(max(known))
    return Spread.of(cut)
