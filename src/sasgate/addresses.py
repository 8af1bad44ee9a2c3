"""Peer addresses: one form for each, and the filter that they are held against (S44).

An address here is always that of a socket's peer, or one that a listed proxy vouched for; no
header field is ever read for it.
"""

from ipaddress import IPv6Address, ip_address

from sasgate.settings import Address, Network


def fold(address: Address) -> Address:
    """`::ffff:a.b.c.d`, which a dual-stack socket reports, as `a.b.c.d` (RFC 4291, 2.5.5.2)."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_peer(host: str) -> Address | None:
    """The folded address that a transport gives for its peer; None for anything else."""
    try:
        return fold(ip_address(host))
    except ValueError:
        return None


def allowed(address: Address | None, networks: tuple[Network, ...] | None) -> bool:
    """Whether `address` stands in one of `networks`; None switches the filter off.

    An unknown address is never allowed, filter or not, and an empty list allows nobody.
    """
    if address is None:
        return False
    folded = fold(address)
    return networks is None or any(folded in network for network in networks)
