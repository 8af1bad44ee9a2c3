"""The report of `sasgate call`: plain lines to be pasted into a ticket, without any secret."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from time import monotonic

import click
from cryptography import x509

from sasgate.commands.http_dialog import HTTPAnswer
from sasgate.commands.own_certificate import names_of
from sasgate.identity import Identity, printable_name


# Bytes of an answer's body that are shown unless it is asked for more.
SHOWN_BODY = 4096
_SECRET = re.compile(r"authorization|cookie|token|secret|password|api-?key", re.IGNORECASE)
_INDENT = " " * 19


class Steps:
    """Prints steps as they are done, each with the milliseconds since the one before."""

    def __init__(self) -> None:
        self.current = ""
        self._began = monotonic()

    def begin(self, step: str) -> None:
        """Say which step is under way, for `failed`."""
        self.current = step
        self._began = monotonic()

    def done(self, text: str, details: Iterable[str] = ()) -> None:
        """Print what came of the step under way."""
        took = (monotonic() - self._began) * 1000
        click.echo(f"{self.current:<8}{took:>7.0f} ms  {shown(text)}")
        self.add(details)

    def failed(self, text: str, details: Iterable[str] = ()) -> None:
        """Print how the step under way failed."""
        self.done(f"FAILED: {text}", details)

    def add(self, details: Iterable[str]) -> None:
        """Print more about a step."""
        for line in details:
            click.echo(f"{_INDENT}{shown(line)}".rstrip())


def shown(text: str) -> str:
    """A text without what a terminal or a ticket would take for anything else."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def server_certificate(
    sent: Sequence[x509.Certificate], verdict: str, now: datetime
) -> Iterator[str]:
    """A server's certificate and what was decided about it."""
    if not sent:
        return
    leaf = sent[0]
    yield "server certificate"
    yield f"  subject   {printable_name(leaf.subject) or 'empty'}"
    yield f"  names     {', '.join(names_of(leaf)) or 'none'}"
    yield f"  issuer    {printable_name(leaf.issuer)}"
    for issuer in sent[1:]:
        yield f"  sent too  {printable_name(issuer.subject)}"
    yield f"  until     {validity(leaf.not_valid_after_utc, now)}"
    yield f"  verified  {verdict}"


def own_certificate(identity: Identity, now: datetime) -> Iterator[str]:
    """The certificate that is presented."""
    yield f"  CN        {printable(identity.cn)}"
    yield f"  OU        {printable(identity.ou)}"
    yield f"  issuer    {identity.issuer}"
    yield f"  serial    {identity.serial}"
    yield f"  until     {validity(identity.not_after, now)}"


def validity(end: datetime, now: datetime) -> str:
    """When a certificate ends; both are aware."""
    days = (end - now).days
    left = f"{days} days left" if end >= now else "EXPIRED"
    return f"{end:%Y-%m-%d %H:%M} UTC ({left})"


def printable(text: str) -> str:
    """One value; empty ones are named."""
    return text or "none"


def request_lines(head: bytes, size: int) -> Iterator[str]:
    """A request's head as it is sent, and how much follows."""
    first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    yield f"> {first}"
    for line in fields:
        name, _, value = line.partition(": ")
        yield f"> {field_line(name, value)}"
    yield f"> ({size} bytes of body)" if size else "> (no body)"


def answer_lines(answer: HTTPAnswer) -> Iterator[str]:
    """An answer's head, then its body as far as it is text."""
    head = answer.head
    version = "HTTP/1.1" if head.http11 else "HTTP/1.0"
    yield f"< {version} {head.status} {head.reason.decode('latin-1')}".rstrip()
    for name, value in answer.fields():
        yield f"< {field_line(name, value)}"
    yield from _body_lines(answer)


def field_line(name: str, value: str) -> str:
    """A header field, without the value of one that gives access."""
    if _SECRET.search(name):
        value = f"*** ({len(value)} characters, not shown)"
    return f"{name}: {value}"


def _body_lines(answer: HTTPAnswer) -> Iterator[str]:
    size = len(answer.body)
    if not size:
        yield "(no body)"
    else:
        whole = f"the first {size} bytes of the body" if answer.cut else f"body, {size} bytes"
        text = _text(answer.body, cut=answer.cut)
        yield f"{whole}:" if text is not None else f"{whole}, which are no text"
        yield from (text or "").splitlines()
    if answer.lost is not None:
        yield f"THE BODY IS NOT WHOLE: {answer.lost}"


def _text(body: bytes, *, cut: bool) -> str | None:
    # A cut may fall inside a character.
    for end in range(4 if cut else 1):
        try:
            text = body[: len(body) - end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text.replace("\t", "    ")
    return None
