"""OpenSSL as the CA of a lab's clients: it revokes and makes lists, with nothing of ours."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from openssl import program
from sasgate.lab import trees
from sasgate.lab.pki import Lab


_CONFIGURATION = """\
[ca]
default_ca = it
[it]
database = index.txt
crlnumber = number
default_md = sha256
unique_subject = no
crl_extensions = list
[list]
authorityKeyIdentifier = keyid
"""


class OpenSSLCA:
    """`openssl ca` and `openssl crl` with the key of a CA, in a folder of their own."""

    def __init__(
        self, lab: Lab, folder: Path, ca: str = trees.ORG_TEST, number: int = 4096
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lab = lab
        self._pem = lab.directory / "authorities" / f"{ca}.pem"
        (folder / "ca.cnf").write_text(_CONFIGURATION)
        (folder / "index.txt").write_text("")
        (folder / "number").write_text("1000\n")

    def knows(self, clients: Iterable[str]) -> None:
        """Note clients as issued, so that `openssl ocsp` says good of them."""
        lines = [
            f"V\t300101000000Z\t\t{_serial(self._lab, each)}\tunknown\t/CN={each}\n"
            for each in clients
        ]
        with (self.folder / "index.txt").open("a") as index:
            index.writelines(lines)

    def revoke(self, *clients: str) -> None:
        for each in clients:
            self.revoke_file(self._lab.path_of(each))

    def revoke_file(self, pem: Path) -> None:
        self._run("ca", *self._signing(), "-revoke", pem)

    def list(self, *, pem: bool = False, lasts: str = "-crldays=6") -> bytes:
        """The next list; each has the next number."""
        option, _, value = lasts.partition("=")
        self._run("ca", *self._signing(), "-gencrl", option, value, "-out", "list.pem")
        if not pem:
            self._run("crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der")
        return (self.folder / ("list.pem" if pem else "list.der")).read_bytes()

    def _signing(self) -> tuple[object, ...]:
        return "-config", "ca.cnf", "-keyfile", self._pem, "-cert", self._pem

    def _run(self, *arguments: object) -> None:
        command = [program("openssl"), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


def _serial(lab: Lab, client: str) -> str:
    text = f"{lab.clients[client].certificate.serial_number:X}"
    return text.zfill(len(text) + len(text) % 2)
