"""A lab in a folder: created once, opened by whoever needs its certificates.

- `ca/ACR-EL-TEST.cer`, …: IGC Santé's six CAs, DER, under ANS's names
- `strangers/NAME.cer`: the other CAs, DER
- `authorities/NAME.pem`: key, certificate and chain of every CA
- `clients/NAME.pem`, `clients/NAME.chain.pem`: the catalogue; key and leaf, or with intermediates
- `server.pem`, `server.key`, `public-root.pem`: the gateway's own certificate and its root
- `servers/`: variants of it
- `editor/ACME_TEST.key.crt.ca.pem`, …: the editor's own, each as ANS's one PEM file
- `lab.json`: the mark of a lab; when it was created
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import field, frozen

from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential, pem_of
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.own import EDITORS, SERVERS
from sasgate.lab.profile import BASE_URL, Publication
from sasgate.lab.trees import Authorities, Keys, KeySizes


MARK = "lab.json"
SERVER = "server"


class NotALab(Exception):
    """The folder holds no lab, or one that can't be read; the text says which and what to do."""


@frozen
class Lab:
    """The certificates of a lab and where they are.

    `clients` has the names of the catalogue; `authorities` those of `trees`; `servers` those of
    `own.SERVERS`; `editors` those of `own.EDITORS`. `created` is when it was signed, aware.
    """

    directory: Path
    created: datetime
    authorities: Mapping[str, Authority] = field(repr=False)
    clients: Mapping[str, Credential] = field(repr=False)
    servers: Mapping[str, Credential] = field(repr=False)
    editors: Mapping[str, Credential] = field(repr=False)

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        now: datetime | None = None,
        sizes: KeySizes | None = None,
        base_url: str = BASE_URL,
    ) -> "Lab":
        """Make a lab in `directory` (made where absent), over an older one there.

        `now` (aware, by default the present) is the moment of signing; `base_url` stands before
        the addresses of lists and OCSP in the certificates. Full sizes take about 5 s.

        Raises:
            OSError: something there can't be written.
        """
        now = (now or datetime.now(UTC)).replace(microsecond=0)
        keys = trees.generate_keys(sizes or KeySizes())
        authorities = _authorities(keys, now, base_url)
        lab = cls(
            directory,
            now,
            authorities,
            {each: CATALOGUE[each].credential(authorities, keys, now) for each in CATALOGUE},
            {each: SERVERS[each].credential(authorities, keys, now) for each in SERVERS},
            {each: EDITORS[each].credential(authorities, keys, now) for each in EDITORS},
        )
        _write_lab(lab)
        return lab

    @classmethod
    def open(cls, directory: Path) -> "Lab":
        """The lab that `create` made in `directory`.

        Raises:
            NotALab: there is none, or its files are damaged.
        """
        try:
            mark = json.loads((directory / MARK).read_text("utf-8"))
            return cls(
                directory,
                datetime.fromisoformat(mark["created"]),
                _read_authorities(directory, mark),
                {
                    each: Credential.read(_client(directory, each, "chain.pem"))
                    for each in CATALOGUE
                },
                {each: Credential.read(*_server(directory, each)) for each in SERVERS},
                {each: Credential.read(_editor(directory, each)) for each in EDITORS},
            )
        except FileNotFoundError as error:
            missing = Path(error.filename)
            what = "no lab" if missing == directory / MARK else f"a lab without {missing}"
            force = "" if missing == directory / MARK else "--force "
            raise NotALab(
                f"{directory}: {what}; make one with `sasgate lab init {force}{directory}`"
            ) from error
        except (OSError, ValueError, KeyError) as error:
            raise NotALab(
                f"{directory}: no lab, or a damaged one ({error}); "
                f"make one with `sasgate lab init --force {directory}`"
            ) from error

    def path_of(self, client: str, *, chain: bool = False) -> Path:
        """The PEM file of one client: key and leaf, which is what SAS sends, or with the chain."""
        return _client(self.directory, client, "chain.pem" if chain else "pem")

    def ca_path(self, authority: str) -> Path:
        """The DER file of a CA."""
        return _ca(self.directory, authority)

    def server_paths(self, server: str = SERVER) -> tuple[Path, Path]:
        """Certificate (with its intermediate) and key files of one of `servers`."""
        return _server(self.directory, server)

    def editor_path(self, editor: str) -> Path:
        """ANS's one PEM file of one of `editors`: key, certificate, ACI-EL-ORG."""
        return _editor(self.directory, editor)

    @property
    def public_root(self) -> Path:
        """The root that the platform knows the gateway's own certificate by (PEM)."""
        return self.directory / "public-root.pem"


def _authorities(keys: Keys, now: datetime, base: str) -> Authorities:
    genuine = {
        **trees.igc_tree(keys, now, base, test=True),
        **trees.igc_tree(keys, now, base, test=False),
    }
    return {**genuine, **trees.strangers(keys, now, genuine), **trees.public_tree(keys, now)}


def _write_lab(lab: Lab) -> None:
    directory = lab.directory
    for each, authority in lab.authorities.items():
        _write(_authority(directory, each), authority.credential.pem(chain=True), secret=True)
        _write(lab.ca_path(each), authority.der)
    for each, client in lab.clients.items():
        _write(lab.path_of(each), client.pem(), secret=True)
        _write(lab.path_of(each, chain=True), client.pem(chain=True), secret=True)
    for each, server in lab.servers.items():
        certificate, key = lab.server_paths(each)
        _write(certificate, pem_of((server.certificate, *server.chain)))
        _write(key, server.key_pem(), secret=True)
    for each, editor in lab.editors.items():
        _write(lab.editor_path(each), editor.pem(chain=True), secret=True)
    _write(lab.public_root, pem_of((lab.authorities[trees.PUBLIC_ROOT].certificate,)))
    _write(directory / MARK, json.dumps(_mark(lab), indent=2).encode() + b"\n")


def _mark(lab: Lab) -> dict[str, object]:
    published = {
        each: [authority.publication.base, authority.publication.ca]
        for each, authority in lab.authorities.items()
        if authority.publication is not None
    }
    return {
        "created": lab.created.isoformat(),
        "authorities": list(lab.authorities),
        "published": published,
    }


def _read_authorities(directory: Path, mark: Any) -> Authorities:
    published = {each: Publication(*where) for each, where in mark["published"].items()}
    return {
        each: Authority(each, Credential.read(_authority(directory, each)), published.get(each))
        for each in mark["authorities"]
    }


def _ca(directory: Path, authority: str) -> Path:
    folder = "ca" if authority in trees.IGC else "strangers"
    return directory / folder / f"{authority}.cer"


def _authority(directory: Path, authority: str) -> Path:
    return directory / "authorities" / f"{authority}.pem"


def _client(directory: Path, client: str, suffix: str) -> Path:
    return directory / "clients" / f"{client}.{suffix}"


def _server(directory: Path, server: str) -> tuple[Path, Path]:
    folder = directory if server == SERVER else directory / "servers"
    return folder / f"{server}.pem", folder / f"{server}.key"


def _editor(directory: Path, editor: str) -> Path:
    return directory / "editor" / f"{editor}.key.crt.ca.pem"


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o600 if secret else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        # An older file keeps its mode through O_CREAT.
        os.fchmod(descriptor, mode)
        file.write(content)
