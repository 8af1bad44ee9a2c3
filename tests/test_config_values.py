"""Single values: what each kind takes, and what it refuses."""

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sasgate.config import values
from sasgate.config.backends import backend_from
from sasgate.config.endpoints import endpoint_from
from sasgate.config.values import Rejected
from sasgate.identity import NamePair
from sasgate.settings import DeniedSerial, LogFormat


HERE = Path("/etc/sasgate")
seconds = values.duration(0.05, 86400)
octets = values.size(1, 64 * 1024**2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 10), ("10 s", 10), ("10s", 10), ("30m", 1800), ("30 min", 1800), ("4h", 14400),
        ("24h", 86400), ("1d", 86400), ("500ms", 0.5), ("6.5", 6.5), ("0.05", 0.05),
    ],
)  # fmt: skip
def test_duration(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["0", "0s", "-1", "+1", "1e3", "inf", "nan", "10 parsecs", "s", "1 h 30 m", "25h", "49ms",
     "10S", "１０", "1,5", "", "1_0", "999999999999d"],
)  # fmt: skip
def test_no_duration(text: str) -> None:
    with pytest.raises(Rejected):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("65536", 65536), ("16 KiB", 16384), ("64 MiB", 67108864), ("64MiB", 67108864), ("7 B", 7)],
)
def test_size(text: str, expected: int) -> None:
    assert octets(text) == expected


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5 KiB", "64 MB", "64k", "65 MiB", "KiB", "", "0x10", "9999999999999999"]
)
def test_no_size(text: str) -> None:
    with pytest.raises(Rejected):
        octets(text)


@pytest.mark.parametrize("text", ["0", "101", "-1", "+1", "1.0", "ten", "٣", ""])
def test_no_count(text: str) -> None:
    with pytest.raises(Rejected):
        values.count(1, 100)(text)


@pytest.mark.parametrize("text", ["true", "1", "Yes", "on", ""])
def test_nothing_but_yes_and_no_is_a_decision(text: str) -> None:
    with pytest.raises(Rejected):
        values.yes_or_no(text)


def test_choice_lists_what_there_is() -> None:
    assert values.choice(LogFormat)("json") is LogFormat.JSON
    with pytest.raises(Rejected, match="text, json"):
        values.choice(LogFormat)("xml")


@pytest.mark.parametrize(
    ("text", "expected"), [("a.pem", "/etc/sasgate/a.pem"), ("/srv/a b.pem", "/srv/a b.pem")]
)
def test_path(text: str, expected: str) -> None:
    assert values.path_from(HERE)(text) == Path(expected)


@pytest.mark.parametrize("text", ["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32"])
def test_network(text: str) -> None:
    assert values.network(text) == ip_network(text)


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1/24", "0.0.0.0/0", "::/0", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "host",
     "192.0.2", "192.0.2.01", "fe80::1%eth0/64", "192.0.2.1,192.0.2.2", ""],
)  # fmt: skip
def test_no_network(text: str) -> None:
    with pytest.raises(Rejected):
        values.network(text)


@pytest.mark.parametrize(
    ("text", "cn", "ou"),
    [
        ("CN=sas-agregateur-recette,OU=499700234190004", "sas-agregateur-recette",
         "499700234190004"),
        ("OU=1,CN=a client with spaces", "a client with spaces", "1"),
        (r"CN=a\;b,OU=1", "a;b", "1"),
        (r"CN=a\,b,OU=1", "a,b", "1"),
        ("CN=é=b,OU=1", "é=b", "1"),
    ],
)  # fmt: skip
def test_name_pair(text: str, cn: str, ou: str) -> None:
    assert values.name_pair(text) == NamePair(cn, ou)


@pytest.mark.parametrize(
    "text",
    ["CN=a", "OU=1", "CN=a,OU=1,OU=2", "CN=a,CN=b,OU=1", "CN=a,OU=1,O=x", "CN=a;OU=1", "CN=a,,OU=1",
     "CN=,OU=1", "a,1", "", "/CN=a/OU=1"],
)  # fmt: skip
def test_no_name_pair(text: str) -> None:
    """S6, S8: exactly one CN and one OU are compared, and nothing else seems to be."""
    with pytest.raises(Rejected):
        values.name_pair(text)


@pytest.mark.parametrize(
    ("text", "issuer", "serial"),
    [
        ("AC TEST:0A", "AC TEST", "A"),
        ("AC TEST: ab".replace(" a", "a"), "AC TEST", "AB"),
        ("x:0", "x", "0"),
        ("x:" + "f" * 40, "x", "F" * 40),
    ],
)
def test_denied_serial(text: str, issuer: str, serial: str) -> None:
    assert values.denial(text) == DeniedSerial(issuer, serial)


@pytest.mark.parametrize(
    "text",
    ["ab" * 31, "ab" * 33, ":".join(["ab"] * 31), "AC TEST", "AC TEST:", ":AB", " :AB", "AC:0xAB",
     "AC TEST:01:AB:02", "AC TEST:-1", "AC TEST:" + "f" * 41, "AC TEST:10 20", ""],
)  # fmt: skip
def test_no_denial(text: str) -> None:
    """A denial that could never match is worse than none: it is believed."""
    with pytest.raises(Rejected):
        values.denial(text)


@pytest.mark.parametrize("text", ["http://a.example/x.crl", "https://a.example:444/x?y=1"])
def test_http_url(text: str) -> None:
    assert values.http_url(text) == text


BAD_URLS = [
    "ftp://a.example/", "ldap://a.example/cn=x", "//a.example/", "a.example", "http://", "http:///x",
    "http://u:p@a.example/", "http://@a.example/", "http://a.example:0/", "http://a.example:65536/",
    "http://a.example:x/", "http://a.example:/", "http://[::1/", "http://[zz]/", "http://a..b/",
    "http://-a/", "http://999.1.1.1/", "http://1/", "http://é.example/", "http://a.example/#f",
    "http://a.example/ x", "http://[fe80::1%25eth0]/", "http://a_" + "b" * 64 + "/", "",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_URLS)
@pytest.mark.parametrize(
    "convert",
    [values.http_url, values.https_url, values.host_port, backend_from(HERE, None, unsafe=True)],
)
def test_no_url_for_any_use(text: str, convert: Callable[[str], object]) -> None:
    if text == "a.example" and convert is values.host_port:
        text = "a.example:"
    with pytest.raises(Rejected):
        convert(text)


@pytest.mark.parametrize(
    "text",
    ["http://sas.example/", "https://sas.example/?x=1", "https://sas.example/fhir"],
)
def test_sas_is_called_by_https_and_the_application_says_where(text: str) -> None:
    """S52; a path here would be ignored."""
    with pytest.raises(Rejected):
        values.server_url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proxy.example:3128", "proxy.example:3128"),
        ("http://proxy.example:3128/", "proxy.example:3128"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
    ],
)
def test_host_port(text: str, expected: str) -> None:
    assert values.host_port(text) == expected


@pytest.mark.parametrize(
    "text", ["proxy.example", "https://p:1", "u:p@p:1", "p:1/x", "p:1?x", "socks5://p:1", "p:0"]
)
def test_no_host_port(text: str) -> None:
    with pytest.raises(Rejected):
        values.host_port(text)


@pytest.mark.parametrize("text", ["lists", "lists/", "../a.crl", "/srv/lists"])
def test_list_source_may_be_a_file_or_a_folder(text: str) -> None:
    assert values.list_source(HERE)(text) == str(HERE / text)


def test_ldap_is_no_source_of_lists() -> None:
    with pytest.raises(Rejected):
        values.list_source(HERE)("ldap://annuaire.example/cn=x")


@pytest.mark.parametrize("text", ["/", "/fhir", "/fhir/R4", "/a%2Fb", "/a;v=1", "/a:b@c"])
def test_path_prefix(text: str) -> None:
    assert values.path_prefix(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "fhir", "/fhir/", "//", "//fhir", "/a//b", "/a/../b", "/..", "/./a", "/a?b", "/a#b",
     "/a b", "/é", "/a%", "/a%2", "/a\\b", '/"', "/a%zz"],
)  # fmt: skip
def test_no_path_prefix(text: str) -> None:
    """S43: a prefix is compared with raw bytes, so it must be one that a request can hold."""
    with pytest.raises(Rejected):
        values.path_prefix(text)


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("600", 0o600)])
def test_socket_mode(text: str, mode: int) -> None:
    assert values.socket_mode(text) == mode


@pytest.mark.parametrize("text", ["0o660", "rw-rw----", "888", "66", "04755", "-660"])
def test_no_socket_mode(text: str) -> None:
    with pytest.raises(Rejected):
        values.socket_mode(text)


@pytest.mark.parametrize("text", ["", ":", "app:", ":www", "a:b:c", "a b", "-a", "a" * 33])
def test_no_socket_owner(text: str) -> None:
    with pytest.raises(Rejected):
        values.socket_owner(text)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback(host: str) -> None:
    assert values.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["localhost.example", "LOCALHOST.", "10.0.0.1", "0.0.0.0", "::", "", "127.1", "::ffff:10.0.0.1",
     "ip6-localhost", "128.0.0.1", "2130706433"],
)  # fmt: skip
def test_no_name_is_taken_for_loopback_without_being_it(host: str) -> None:
    assert not values.is_loopback(host)


@given(st.ip_addresses())
def test_every_address_but_a_mapped_one_is_a_network(address: object) -> None:
    text = str(address)
    mapped = getattr(ip_address(text), "ipv4_mapped", None)
    if mapped is None:
        assert values.network(text) == ip_network(text)


ALL = [
    seconds, octets, values.count(1, 9), values.yes_or_no, values.choice(LogFormat),
    values.http_url, values.https_url, values.list_source(HERE), values.host_port, values.url_path,
    values.path_prefix, values.network, values.name_pair, values.denial, values.socket_mode,
    values.socket_owner, endpoint_from(HERE), backend_from(HERE, None, unsafe=False),
]  # fmt: skip
PIECES = st.lists(
    st.sampled_from(
        ["http", "https", "unix", "tcp", "haproxy", "systemd", ":", "://", "/", "@", "[", "]", "=",
         "\\", "127.0.0.1", "::1", "%", "CN", "OU", ",", "#", "+", "1", "é", "interface", "domain"]
    )
).map("".join)  # fmt: skip


@pytest.mark.parametrize("convert", ALL)
@given(text=st.text() | PIECES)
def test_no_text_does_worse_than_be_rejected(convert: Callable[[str], object], text: str) -> None:
    with suppress(Rejected):
        convert(text)
