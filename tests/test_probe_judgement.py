"""What is made of what was seen of a server; times among it, which no test measures."""

import json
from datetime import UTC, datetime

import pytest
from cryptography import x509

from sasgate.commands import probe_judgement as judge
from sasgate.commands.http_dialog import HTTPAnswer
from sasgate.commands.probe_judgement import Result
from sasgate.commands.probe_server import How, Seen, Version
from sasgate.http1 import HeadLimits, ResponseReader
from sasgate.lab import trees
from sasgate.lab.pki import Lab


def answered(status: int, body: bytes = b"", seconds: float = 0.1) -> Seen:
    reader = ResponseReader(HeadLimits())
    reader.receive(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
    head = reader.head(b"GET")
    assert head is not None
    return Seen(How.ANSWER, f"HTTP {status}", HTTPAnswer(head, body), shaken=True, seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "result"), [(0.0, Result.PASS), (0.999, Result.PASS), (1.0, Result.FAIL),
                            (6.9, Result.FAIL)]
)  # fmt: skip
def test_a_search_has_a_second(seconds: float, result: Result) -> None:
    assert judge.slots(answered(200, seconds=seconds)).result is result


@pytest.mark.parametrize("status", [204, 404, 500])
def test_a_quick_search_that_finds_nothing_is_none(status: int) -> None:
    assert judge.slots(answered(status)).result is Result.FAIL


@pytest.mark.parametrize("how", [each for each in How if each is not How.ANSWER])
def test_without_an_answer_no_question_passes(how: How) -> None:
    seen = Seen(how, "x", shaken=True)
    rows = (
        judge.anonymous(Version.V1_2, seen),
        judge.anonymous(Version.V1_3, seen),
        judge.health(Version.V1_2, seen),
        judge.health_anonymous(seen),
        judge.slots(seen),
    )
    assert {row.result for row in rows} == {Result.FAIL}


@pytest.mark.parametrize("how", [each for each in How if each is not How.ALERT])
def test_a_stranger_is_refused_by_an_alert_and_no_other_end(how: How) -> None:
    if how is not How.ANSWER:
        assert judge.stranger("x", Seen(how, "x")).result is Result.FAIL
    assert judge.stranger("x", Seen(How.ALERT, "unknown ca")).result is Result.PASS


@pytest.mark.parametrize(
    ("seen", "result"),
    [
        (Seen(How.ALERT, "tlsv1 alert protocol version"), Result.PASS),
        (Seen(How.DROPPED, "the connection was reset"), Result.PASS),
        (Seen(How.ERROR, "unsupported protocol"), Result.PASS),
        (Seen(How.ERROR, "wrong version number"), Result.FAIL),
        (Seen(How.SILENT, "no answer in time"), Result.FAIL),
        (Seen(How.NOT_TRIED, "no ciphers available"), Result.FAIL),
        (Seen(How.ALERT, "alert", shaken=True), Result.FAIL),
    ],
)
def test_an_old_version_is_refused_when_the_server_said_so(seen: Seen, result: Result) -> None:
    assert judge.outdated(Version.V1_0, seen).result is result


def test_tls_1_3_need_not_be_spoken() -> None:
    unspoken = Seen(How.ALERT, "tlsv1 alert protocol version")
    assert judge.anonymous(Version.V1_3, unspoken).result is Result.PASS
    assert judge.anonymous(Version.V1_2, unspoken).result is Result.FAIL
    assert judge.health(Version.V1_3, unspoken).result is Result.PASS
    assert judge.health(Version.V1_2, unspoken).result is Result.FAIL


def test_an_abort_for_lack_of_a_certificate_is_not_taken_for_that() -> None:
    for words in ("tlsv13 alert certificate required", "sslv3 alert handshake failure"):
        assert judge.anonymous(Version.V1_3, Seen(How.ALERT, words)).result is Result.FAIL


def test_whoever_names_other_cas_alone_is_noted(lab: Lab) -> None:
    """Java sends nothing where its issuer is not named."""
    root, issuer, other = (
        lab.authorities[each].certificate.subject
        for each in (trees.ROOT_TEST, trees.ORG_TEST, trees.ORG)
    )

    def result(*cas: x509.Name) -> Result:
        return judge.asking(Seen(shaken=True, asked=True, cas=cas), issuer).result

    assert result() is Result.PASS
    assert result(root, issuer) is Result.PASS
    assert result(root) is Result.NOTE
    assert result(other) is Result.NOTE


@pytest.mark.parametrize(("days", "result"), [(14, Result.PASS), (13, Result.NOTE)])
def test_a_certificate_that_is_about_to_end_is_noted(lab: Lab, days: int, result: Result) -> None:
    sent = (lab.servers["server"].certificate,)
    assert sent[0].not_valid_after_utc > datetime.now(UTC)
    assert judge.certificate(Seen(How.DONE, shaken=True), None, sent, days).result is result


@pytest.mark.parametrize(
    ("verify", "remedy"),
    [
        ("FAILED:status unknown", "no usable list and no OCSP"),
        ("FAILED:revoked", "deny list"),
        ("SUCCESS", "sasgate check FILE"),
        ("FAILED:untrusted issuer", "a certificate of this environment"),
        (["FAILED:revoked"], "a certificate of this environment"),
    ],
)
def test_what_to_do_follows_from_what_the_server_says_of_the_certificate(
    verify: object, remedy: str
) -> None:
    refusal = answered(401, json.dumps({"verify": verify}).encode())
    assert remedy in judge.slots(refusal).remedy
