"""The ports of a gateway: opened, held while nobody can be judged yet, closed."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

from attrs import evolve, frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from sasgate.adopted import Unfit, adopt
from sasgate.errors import ConfigError
from sasgate.last_callers import take_in
from sasgate.settings import Listen, Settings


class Entrance(Protocol):
    """What a port is opened with; who stands behind it may change while it is open."""

    def lead_to(self, listener: Any, listen: Listen) -> None:
        """Lead to another listener, or to the same under another `listen`."""


# The listener behind [sasgate] admin; all others are named by their sections.
ADMIN = "admin"
# Who may look at a socket of its own is in the group of the service, unless it says otherwise.
_ADMIN_MODE = 0o660


@frozen
class Wanted:
    """A port that a configuration names: its listener, and what it is opened with.

    `owner` and `mode` are for the sockets of outbound listeners and of `admin`.
    """

    listener: str
    listen: Listen
    mode: int | None = None
    owner: str | None = None

    @property
    def side(self) -> str:
        """Whose callers come here: those of an inbound or outbound listener, or of `admin`."""
        return self.listener.partition(":")[0]

    @property
    def key(self) -> tuple[str, str]:
        """The section and the key that name it."""
        return ("sasgate", ADMIN) if self.listener == ADMIN else (self.listener, "listen")

    @property
    def endpoint(self) -> str:
        """The endpoint for Twisted."""
        text = with_backlog(self.listen.endpoint)
        return text if self.mode is None else with_mode(text, self.mode)


@frozen
class OpenPort:
    """A port that is open."""

    wanted: Wanted
    door: Any  # an Entrance, and a Factory of Twisted's
    port: Any  # IListeningPort, and what stops and starts it taking connections

    @property
    def listener(self) -> str:
        """The name of its listener."""
        return self.wanted.listener

    @property
    def where(self) -> str:
        """The address that it is bound to, for people to read."""
        return shown_address(self.port.getHost())

    def hold(self) -> None:
        """Let callers wait in the kernel's queue: nobody could be judged yet."""
        self.port.stopReading()

    def release(self) -> None:
        """Take callers."""
        self.port.startReading()

    def take_in(self) -> None:
        """Take those who wait in the kernel's queue, before the port closes.

        Where systemd holds the socket they wait for the next process, as others will.
        """
        if not self.wanted.listen.endpoint.startswith("systemd:"):
            take_in(self.port)

    def close(self) -> Deferred[Any]:
        """Take no more callers."""
        return maybeDeferred(self.port.stopListening)


@frozen
class Change:
    """From some ports to others: `kept` stay open as what is wanted of them now."""

    opened: tuple[OpenPort, ...]
    kept: tuple[OpenPort, ...]
    closed: tuple[OpenPort, ...]

    @property
    def open(self) -> tuple[OpenPort, ...]:
        """All that are open in the end."""
        return (*self.kept, *self.opened)


def wanted_ports(settings: Settings) -> tuple[Wanted, ...]:
    """Every port that a configuration names."""
    inbound = [Wanted(each.name, listen) for each in settings.inbounds for listen in each.listen]
    outbound = [
        Wanted(each.name, listen, each.socket_mode, each.socket_owner)
        for each in settings.outbounds
        for listen in each.listen
    ]
    return (*inbound, *outbound, *_admin(settings))


def _admin(settings: Settings) -> Iterator[Wanted]:
    if settings.admin is not None:
        own_mode = ":mode=" in settings.admin
        yield Wanted(ADMIN, Listen(settings.admin, False), None if own_mode else _ADMIN_MODE)


def open_ports(
    reactor: Any,
    settings: Settings,
    before: Iterable[OpenPort],
    door: Callable[[Wanted], Factory],
) -> Change:
    """Open what a configuration names and isn't open yet; new ports are held.

    A port that is open already keeps its socket, whatever its listener is called by now.

    Raises:
        ConfigError: one cannot be opened; whatever was opened is closed again.
    """
    left = list(before)
    kept: list[OpenPort] = []
    missing: list[Wanted] = []
    for wanted in wanted_ports(settings):
        port = _same(wanted, left)
        if port is None:
            missing.append(wanted)
        else:
            left.remove(port)
            kept.append(evolve(port, wanted=wanted))
    opened: list[OpenPort] = []
    before_giving = [_Given.of(port) for port in kept]
    try:
        for wanted in missing:
            opened.append(_open(reactor, settings, wanted, door(wanted), left))
            opened[-1].hold()
        for port in (*kept, *opened):
            _give_away(settings, port)
    except ConfigError:
        for given in filter(None, before_giving):
            given.restore()
        for port in opened:
            port.close()
        raise
    return Change(tuple(opened), tuple(kept), tuple(left))


def _same(wanted: Wanted, ports: Iterable[OpenPort]) -> OpenPort | None:
    """An open port for the same callers at the same place, its own listener's if possible."""
    fitting = [
        each
        for each in ports
        if each.wanted.side == wanted.side and each.wanted.listen.endpoint == wanted.listen.endpoint
    ]
    own = [each for each in fitting if each.listener == wanted.listener]
    return next(iter(own or fitting), None)


def _open(
    reactor: Any, settings: Settings, wanted: Wanted, door: Factory, leaving: Iterable[OpenPort]
) -> OpenPort:
    ports: list[OpenPort] = []
    failures: list[Failure] = []
    # Fires at once: every kind of endpoint that a configuration may name opens its port now.
    maybeDeferred(_listen, reactor, wanted.endpoint, door).addCallbacks(
        lambda port: ports.append(OpenPort(wanted, door, port)), failures.append
    )
    if not ports:
        reason, remedy = _why_not_listening(failures[0])
        for each in leaving:
            if _shares_place(each, wanted):
                remedy = f"{each.wanted.listen} has it until then: systemctl restart sasgate"
        raise ConfigError(settings.fault(*wanted.key, wanted.listen, reason, remedy))
    return ports[0]


def _listen(reactor: Any, endpoint: str, door: Factory) -> Deferred[IListeningPort]:
    parsed = serverFromString(reactor, endpoint)
    if isinstance(parsed, AdoptedStreamServerEndpoint):
        return maybeDeferred(adopt, reactor, parsed, door, by_name=":name=" in endpoint)
    return cast("Deferred[IListeningPort]", parsed.listen(door))


def _shares_place(port: OpenPort, wanted: Wanted) -> bool:
    """Whether a port that a reload gives up is, while it is open, in the way of a new one."""
    address, parts = port.port.getHost(), wanted.endpoint.split(":")
    if isinstance(address, UNIXAddress):
        return os.fsdecode(address.name or b"") in parts
    return parts[0] == "tcp" and str(address.port) in parts


@frozen
class _Given:
    """Whose a socket was, and to whom it was open, before a change that may fail."""

    path: Path
    found: os.stat_result

    @classmethod
    def of(cls, port: OpenPort) -> "_Given | None":
        path = _given_path(port)
        try:
            return None if path is None else cls(path, path.stat())
        except OSError:
            return None

    def restore(self) -> None:
        with suppress(OSError), _socket_at(self.path) as ours:
            ours.chmod(stat.S_IMODE(self.found.st_mode))
            os.chown(ours, self.found.st_uid, self.found.st_gid)


@contextmanager
def _socket_at(path: Path) -> Iterator[Path]:
    """A path that stays the socket's, whatever takes its place in a folder where others write.

    Raises:
        OSError: what is there is no socket; a link to one, or to a key, is none.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), str(path))
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _given_path(port: OpenPort) -> Path | None:
    """The file of a socket that the configuration gives away; one of systemd's is not ours."""
    address, wanted = port.port.getHost(), port.wanted
    ours = wanted.mode is not None and wanted.listen.endpoint.startswith("unix:")
    return Path(os.fsdecode(address.name or b"")) if ours else None


def _give_away(settings: Settings, port: OpenPort) -> None:
    """Let a socket belong to whom the configuration says, and be open to whom it says."""
    path, wanted = _given_path(port), port.wanted
    if path is None or wanted.mode is None:
        return
    try:
        with _socket_at(path) as ours:
            ours.chmod(wanted.mode)
            if wanted.owner is not None:
                user, _, group = wanted.owner.partition(":")
                shutil.chown(ours, user, group or None)
    except (OSError, LookupError) as error:
        reason = f"{path} cannot be given to them: {error}"
        raise ConfigError(
            settings.fault(wanted.listener, "socket_owner", wanted.owner, reason)
        ) from error


def shown_address(address: IAddress) -> str:
    """Where a port is bound: `127.0.0.1:443`, `[::1]:443` or the path of a UNIX socket."""
    match address:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress():
            return os.fsdecode(address.name or b"")
    return str(address)


def _why_not_listening(failure: Failure) -> tuple[str, str]:
    """The reason and the way out, for whoever reads it at night."""
    if failure.check(KeyError, IndexError):
        return "systemd passed no such socket", "start it by its sasgate.socket, or listen on tcp:"
    if isinstance(failure.value, Unfit):
        return str(failure.value), failure.value.remedy
    cause = getattr(failure.value, "socketError", failure.value)
    number = getattr(cause, "errno", None)
    text = os.strerror(number) if number else failure.getErrorMessage()
    return f"cannot be opened: {text}", _WAYS_OUT.get(number or 0, "")


_WAYS_OUT = {
    errno.EADDRINUSE: "another server has it: ss -ltnp tells which",
    errno.EADDRNOTAVAIL: "give interface= an address of this host",
    errno.EACCES: "let the service bind low ports (CAP_NET_BIND_SERVICE)",
    errno.ENOENT: "make its folder first",
}


def with_backlog(endpoint: str) -> str:
    """An endpoint with room for a burst of callers: Twisted's 50 make SYNs wait a second (S47)."""
    if endpoint.partition(":")[0] in {"tcp", "tcp6"} and ":backlog=" not in endpoint:
        return f"{endpoint}:backlog={_BACKLOG}"
    return endpoint


_BACKLOG = 1024


def with_mode(endpoint: str, mode: int) -> str:
    """An endpoint whose socket, if it is a file, has these permissions from its beginning."""
    return f"{endpoint}:mode={mode:o}" if endpoint.startswith("unix:") else endpoint
