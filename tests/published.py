"""A lab that publishes, with its switches in a folder of the test's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import define

from sasgate.lab.pki import Lab
from sasgate.lab.publication import Publication, Served
from sasgate.lab.switchboard import Switchboard


@define(eq=False)
class Wall:
    """A time of day that stands still until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **time: float) -> None:
        self.now += timedelta(**time)


@define(eq=False)
class Desk:
    """Switches, and what is published by them."""

    board: Switchboard
    publication: Publication
    wall: Wall

    @classmethod
    def of(cls, lab: Lab, folder: Path) -> "Desk":
        """One at which lists were published a moment ago."""
        # Answers of the real world's client and of OpenSSL are judged by the real time.
        wall = Wall(datetime.now(UTC))
        board = Switchboard(lab, folder / "publication.json", wall)
        board.open()
        return cls(board, Publication(lab), wall)

    def list(self, ca: str) -> Served:
        return self.publication.list(ca, self.board.read())

    def answer(self, question: bytes) -> Served:
        return self.publication.answer(question, self.board.read(), self.wall())
