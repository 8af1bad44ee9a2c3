"""A TLS 1.3 client that changes keys as often as it likes, which pyOpenSSL knows nothing of."""

import ctypes
from typing import Any

import pytest


_SET_MEM_EOF_RETURN = 130
_VERIFY_NONE = 0
_REQUESTED = 1


class KeyUpdater:
    """The system's own OpenSSL over memory; it verifies nobody."""

    def __init__(self) -> None:
        try:
            self._ssl, self._crypto = ctypes.CDLL("libssl.so.3"), ctypes.CDLL("libcrypto.so.3")
        except OSError as error:
            pytest.skip(f"the system has no OpenSSL 3 library: {error}")
        context = self._new(self._ssl.SSL_CTX_new, self._new(self._ssl.TLS_client_method))
        self._ssl.SSL_CTX_set_verify(context, _VERIFY_NONE, None)
        self._connection = self._new(self._ssl.SSL_new, context)
        self._into, self._out_of = self._memory(), self._memory()
        self._ssl.SSL_set_bio(self._connection, self._into, self._out_of)
        self._ssl.SSL_set_connect_state(self._connection)
        self._buffer = ctypes.create_string_buffer(1 << 16)

    @staticmethod
    def _new(make: Any, *given: ctypes.c_void_p) -> ctypes.c_void_p:
        make.restype = ctypes.c_void_p
        return ctypes.c_void_p(make(*given))

    def _memory(self) -> ctypes.c_void_p:
        bio = self._new(self._crypto.BIO_new, self._new(self._crypto.BIO_s_mem))
        self._crypto.BIO_ctrl(bio, _SET_MEM_EOF_RETURN, ctypes.c_long(-1), None)
        return bio

    def shake(self) -> bool:
        """Go on with the handshake; whether it is over."""
        return bool(self._ssl.SSL_do_handshake(self._connection) == 1)

    def change_keys(self, times: int) -> None:
        """Change them, and want the other side to do so too."""
        for _ in range(times):
            assert self._ssl.SSL_key_update(self._connection, _REQUESTED) == 1
            assert self.shake()

    def sent(self) -> bytes:
        """What is to be carried to the other side."""
        pieces = []
        while (count := self._crypto.BIO_read(self._out_of, self._buffer, 1 << 16)) > 0:
            pieces.append(self._buffer.raw[:count])
        return b"".join(pieces)

    def receive(self, data: bytes) -> bytes:
        """Take what the other side sent; what it says."""
        self._crypto.BIO_write(self._into, data, len(data))
        count = self._ssl.SSL_read(self._connection, self._buffer, 1 << 16)
        return self._buffer.raw[: max(count, 0)]
