"""One case of the demonstration, and what came of it in few words."""

import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from sasgate.lab.client import Answer, Listener
from sasgate.lab.platform import Call, Failure, NoResponse, Response, Result
from sasgate.lab.scene import Scene


@frozen
class Case:
    """`play` does what `who` and `call` say, and tells what came in the words of `expected`."""

    who: str
    call: str
    expected: str
    play: Callable[[Scene], str] = field(repr=False)


Act = tuple[str, Sequence[Case]]


def sending(
    who: str,
    client: str | None,
    call: Call,
    expected: str,
    *,
    listener: Listener = Listener.TEST,
    version: ssl.TLSVersion | None = None,
) -> Case:
    """One call on a connection of its own, by a client of the lab's catalogue or by None."""

    def play(scene: Scene) -> str:
        result = scene.platform(client, listener, version).send(call)
        return words(result, scene.received())

    return Case(who, f"{call.method} {call.path.partition('?')[0]}", expected, play)


def after(change: Callable[[Scene], None], case: Case) -> Case:
    """The case, once `change` was made."""

    def play(scene: Scene) -> str:
        change(scene)
        return case.play(scene)

    return evolve(case, play=play)


def words(result: Result, received: Sequence[Mapping[str, Any]]) -> str:
    """What came, short; a request that reached the backend is told by the environment it was given.

    So a refusal is never taken for one if the backend saw the request.
    """
    if isinstance(result, NoResponse):
        alert = re.search(r"alert [a-z ]*[a-z]", result.detail)
        return alert[0] if alert and result.failure is Failure.ALERT else result.failure.value
    if received:
        return f"{result.status} {_environment(received)}{_slots(result)}"
    body = _json(result)
    return _own_words(result.status, str(body.get("verify", "")), str(body.get("status", "")))


def words_of(answer: Answer) -> str:
    """The words of an answer that the gateway gives itself."""
    return _own_words(answer.status, answer.verify, "KO:Forbidden")


def _own_words(status: int, verify: str, text: str) -> str:
    failed = verify.startswith("FAILED:")
    told = verify.removeprefix("FAILED:") if failed else text.removeprefix("KO:").strip()
    return f"{status} {told}".rstrip()


def _environment(received: Sequence[Mapping[str, Any]]) -> str:
    told = [value for each in received for value in values(each, "X-SAS-Environment")]
    return " and ".join(each.removeprefix("lab-") for each in told) or "of no environment"


def _slots(result: Response) -> str:
    entries = _json(result).get("entry", [])
    found = [each for each in entries if each["resource"]["resourceType"] == "Slot"]
    return f", {len(found)} slots" if found else ""


def values(received: Mapping[str, Any], name: str) -> Sequence[str]:
    """Those of one header, in any case, in a request that the backend received."""
    return [value for each, value in received["headers"] if each.lower() == name.lower()]


def _json(result: Response) -> Mapping[str, Any]:
    try:
        body = json.loads(result.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
