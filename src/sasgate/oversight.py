"""All that lives of revocation in one gateway: lists, OCSP, débrayage, and who asks them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.x509 import Certificate
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from sasgate.control import Answer as Told
from sasgate.control import Handler, Request
from sasgate.errors import ConfigError
from sasgate.identity import Identity
from sasgate.log_format import escaped
from sasgate.revocation.chain import Chain
from sasgate.revocation.checks import Checks
from sasgate.revocation.crl import LoadedList
from sasgate.revocation.disengagement import Disengagements
from sasgate.revocation.download import Downloaded, Downloader, NotModified, Validators
from sasgate.revocation.export import Export, NotExported
from sasgate.revocation.loading import LoadLimits, load_list
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.revocation.ocsp_responder import OCSPOptions
from sasgate.revocation.orders import Orders
from sasgate.revocation.plan import Plan
from sasgate.revocation.shelf import FOLDER
from sasgate.revocation.source import SourceState
from sasgate.revocation.store import Store, UnusableSource
from sasgate.settings import RevocationMode, Settings
from sasgate.trust import CA, Anchors


class Oversight:
    """Revocation for one gateway; `checks` is what connections ask.

    Where the mode is `off` none of it is opened.
    """

    _log = Logger("sasgate.revocation")

    def __init__(
        self,
        reactor: Any,
        wall: Callable[[], datetime],
        settings: Settings,
        anchors: Mapping[str, Anchors],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._plan = Plan.of(settings, anchors)
        self._exporting = DeferredLock()
        limits, revocation = settings.limits, settings.revocation
        self._disengagements = Disengagements(
            reactor,
            wall,
            settings.state / "disengagement.json",
            revocation.admit_for,
            self._word_changed,
            name=self._name_of,
        )
        self._make_clients(settings)
        self._cache = OCSPCache(
            reactor, wall, self.ask, OCSPOptions.of(revocation, limits), announce=self._revoked
        )
        self.checks = Checks(wall, self._disengagements, self._cache)
        self.checks.follow(revocation.mode, chains_of(anchors))
        self._store = Store(
            reactor,
            wall,
            self._folder,
            self._plan,
            refresh=revocation.refresh,
            download=self._download,
            load=self._load,
            changed=self.checks.lists_changed,
            kept=self._export,
        )
        self._orders = Orders(self._disengagements, self._store, lambda: self._plan, wall)

    def _make_clients(self, settings: Settings) -> None:
        limits, proxy = settings.limits, settings.revocation.proxy
        self._client = OCSPClient(self._reactor, limits, proxy)
        self._downloader = Downloader(self._reactor, limits, proxy)

    @property
    def _folder(self) -> Path:
        return self._settings.state / FOLDER

    def ask(self, url: str, question: bytes) -> Deferred[bytes]:
        """Ask a responder by the proxy and within the limits that are in force."""
        return self._client.ask(url, question)

    def _download(self, url: str, validators: Validators) -> Deferred[Downloaded | NotModified]:
        return self._downloader.get(url, validators)

    def _load(
        self, reactor: Any, source: bytes | int, authorities: Sequence[Certificate], now: datetime
    ) -> Deferred[LoadedList]:
        limits = LoadLimits(size=self._settings.limits.crl_size)
        return load_list(reactor, source, authorities, now, limits=limits)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What commands may ask of it, for the control folder."""
        if self._off:
            return {**self._orders.handlers, "disengage": _nothing_to_disengage}
        return self._orders.handlers

    @property
    def _off(self) -> bool:
        return self._settings.revocation.mode is RevocationMode.OFF

    @property
    def lists(self) -> tuple[SourceState, ...]:
        """Every source of lists, with what it last gave; none where the mode is `off`."""
        return () if self._off else self._store.states

    @property
    def cache(self) -> OCSPCache:
        """What OCSP has said, and how its responders fare."""
        return self._cache

    @property
    def disengagements(self) -> Disengagements:
        """Débrayage."""
        return self._disengagements

    @property
    def authorities(self) -> Mapping[str, str]:
        """The names of the CAs that lists are needed of, by SHA-256."""
        return self._plan.stems

    async def open(self) -> None:
        """Put in force what was kept, and files; then keep it current.

        Raises:
            ConfigError: a file or folder of lists cannot be used (S1).
            CancelledError: closed meanwhile.
        """
        if self._off:
            return
        self._disengagements.open()
        try:
            await self._store.open()
        except UnusableSource as error:
            raise _fault(self._settings, error) from error

    async def examine(self, settings: Settings, anchors: Mapping[str, Anchors]) -> None:
        """Whether `follow` could take these up; changes nothing.

        Raises:
            ConfigError: a file or folder of lists cannot be used.
        """
        if self._off:
            return
        try:
            await self._store.examine(Plan.of(settings, anchors))
        except UnusableSource as error:
            raise _fault(settings, error) from error

    def follow(self, settings: Settings, anchors: Mapping[str, Anchors]) -> None:
        """Go on by other settings; live connections that they deny are cut."""
        self._settings = settings
        self._plan = Plan.of(settings, anchors)
        self._make_clients(settings)
        self._cache.follow(OCSPOptions.of(settings.revocation, settings.limits))
        self.checks.follow(settings.revocation.mode, chains_of(anchors))
        self._disengagements.follow(settings.revocation.admit_for)
        if not self._off:
            self._store.follow(self._plan, settings.revocation.refresh)
            self._export()
        self.checks.rules_changed()

    async def close(self) -> None:
        """End all of it; whoever waits for OCSP gets no answer."""
        self._cache.close()
        if self._off:
            return
        self._disengagements.close()
        await self._store.close()

    def _word_changed(self) -> None:
        self.checks.changed()

    def _revoked(self, leaf: Identity) -> None:
        self.checks.answer_revoked(leaf)

    def _name_of(self, sha256: str) -> str:
        return self._plan.stems.get(sha256, sha256)

    def _export(self) -> None:
        revocation = self._settings.revocation
        export = Export(revocation.export_pem, revocation.export_hash_dir)
        if export.pem is not None or export.hash_dir is not None:
            exporting = self._exporting.run(self._write, export)
            exporting.addErrback(lambda failure: self._log.failure("lists not exported", failure))

    async def _write(self, export: Export) -> None:
        """Write what is in force by now: whoever waited for their turn writes the same again."""
        lists = self._store.exportable
        if not lists:
            return
        pool = self._reactor.getThreadPool()
        try:
            await deferToThreadPool(self._reactor, pool, export.write, lists)
        except NotExported as error:
            self._log.critical("lists are not exported: {error}", error=escaped(str(error)))


def chains_of(anchors: Mapping[str, Anchors]) -> tuple[Chain, ...]:
    """The chain of nobody under every pinned issuer: what lists say of all its certificates."""
    return tuple({chain: None for each in anchors.values() for chain in _chains(each)})


def _chains(anchors: Anchors) -> Iterator[Chain]:
    for issuer in anchors.issuers:
        for root in anchors.roots:
            if _signed(issuer, root):
                yield Chain.of_nobody(issuer.der, root.der)


def _signed(issuer: CA, root: CA) -> bool:
    """Whether `root` signed it: a namesake with another key has no word on it (S23)."""
    try:
        issuer.certificate.verify_directly_issued_by(root.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _fault(settings: Settings, error: UnusableSource) -> ConfigError:
    """The fault of the file, at each environment that names it."""
    named = [
        name
        for name, environment in settings.environments.items()
        if any(error.path.is_relative_to(source) for source in environment.crl)
    ]
    return ConfigError(
        *(
            settings.fault(f"environment:{name}", "crl", error.path, error.reason, _REMEDY)
            for name in named or settings.environments
        )
    )


_REMEDY = "put the CA's list there (DER or PEM), or name its URL"


def _nothing_to_disengage(_: Request) -> Told:
    return Told(ok=False, text="mode = off in [revocation]: there is nothing to disengage")
