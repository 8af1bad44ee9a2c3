"""Programs of Debian's packages: where they are, and which versions."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from attrs import frozen

from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab
from sasgate.lab.processes import NotReady


@frozen
class Program:
    """`version` and `openssl` are each a command's options and a pattern for what it says."""

    name: str
    package: str
    version: tuple[str, str]
    openssl: tuple[str, str] | None = None

    def found(self) -> str | None:
        """Where it is; Debian keeps servers where only root looks."""
        return shutil.which(self.name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")

    def path(self) -> str:
        """Where it is.

        Raises:
            NotReady: nowhere.
        """
        found = self.found()
        if found is None:
            raise NotReady(f"{self.name} is not installed: apt-get install {self.package}")
        return found

    def own_version(self) -> str:
        """Its own."""
        return self._said(*self.version)

    def openssl_version(self) -> str:
        """The one that it runs with, which may be newer than what it was built with."""
        return self._said(*self.openssl) if self.openssl else "unknown"

    def _said(self, option: str, pattern: str) -> str:
        done = subprocess.run(
            (self.path(), option),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        match = re.search(pattern, done.stdout + done.stderr)
        return match[1] if match else "unknown"


def authorities(lab: Lab, folder: Path) -> Path:
    """A file with both CAs of test certificates, as PEM."""
    path = folder / "cas.pem"
    both = (lab.authorities[each].certificate for each in (trees.ORG_TEST, trees.ROOT_TEST))
    path.write_bytes(pem_of(tuple(both)))
    return path
