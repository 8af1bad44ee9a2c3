"""What administrators may order of revocation in the running daemon: handlers for `control`.

==========  =========================================================================
request     arguments
==========  =========================================================================
disengage   seconds: int, 60 to 604800; reason: str; authority: str or null, a CA by
            CN, file name or SHA-256; without_list: bool
engage      none
refresh     none
forget      issuer: str, a CA as above; reason: str
==========  =========================================================================
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from attrs import asdict, frozen
from twisted.internet.defer import Deferred

from sasgate.control import Answer, Handler, Request
from sasgate.identity import fingerprint
from sasgate.revocation.disengagement import ByHand, Disengagements, NotKept
from sasgate.revocation.order_words import (
    Unacceptable,
    checked_reason,
    checked_switch,
    checked_term,
    checked_text,
)
from sasgate.revocation.plan import Plan
from sasgate.revocation.source import SourceState


T = TypeVar("T")


class Store(Protocol):
    """The part of `store.Store` that orders are for."""

    def refresh(self) -> Deferred[tuple[SourceState, ...]]:
        """Ask every source now."""

    def forget(self, issuer: str, who: str, why: str) -> tuple[str, ...]:
        """Forget the numbers of a CA's lists; raises LookupError."""


@frozen
class Orders:
    """Obeys orders; `plan` gives the CAs in force, `wall` the aware time of day."""

    disengagements: Disengagements
    store: Store
    plan: Callable[[], Plan]
    wall: Callable[[], datetime]

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By command."""
        return {
            "disengage": _refusing(self._disengage),
            "engage": _refusing(self._engage),
            "refresh": _refusing(self._refresh),
            "forget": _refusing(self._forget),
        }

    def _disengage(self, request: Request) -> Answer:
        given = _arguments(request, "seconds", "reason", "authority", "without_list")
        since = self.wall()
        names, authorities = self._authorities(given["authority"])
        by_hand = ByHand(
            request.who,
            checked_reason(given["reason"]),
            since,
            since + timedelta(seconds=checked_term(given["seconds"])),
            authorities,
            checked_switch(given["without_list"], "without_list"),
        )
        replaced = self.disengagements.disengage(by_hand)
        data = {"until": by_hand.until.isoformat(), "authorities": list(authorities)}
        return Answer(ok=True, text="\n".join(_told(by_hand, names, replaced)), data=data)

    def _authorities(self, name: object) -> tuple[str, tuple[str, ...]]:
        if name is None:
            return "all CAs", ()
        found = _found(self.plan().named, checked_text(name, "authority"))
        # Roots issue no clients: disengaging one would seem to help and admit nobody.
        issuing = [ca for ca in found if ca.issuer != ca.subject]
        if not issuing:
            raise Unacceptable(f"{name} is a root, which issues no clients: name the issuing CA")
        return str(name), tuple(map(fingerprint, issuing))

    def _engage(self, request: Request) -> Answer:
        _arguments(request)
        ended = self.disengagements.engage(request.who)
        if ended is None:
            lines = ["Nothing is disengaged by hand."]
        else:
            until = _local(ended.until)
            lines = [f"Revocation checks are engaged again; {ended.who} had them off until {until}"]
        automatic = [each for each in self.disengagements.state if each.by_hand is None]
        if automatic:
            until = _local(max(each.until for each in automatic))
            lines.append(
                f"Disengaged by themselves until {until} at the most, since lists are missing:"
                " [revocation] when_unknown = refuse and a reload end that."
            )
        return Answer(ok=True, text="\n".join(lines))

    def _refresh(self, request: Request) -> Deferred[Answer]:
        _arguments(request)
        return self.store.refresh().addCallback(_refreshed, self.wall())

    def _forget(self, request: Request) -> Answer:
        given = _arguments(request, "issuer", "reason")
        issuer, reason = checked_text(given["issuer"], "issuer"), checked_reason(given["reason"])
        names = _found(self.store.forget, issuer, request.who, reason)
        lines = (f"The next verified list is taken whatever its number: {each}" for each in names)
        return Answer(ok=True, text="\n".join(lines), data={"forgotten": list(names)})


def _found(look_up: Callable[..., T], *arguments: str) -> T:
    """What is looked up; only there does a LookupError mean that a name is wrong."""
    try:
        return look_up(*arguments)
    except LookupError as error:
        # A KeyError would print its text in quotes.
        raise Unacceptable(str(error.args[0] if error.args else error)) from None


def _refusing(
    obey: Callable[[Request], Answer | Deferred[Answer]],
) -> Callable[[Request], Answer | Deferred[Answer]]:
    def handle(request: Request) -> Answer | Deferred[Answer]:
        try:
            return obey(request)
        except (Unacceptable, NotKept) as error:
            return Answer(ok=False, text=str(error))

    return handle


def _arguments(request: Request, *names: str) -> Mapping[str, Any]:
    if set(request.arguments) != set(names):
        raise Unacceptable(f"{request.command} takes {', '.join(names) or 'no arguments'}")
    return request.arguments


def _told(by_hand: ByHand, names: str, replaced: ByHand | None) -> Iterable[str]:
    yield f"Revocation checks are disengaged until {_local(by_hand.until)} for {names}."
    still = "what a verified list or OCSP says is revoked, and the deny list"
    if by_hand.without_list:
        yield "They rest on the last verified list, even expired; on nothing where there is none."
        yield f"Refused still: {still}."
    else:
        yield "They rest on the last verified list, even expired."
        yield f"Refused still: {still}; everybody where no verified list was ever held."
    if replaced is not None:
        yield f"This replaces what {replaced.who} had disengaged until {_local(replaced.until)}."
    yield "It ends by itself then, or by: sasgate engage"


def _refreshed(states: tuple[SourceState, ...], now: datetime) -> Answer:
    lines = [f"{each.source}: {each.error or _held(each, now)}" for each in states]
    data = {"sources": [asdict(each, value_serializer=_plain) for each in states]}
    text = "\n".join(lines) or "No source of lists is configured."
    return Answer(ok=not any(each.error for each in states), text=text, data=data)


def _held(state: SourceState, now: datetime) -> str:
    if state.next_update is None:
        return "no list yet"
    number = "without a number" if state.number is None else f"number {state.number}"
    expired = ", EXPIRED" if state.next_update < now else ""
    return f"{state.issuer_name}, {number}, until {_local(state.next_update)}{expired}"


def _plain(_: object, __: object, value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _local(time: datetime) -> str:
    """A time for a person at this host: in its own zone, which is shown."""
    return time.astimezone().isoformat(sep=" ", timespec="seconds")
