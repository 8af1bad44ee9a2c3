"""Twisted's endpoint strings, as far as a listener may use them; nothing is opened or resolved.

Only spellings that mean one thing are taken, so that what is checked here (loopback or not, peers
with addresses or not) is what Twisted will listen on.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from os.path import normpath
from pathlib import Path

from attrs import frozen
from twisted.internet.endpoints import quoteStringArgument

from sasgate.config.values import Rejected, is_address, is_loopback


_NUMBER = re.compile(r"[0-9]{1,5}")
_SOCKET_MODE = re.compile(r"0?[0-7]{3}")
# Linux, unix(7): sun_path has 108 bytes with its final NUL.
_LONGEST_SOCKET_PATH = 107
_EVERYWHERE = "0.0.0.0"  # noqa: S104
# The arguments of each kind; a first one without `key=` stands for the first of the list.
_ARGUMENTS = {
    "tcp": ("port", "interface", "backlog"),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "systemd": ("domain", "name", "index"),
}


@frozen
class Endpoint:
    """One listening endpoint; `text` is Twisted's syntax, `haproxy:` taken off into `proxied`.

    `place` is the address and port, the path or the descriptor; `local`: only this machine
    reaches it; `addressed`: its peers have IP addresses; `has_mode`: it says its file's mode.
    """

    text: str
    proxied: bool
    kind: str
    place: tuple[str, ...]
    local: bool
    addressed: bool
    has_mode: bool = False

    def overlaps(self, other: "Endpoint") -> bool:
        """Whether one of the two could not be listened on beside the other."""
        if self.kind != other.kind:
            return False
        if self.kind != "tcp":
            return self.place == other.place
        interfaces = {self.place[0], other.place[0]}
        ports = {self.place[1], other.place[1]}
        return len(ports) == 1 and ports != {"0"} and (len(interfaces) == 1 or _wide(interfaces))


def endpoint_from(folder: Path) -> Callable[[str], Endpoint]:
    """A converter to an endpoint; a relative `unix:` path starts at `folder`."""

    def convert(text: str) -> Endpoint:
        proxied = text.startswith("haproxy:")
        kind, _, rest = text.removeprefix("haproxy:").partition(":")
        if kind in {"ssl", "tls"}:
            raise Rejected(
                f"{kind}: brings TLS of its own, which asks no client for a certificate",
                "write tcp:, TLS is put on it",
            )
        if kind not in _ARGUMENTS:
            raise Rejected("is no endpoint", "write for example tcp:443 or unix:/run/sasgate.sock")
        arguments = _arguments(kind, rest)
        if kind == "tcp":
            endpoint = _tcp(arguments, proxied)
        elif kind == "unix":
            endpoint = _unix(arguments, proxied, folder)
        else:
            endpoint = _systemd(arguments, proxied)
        if proxied and not endpoint.addressed:
            raise Rejected(
                "haproxy: needs peers with addresses, to know who may send a PROXY header",
                "write haproxy:tcp:",
            )
        return endpoint

    return convert


def _tcp(arguments: Mapping[str, str], proxied: bool) -> Endpoint:
    port = arguments.get("port", "")
    if not _NUMBER.fullmatch(port) or int(port) > 65535:
        raise Rejected("names no port from 0 to 65535", "write for example tcp:443")
    interface = arguments.get("interface", _EVERYWHERE)
    if not is_address(interface) and interface != "localhost":
        raise Rejected("interface is no IP address", r"write interface=127.0.0.1 or interface=\:\:")
    _check_backlog(arguments)
    address = ip_address("127.0.0.1" if interface == "localhost" else interface)
    return Endpoint(
        text=_joined("tcp", arguments),
        proxied=proxied,
        kind="tcp",
        place=(str(address), str(int(port))),
        local=is_loopback(interface),
        addressed=True,
    )


def _unix(arguments: Mapping[str, str], proxied: bool, folder: Path) -> Endpoint:
    if not arguments.get("address"):
        raise Rejected("names no path", "write for example unix:/run/sasgate/in.sock")
    path = str(folder / arguments["address"])
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise Rejected(f"is a path of more than {_LONGEST_SOCKET_PATH} bytes")
    if not _SOCKET_MODE.fullmatch(arguments.get("mode", "666")):
        raise Rejected("mode is no file mode", "write for example mode=660")
    if arguments.get("lockfile", "1") not in {"0", "1"}:
        raise Rejected("lockfile is neither 0 nor 1")
    _check_backlog(arguments)
    return Endpoint(
        text=_joined("unix", {**arguments, "address": path}),
        proxied=proxied,
        kind="unix",
        place=(normpath(path),),
        local=True,
        addressed=False,
        has_mode="mode" in arguments,
    )


def _systemd(arguments: Mapping[str, str], proxied: bool) -> Endpoint:
    domain = arguments.get("domain")
    if domain not in {"INET", "INET6", "UNIX"}:
        raise Rejected("names no domain", "write for example systemd:domain=INET:name=https")
    named = [key for key in ("name", "index") if key in arguments]
    if len(named) != 1 or not arguments[named[0]]:
        raise Rejected("needs one of name= and index=")
    if named == ["index"] and not _NUMBER.fullmatch(arguments["index"]):
        raise Rejected("index is no number")
    return Endpoint(
        text=_joined("systemd", arguments),
        proxied=proxied,
        kind="systemd",
        place=(named[0], arguments[named[0]]),
        local=domain == "UNIX",
        addressed=domain != "UNIX",
    )


def _arguments(kind: str, text: str) -> dict[str, str]:
    if re.search(r"\\(?!:)", text):
        raise Rejected(r"holds a `\` that is not before a `:`")
    known = _ARGUMENTS[kind]
    arguments: dict[str, str] = {}
    for position, part in enumerate(re.split(r"(?<!\\):", text)):
        key, equals, value = part.partition("=")
        if not equals and position == 0:
            key, value = known[0], part
        if key not in known:
            raise Rejected(
                f"`{part}` is no argument of {kind}:",
                rf"known: {', '.join(known)}; a `:` within a value is written `\:`",
            )
        if key in arguments:
            raise Rejected(f"gives {key} twice")
        arguments[key] = value.replace(r"\:", ":")
    return arguments


def _joined(kind: str, arguments: Mapping[str, str]) -> str:
    first = _ARGUMENTS[kind][0]
    parts = [
        value if key == first and "=" not in value and kind != "systemd" else f"{key}={value}"
        for key, value in (
            (key, quoteStringArgument(arguments[key]))
            for key in _ARGUMENTS[kind]
            if key in arguments
        )
    ]
    return ":".join([kind, *parts])


def _check_backlog(arguments: Mapping[str, str]) -> None:
    backlog = arguments.get("backlog", "50")
    if not _NUMBER.fullmatch(backlog) or int(backlog) == 0:
        raise Rejected("backlog is no number from 1 to 99999")


def _wide(interfaces: set[str]) -> bool:
    families = {":" in interface for interface in interfaces}
    return len(families) == 1 and bool(interfaces & {_EVERYWHERE, "::"})
