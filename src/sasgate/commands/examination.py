"""Items of one or several files looked at together: which belong together, and what each is for."""

import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from attrs import frozen
from cryptography import x509

from sasgate.commands.description import is_ca
from sasgate.commands.own_certificate import NEAR_THE_END, server_doubts
from sasgate.contents import Contents, FoundKey, Unreadable, Value
from sasgate.fitness import PublishedCAs, Verdict, as_ca, as_client, date_faults
from sasgate.identity import printable_value
from sasgate.list_fitness import as_list
from sasgate.request_fitness import as_request
from sasgate.trust import signed_by


@frozen
class Item:
    """One item and where it stands: `number` counts from 1 over all files."""

    number: int
    value: Value
    path: Path
    contents: Contents


@frozen
class Examination:
    """All that was given, what ANS's CAs are, and when it is (`now`, aware)."""

    items: tuple[Item, ...]
    cas: PublishedCAs
    now: datetime

    def verdicts(self, item: Item) -> tuple[Verdict, ...]:
        """How an item does in each use that it could have."""
        value = item.value
        match value:
            case x509.Certificate() if is_ca(value):
                return (self._judged("CA", lambda: as_ca(value, self.cas, self.now)),)
            case x509.Certificate():
                return (
                    self._judged("client", lambda: as_client(value, self.cas, self.now)),
                    self._judged("server", lambda: self._as_server(value, item.contents)),
                )
            case x509.CertificateSigningRequest():
                return (self._judged("CSR", lambda: as_request(value)),)
            case x509.CertificateRevocationList():
                return (self._judged("list", lambda: as_list(value, self.cas, self.now)),)
            case _:
                return ()

    def partners(self, item: Item) -> tuple[int, ...]:
        """The numbers of the items that a private key, a certificate or a CSR has its key from."""
        mine = _public_key(item.value)
        if mine is None:
            return ()
        return tuple(
            other.number
            for other in self.items
            if isinstance(item.value, FoundKey) != isinstance(other.value, FoundKey)
            and _public_key(other.value) == mine
        )

    def problems(self, item: Item) -> Iterator[str]:
        """What is wrong with an item, whatever it is used for."""
        match item.value:
            case Unreadable():
                yield item.value.reason
            case FoundKey():
                yield from self._key_problems(item, item.value)
            case _:
                verdicts = self.verdicts(item)
                if not any(each.good for each in verdicts) and not self._issued_another(item):
                    uses = " and ".join(each.use for each in verdicts)
                    yield f"cannot be used with SAS as {uses}"
        if isinstance(item.value, x509.Certificate):
            yield from self._order_problems(item, item.value)

    def _key_problems(self, item: Item, found: FoundKey) -> Iterator[str]:
        if found.key is None:
            yield (
                "the gateway starts without anybody who could type its passphrase; take it off: "
                "openssl pkey -in FILE"
            )
        if _open_to_everybody(item.path):
            yield f"every user can read the key (S57); run: chmod o-rwx {item.path}"
        others = [each for each in self.items if not isinstance(each.value, FoundKey | Unreadable)]
        if found.key is not None and others and not self.partners(item):
            yield "is the key of none of the others"

    def _order_problems(self, item: Item, certificate: x509.Certificate) -> Iterator[str]:
        """Where a file holds key, certificate and CA: whether in the order that TLS needs (S55)."""
        held = item.contents
        if not any(isinstance(each, FoundKey) for each in held.items) or is_ca(certificate):
            return
        first, *others = held.certificates
        if certificate is not first:
            yield "it must stand before the CAs in its file"
        elif not others:
            yield "the CA that issued it is missing after it; `sasgate bundle` puts it there"
        elif not signed_by(certificate, others[0]):
            yield "the certificate after it is not of the CA that issued it"

    def _as_server(self, leaf: x509.Certificate, held: Contents) -> Verdict:
        others = [each for each in held.certificates if each is not leaf]
        dates = date_faults(leaf.not_valid_before_utc, leaf.not_valid_after_utc, self.now)
        wrong = (*dates, *map(printable_value, server_doubts([leaf, *others])))
        days = (leaf.not_valid_after_utc - self.now).days
        notes = (f"it ends in {days} days: renew it",) if days < NEAR_THE_END else ()
        return Verdict("server", wrong=wrong, notes=() if wrong else notes)

    def _issued_another(self, item: Item) -> bool:
        """Whether it came along as the CA of another one, as public CAs do."""
        value = item.value
        return isinstance(value, x509.Certificate) and any(
            other.value is not value and signed_by(other.value, value)
            for other in self.items
            if isinstance(other.value, x509.Certificate)
        )

    @staticmethod
    def _judged(use: str, judge: Callable[[], Verdict]) -> Verdict:
        try:
            return judge()
        except Exception as error:  # whatever decoders raise on hostile bytes
            return Verdict(use, wrong=(f"it cannot be decoded: {printable_value(str(error))}",))


def examine(
    files: Sequence[tuple[Path, Contents]], cas: PublishedCAs, now: datetime
) -> Examination:
    """All items of these files, numbered; `now` is aware."""
    values = [(value, path, held) for path, held in files for value in held.items]
    items = (Item(number, *each) for number, each in enumerate(values, 1))
    return Examination(tuple(items), cas, now)


def _open_to_everybody(path: Path) -> bool:
    """S57; a pipe that is gone by now is open to nobody."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO)
    except OSError:
        return False


def _public_key(value: Value) -> object | None:
    """What identifies the key of an item; None for what has none that can be read."""
    try:
        match value:
            case FoundKey(key=key):
                return None if key is None else key.public_key()
            case x509.Certificate() | x509.CertificateSigningRequest():
                return value.public_key()
            case _:
                return None
    except Exception:  # whatever decoders raise on hostile bytes
        return None
