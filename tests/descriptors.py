"""What this process has open, for the tests that all of it is given back."""

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater


def descriptors() -> set[tuple[str, str]]:
    """Number and target of each, but for what reading this opens."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            found.add((each.name, str(each.readlink())))
        except FileNotFoundError:
            continue
    return found


async def given_back(before: set[tuple[str, str]]) -> None:
    """Fails unless all that was opened since is closed soon: a thread closes an index."""
    for _ in range(500):
        if descriptors() <= before:
            return
        await deferLater(reactor, 0.01)
    assert descriptors() - before == set()
