"""Endpoint strings: what Twisted will listen on is what was checked."""

from ipaddress import ip_address
from os.path import normpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import endpoints
from twisted.internet.testing import MemoryReactor

from sasgate.config.endpoints import Endpoint, endpoint_from
from sasgate.config.values import Rejected


HERE = Path("/etc/sasgate")
convert = endpoint_from(HERE)


def refusal(text: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        convert(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp:443", "tcp:443"),
        ("tcp:port=443", "tcp:443"),
        ("tcp:443:interface=127.0.0.1", "tcp:443:interface=127.0.0.1"),
        (r"tcp:443:interface=\:\:1:backlog=9", r"tcp:443:interface=\:\:1:backlog=9"),
        ("unix:/run/in.sock", "unix:/run/in.sock"),
        ("unix:in.sock:mode=660", "unix:/etc/sasgate/in.sock:mode=660"),
        (r"unix:/run/a\:b=c", "unix:address=/run/a\\:b=c"),
        ("unix:address=/run/in.sock:lockfile=0", "unix:/run/in.sock:lockfile=0"),
        ("systemd:domain=INET:name=https", "systemd:domain=INET:name=https"),
        ("systemd:domain=INET6:index=0", "systemd:domain=INET6:index=0"),
    ],
)
def test_endpoint_is_in_twisteds_syntax(text: str, expected: str) -> None:
    if "=c" in text:
        text = text.replace("unix:", "unix:address=")
    assert convert(text).text == expected


def test_haproxy_is_taken_off() -> None:
    endpoint = convert("haproxy:tcp:443")
    assert (endpoint.text, endpoint.proxied) == ("tcp:443", True)


@pytest.mark.parametrize(
    ("text", "local", "addressed"),
    [
        ("tcp:1", False, True),
        ("tcp:1:interface=0.0.0.0", False, True),
        (r"tcp:1:interface=\:\:", False, True),
        ("tcp:1:interface=192.0.2.1", False, True),
        ("tcp:1:interface=127.0.0.1", True, True),
        ("tcp:1:interface=127.1.2.3", True, True),
        ("tcp:1:interface=localhost", True, True),
        (r"tcp:1:interface=\:\:1", True, True),
        ("unix:/x", True, False),
        ("systemd:domain=UNIX:name=x", True, False),
        ("systemd:domain=INET:name=x", False, True),
        ("systemd:domain=INET6:name=x", False, True),
    ],
)
def test_who_reaches_it_and_whether_peers_have_addresses(
    text: str, local: bool, addressed: bool
) -> None:
    endpoint = convert(text)
    assert (endpoint.local, endpoint.addressed) == (local, addressed)


@pytest.mark.parametrize("text", ["ssl:443", "tls:/certs:tcp:443", "haproxy:ssl:443"])
def test_endpoints_with_tls_of_their_own_are_refused_with_the_reason(text: str) -> None:
    error = refusal(text)
    assert "TLS of its own" in error.reason
    assert "tcp:" in error.remedy


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "443", "tcp", "tcp:", "tcp:x", "tcp:-1", "tcp:65536", "tcp:４４３", "tcp:+443",
        "tcp:1:2", "tcp:1:interface=", "tcp:1:interface=eth0", "tcp:1:interface=::1",
        "tcp:1:interface=host.example", "tcp:1:port=2", "tcp:1:backlog=0", "tcp:1:backlog=x",
        "tcp:1:reuse=1", "tcp:1:", r"tcp:1\x", "TCP:443", "tcp6:443", "stdio:", "fd:3",
        "unix:", "unix:address=", "unix:/x:mode=999", "unix:/x:lockfile=yes", "unix:/a=b",
        "unix:/" + "x" * 107, "systemd:", "systemd:domain=INET", "systemd:domain=INET:name=",
        "systemd:domain=IPX:name=a", "systemd:domain=INET:name=a:index=0", "systemd:INET:name=a:x",
        "systemd:domain=INET:index=first", "haproxy:", "haproxy:haproxy:tcp:1",
        "haproxy:unix:/x", "haproxy:systemd:domain=UNIX:name=a",
    ],
)  # fmt: skip
def test_no_endpoint(text: str) -> None:
    assert refusal(text).reason


def test_unescaped_ipv6_is_told_how_to_be_written() -> None:
    assert r"\:" in refusal("tcp:1:interface=::1").remedy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:443", "tcp:443"),
        ("tcp:443", "haproxy:tcp:443"),
        ("tcp:443", "tcp:0443"),
        ("tcp:443", "tcp:443:interface=127.0.0.1"),
        ("tcp:443:interface=localhost", "tcp:443:interface=127.0.0.1"),
        (r"tcp:443:interface=\:\:", r"tcp:443:interface=\:\:1"),
        (r"tcp:443:interface=\:\:1", r"tcp:443:interface=0\:0\:0\:0\:0\:0\:0\:1"),
        ("unix:a.sock", "unix:/etc/sasgate/a.sock"),
        ("unix:a.sock", "unix:./x/../a.sock"),
        ("systemd:domain=INET:name=a", "systemd:domain=INET6:name=a"),
    ],
)
def test_endpoints_that_exclude_each_other(one: str, other: str) -> None:
    assert convert(one).overlaps(convert(other))
    assert convert(other).overlaps(convert(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:443", "tcp:444"),
        ("tcp:0", "tcp:0"),
        ("tcp:443:interface=127.0.0.1", "tcp:443:interface=127.0.0.2"),
        ("tcp:443:interface=127.0.0.1", r"tcp:443:interface=\:\:1"),
        ("unix:a", "unix:b"),
        ("systemd:domain=INET:name=a", "systemd:domain=INET:name=b"),
        ("tcp:443", "systemd:domain=INET:name=443"),
    ],
)
def test_endpoints_beside_each_other(one: str, other: str) -> None:
    assert not convert(one).overlaps(convert(other))


def made_by_twisted(endpoint: Endpoint) -> tuple[str, ...]:
    reactor = MemoryReactor()
    listening = endpoints.serverFromString(reactor, endpoint.text)
    listening.listen(None)
    if endpoint.kind == "tcp":
        ((port, _, _, interface),) = reactor.tcpServers
        address = {"": "0.0.0.0", "localhost": "127.0.0.1"}.get(interface, interface)
        return (str(ip_address(address)), str(port))
    return (normpath(reactor.unixServers[0][0]),)


PARTS = st.sampled_from(
    ["tcp:", "unix:", "443", "0", "65535", ":interface=", "127.0.0.1", "localhost", r"\:\:1",
     ":backlog=", "7", "/run/x", "a.sock", ":mode=", "660", ":lockfile=", "1", r"\:", "=", "port=",
     "address=", "\\\\", "é"]
)  # fmt: skip


@given(st.lists(PARTS, min_size=2, max_size=7).map("".join))
def test_twisted_listens_where_the_check_believes(text: str) -> None:
    """Whatever passes means to Twisted what it means here."""
    try:
        endpoint = convert(text)
    except Rejected:
        return
    assert made_by_twisted(endpoint) == endpoint.place
