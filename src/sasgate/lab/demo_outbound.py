"""The cases of the outbound half: the editor's application calls SAS through the gateway."""

import json
from collections.abc import Sequence
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse

from attrs import frozen

from sasgate.lab.demo_case import Act, Case, after
from sasgate.lab.sas_answers import APPOINTMENT
from sasgate.lab.sas_server import Behaviour
from sasgate.lab.scene import HOST, Scene


LISTENER, PRODUCTION = "outbound", "outbound:production"
# More than any answer of the gateway's takes, in seconds.
_PATIENCE = 10.0
_BODY = json.dumps({"resourceType": "Appointment", "status": "booked"})


def outbound() -> Sequence[Act]:
    """The acts in their order."""
    post = partial(_calling, "the application", "POST", APPOINTMENT)
    created = post("201 as test-ACME")
    update = f"{APPOINTMENT}?Identifier=urn:oid:1.2.250.1.213.3.6%7C1"
    production = partial(_calling, "production certificate", "POST", APPOINTMENT)
    return (
        (
            "The editor's application calls SAS",
            (
                created,
                _calling("the application", "PUT", update, "200 as test-ACME"),
                post("422 from SAS", body="{}"),
            ),
        ),
        (
            "SAS refuses the editor",
            (
                production("401 Unauthorized", listener=PRODUCTION),
                after(_unregister, post("403 Forbidden")),
                after(_register, created),
            ),
        ),
        (
            "SAS is down, dies over a call, or is slow",
            (
                after(_stop, post("502 nothing was sent")),
                after(_start, created),
                after(partial(_behave, Behaviour.RESET), post("502 may have arrived")),
                after(partial(_behave, Behaviour.NEVER), post("504 may have arrived")),
                after(partial(_behave, Behaviour.ANSWER), created),
            ),
        ),
    )


@frozen
class _Answer:
    status: int
    body: bytes


def _calling(
    who: str,
    method: str,
    target: str,
    expected: str,
    *,
    body: str = _BODY,
    listener: str = LISTENER,
) -> Case:
    def play(scene: Scene) -> str:
        before = len(scene.sas.calls)
        try:
            answer = _ask(scene.application(listener), method, target, body)
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__
        return _words(answer, [call.cn for call in scene.sas.calls[before:]])

    return Case(who, f"{method} Appointment", expected, play)


def _ask(port: int, method: str, target: str, body: str) -> _Answer:
    connection = HTTPConnection(HOST, port, timeout=_PATIENCE)
    try:
        connection.request(method, target, body, {"Content-Type": "application/fhir+json"})
        response: HTTPResponse = connection.getresponse()
        return _Answer(response.status, response.read())
    finally:
        connection.close()


def _words(answer: _Answer, seen: Sequence[str]) -> str:
    """What came, short; a call that was taken is told by the certificate that SAS saw."""
    if answer.status < 300:
        return f"{answer.status} as {', '.join(cn.removeprefix('sas-agregateur-') for cn in seen)}"
    try:
        body = json.loads(answer.body)
    except ValueError:
        return f"{answer.status}"
    if "issue" not in body:
        return f"{answer.status} {body.get('status', '').removeprefix('KO:')}".rstrip()
    text = body["issue"][0]["diagnostics"]
    if not text.startswith("sasgate, "):
        return f"{answer.status} from SAS"
    if not text.endswith(_NOT_SENT):
        return f"{answer.status} may have arrived"
    # The gateway's word is held against what SAS saw.
    return f"{answer.status} {'sent all the same' if seen else 'nothing was sent'}"


_NOT_SENT = "Nothing of the request was sent: it may be sent again."


def _unregister(scene: Scene) -> None:
    scene.sas.unregister(scene.lab.editors["ACME_TEST"].certificate)


def _register(scene: Scene) -> None:
    scene.sas.register(scene.lab.editors["ACME_TEST"].certificate)


def _stop(scene: Scene) -> None:
    scene.sas.stop()


def _start(scene: Scene) -> None:
    scene.sas.start()


def _behave(behaviour: Behaviour, scene: Scene) -> None:
    scene.sas.behaviour = behaviour
