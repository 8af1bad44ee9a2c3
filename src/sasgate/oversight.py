"""All that lives of revocation in one gateway: lists, OCSP, débrayage, and who asks them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sasgate.revocation.checks import Checks
from sasgate.revocation.disengagement import Disengagements
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.revocation.ocsp_responder import OCSPOptions
from sasgate.settings import Settings
from sasgate.trust import Anchors


class Oversight:
    """Revocation for one gateway; `checks` is what connections ask."""

    def __init__(
        self,
        reactor: Any,
        wall: Callable[[], datetime],
        settings: Settings,
        anchors: Mapping[str, Anchors],
    ) -> None:
        self._settings = settings
        self._anchors = anchors
        revocation = settings.revocation
        self._disengagements = Disengagements(
            reactor,
            wall,
            settings.state / "disengagement.json",
            revocation.admit_for,
            self._word_changed,
        )
        self._client = OCSPClient(reactor, settings.limits, revocation.proxy)
        self._cache = OCSPCache(
            reactor,
            wall,
            self._client.ask,
            OCSPOptions.of(revocation, settings.limits),
            announce=self._revoked,
        )
        self.checks = Checks(wall, self._disengagements, self._cache)

    def _word_changed(self) -> None:
        self.checks.changed()

    def _revoked(self, leaf: Any, answer: Any) -> None:
        self.checks.answer_revoked(leaf, answer)
