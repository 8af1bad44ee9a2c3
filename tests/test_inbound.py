"""What the inbound side says of targets, refusals and identities: pure functions."""

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_messages import targets
from judged import NOW, identity
from sasgate.admission import Outcome, Verdict, Verify
from sasgate.http1 import Framing, RequestHead
from sasgate.inbound import identity_lines, origin_form, refusal


def head(target: bytes, host: bytes | None = b"sas.example", method: bytes = b"GET") -> RequestHead:
    return RequestHead(
        method, target, host is not None, [], host, Framing.NONE, 0, frozenset(), False
    )


class TestTargets:
    """S16, S41, S43."""

    @given(targets())
    def test_an_origin_form_is_forwarded_as_it_came(self, target: bytes) -> None:
        assert origin_form(head(target)) == (b"sas.example", target)

    @pytest.mark.parametrize(
        ("target", "origin"),
        [
            (b"http://sas.example/a?b", b"/a?b"),
            (b"https://sas.example/a", b"/a"),
            (b"HTTP://SAS.example/a", b"/a"),
            (b"http://sas.example", b"/"),
            (b"http://sas.example?a", b"/?a"),
            (b"http://sas.example//a", b"//a"),
        ],
    )
    def test_an_absolute_form_of_the_same_host_becomes_an_origin_form(
        self, target: bytes, origin: bytes
    ) -> None:
        """RFC 9112, 3.2.2."""
        host, found = origin_form(head(target))
        assert (host is not None and host.lower(), found) == (b"sas.example", origin)

    def test_of_http_1_0_its_authority_is_the_host(self) -> None:
        assert origin_form(head(b"http://a:1/b", None)) == (b"a:1", b"/b")

    @pytest.mark.parametrize(
        "target",
        [
            b"http://other.example/a",
            b"http://sas.example:80/a",
            b"http://me@sas.example/a",
            b"http://sas.example.evil/a",
            b"http:///a",
            b"http://",
            b"http:/sas.example/a",
            b"ftp://sas.example/a",
            b"https:sas.example",
            b"sas.example:443",
            b"*",
            b"**",
            b"a",
            b"?a",
            b"#",
            b"\\a",
        ],
    )
    def test_any_other_target_has_no_origin_form(self, target: bytes) -> None:
        assert origin_form(head(target))[1] is None

    @pytest.mark.parametrize("authority", [b'a"b', b"a<b", b"a\\b", b"a|b", b"a`b", b"a{b}"])
    def test_an_authority_that_could_be_no_host_is_none_either(self, authority: bytes) -> None:
        """It would be written into Host, where a client's own is not allowed it."""
        assert origin_form(head(b"http://" + authority + b"/", None))[1] is None

    def test_the_asterisk_is_for_options_alone(self) -> None:
        """RFC 9112, 3.2.4."""
        assert origin_form(head(b"*", method=b"OPTIONS")) == (b"sas.example", b"*")


def refused(**facts: Any) -> Verdict:
    return Verdict(
        **{"outcome": Outcome.UNAUTHORIZED, "verify": Verify.EXPIRED, "detail": "since", **facts}
    )


class TestRefusals:
    @pytest.mark.parametrize(
        ("outcome", "is_check", "status", "word"),
        [
            (Outcome.UNAUTHORIZED, False, 401, "KO:Unauthorized"),
            (Outcome.UNAUTHORIZED, True, 403, "KO:Forbidden"),
            (Outcome.FORBIDDEN, False, 403, "KO:Forbidden"),
            (Outcome.FORBIDDEN, True, 403, "KO:Forbidden"),
        ],
    )
    def test_status_and_word_follow_from_outcome_and_path(
        self, outcome: Outcome, is_check: bool, status: int, word: str
    ) -> None:
        """Specification, 2.4."""
        reply = refusal(refused(outcome=outcome, identity=identity()), is_check=is_check)
        assert reply.status == status
        assert json.loads(reply.body) == {
            "status": word,
            "verify": "FAILED:expired",
            "CN": "sas-agregateur-recette",
        }

    def test_it_closes_and_tells_its_reason_to_the_journal_alone(self) -> None:
        """S46."""
        reply = refusal(refused(detail="the secret"), is_check=False)
        assert reply.close
        assert reply.reason == "the secret"
        assert b"secret" not in reply.body

    @given(st.text(max_size=400))
    def test_any_name_makes_a_valid_answer_of_bounded_size(self, name: str) -> None:
        """S39."""
        verdict = refused(identity=identity(common_names=(name * 200,)))
        body = refusal(verdict, is_check=False).body
        assert len(body) < 4096
        assert json.loads(body)["CN"] in (name * 200, (name * 200)[:256] + "…")
        assert all(0x20 <= byte < 0x7F for byte in body)


class TestIdentityLines:
    @given(st.text(max_size=50), st.text(max_size=50))
    def test_no_name_makes_another_line(self, cn: str, ou: str) -> None:
        """S39."""
        who = identity(common_names=(cn,), organizational_units=(ou,), not_after=NOW)
        admitted = Verdict(Outcome.ADMITTED, Verify.SUCCESS, "", who, "recette")
        raw = identity_lines(admitted, who, ip_address("51.91.149.173"))
        lines = raw.split(b"\r\n")
        assert len(lines) == 11
        assert lines[-1] == b""
        assert all(0x20 <= byte < 0x7F for line in lines for byte in line)
