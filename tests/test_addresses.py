"""Peer addresses and the filter (S44)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sasgate.addresses import allowed, fold, parse_peer


SAS = (ip_network("51.91.149.173/32"), ip_network("2001:db8:1::/48"))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_folded(address: IPv4Address) -> None:
    assert fold(IPv6Address(f"::ffff:{address}")) == address


@pytest.mark.parametrize("text", ["51.91.149.173", "2001:db8:1::7", "::1", "::51.91.149.173"])
def test_any_other_address_stays_as_it_is(text: str) -> None:
    """An IPv4-compatible address (`::a.b.c.d`) is no mapped one."""
    assert fold(ip_address(text)) == ip_address(text)


def test_a_peer_is_folded_as_it_is_parsed() -> None:
    """S44."""
    assert parse_peer("::ffff:51.91.149.173") == IPv4Address("51.91.149.173")


def test_a_link_local_peer_with_its_zone_is_parsed() -> None:
    assert parse_peer("fe80::1%eth0") == IPv6Address("fe80::1%eth0")


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "localhost",
        "51.91.149.173 ",
        "051.91.149.173",
        "51.91.149",
        "0x33.91.149.173",
        "860591533",
        "51.91.149.173/32",
        "[::1]",
        "/run/sasgate.sock",
        "51.91.149.173\x00",
    ],
)
def test_anything_else_is_no_peer(host: str) -> None:
    assert parse_peer(host) is None


@given(st.text())
def test_no_text_makes_the_parser_raise(host: str) -> None:
    parse_peer(host)


@pytest.mark.parametrize(
    "text",
    ["51.91.149.172", "51.91.149.174", "::51.91.149.173", "2001:db8:2::1", "::ffff:51.91.149.172"],
)
def test_an_address_outside_every_network_is_refused(text: str) -> None:
    """S44."""
    assert not allowed(ip_address(text), SAS)


@pytest.mark.parametrize("text", ["51.91.149.173", "::ffff:51.91.149.173", "2001:db8:1::7"])
def test_an_address_inside_a_network_is_allowed(text: str) -> None:
    """S44: a dual-stack socket's spelling makes no difference."""
    assert allowed(ip_address(text), SAS)


def test_an_empty_list_allows_nobody() -> None:
    assert not allowed(ip_address("51.91.149.173"), ())


def test_the_filter_switched_off_allows_any_address() -> None:
    assert allowed(ip_address("203.0.113.9"), None)


@pytest.mark.parametrize("networks", [SAS, (), None])
def test_a_missing_address_is_never_allowed(networks: tuple | None) -> None:
    """S44: LOCAL and UNKNOWN of the PROXY protocol are not taken for an allowed address."""
    assert not allowed(None, networks)
