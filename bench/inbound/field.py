"""Who takes part, and on which CPU."""

import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from attrs import field, frozen

from bench.contenders import SASGATE, Contender, How, gateway
from bench.crl.lists import Lists
from bench.peers.everyone import ALL
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


# Connections that are held need a descriptor on both sides; servers take over what is ours.
_DESCRIPTORS = 16384


@frozen
class Cores:
    """The CPU of the contenders, that of the load, and that of the server behind."""

    contender: int
    load: int
    backend: int

    @classmethod
    def chosen(cls, available: Sequence[int]) -> "Cores":
        """A CPU each as long as there are some; the load shares its own with the server behind."""
        first, second, third = (available[min(each, len(available) - 1)] for each in range(3))
        return cls(first, second, third)

    @property
    def shared(self) -> bool:
        """Whether a contender must share its CPU with what is no part of it."""
        return self.contender == self.load


@frozen
class Field:
    """Where it is done: the lab, a folder, the server behind, and the lists, which are empty."""

    lab: Lab
    folder: Path
    backend: int
    cores: Cores
    lists: Lists
    lists_pem: Path
    ending: Ending = field(repr=False)

    def contender(self, name: str, folder: str) -> AbstractContextManager[Contender]:
        """One of them, new, in a folder of its own.

        Raises, once entered:
            NotReady, Stopped: as of `sasgate.lab.processes`.
        """
        where, how = self.folder / folder, How(core=self.cores.contender)
        if name == SASGATE:
            files = (self.lists.root, self.lists.org)
            return gateway(self.lab, files, self.backend, where, self.ending, how=how)
        return ALL[name](self.lab, self.lists_pem, self.backend, where, self.ending, how=how)

    @contextmanager
    def contenders(self, names: Sequence[str]) -> Iterator[Mapping[str, Contender]]:
        """All of them, alive at the same time."""
        with ExitStack() as stack:
            yield {
                name: stack.enter_context(self.contender(name, f"contender-{number}"))
                for number, name in enumerate(names)
            }


def settle_here() -> Cores:
    """Move this process, and what it starts, to the CPU of the load; allow it many descriptors."""
    cores = Cores.chosen(sorted(os.sched_getaffinity(0)))
    os.sched_setaffinity(0, {cores.load})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return cores
