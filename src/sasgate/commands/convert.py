"""`sasgate convert`: DER to PEM and back, as in 5.1 and 5.3 of the specification."""

from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.contents import Contents, FoundKey, Unreadable, UnreadableFile, contents, read_file
from sasgate.new_files import NewFile, NotWritten, write_new


Convertible = x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList

_FILE = click.Path(readable=False, path_type=Path)
_DER_SUFFIXES = {".cer", ".crt", ".der", ".crl", ".csr"}


class NotConverted(Exception):
    """A file that has no other form; says why and the way out."""


@click.command()
@click.argument("file", type=_FILE)
@click.argument("output", type=_FILE, required=False)
def convert(file: Path, output: Path | None) -> None:
    """Write FILE in its other form: DER (.cer, .crt, .crl) as PEM, PEM as DER.

    Without OUTPUT, ACR-EL.cer becomes ACR-EL.cer.pem beside it, and the other way round. Nothing
    is overwritten, and private keys are left alone.
    """
    try:
        found = contents(read_file(file))
        items = convertible(found)
        if output is None:
            output = file.with_name(other_name(file.name, items[0], pem=found.pem))
        form = Encoding.DER if found.pem else Encoding.PEM
        write_new(NewFile(output, b"".join(item.public_bytes(form) for item in items)))
    except NotConverted as error:
        raise click.ClickException(f"{file}: {error}; nothing was written") from None
    except (UnreadableFile, NotWritten) as error:
        raise click.ClickException(f"{error}; nothing was written") from None
    click.echo(f"{output}: {'DER' if found.pem else 'PEM'}")


def convertible(found: Contents) -> tuple[Convertible, ...]:
    """The items of a file, if all of them can be written in the other form.

    Raises:
        NotConverted: one cannot be, or DER, which holds one only, would have to hold several.
    """
    items: list[Convertible] = []
    for item in found.items:
        if isinstance(item, Unreadable):
            raise NotConverted(f"holds {item.reason}")
        if isinstance(item, FoundKey):
            raise NotConverted("holds a private key, of which no copies are made")
        items.append(item)
    if found.pem and len(items) > 1:
        raise NotConverted(f"holds {len(items)} items, and DER holds one: give each its own file")
    return tuple(items)


def other_name(name: str, item: Convertible, *, pem: bool) -> str:
    """What a file is called in its other form: `.pem` appended as the guide does, or taken off."""
    if not pem:
        return f"{name}.pem"
    bare = name.removesuffix(".pem")
    if bare != name and Path(bare).suffix.lower() in _DER_SUFFIXES:
        return bare
    match item:
        case x509.Certificate():
            return f"{bare}.cer"
        case x509.CertificateRevocationList():
            return f"{bare}.crl"
        case _:
            return f"{bare}.der"
