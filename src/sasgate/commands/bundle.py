"""`sasgate bundle`: the one PEM that is presented to SAS (specification, 4.3.3)."""

import grp
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sasgate.commands.fetch_ca import NotFetched, from_folder
from sasgate.editor_certificate import PRODUCTION_FORM, doubts, unusable
from sasgate.editor_names import editor_of, file_stem
from sasgate.environments import PRESETS, PRODUCTION
from sasgate.identity import Identity, printable_name
from sasgate.new_files import SECRET, SECRET_OF_A_GROUP, NewFile, NotWritten, write_new
from sasgate.settings import CAFile
from sasgate.trust import (
    CA,
    Anchors,
    Credential,
    UnusableFile,
    credential_faults,
    is_key_of,
    load_ca,
    read_certificates,
    read_private_key,
    signed_by,
)


_FILE = click.Path(readable=False, path_type=Path)


class NotMade(Exception):
    """A bundle that SAS would refuse; says why and the way out."""


@click.command()
@click.option("--key", required=True, type=_FILE, help="The private key, PEM or DER.")
@click.option(
    "--certificate", required=True, type=_FILE, help="The certificate for it, DER (.crt) or PEM."
)
@click.option(
    "--environment",
    required=True,
    metavar="NAME",
    help=f"{', '.join(PRESETS)}; or one of your own, with --ca FILE.",
)
@click.option(
    "--ca",
    default="ca",
    type=_FILE,
    metavar="DIR",
    help="The folder of `sasgate fetch-ca`, default `ca`; for an environment of your own, the file "
    "of its issuing CA.",
)
@click.option(
    "--to",
    "folder",
    default=".",
    type=_FILE,
    metavar="DIR",
    help="The folder to write to; default: the current one.",
)
@click.option(
    "--group",
    metavar="NAME",
    help="Let a group read it (mode 0640); without this only its owner can (0600).",
)
def bundle(
    *, key: Path, certificate: Path, environment: str, ca: Path, folder: Path, group: str | None
) -> None:
    """Put key, certificate and issuing CA into one PEM, if they belong together and suit SAS.

    It is called <EDITEUR>_PROD.key.crt.ca.pem, or <EDITEUR>_TEST..., and is never overwritten.
    """
    now = datetime.now(UTC)
    try:
        gid = _gid(group)
        credential = bundled(key, certificate, issuer_of(environment, ca), now)
        path = folder / file_name(credential, certificate, environment)
        mode = SECRET if gid is None else SECRET_OF_A_GROUP
        write_new(NewFile(path, pem(credential), mode, gid))
    except (NotMade, NotWritten, NotFetched) as error:
        raise click.ClickException(f"{error}\nnothing was written") from None
    except UnusableFile as error:
        remedy = f"; {error.remedy}" if error.remedy else ""
        raise click.ClickException(f"{error}{remedy}\nnothing was written") from None
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}; run this as a user who may read it"
        raise click.ClickException(f"{reason}\nnothing was written") from None
    for line in _report(path, credential, group):
        click.echo(line)
    for doubt in doubts(credential, environment, now):
        click.echo(f"warning: {doubt}", err=True)


def issuer_of(environment: str, ca: Path) -> CA:
    """The CA that issues for an environment: ANS's pinned one, for those of ANS.

    Raises:
        NotFetched: ANS's is not in the folder, or what is there is not the pinned one.
        NotMade: no such environment.
        UnusableFile: the file of an own CA is not what it should be.
    """
    preset = PRESETS.get(environment)
    if preset is not None:
        name, sha256 = preset.issuer.name, preset.issuer.sha256
        try:
            der = from_folder(preset.issuer, ca)
        except NotFetched as error:
            fetch = f"sasgate fetch-ca --environment {environment} --to {ca}"
            raise NotFetched(f"{error}; run: {fetch}, or say where it is: --ca DIR") from None
        return CA(ca / f"{name}.cer", x509.load_der_x509_certificate(der), der, sha256)
    if not ca.is_file():
        raise NotMade(
            f"--environment {environment!r}: ANS has {', '.join(PRESETS)}; for one of your own "
            "name the file of its issuing CA: --ca FILE"
        )
    issuers = tuple(load_ca(CAFile(ca, None)))
    if len(issuers) != 1:
        raise UnusableFile(ca, f"holds {len(issuers)} certificates instead of the issuing CA")
    return issuers[0]


def bundled(key: Path, certificate: Path, issuer: CA, now: datetime) -> Credential:
    """The key, the certificate in the file that is for it, and the CA; `now` is aware.

    Raises:
        NotMade: SAS would refuse it.
        UnusableFile: one of the files is not what it should be.
    """
    private = read_private_key(key)
    leaf = next((each for each in read_certificates(certificate) if is_key_of(private, each)), None)
    if leaf is None:
        raise NotMade(
            f"{key}: is not the key of {certificate}; give the one that its CSR was made with"
        )
    credential = Credential((leaf, issuer.certificate), private)
    faults = list(unusable(credential, Anchors((), (issuer,))))
    if not faults and not signed_by(leaf, issuer.certificate):
        faults = [(f"it bears the name of {issuer.path.stem} as its issuer, which did not sign it",
                   "it is not of IGC Santé")]  # fmt: skip
    faults = faults or list(credential_faults(credential.chain, private, now))
    if faults:
        raise NotMade("\n".join(f"{certificate}: {why}; {remedy}" for why, remedy in faults))
    return credential


def pem(credential: Credential) -> bytes:
    """Key, certificate, CA: the guide's order."""
    key = credential.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join((key, *(each.public_bytes(Encoding.PEM) for each in credential.chain)))


def file_name(credential: Credential, certificate: Path, environment: str) -> str:
    """The guide's name, by the certificate's CN; by its file's name where the CN has no editor."""
    cn = Identity.read(credential.leaf).cn
    editor = editor_of(cn)
    own = environment not in PRESETS and cn.startswith(PRODUCTION_FORM)
    kind = "PROD" if own or environment == PRODUCTION.name else "TEST"
    stem = f"{file_stem(editor)}_{kind}" if editor else file_stem(certificate.stem)
    return f"{stem}.key.crt.ca.pem"


def _gid(group: str | None) -> int | None:
    try:
        return None if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        raise NotMade(f"--group {group!r}: there is no such group on this host") from None


def _report(path: Path, credential: Credential, group: str | None) -> Iterator[str]:
    readers = "its owner" if group is None else f"its owner and the group {group}"
    leaf = credential.leaf
    yield f"{path}: key, certificate and issuing CA, for {readers} only"
    yield f"  subject {printable_name(leaf.subject)}"
    yield f"  issuer  {printable_name(leaf.issuer)}"
    yield f"  ends    {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    yield ""
    yield "It holds the private key: no backup, no version control, no mail (4.3.1)."
    yield "In the configuration, under [outbound]:"
    yield f"  certificate = {path.absolute()}"
    yield "The gateway's user must be able to read it; one that runs takes it at SIGHUP."
    if group is None:
        name = shlex.quote(str(path))
        yield f"For the service: chgrp sasgate {name} && chmod 0640 {name}"
