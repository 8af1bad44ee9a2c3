"""Live connections by the certificate that each rests on, to be cut when that is revoked (S15)."""

from collections.abc import Iterator
from typing import Protocol

from sasgate.revocation.chain import Chain
from sasgate.revocation.lists import Subject


class Live(Protocol):
    """A connection whose client was found to be one of ours."""

    def cut(self, reason: str) -> None:
        """End it now, whatever is under way: its certificate was revoked."""

    def review(self) -> None:
        """Judge it anew, by rules that have changed."""


class Registry:
    """Which connections rest on which chain; leaves are told apart by issuer and serial."""

    def __init__(self) -> None:
        self._chains: dict[Subject, Chain] = {}
        self._connections: dict[Subject, dict[Live, None]] = {}

    def enter(self, chain: Chain, connection: Live) -> None:
        """Take note of a connection, once or more."""
        self._chains[chain.leaf] = chain
        self._connections.setdefault(chain.leaf, {})[connection] = None

    def leave(self, chain: Chain, connection: Live) -> None:
        """Forget a connection that has ended."""
        held = self._connections.get(chain.leaf, {})
        held.pop(connection, None)
        if not held:
            self._connections.pop(chain.leaf, None)
            self._chains.pop(chain.leaf, None)

    @property
    def chains(self) -> tuple[Chain, ...]:
        """Every chain that a connection rests on, once."""
        return tuple(self._chains.values())

    def resting_on(self, leaf: Subject) -> tuple[Live, ...]:
        """The connections of one certificate."""
        return tuple(self._connections.get(leaf, ()))

    def __iter__(self) -> Iterator[Live]:
        return iter([each for held in self._connections.values() for each in held])

    def __len__(self) -> int:
        return sum(map(len, self._connections.values()))
