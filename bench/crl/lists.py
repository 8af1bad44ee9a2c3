"""The lists: empty, or with so many serials, and one that every contender must refuse."""

from datetime import timedelta
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.lab import trees
from sasgate.lab.lists import ListTemplate, many_serials, plain_list, sign_list
from sasgate.lab.pki import Lab


REVOKED = "revoked"


@frozen
class Lists:
    """The root's list, always empty, and one of ACI-EL-ORG-TEST with `entries` entries; DER."""

    entries: int
    root: Path
    org: Path

    @classmethod
    def write(cls, lab: Lab, folder: Path, entries: int, number: int = 1) -> "Lists":
        """Where there are entries, the client `REVOKED` is among them."""
        folder.mkdir(parents=True, exist_ok=True)
        lists = cls(entries, folder / "root.crl", folder / "org.crl")
        lists.root.write_bytes(sign_list(lab.authorities[trees.ROOT_TEST], _template(1)))
        lists.replace(org_list(lab, entries, number))
        return lists

    def replace(self, der: bytes) -> None:
        """Put another list in the place of `org`, in one step."""
        new = self.org.with_suffix(".new")
        new.write_bytes(der)
        new.replace(self.org)

    def pem(self, path: Path) -> Path:
        """Both in one file, as nginx wants them."""
        lists = (x509.load_der_x509_crl(each.read_bytes()) for each in (self.root, self.org))
        path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in lists))
        return path


def org_list(lab: Lab, entries: int, number: int) -> bytes:
    """A list of ACI-EL-ORG-TEST; always the same serials for the same number of entries."""
    serials = list(many_serials(entries))
    if serials:
        serials[len(serials) // 2] = lab.clients[REVOKED].certificate.serial_number
    return plain_list(lab.authorities[trees.ORG_TEST], serials, _template(number))


def _template(number: int) -> ListTemplate:
    # Issued a while ago: a later one in the same second must not look older.
    return ListTemplate(number=number, this_update=timedelta(minutes=number - 100))
