"""The switches of a lab in their file, where every process looks them up (`publication.json`)."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Unpack

from attrs import Attribute, asdict, evolve, frozen

from sasgate.atomic import replacing
from sasgate.lab import trees
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.pki import Lab
from sasgate.lab.switches import (
    Edition,
    Entry,
    ListMode,
    ListOptions,
    ListSwitch,
    OCSPMode,
    OCSPOptions,
    OCSPSwitch,
    Signer,
    Switches,
)


FILE = "publication.json"


class UnusableSwitches(Exception):
    """The file can't be read, or isn't what was written; the text says so and the way out."""


class NotRevocable(Exception):
    """No list can hold a certificate of this name; the text says why."""


def _present() -> datetime:
    return datetime.now(UTC)


@frozen
class Switchboard:
    """Changes switches, each change in one step, and reads them; `wall` is the aware time of day.

    Every method but `read` raises OSError where the file can't be written, and all of them
    `UnusableSwitches`. A method that changes returns what is in force then.
    """

    lab: Lab
    path: Path
    wall: Callable[[], datetime] = _present

    @classmethod
    def of(cls, lab: Lab, folder: Path | None = None) -> "Switchboard":
        """That of a lab; its file is in `folder`, by default the lab's own."""
        return cls(lab, (folder or lab.directory) / FILE)

    def open(self) -> Switches:
        """Begin to publish, or go on: a list that has run out meanwhile gets a successor."""
        return self._change(Switches.renewed)

    def read(self) -> Switches:
        """The switches now; those of a new lab where there is no file yet."""
        try:
            return _switches(json.loads(self.path.read_text("utf-8")))
        except FileNotFoundError:
            return Switches.first(self.wall())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnusableSwitches(
                f"{self.path}: cannot be used ({type(error).__name__}: {error}); "
                "remove it, and the lab publishes anew"
            ) from error

    def revoke(self, *names: str) -> Switches:
        """Put clients of the catalogue, or CAs, on the lists of their issuers.

        Raises:
            NotRevocable: for one of them there is no list; then nothing was changed.
        """
        places = {name: self._place(name) for name in names}

        def change(switches: Switches, now: datetime) -> Switches:
            for name, (ca, serial) in places.items():
                switches = switches.revoked(ca, Entry(name, serial, _second(now)), now)
            return switches

        return self._change(change)

    def unrevoke(self, *names: str) -> Switches:
        """Take them off again; raises as `revoke`."""
        places = [self._place(name) for name in names]

        def change(switches: Switches, now: datetime) -> Switches:
            for ca, serial in places:
                switches = switches.unrevoked(ca, serial, now)
            return switches

        return self._change(change)

    def revoke_serial(self, ca: str, serial: int) -> Switches:
        """Put a certificate that isn't in the catalogue on the list of a CA of `trees.IGC`."""
        return self._change(
            lambda switches, now: switches.revoked(ca, Entry("", serial, _second(now)), now)
        )

    def publish(self, *cas: str, **options: Unpack[ListOptions]) -> Switches:
        """A new list of these CAs, of all where none is named."""
        return self._change(
            lambda switches, now: switches.each(
                cas, lambda one: evolve(one, **options).published(now)
            )
        )

    def lists(self, mode: ListMode, *cas: str, **options: Unpack[ListOptions]) -> Switches:
        """Set the lists of these CAs, of all where none is named, see `ListSwitch.turned`."""
        return self._change(
            lambda switches, now: switches.each(cas, lambda one: one.turned(now, mode, **options))
        )

    def ocsp(self, mode: OCSPMode, **options: Unpack[OCSPOptions]) -> Switches:
        """Set the responder; see `OCSPSwitch`."""
        return self._change(
            lambda switches, _: evolve(switches, ocsp=evolve(switches.ocsp, mode=mode, **options))
        )

    def _change(self, change: Callable[[Switches, datetime], Switches]) -> Switches:
        switches = change(self.read(), self.wall())
        self._write(switches)
        return switches

    def _write(self, switches: Switches) -> None:
        text = json.dumps(asdict(switches, value_serializer=_plain), indent=2) + "\n"
        with replacing(self.path, 0o644) as file:
            file.write(text.encode())

    def _place(self, name: str) -> tuple[str, int]:
        """The CA on whose list a certificate would be, and its serial."""
        if name in trees.IGC:
            ca = trees.ROOT_TEST if name.endswith("-TEST") else trees.ROOT
            if ca == name:
                raise NotRevocable(f"{name}: a root is on nobody's list")
            return ca, self.lab.authorities[name].certificate.serial_number
        if name not in CATALOGUE:
            raise NotRevocable(
                f"{name}: neither a client of {self.lab.directory / 'clients'} "
                f"nor one of {', '.join(trees.IGC)}"
            )
        issuer = CATALOGUE[name].issuer
        if issuer is None or issuer not in trees.IGC:
            raise NotRevocable(f"{name}: whoever issued it ({issuer or 'itself'}) has no list")
        return issuer, self.lab.clients[name].certificate.serial_number


def _second(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(microsecond=0)


def _plain(_: Any, attribute: "Attribute[Any] | None", value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if attribute is not None and attribute.name == "serial":
        return f"{value:X}"
    return value


def _switches(document: Mapping[str, Any]) -> Switches:
    ocsp = document["ocsp"]
    return Switches(
        {ca: _list_switch(document["lists"][ca]) for ca in trees.IGC},
        OCSPSwitch(
            OCSPMode(ocsp["mode"]),
            float(ocsp["validity"]),
            float(ocsp["late"]),
            Signer(ocsp["signer"]),
            bool(ocsp["nonce"]),
        ),
    )


def _list_switch(document: Mapping[str, Any]) -> ListSwitch:
    previous = document["previous"]
    return ListSwitch(
        _edition(document["edition"]),
        None if previous is None else _edition(previous),
        ListMode(document["mode"]),
        float(document["validity"]),
        float(document["late"]),
        int(document["filler"]),
    )


def _edition(document: Mapping[str, Any]) -> Edition:
    return Edition(
        int(document["number"]),
        _instant(document["this_update"]),
        _instant(document["next_update"]),
        tuple(
            Entry(str(each["name"]), int(each["serial"], 16), _instant(each["when"]))
            for each in document["revoked"]
        ),
        int(document["filler"]),
    )


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return instant
