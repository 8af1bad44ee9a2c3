"""What revocation is told of the CAs of a configuration."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.task import Clock
from twisted.python.threadpool import ThreadPool

from configurations import OWN, write
from sasgate.config import load
from sasgate.control_messages import Answer, Request
from sasgate.identity import fingerprint
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.oversight import Oversight, chains_of
from sasgate.revocation.chain import Chain
from sasgate.trust import CA, Anchors


def ca(lab: Lab, name: str) -> CA:
    """A CA of the lab, as the configuration loads it."""
    certificate = lab.authorities[name].certificate
    der = certificate.public_bytes(Encoding.DER)
    return CA(Path(name), certificate, der, fingerprint(certificate))


def test_s23_a_root_that_did_not_sign_an_issuer_says_nothing_on_it(lab: Lab) -> None:
    """A new root of the same name has no list yet: the clock of an outage must not start."""
    root, other = ca(lab, trees.ROOT_TEST), ca(lab, trees.OTHER_ROOT)
    issuer = ca(lab, trees.ORG_TEST)
    assert other.certificate.subject == root.certificate.subject
    anchors = Anchors(roots=(other, root), issuers=(issuer,))
    assert chains_of({"recette": anchors}) == (Chain.of_nobody(issuer.der, root.der),)


def test_every_issuer_has_its_own(lab: Lab) -> None:
    test = Anchors((ca(lab, trees.ROOT_TEST),), (ca(lab, trees.ORG_TEST),))
    real = Anchors((ca(lab, trees.ROOT),), (ca(lab, trees.ORG),))
    found = chains_of({"recette": test, "preproduction": test, "production": real})
    assert [each.leaf.issuer for each in found] == [
        test.issuers[0].sha256,
        real.issuers[0].sha256,
    ]


class _Reactor(Clock):
    def getThreadPool(self) -> ThreadPool:
        """One that is never started: nothing is done before `open`."""
        return ThreadPool()


def test_with_the_mode_off_there_is_nothing_to_disengage(tmp_path: Path) -> None:
    settings = load(write(tmp_path, OWN))
    oversight = Oversight(_Reactor(), lambda: datetime.now(UTC), settings, {"own": Anchors((), ())})
    request = Request("disengage", {}, "root", datetime.now(UTC))
    told = oversight.handlers["disengage"](request)
    assert isinstance(told, Answer)
    assert not told.ok
    assert "mode = off" in told.text
