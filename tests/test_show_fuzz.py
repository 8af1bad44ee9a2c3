"""`sasgate show` on what nobody meant to show: damaged genuine files, and anything at all."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from sasgate.commands.csr import key_pem, request
from sasgate.commands.examination import examine
from sasgate.commands.show import held, report
from sasgate.contents import contents
from sasgate.environments import PRESETS
from sasgate.fitness import PublishedCAs
from test_show import GENUINE, NOW, PRINTABLE


FOLDER = Path(__file__).parents[2] / "shared" / "igc-sante"
LISTS = ("ACI-EL-ORG-TEST-crl1287-20190627.crl", "ACR-EL-TEST-crl73-20190601.crl")
NAMES = (*(f"{ca}.cer" for ca in GENUINE), *LISTS, "csr", "csr.pem", "key.pem", "bundle.pem")


@cache
def originals() -> Mapping[str, bytes]:
    """Genuine files, and what this program makes itself."""
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is absent")
    files = {
        name: (FOLDER / name).read_bytes() for name in NAMES if "." in name and "pem" not in name
    }
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    csr = request(key, "sas-agregateur-prod-ACME")
    ca = x509.load_der_x509_certificate(files["ACI-EL-ORG.cer"]).public_bytes(Encoding.PEM)
    return files | {
        "csr": csr.public_bytes(Encoding.DER),
        "csr.pem": csr.public_bytes(Encoding.PEM),
        "key.pem": key_pem(key),
        "bundle.pem": key_pem(key) + ca + ca,
    }


@cache
def cas() -> PublishedCAs:
    known = PublishedCAs(tuple(PRESETS.values()))
    return PublishedCAs(known.presets, held(known, [], [FOLDER]))


def said(data: bytes) -> str:
    """All that is said of a file with these contents; printable, and at a bearable length."""
    lines, problems = report(examine([(Path("file"), contents(data))], cas(), NOW))
    text = "\n".join([*lines, *problems])
    assert PRINTABLE.fullmatch(text)
    assert max(map(len, lines)) < 1100
    assert re.search(r"^1\. ", text, re.MULTILINE)
    return text


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One of the originals with a few bytes changed, cut out, put in or repeated."""
    data = bytearray(originals()[draw(st.sampled_from(NAMES))])
    for _ in range(draw(st.integers(1, 4))):
        # The head is where lengths, names and tags are.
        at = draw(st.one_of(st.integers(0, min(400, len(data))), st.integers(0, len(data))))
        match draw(st.sampled_from(("change", "cut", "put", "repeat", "end"))):
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 20))]
            case "put":
                data[at:at] = draw(st.binary(min_size=1, max_size=20))
            case "repeat":
                data += data[at:]
            case "end":
                del data[at:]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=600)
@given(damaged())
def test_damaged_genuine_files_are_shown_as_far_as_they_go(data: bytes) -> None:
    """S24, S39."""
    said(data)


@settings(max_examples=300)
@given(st.one_of(st.binary(), st.binary().map(lambda data: b"-----BEGIN " + data)))
def test_anything_at_all_is_named(data: bytes) -> None:
    said(data)


@settings(max_examples=300)
@given(
    st.sampled_from(["CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST", "PKCS7", "PRIVATE KEY",
                     "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "TRUSTED CERTIFICATE"]),
    st.one_of(st.binary(max_size=60), st.from_regex(rb"[A-Za-z0-9+/\n]{0,80}=?\n", fullmatch=True)),
)  # fmt: skip
def test_any_pem_block_is_named(label: str, body: bytes) -> None:
    block = label.encode()
    said(b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (block, body, block))


@pytest.mark.parametrize("name", NAMES)
def test_the_originals_are_whole(name: str) -> None:
    """The damage above is done to files that are good."""
    text = said(originals()[name])
    assert "damaged" not in text
    assert "decoded" not in text
