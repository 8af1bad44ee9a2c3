"""Bytes that leave in the turn of the reactor in which they are written.

Twisted keeps what is written until the socket is next found writable: two calls of epoll_ctl and
one more turn for each write, about 30 µs of CPU. A socket that nothing waits for mostly takes
everything at once.
"""

from typing import Any

from twisted.internet.tcp import Connection


def send(transport: Any, data: bytes) -> bool:
    """Write to a transport: what the kernel takes leaves now, Twisted keeps the rest.

    A broken connection is found by the reactor, never from within this call; what is written to
    one that was aborted is dropped. Whether nothing waits now, as far as is known.
    """
    if not isinstance(transport, Connection):
        transport.write(data)
        return False
    if transport._aborting:  # noqa: SLF001  there is no other way to know
        return False
    if _keeps(transport):
        transport.write(data)
        return False
    sent = transport.writeSomeData(data)
    if isinstance(sent, Exception):
        transport.write(data)  # the reactor's own attempt fails too, and ends the connection
        return False
    if sent < len(data):
        transport.write(data[sent:])
    return sent == len(data)


def _keeps(transport: Connection) -> bool:
    """Whether what is written has to go by Twisted's buffer.

    Bytes wait there already, nobody is there any more, TLS of Twisted's is to come in between, or a
    producer that is pulled is asked for more whenever the buffer is empty again.
    """
    return bool(
        transport.dataBuffer
        or transport._tempDataBuffer  # noqa: SLF001  there is no other way to know
        or not transport.connected
        or transport.TLS
        or (transport.producer is not None and not transport.streamingProducer)
    )
