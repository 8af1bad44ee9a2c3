"""The first flight of a TLS client."""

import ssl

from calling import pem_context
from sasgate.lab.pki import Lab


def hello(lab: Lab) -> bytes:
    """A whole ClientHello."""
    outgoing = ssl.MemoryBIO()
    calling = pem_context(lab, None).wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="localhost"
    )
    try:
        calling.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a server")
