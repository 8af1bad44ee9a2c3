"""The cases of revocation: lists that revoke, deceive or expire, a responder that is silent.

Each act begins with a change of what the lab publishes or of what the gateway was told, and rests
on those before it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sasgate.lab import platform, trees
from sasgate.lab.client import Listener
from sasgate.lab.demo_case import Act, Case, after, sending, words
from sasgate.lab.scene import Scene
from sasgate.lab.switches import ListMode, OCSPMode


REASON = "demonstration: neither a list nor OCSP"

# Seconds. The gateway cuts at once; a connection that nobody uses it keeps for a minute.
_CUT_WITHIN = 5.0


def revocation() -> Sequence[Act]:
    """The acts in their order."""
    slots = platform.slots(datetime.now(UTC))
    schedules = platform.schedules(datetime.now(UTC))
    recette = partial(sending, "SAS recette", "recette", slots)
    revoked = sending("the revoked client", "revoked", slots, "401 revoked")
    production = sending(
        "same serial, other CA", "same-serial", slots, "200 production, 2 slots",
        listener=Listener.PRODUCTION,
    )  # fmt: skip
    preproduction = sending("SAS preproduction", "preproduction", schedules, "200 preproduction")
    again = recette("200 recette, 2 slots")
    unknown = recette("401 status unknown")
    return (
        (
            "A list comes that revokes a client while it is connected",
            (
                Case("the revoked client", "connected", "connection cut", _play_cut),
                revoked,
                production,
                again,
            ),
        ),
        ("A forged list comes, on which nobody is", (after(_forge, revoked), again)),
        ("The list expires, so OCSP is asked", (after(_expire, preproduction), revoked)),
        ("The OCSP responder falls silent, too", (after(_silence, unknown), revoked)),
        ("sasgate disengage --for 1h (débrayage)", (after(_disengage, again), revoked)),
        ("sasgate engage", (after(_engage, unknown),)),
        ("A new list comes", (after(_recover, again), revoked)),
    )


def _play_cut(scene: Scene) -> str:
    """A client that is admitted, and then revoked by a list while its connection is open (S15)."""
    with scene.platform("revoked").session() as session:
        came = words(session.send(platform.slots(datetime.now(UTC))), scene.received())
        if came != "200 recette, 2 slots" or not session.open:
            return f"before: {came}"
        scene.board.revoke("revoked")
        scene.order("refresh")
        return "connection cut" if session.is_cut(_CUT_WITHIN) else "still connected"


def _forge(scene: Scene) -> None:
    scene.board.lists(ListMode.FORGED, trees.ORG_TEST)
    # If it is taken, the table shows that.
    scene.order("refresh", must=False)


def _expire(scene: Scene) -> None:
    scene.board.lists(ListMode.EXPIRED, trees.ORG_TEST)
    scene.order("refresh")


def _silence(scene: Scene) -> None:
    scene.board.ocsp(OCSPMode.NONE)


def _disengage(scene: Scene) -> None:
    scene.order("disengage", seconds=3600, reason=REASON, authority=None, without_list=False)


def _engage(scene: Scene) -> None:
    scene.order("engage")


def _recover(scene: Scene) -> None:
    scene.board.lists(ListMode.GOOD, trees.ORG_TEST)
    scene.board.ocsp(OCSPMode.GOOD)
    scene.order("refresh")
