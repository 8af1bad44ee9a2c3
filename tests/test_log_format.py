"""One event is one line whatever stands in it (S39, S46), and a path shows no identifier."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, textFileLogObserver
from twisted.python.failure import Failure

from sasgate.log_format import cut, escaped, json_line, observer, shown_path, word
from sasgate.settings import Log, LogFormat


HOSTILE = st.text(st.characters(codec=None, exclude_categories=())) | st.sampled_from(
    ["\r\n", "\x00", "\u2028", "\u2029", "\x1b[31m", "\ud800", '"', "\\", "\x85", "\u202e", "{cn}"]
)


class TestText:
    @given(HOSTILE)
    def test_any_value_is_escaped_to_printable_ascii(self, text: str) -> None:
        """S39."""
        line = escaped(text).removesuffix("…")
        assert line.isascii()
        assert line.isprintable()

    @given(HOSTILE)
    def test_an_escaped_value_is_not_ambiguous(self, text: str) -> None:
        """S39: nothing written can be taken for another value's escape."""
        if len(text) <= 256:
            quoted = escaped(text)
            assert quoted.replace('\\"', "'").count('"') == 0
            assert quoted.encode().decode("unicode_escape") == text

    @given(HOSTILE)
    def test_a_word_cannot_be_read_as_two(self, text: str) -> None:
        shown = word(text)
        assert shown == text or (shown[0], shown[-1]) == ('"', '"')
        assert shown[0] == '"' or not set(shown) & set(' "=()\\')

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("sas-agregateur-recette", "sas-agregateur-recette"),
            ("AC IGC-SANTE", "AC IGC-SANTE"),
            ("a\r\nb", r"a\r\nb"),
            ("nul\x00", r"nul\x00"),
            ("\u2028", r"\u2028"),
            ("\x1b[2J", r"\x1b[2J"),
            ("\ud800", r"\ud800"),
            ('"', r"\""),
            ("\\", r"\\"),
            ("sas-\u0430gregateur", r"sas-\u0430gregateur"),
        ],
    )
    def test_hostile_characters_are_spelled_out(self, text: str, shown: str) -> None:
        """S39; a look-alike letter (S10) is seen for what it is."""
        assert escaped(text) == shown

    def test_a_huge_name_is_cut(self) -> None:
        """S39."""
        assert escaped("x" * 65536) == "x" * 256 + "…"
        assert escaped("\n" * 65536) == r"\n" * 256 + "…"

    def test_cutting_twice_is_cutting_once(self) -> None:
        assert escaped(cut("x" * 65536)) == "x" * 256 + "…"

    def test_a_name_of_256_characters_is_whole(self) -> None:
        assert escaped("x" * 256) == "x" * 256

    @pytest.mark.parametrize("text", ["", "two words", "a=b", 'a"', "a)", "a\\b", "x" * 257])
    def test_what_is_no_plain_word_is_quoted(self, text: str) -> None:
        assert word(text).startswith('"')


class TestPath:
    @pytest.mark.parametrize(
        ("target", "path"),
        [
            (b"/", "/"),
            (b"//", "//"),
            (b"*", "*"),
            (b"/Slot", "/Slot"),
            (b"/fhir/Slot", "/fhir/Slot"),
            (b"/fhir/Slot/", "/fhir/Slot/"),
            (b"/fhir/metadata", "/fhir/metadata"),
            (b"/fhir/v1/check", "/fhir/v1/check"),
            (b"http://sas.example/fhir/Slot", "/fhir/Slot"),
            (b"https://sas.example", "/"),
        ],
    )
    def test_a_path_without_an_identifier_is_shown(self, target: bytes, path: str) -> None:
        assert shown_path(target) == path

    @pytest.mark.parametrize(
        ("target", "path"),
        [
            (b"/810001", "/***"),
            (b"/fhir/810001", "/fhir/***"),
            (b"/fhir/810001/", "/fhir/***/"),
            (b"/fhir/810001//", "/fhir/***//"),
            (b"/fhir/Practitioner/810001", "/fhir/Practitioner/***"),
            (b"/fhir/Practitioner/Dupont", "/fhir/Practitioner/***"),
            (b"/fhir/Practitioner/Slot", "/fhir/Practitioner/***"),
            (b"/fhir/Practitioner/810001/_history/2", "/fhir/Practitioner/***/_history/***"),
            (b"/fhir/Practitioner/810001/Slot", "/fhir/Practitioner/***/Slot"),
            (b"/Dupont", "/***"),
            (b"/fhir/slot", "/fhir/***"),
            (b"/fhir/Slot;id=810001", "/fhir/***"),
            (b"/fhir/Slot%2F810001", "/fhir/***"),
            (b"/fhir/Slot%3Fid=810001", "/fhir/***"),
            (b"http://sas.example/fhir/810001", "/fhir/***"),
            (b"http://user:secret@sas.example/810001", "/***"),
            (b"sas.example:443", "***"),
            (b"810001", "***"),
        ],
    )
    def test_what_may_be_an_identifier_is_masked(self, target: bytes, path: str) -> None:
        assert shown_path(target) == path

    @pytest.mark.parametrize(
        "target",
        [
            b"/fhir/Slot?identifier=810001",
            b"/fhir/Slot?a=b?identifier=810001",
            b"/fhir/Slot#810001",
            b"/fhir/Slot?/810001",
            b"http://sas.example/fhir/Slot?810001",
            b"http://sas.example?810001",
        ],
    )
    @pytest.mark.parametrize("full", [False, True])
    def test_a_query_is_never_shown(self, target: bytes, full: bool) -> None:
        assert "810001" not in shown_path(target, full=full)

    def test_full_paths_are_shown_where_asked_for(self) -> None:
        assert shown_path(b"/fhir/Practitioner/810001?x=1", full=True) == (
            "/fhir/Practitioner/810001"
        )

    def test_a_long_path_is_cut(self) -> None:
        assert shown_path(b"/" + b"a/" * 8000 + b"810001", full=True).endswith("…")

    @given(st.binary(), st.sampled_from([b"", b"/", b"/fhir/", b"http://sas.example/"]))
    def test_no_target_raises_nor_shows_its_last_segment(
        self, segment: bytes, start: bytes
    ) -> None:
        marked = start + segment.replace(b"/", b"") + b"810001"
        assert "810001" not in shown_path(marked)


class TestJSON:
    def line(self, **event: object) -> str:
        return json_line({"log_level": LogLevel.info, "log_time": 1767312000.25, **event})

    @given(HOSTILE, HOSTILE)
    def test_any_message_is_one_valid_line(self, message: str, namespace: str) -> None:
        """S39."""
        line = self.line(log_format="{m}", m=message, log_namespace=namespace)
        assert line.splitlines(keepends=True) == [line]
        assert line.isascii()
        json.loads(line)

    def test_an_ordinary_event_has_its_message(self) -> None:
        line = self.line(log_format="port {n} is open", n=443, log_namespace="sasgate.service")
        assert json.loads(line) == {
            "time": "2026-01-02T00:00:00.250Z",
            "level": "info",
            "namespace": "sasgate.service",
            "event": "log",
            "message": "port 443 is open",
        }

    def test_an_ordinary_event_shows_none_of_its_other_keys(self) -> None:
        """S57: what a caller keeps beside the message is not meant for the log."""
        assert "hunter2" not in self.line(log_format="loaded", passphrase="hunter2")

    def test_a_failure_is_one_line_with_its_traceback_in_a_field(self) -> None:
        line = self.line(log_format="failed", log_failure=Failure(ValueError("two\nlines")))
        event = json.loads(line)
        assert event["failure"] == "ValueError: two\nlines"
        assert "Traceback" in event["traceback"]
        assert line.count("\n") == 1

    def test_a_lone_surrogate_leaves_no_json_that_strict_readers_refuse(self) -> None:
        """S39."""
        assert json.loads(self.line(log_format="{x}", x="\ud800"))["message"] == r"\ud800"

    def test_a_huge_message_is_cut(self) -> None:
        assert len(self.line(log_format="{x}", x="x" * 10**6)) < 5000

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"log_time": float("nan")},
            {"log_time": "yesterday"},
            {"log_format": "{missing}"},
            {"log_format": b"\xff"},
            {"log_level": "info"},
            {"log_failure": "no failure"},
            {"journal_fields": ("absent",), "event": "decision"},
        ],
        ids=str,
    )
    def test_a_broken_event_is_still_a_line(self, event: dict) -> None:
        line = json_line(event)
        assert line.endswith("\n")
        assert json.loads(line)["event"] == "log"

    def test_a_number_that_json_has_no_word_for_is_null(self) -> None:
        line = self.line(journal_fields=("seconds",), event="access", seconds=float("inf"))
        assert json.loads(line)["seconds"] is None

    def test_an_object_that_cannot_be_printed_is_still_a_line(self) -> None:
        json.loads(self.line(journal_fields=("cn",), event="decision", cn=Broken()))


class Broken:
    """What has no text."""

    def __str__(self) -> str:
        raise RuntimeError


class TestObserver:
    def test_text_is_left_as_twistd_writes_it(self) -> None:
        stream = io.StringIO()
        Logger("sasgate.x", observer=observer(Log(), stream)).info("hello")
        assert stream.getvalue().endswith("[sasgate.x#info] hello\n")

    def test_a_line_of_the_journal_is_what_twistd_would_write(self) -> None:
        ours, twistds = io.StringIO(), io.StringIO()

        def both(event: LogEvent) -> None:
            observer(Log(), ours)(event)
            textFileLogObserver(twistds)(event)

        Logger("sasgate.x", observer=both).warn("{line}", line="{403} a\tb", journal_fields=())
        assert "[sasgate.x#warn] {403} a\tb\n" in ours.getvalue()
        assert ours.getvalue() == twistds.getvalue()

    def test_a_line_that_cannot_be_made_is_not_lost_without_a_word(self) -> None:
        stream = io.StringIO()
        log = Logger("sasgate.x", observer=observer(Log(), stream))
        log.info("{line}", line=Broken(), journal_fields=())
        assert "sasgate.x" in stream.getvalue()

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "iso8859-15", "utf-8"])
    def test_a_line_with_what_was_cut_is_written_in_any_locale(self, encoding: str) -> None:
        """S39: nobody keeps a line out of the journal by a name or a path that is long."""
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, encoding=encoding)
        log = Logger("sasgate.x", observer=observer(Log(), stream))
        log.info("{line}", line=escaped("a" * 300), journal_fields=())
        line = written.getvalue().decode(encoding)
        assert line.replace("\\u2026", "…").endswith(f"] {'a' * 256}…\n")

    @pytest.mark.parametrize("kind", [io.StringIO, io.BytesIO])
    def test_json_goes_to_a_stream_of_text_or_bytes(self, kind: type) -> None:
        stream = kind()
        log = Logger("sasgate.x", observer=observer(Log(LogFormat.JSON), stream))
        log.info("hello")
        log.warn("again")
        levels = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
        assert levels == ["info", "warn"]
