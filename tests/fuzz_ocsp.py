"""Damaged OCSP answers by the hundred thousand: `python -m tests.fuzz_ocsp --count N [--seed S]`.

Whatever is done to an answer, nothing but `AnswerRefused` is raised, and what is believed was
signed exactly so (S29, S32). Every fourth one is signed again after the damage, so that it gets
past the signature.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ocsp
from tests.ocsp_world import World

from sasgate.lab.ocsp_answers import GOOD, REVOKED, UNKNOWN, Saying
from sasgate.lab.ocsp_der import together
from sasgate.lab.pki import Lab
from sasgate.lab.trees import KeySizes
from sasgate.revocation.ocsp import TOLERANCE, Asked, verify_answer
from sasgate.revocation.ocsp_words import Answer, AnswerRefused


_NONCE = b"n" * 32
# Tags, lengths, classes and signs that mean something in DER.
_TELLING = (
    0x00,
    0x01,
    0x02,
    0x04,
    0x05,
    0x06,
    0x0A,
    0x18,
    0x30,
    0x7F,
    0x80,
    0x82,
    0xA0,
    0xA1,
    0xFF,
)


@frozen
class Sample:
    """An answer that is taken as it stands; `signed` is what its signature covers."""

    body: bytes
    asked: Asked
    answer: Answer
    signed: bytes
    signature: bytes


def samples(world: World) -> tuple[Sample, ...]:
    """Answers of every shape that is taken."""
    plain = world.asked
    required = Asked.about(world.leaf, world.issuer, _NONCE, nonce_required=True)
    bodies = [
        (world.answer(signatory, Saying(status, by_name=by_name, nonce=nonce)), asked)
        for signatory in ("ca", "delegate")
        for status in (GOOD, REVOKED, UNKNOWN)
        for by_name in (True, False)
        for nonce, asked in ((None, plain), (_NONCE, required))
    ]
    both = [world.answer("delegate", Saying(status)) for status in (REVOKED, GOOD)]
    bodies.append((together(both, world.signatories["delegate"].key), plain))
    return tuple(_sample(world, body, asked) for body, asked in bodies)


def _sample(world: World, body: bytes, asked: Asked) -> Sample:
    response = ocsp.load_der_ocsp_response(body)
    answer = verify_answer(body, asked, world.signers, world.now)
    return Sample(body, asked, answer, response.tbs_response_bytes, response.signature)


def damage(body: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """The bytes changed in one to three places, or crossed with others."""
    changed = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if not changed:
            break
        place, length = chance.randrange(len(changed)), chance.randrange(1, 12)
        other = chance.choice(others)
        match chance.randrange(10):
            case 0 | 1 | 2:
                changed[place] ^= 1 << chance.randrange(8)
            case 3 | 4:
                changed[place] = chance.choice(_TELLING)
            case 5 | 6:
                part = other[place : place + length]
                changed[place : place + len(part)] = part
            case 7:
                del changed[place : place + length]
            case 8:
                changed[place:place] = chance.choice((chance.randbytes(length), other[:length]))
            case _:
                changed[place:] = other[place:]
    return bytes(changed)


def signed_again(
    sample: Sample, others: Sequence[Sample], key: RSAPrivateKey, chance: random.Random
) -> bytes:
    """The answer with other contents of the same length, under a signature that is right."""
    signed = damage(sample.signed, [each.signed for each in others], chance)
    signed = signed[: len(sample.signed)].ljust(len(sample.signed), b"\0")
    signature = key.sign(signed, PKCS1v15(), SHA256())
    return sample.body.replace(sample.signed, signed).replace(sample.signature, signature)


def fuzz(count: int, seed: int, world: World) -> Counter[str]:
    """Look at so many answers; returns how they were judged.

    Raises:
        AssertionError: with the bytes that do it again.
    """
    chance = random.Random(seed)
    known = samples(world)
    bodies = [each.body for each in known]
    by_delegate = [each for each in known if each.answer.delegate is not None]
    key = world.signatories["delegate"].key
    verdicts: Counter[str] = Counter()
    for number in range(count):
        if number % 4:
            sample = chance.choice(known)
            body = damage(sample.body, bodies, chance)
            believed = known
        else:
            sample = chance.choice(by_delegate)
            body = signed_again(sample, by_delegate, key, chance)
            believed = ()
        verdicts[_judged(body, sample.asked, world, believed)] += 1
    return verdicts


def _judged(body: bytes, asked: Asked, world: World, believed: Sequence[Sample]) -> str:
    """The verdict; what `believed` is not empty for must be one of it, word by word."""
    try:
        answer = verify_answer(body, asked, world.signers, world.now)
    except AnswerRefused as error:
        return error.kind.name
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__} from {body!r}") from error
    if believed:
        signed = ocsp.load_der_ocsp_response(body).tbs_response_bytes
        said = [each.answer for each in believed if each.signed == signed]
        assert answer in said, f"{answer} from {body!r}"
    assert answer.this_update <= world.now + TOLERANCE, repr(body)
    assert answer.fresh_until >= world.now - TOLERANCE, repr(body)
    return "believed as it was signed" if believed else f"signed again: {answer.status.name}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_ocsp", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    sys.stderr.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.create(Path(folder), sizes=KeySizes(2048, 2048))
        verdicts = fuzz(options.count, options.seed, World.of(lab))
    sys.stdout.write(f"{dict(verdicts.most_common())}\n")


if __name__ == "__main__":
    main()
