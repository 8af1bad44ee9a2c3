"""The cases of the demonstration: who calls the gateway with what, and what must come of it."""

import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

from attrs import evolve

from sasgate.environments import PRODUCTION, RECETTE
from sasgate.lab import platform
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.client import UNTRUSTED, Listener
from sasgate.lab.demo_case import Act, Case, after, sending, values, words, words_of
from sasgate.lab.demo_outbound import outbound
from sasgate.lab.demo_revocation import revocation
from sasgate.lab.platform import Call, Failure, NoResponse, Response, Result
from sasgate.lab.scene import Scene


# `/check` may answer from its last look at the backend for a second; we ask again for longer.
_LOOK_KEPT = 5.0


def acts() -> Sequence[Act]:
    """The cases in their order, under their headings; the last ones need what goes before them."""
    return (
        ("SAS calls", _admitted()),
        ("Others call, or SAS by the wrong door", _refused()),
        ("What no client of good will sends", _hostile()),
        ("The backend stops, and comes back", _backend()),
        *outbound(),
        *revocation(),
    )


def _admitted() -> Sequence[Case]:
    now = datetime.now(UTC)
    slots, schedules = platform.slots(now), platform.schedules(now)
    recette = partial(sending, "SAS recette", "recette")
    return (
        recette(slots, "200 recette, 2 slots"),
        sending("SAS preproduction", "preproduction", schedules, "200 preproduction"),
        sending(
            "SAS production",
            "production",
            slots,
            "200 production, 2 slots",
            listener=Listener.PRODUCTION,
        ),
        recette(platform.create_practitioner(), "201 recette"),
        recette(platform.update_practitioner(), "200 recette"),
        recette(platform.check(), "200 available"),
        sending(
            "SAS recette, TLS 1.2",
            "recette",
            slots,
            "200 recette, 2 slots",
            version=ssl.TLSVersion.TLSv1_2,
        ),
        sending(
            "SAS recette, TLS 1.3",
            "recette",
            slots,
            "200 recette, 2 slots",
            version=ssl.TLSVersion.TLSv1_3,
        ),
    )


def _refused() -> Sequence[Case]:
    slots = platform.slots(datetime.now(UTC))
    return (
        sending("no certificate", None, slots, "401 Unauthorized"),
        sending("no certificate", None, platform.check(), "403 Forbidden"),
        _from_catalogue("wrong CN", "wrong-cn"),
        _from_catalogue("wrong OU", "wrong-ou"),
        _from_catalogue("recette CN, preprod. OU", "crossed-pair"),
        _from_catalogue("expired certificate", "expired"),
        _from_catalogue("SSL_SERV certificate", "ssl-serv"),
        _from_catalogue("a person's certificate", "person"),
        _from_catalogue("CA of the same name", "same-name-ca"),
        sending("production on recette's", "production", slots, words_of(UNTRUSTED)),
        sending(
            "SAS recette, TLS 1.1",
            "recette",
            slots,
            "alert protocol version",
            version=ssl.TLSVersion.TLSv1_1,
        ),
    )


def _hostile() -> Sequence[Case]:
    return (
        Case("SAS recette", "two body lengths", "400 Bad Request", _play_two_lengths),
        Case("SAS recette", "forged CN header", "200 CN as certified", _play_spoofed),
    )


def _backend() -> Sequence[Case]:
    slots = platform.slots(datetime.now(UTC))
    recette = partial(sending, "SAS recette", "recette")
    check = platform.check()
    return (
        after(Scene.stop_backend, recette(slots, "502 backend failed")),
        _until_new(recette(check, "503 backend unreachable")),
        after(Scene.start_backend, recette(slots, "200 recette, 2 slots")),
        _until_new(recette(check, "200 available")),
    )


def _from_catalogue(who: str, name: str) -> Case:
    client = CATALOGUE[name]
    slots = platform.slots(datetime.now(UTC))
    return sending(who, name, slots, words_of(client.answer), listener=client.listener)


def _until_new(case: Case) -> Case:
    """Asks for as long as the answer may be that of an earlier look at the backend."""

    def play(scene: Scene) -> str:
        until = time.monotonic() + _LOOK_KEPT
        while (came := case.play(scene)) != case.expected and time.monotonic() < until:
            time.sleep(0.1)
        return came

    return evolve(case, play=play)


_TWO_LENGTHS = (
    b"POST /Practitioner HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"
)


def _play_two_lengths(scene: Scene) -> str:
    """What smuggling begins with: Content-Length and Transfer-Encoding disagree (S40)."""
    try:
        with scene.platform("recette").dial() as stream:
            stream.sendall(_TWO_LENGTHS)
            # http.client asks no more of a socket than TLSStream has.
            answer = HTTPResponse(cast("Any", stream), method="POST")
            answer.begin()
            result: Result = Response(answer.status, (), answer.read())
    except (OSError, HTTPException) as error:
        result = NoResponse(Failure.OTHER, str(error))
    return words(result, scene.received())


def _play_spoofed(scene: Scene) -> str:
    """A client that says it is another; the backend must be told what the certificate says."""
    wanted = "X-SSL-Client-CN"
    result = scene.platform("recette").send(
        Call("GET", "/Schedule", ((wanted, PRODUCTION.client_cn),))
    )
    seen = [value for each in scene.received() for value in values(each, wanted)]
    if isinstance(result, NoResponse) or not seen:
        return words(result, ())
    told = "CN as certified" if seen == [RECETTE.client_cn] else ", ".join(seen)
    return f"{result.status} {told}"
