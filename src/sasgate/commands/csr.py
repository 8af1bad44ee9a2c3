"""`sasgate csr`: a key and the request for a certificate of it (specification, 4.3.1)."""

import stat
from collections.abc import Iterator
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sasgate.commands.csr_steps import next_steps
from sasgate.editor_names import UnusableName, common_name, file_stem
from sasgate.new_files import SECRET, NewFile, NotWritten, write_new


KEY_BITS = 2048


@click.command()
@click.option(
    "--editor",
    required=True,
    metavar="NAME",
    help="The name of your software, as it shall stand in the CN: ACME.",
)
@click.option(
    "--production", is_flag=True, help="For production. One of this and --test is required."
)
@click.option("--test", is_flag=True, help="For recette and preproduction, one for both.")
@click.option(
    "--to",
    "folder",
    default=".",
    type=click.Path(readable=False, path_type=Path),
    metavar="DIR",
    help="The folder to write to; default: the current one.",
)
def csr(editor: str, production: bool, test: bool, folder: Path) -> None:
    """Make a private key, and the request (CSR) to have a certificate issued for it.

    What the guide's `openssl req` makes: RSA 2048, SHA-256, no password, no e-mail, only the
    predefined CN. Nothing is ever overwritten.
    """
    if production == test:
        raise click.UsageError("say which: --production or --test")
    try:
        cn = common_name(editor, production=production)
    except UnusableName as error:
        raise click.ClickException(f"--editor {editor!r}: {error}") from None
    stem = f"{file_stem(editor)}_{'prod' if production else 'test'}"
    key_path, csr_path = folder / f"{stem}.key", folder / f"{stem}.csr"
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    try:
        write_new(
            NewFile(key_path, key_pem(key), SECRET),
            NewFile(csr_path, request(key, cn).public_bytes(Encoding.PEM)),
        )
    except NotWritten as error:
        raise click.ClickException(f"{error}; nothing was written") from None
    for warning in open_to_others(folder):
        click.echo(f"warning: {warning}", err=True)
    for line in next_steps(key_path, csr_path, cn, production=production):
        click.echo(line)


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """A key as the guide's command writes it: PKCS #8, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request(key: rsa.RSAPrivateKey, cn: str) -> x509.CertificateSigningRequest:
    """The request for a certificate whose subject is this CN alone; SHA-256."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256())


def open_to_others(folder: Path) -> Iterator[str]:
    """Why a folder is no place for a key: whoever may write there may put another in its place."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield f"every user can replace files in {folder} (mode {mode:04o}): chmod o-w {folder}"
