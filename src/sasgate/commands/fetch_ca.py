"""`sasgate fetch-ca`: ANS's CAs into a folder, under ANS's names, and nothing else.

They come by plain HTTP, as ANS publishes them; what vouches for them is the pinned SHA-256.
"""

import tempfile
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import click
from cryptography.hazmat.primitives import serialization

from sasgate import __version__
from sasgate.atomic import replacing
from sasgate.commands.deadline import within
from sasgate.environments import PRESETS, PublishedCA
from sasgate.identity import fingerprint
from sasgate.trust import UnusableFile, read_certificates


# Seconds for one wait on the network, and for a whole download; bytes that a CA may have.
WAIT = 10.0
WHOLE = 30.0
LARGEST = 64 * 1024
_OTHERWISE = "through a proxy: set http_proxy; files from elsewhere: --from DIR"
_SUFFIXES = (".cer", ".crt", ".pem", ".der")


class NotFetched(Exception):
    """A CA that could not be had, or is not the pinned one; says why."""


@click.command("fetch-ca")
@click.option(
    "--environment",
    required=True,
    type=click.Choice(list(PRESETS)),
    help="The environment whose root and issuer are fetched.",
)
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(readable=False, path_type=Path),
    help="The folder to write them to; made where absent.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(readable=False, path_type=Path),
    help="A folder that holds them already (DER or PEM), for hosts without a way out.",
)
def fetch_ca(environment: str, folder: Path, source: Path | None) -> None:
    """Write ANS's CAs of an environment to a folder, if they are the pinned ones.

    Downloads go through the proxy that the variable http_proxy names, if it is set.
    """
    preset = PRESETS[environment]
    cas = (preset.root, preset.issuer)
    try:
        ders = [from_folder(ca, source) if source else from_ans(ca) for ca in cas]
        folder.mkdir(parents=True, exist_ok=True)
        for ca, der in zip(cas, ders, strict=True):
            click.echo(keep(folder / f"{ca.name}.cer", der, ca.sha256))
    except NotFetched as error:
        raise click.ClickException(f"{error}; nothing was written") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or folder}: {error.strerror}") from None


def from_folder(ca: PublishedCA, folder: Path) -> bytes:
    """The DER of a CA that lies in a folder under ANS's name.

    Raises:
        NotFetched: it is not there, or not the pinned one.
    """
    paths = [folder / f"{ca.name}{suffix}" for suffix in _SUFFIXES]
    return _pinned(ca, next((path for path in paths if path.exists()), paths[0]))


def from_ans(ca: PublishedCA, wait: float = WAIT, whole: float = WHOLE) -> bytes:
    """The DER of a CA as downloaded; limits in seconds.

    Raises:
        NotFetched: it could not be downloaded, or is not the pinned one.
    """
    try:
        content = within(whole, lambda: _download(ca.url, wait))
    except HTTPError as error:
        raise NotFetched(f"{ca.url}: HTTP {error.code} {error.reason}") from None
    except URLError as error:
        raise NotFetched(f"{ca.url}: {_plain(error.reason)}; {_OTHERWISE}") from None
    except (OSError, HTTPException) as error:
        raise NotFetched(f"{ca.url}: {_plain(error)}; {_OTHERWISE}") from None
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return _pinned(ca, Path(file.name), ca.url)


def _plain(reason: object) -> str:
    return reason.strerror or str(reason) if isinstance(reason, OSError) else str(reason)


def keep(path: Path, der: bytes, sha256: str) -> str:
    """Write a CA in one step, readable by all; returns what was done."""
    if path.is_file() and path.read_bytes() == der:
        return f"{path} is there already, SHA-256 {sha256}"
    with replacing(path, 0o644) as file:
        file.write(der)
    return f"{path} written, SHA-256 {sha256}"


class _SameHost(HTTPRedirectHandler):
    """Follows a redirect only within the host that was asked (and never to another scheme)."""

    def redirect_request(  # noqa: PLR0917 - urllib's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request that follows, or HTTPError; named by urllib."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            raise HTTPError(req.full_url, code, f"redirects to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, wait: float) -> bytes:
    request = Request(url, headers={"User-Agent": f"sasgate/{__version__}"})  # noqa: S310 - ANS's
    with build_opener(_SameHost).open(request, timeout=wait) as response:
        content: bytes = response.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise NotFetched(f"{url}: more than {LARGEST} bytes, this is no certificate")
    return content


def _pinned(ca: PublishedCA, path: Path, origin: str | None = None) -> bytes:
    """The DER of the one certificate in a file, if it is the pinned one."""
    origin = origin or str(path)
    try:
        certificates = read_certificates(path)
    except UnusableFile as error:
        raise NotFetched(f"{origin}: {error.reason}") from None
    if len(certificates) != 1:
        raise NotFetched(f"{origin}: holds {len(certificates)} certificates instead of one")
    sha256 = fingerprint(certificates[0])
    if sha256 != ca.sha256:
        raise NotFetched(
            f"{origin}: is not ANS's {ca.name}: SHA-256 {sha256} instead of {ca.sha256}"
        )
    return certificates[0].public_bytes(serialization.Encoding.DER)
