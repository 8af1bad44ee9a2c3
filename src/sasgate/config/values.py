"""One converter for each kind of value; each raises `Rejected` and touches nothing outside."""

import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from sasgate.identity import NamePair, parse_pair
from sasgate.settings import Denial, DeniedFingerprint, DeniedSerial, Network


E = TypeVar("E", bound=Enum)

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|min|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, None: 1}
_SIZE = re.compile(r"(\d{1,15})\s*([KMG]iB|B)?", re.ASCII)
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, None: 1}
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# RFC 3986, 3.3: the characters of a path.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
# RFC 5280, 4.1.2.2: at most 20 octets.
_SERIAL = re.compile(r"[0-9A-Fa-f]{1,40}")
_MODE = re.compile(r"0?[0-7]{3}")
_CREDENTIALS = "$CREDENTIALS_DIRECTORY"
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?")


class Rejected(Exception):
    """A value that cannot be taken, and the way out where one is known."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def yes_or_no(text: str) -> bool:
    """`yes` or `no`, and no other spelling."""
    if text not in {"yes", "no"}:
        raise Rejected("is neither yes nor no")
    return text == "yes"


def duration(low: float, high: float) -> Callable[[str], float]:
    """A converter to seconds, from texts such as `30m`, `4h`, `10 s` or a plain number."""

    def convert(text: str) -> float:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise Rejected("is no duration", "write for example 10 s, 30m or 24h")
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not low <= seconds <= high:
            raise Rejected(f"is out of bounds: from {low:g} s to {high:g} s can be set")
        return seconds

    return convert


def size(low: int, high: int) -> Callable[[str], int]:
    """A converter to bytes, from texts such as `16 KiB`, `64 MiB` or a plain number."""

    def convert(text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise Rejected("is no size", "write for example 65536, 64 KiB or 64 MiB")
        return _bounded(int(match[1]) * _BYTES[match[2]], low, high, " bytes")

    return convert


def count(low: int, high: int) -> Callable[[str], int]:
    """A converter to a whole number."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise Rejected("is no whole number")
        return _bounded(int(text), low, high, "")

    return convert


def choice(kind: type[E]) -> Callable[[str], E]:
    """A converter to a member of an enumeration, by its value."""
    return one_of({str(member.value): member for member in kind})


Choice = TypeVar("Choice")


def one_of(choices: Mapping[str, Choice]) -> Callable[[str], Choice]:
    """A converter that knows only the words of `choices`."""

    def convert(text: str) -> Choice:
        if text not in choices:
            raise Rejected(f"is none of: {', '.join(choices)}")
        return choices[text]

    return convert


def path_from(folder: Path) -> Callable[[str], Path]:
    """A converter to an absolute path; a relative one starts at `folder`.

    One below `$CREDENTIALS_DIRECTORY` starts where systemd's LoadCredential= puts its copies.
    """

    def convert(text: str) -> Path:
        first, *rest = Path(text).parts or ("",)
        if first != _CREDENTIALS:
            return folder / text
        credentials = os.environ.get(_CREDENTIALS.removeprefix("$"), "")
        if not credentials:
            raise Rejected(
                f"{_CREDENTIALS} is not set: systemd sets it, for a unit with LoadCredential=",
                "name the file itself, or start it by that unit",
            )
        return Path(credentials, *rest)

    return convert


def http_url(text: str) -> str:
    """An http or https URL of a list or a responder, kept as written."""
    if urlsplit_checked(text).scheme not in {"http", "https"}:
        raise Rejected("is no http:// or https:// URL")
    return text


def https_url(text: str) -> str:
    """An https URL and nothing else (S52)."""
    parts = urlsplit_checked(text)
    if parts.scheme != "https":
        raise Rejected("is no https:// URL")
    if parts.query:
        raise Rejected("has a query", "give the URL up to the path")
    return text


def server_url(text: str) -> str:
    """SAS's own URL: nothing behind the server, since applications send the whole path."""
    if urlsplit(https_url(text)).path not in {"", "/"}:
        raise Rejected("has a path", "give the server alone: applications send the whole path")
    return text


def list_source(folder: Path) -> Callable[[str], str]:
    """A converter for the sources of lists: a URL, or a file or folder made absolute."""

    def convert(text: str) -> str:
        if "://" not in text:
            return str(folder / text)
        return http_url(text)

    return convert


def host_port(text: str) -> str:
    """`host:port` of a proxy, `http://` before it allowed."""
    parts = urlsplit_checked(text if "://" in text else f"http://{text}")
    if parts.scheme != "http":
        raise Rejected("is no http proxy", "write host:port")
    if parts.path not in {"", "/"} or parts.query or parts.port is None:
        raise Rejected("is not host:port")
    host = parts.hostname or ""
    return f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"


def urlsplit_checked(text: str) -> SplitResult:
    """The parts of a URL with a plain host, a real port, no user and no fragment."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Rejected(f"is no URL: {error}") from None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Rejected("holds a space or a character outside ASCII", "write it as %XX or xn--")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise Rejected("holds a user or a password", "remove it")
    if not parts.hostname or not _plain_host(parts.hostname):
        raise Rejected("names no host that could exist")
    if port == 0 or parts.netloc.endswith(":"):
        raise Rejected("names no port that could be used")
    if "#" in text:
        raise Rejected("holds a fragment (#), which is never sent", "remove it")
    return parts


def is_address(text: str) -> bool:
    """Whether `text` is an IP address, as opposed to a host name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine for sure; no other name than localhost is asked for."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def url_path(text: str) -> str:
    """A path as it stands in a request: matched raw, hence without dot segments or a query."""
    if not text.startswith("/"):
        raise Rejected("does not start with /")
    if not _PATH.fullmatch(text):
        raise Rejected("is not the raw path of a URL", "write other characters as %XX")
    segments = text.split("/")[1:]
    if "" in segments[:-1] or {".", ".."}.intersection(segments):
        raise Rejected("holds an empty segment or a dot segment")
    return text


def path_prefix(text: str) -> str:
    """A raw path without a final slash, but for `/` itself."""
    url_path(text)
    if text != "/" and text.endswith("/"):
        raise Rejected("ends with /", f"write {text.rstrip('/')}, it stands for all below it")
    return text


def network(text: str) -> Network:
    """An address or a network in CIDR notation."""
    try:
        found = ip_network(text)
    except ValueError as error:
        raise Rejected(f"is no address or network: {error}") from None
    if found.prefixlen == 0:
        raise Rejected("stands for every address", "write `any` alone where no filter is meant")
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise Rejected("is an IPv4 address in IPv6 clothes", "write it as IPv4: peers are folded")
    return found


def name_pair(text: str) -> NamePair:
    """The CN and OU of a client, as an RFC 4514 name."""
    try:
        return parse_pair(text)
    except ValueError as error:
        # cryptography says nothing where the syntax of RFC 4514 is at fault.
        reason = str(error) or r"no space around `,` or `=`; `\` before each of ,+;<> in a value"
        raise Rejected(
            f"is no name of a client ({reason})", "write CN=some-client,OU=123456789012345"
        ) from None


def denial(text: str) -> Denial:
    """A SHA-256 fingerprint, or `ISSUER-CN:serial` with the serial in hexadecimal."""
    if _FINGERPRINT.fullmatch(text):
        return DeniedFingerprint(text.replace(":", "").lower())
    issuer_cn, colon, serial = text.rpartition(":")
    # A serial printed as 01:AB:… would otherwise be cut at the wrong colon and deny nobody.
    if not colon or ":" in issuer_cn or not issuer_cn.strip() or not _SERIAL.fullmatch(serial):
        raise Rejected(
            "is neither a SHA-256 fingerprint nor ISSUER-CN:serial",
            "write the issuer's CN, a colon and the serial in hexadecimal without colons; or 64 "
            "hexadecimal digits",
        )
    return DeniedSerial(issuer_cn.strip(), serial.upper().lstrip("0") or "0")


def socket_mode(text: str) -> int:
    """The permissions of a socket file, in octal."""
    if not _MODE.fullmatch(text):
        raise Rejected("is no file mode", "write for example 0660")
    return int(text, 8)


def socket_owner(text: str) -> str:
    """`user` or `user:group`; whether they exist is seen when the socket is made."""
    if not _OWNER.fullmatch(text):
        raise Rejected("is neither `user` nor `user:group`")
    return text


def _bounded(number: int, low: int, high: int, unit: str) -> int:
    if not low <= number <= high:
        raise Rejected(f"is out of bounds: from {low} to {high}{unit} can be set")
    return number


def _plain_host(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    if ":" in host or labels[-1].isdigit():
        return "%" not in host and is_address(host)
    return len(host) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels)
