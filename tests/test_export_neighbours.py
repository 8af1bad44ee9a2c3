"""A real nginx and a real Apache refuse whom the exported lists revoke."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from neighbours import REVOKED, Neighbour, apache, nginx, public_folder
from sasgate.lab import trees
from sasgate.lab.lists import ListTemplate, revoked, sign_list
from sasgate.lab.pki import Lab
from sasgate.revocation.crl import verify_list
from sasgate.revocation.export import Exportable, write_hash_dir, write_pem


__all__ = ["public_folder"]

Start = Callable[[Lab, Path, Path], AbstractContextManager[Neighbour]]
Write = Callable[[Path, list[Exportable]], None]


class Beside:
    """The gateway's side of a neighbour: what it exports, and where to."""

    def __init__(self, lab: Lab, start: Start, write: Write, folder: Path) -> None:
        self._lab = lab
        self._start = start
        self._write = write
        self._folder = folder
        self._number = 0

    def export(self, *clients: str, root: bool = True, validity: int = 6) -> None:
        """The lists of both CAs, or of the issuer alone; it revokes `clients`, for so many days."""
        self._number += 1
        serials = [self._lab.clients[each].certificate.serial_number for each in clients]
        lists = [self._list(trees.ORG_TEST, validity, *serials)]
        if root:
            lists.append(self._list(trees.ROOT_TEST, 45))
        self._write(self._folder / "lists", lists)

    def start(self) -> AbstractContextManager[Neighbour]:
        return self._start(self._lab, self._folder / "lists", self._folder)

    def _list(self, name: str, validity: int, *serials: int) -> Exportable:
        authority, now = self._lab.authorities[name], datetime.now(UTC)
        template = ListTemplate(
            number=self._number,
            this_update=timedelta(days=-10, seconds=self._number),
            next_update=timedelta(days=validity),
            entries=tuple(map(revoked, serials)),
        )
        der = sign_list(authority, template, now=now)
        facts = verify_list(der, [authority.certificate], now).facts
        return Exportable(authority.certificate, facts, der)


@pytest.fixture(params=[(nginx, write_pem), (apache, write_hash_dir)], ids=["nginx", "apache"])
def beside(request: pytest.FixtureRequest, lab: Lab, public_folder: Path) -> Iterator[Beside]:
    start, write = request.param
    return Beside(lab, start, write, public_folder)


def test_a_good_client_passes_and_a_revoked_one_does_not(beside: Beside) -> None:
    beside.export("revoked")
    with beside.start() as neighbour:
        assert neighbour.admits("recette")
        assert neighbour.refuses_as("revoked", REVOKED)


def test_a_client_revoked_later_is_refused_after_a_reload(beside: Beside) -> None:
    beside.export("revoked")
    with beside.start() as neighbour:
        assert neighbour.admits("recette")
        beside.export("revoked", "recette")
        neighbour.reload()
        assert neighbour.refuses_as("recette", REVOKED)
        assert neighbour.refuses_as("revoked", REVOKED)
        assert neighbour.admits("preproduction")


def test_without_the_roots_list_everybody_is_refused(beside: Beside) -> None:
    beside.export("revoked", root=False)
    with beside.start() as neighbour:
        assert neighbour.refuses_as("recette", "unable to get certificate CRL")


def test_an_expired_list_refuses_everybody(beside: Beside) -> None:
    beside.export("revoked", validity=-1)
    with beside.start() as neighbour:
        assert neighbour.refuses_as("recette", "CRL has expired")
