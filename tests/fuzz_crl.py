"""Mutated lists, judged: each is refused or taken, within seconds, without growing (S24).

    PYTHONPATH=src python tests/fuzz_crl.py --count 100000 [--seed 1]

Half of the cases change a list as it comes, and so mostly break the signature; the other half
change what is signed and sign it again, as no stranger could, to reach what lies behind.
"""

import argparse
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.lab import trees
from sasgate.lab.authority import Authority
from sasgate.lab.lists import (
    ListTemplate,
    delta,
    many_serials,
    partial,
    plain_list,
    reason,
    resigned,
    revoked,
    sign_list,
)
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Extension
from sasgate.revocation.crl import LoadedList, verify_list
from sasgate.revocation.refusal import ListRefused


NOW = datetime(2026, 6, 15, 5, 0, tzinfo=UTC)
SHARED = Path(__file__).parents[2] / "shared" / "igc-sante"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00")
# How long a case may take: a thousand times what it does.
PATIENCE = 5
GROWTH = 64 * 1024
ODD = (b"\0", b"\x01", b"\x7f", b"\x80", b"\x81", b"\x84", b"\xff", b"\x30")


@frozen
class Seeds:
    """Lists to begin with: `whole` as they come, `contents` of an authority that signs again."""

    whole: Sequence[bytes]
    signed: Sequence[bytes]
    authority: Authority
    authorities: Sequence[x509.Certificate]


@define
class Outcome:
    """What became of the cases, by kind of refusal; `faults` should be empty."""

    kinds: Counter[str] = field(factory=Counter)
    faults: list[str] = field(factory=list)
    grown: int = 0


def seeds(lab: Lab) -> Seeds:
    authority = lab.authorities[trees.SAME_NAME]
    files = sorted(SHARED.glob("*.crl")) if SHARED.is_dir() else []
    cas = [x509.load_der_x509_certificate(file.read_bytes()) for file in SHARED.glob("*.cer")]
    own = [*rich(authority)]
    pem = [x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in own]
    return Seeds(
        whole=[*(file.read_bytes() for file in files), *own, *pem],
        signed=own,
        authority=authority,
        authorities=[*cas, authority.certificate, lab.authorities[trees.ORG_TEST].certificate],
    )


def rich(authority: Authority) -> Iterator[bytes]:
    """Lists with something of everything, good and bad."""
    url = "http://x.invalid/crl"
    unknown = x509.Extension(UNKNOWN.oid, False, UNKNOWN)
    issuer = x509.CertificateIssuer([x509.DirectoryName(authority.certificate.subject)])
    entries = [
        *(revoked(5 + index, reason(flag)) for index, flag in enumerate(x509.ReasonFlags)),
        revoked(1 << 158, x509.InvalidityDate(NOW), UNKNOWN),
        revoked(99, issuer),
    ]
    extras: list[tuple[Extension, ...]] = [
        (),
        (unknown, partial(leaves=True, urls=[url])),
        (partial(authorities=True),),
        (partial(indirect=True, urls=[url], reasons=frozenset({x509.ReasonFlags.superseded})),),
        (delta(3), unknown),
    ]
    for extra in extras:
        for listed in ((), tuple(entries[:3]), tuple(entries)):
            template = ListTemplate(number=1287, entries=listed, extra=extra)
            yield sign_list(authority, template, now=NOW - timedelta(hours=1))
    yield plain_list(authority, [0, -1, 1 << 159, *many_serials(200)], now=NOW)


def mutated(random: Random, content: bytes) -> bytes:
    """The content with one to four changes of a few bytes, whatever they are."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(changed) + 1)
        length = random.choice((1, 1, 2, 8, 40, 1000))
        other = random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0:
                del changed[at : at + length]
            case 1:
                changed[at:at] = random.randbytes(length)
            case 2:
                changed[at:at] = changed[at : at + length]
            case 3:
                changed[at : at + length] = changed[other : other + length]
            case 4:
                changed[at : at + 1] = random.choice(ODD)
            case _:
                del changed[at:]
    return bytes(changed)


def turned(random: Random, content: bytes) -> bytes:
    """The content with one byte changed in its place."""
    at = random.randrange(len(content))
    byte = random.choice((bytes([content[at] ^ 1 << random.randrange(8)]), *ODD))
    return content[:at] + byte + content[at + 1 :]


def reshaped(random: Random, contents: bytes) -> bytes:
    """The contents with one element somewhere in them changed, lengths made right again."""
    elements = split(contents)
    if not elements:
        return random.choice((b"", b"\0", b"\xff" * 30, contents + b"\x05\x00"))
    at = random.randrange(len(elements))
    tag, inner = elements[at]
    if inner and random.random() < 0.8 and (tag & 0x20 or split(inner)):
        changed = element(tag, reshaped(random, inner))
    else:
        changed = random.choice(
            (
                b"",
                element(tag, inner) * random.choice((2, 2, 300)),
                element(random.randrange(256), inner),
                element(tag, random.randbytes(random.choice((0, 1, 16, 21, 300)))),
                element(tag, turned(random, inner) if inner else b"\0"),
                element(tag, inner + inner[-1:]),
                element(*random.choice(elements)),
            )
        )
    return b"".join([*(element(*each) for each in elements[:at]), changed,
                     *(element(*each) for each in elements[at + 1 :])])  # fmt: skip


def split(contents: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of the elements that `contents` consists of; none if it does not."""
    found = []
    at = 0
    while at < len(contents):
        head = contents[at : at + 6]
        if len(head) < 2 or head[1] in {0x80, 0xFF}:
            return []
        octets = head[1] & 0x7F if head[1] & 0x80 else 0
        length = int.from_bytes(head[2 : 2 + octets], "big") if octets else head[1]
        begin = at + 2 + octets
        if octets > 4 or begin + length > len(contents):
            return []
        found.append((head[0], contents[begin : begin + length]))
        at = begin + length
    return found


def element(tag: int, contents: bytes) -> bytes:
    return bytes([tag]) + asn1.encode_der(contents)[1:]


def case(random: Random, having: Seeds) -> bytes:
    change = random.choice((mutated, turned, reshaped, reshaped))
    if random.random() < 0.4:
        return change(random, random.choice(having.whole))
    listed = random.choice(having.signed)
    return resigned(having.authority, listed, lambda body: change(random, body))


def run(having: Seeds, count: int, seed: int) -> Outcome:
    """Judge `count` cases; the same seed gives the same ones, each by its number."""
    outcome = Outcome()
    begin = 0
    for number in range(count):
        data = case(Random(f"{seed}:{number}"), having)
        signal.alarm(PATIENCE)
        try:
            outcome.kinds[judged(data, having.authorities)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome.faults.append(f"seed {seed}, case {number}: {error!r}")
        finally:
            signal.alarm(0)
        if number == min(count // 2, 2000):
            begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome.grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin
    return outcome


def judged(data: bytes, authorities: Sequence[x509.Certificate]) -> str:
    try:
        loaded = verify_list(data, authorities, NOW)
    except ListRefused as refused:
        return refused.kind.name
    sound(loaded)
    return "taken"


def sound(loaded: LoadedList) -> None:
    """What is taken holds together."""
    facts = loaded.facts
    assert facts.issuers
    assert 0 <= facts.number < 1 << 160
    assert facts.this_update <= NOW + timedelta(seconds=300)
    assert len(loaded.serials) <= facts.entries
    assert (len(loaded.serials) == 0) == (facts.entries == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    signal.signal(signal.SIGALRM, late)
    warnings.simplefilter("ignore", UserWarning)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(seeds(Lab.create(Path(folder))), asked.count, asked.seed)
    for kind, number in outcome.kinds.most_common():
        print(f"{number:8} {kind}")
    print(f"{outcome.grown:8} KiB more than after the first cases")
    for fault in outcome.faults:
        print(fault)
    sys.exit(bool(outcome.faults) or outcome.grown > GROWTH)


def late(*_: object) -> None:
    raise TimeoutError(f"more than {PATIENCE} s")


if __name__ == "__main__":
    main()
