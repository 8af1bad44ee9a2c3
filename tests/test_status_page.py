"""The status as a page and as data: both languages, nothing that runs, everything escaped."""

import json
import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sasgate.admin.data import FORMAT, json_of
from sasgate.admin.labels import _LABELS
from sasgate.admin.markup import Markup, element, joined
from sasgate.admin.page import POLICY, REFRESH, icon, page
from sasgate.admin.recorder import MINUTES, Minute, Recent
from sasgate.admin.status import Reload, Status
from sasgate.admin.words import ENGLISH, FRENCH, LANGUAGES, length, preferred
from statuses import (
    ADMITTED,
    DAY,
    NOW,
    UNREACHABLE,
    WELL,
    certificate,
    disengaged,
    judged,
    no_list,
    revocation_list,
    revoking,
)


class Document(HTMLParser):
    """Elements with their attributes in order, and the text of all."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def classes(self, tag: str) -> list[str]:
        return [attributes.get("class") or "" for name, attributes in self.elements if name == tag]


def read(status: Status, language: str = ENGLISH) -> Document:
    document = Document(page(status, language))
    assert document.open == []
    return document


HOSTILE = "<script>alert(1)</script>\"'&\x00\x1b\u2028\ud800"


def hostile() -> Status:
    """A status in which everything that others word is hostile."""
    text = HOSTILE
    decision = evolve(ADMITTED, cn=text, ou=text, detail=text, peer=text, verify=text)
    lists = (evolve(revocation_list(error=text), source=text, issuer=text, cas=(text,)),)
    pool = evolve(UNREACHABLE, server=text, problem=text)
    return judged(
        decisions=(Recent(decision, 1, NOW),),
        certificates=(evolve(certificate(20), name=text, subject=text, serial=text),),
        upstreams=(evolve(WELL.upstreams[0], owner=text, pool=pool),),
        configuration=evolve(WELL.configuration, file=text, last_reload=Reload(NOW, (text,))),
        revocation=evolve(
            WELL.revocation, lists=lists, lacking=(text,), disengaged=(disengaged(why=text),)
        ),
    )


class TestPage:
    @pytest.mark.parametrize(("language", "said"), [(ENGLISH, "All is well"), (FRENCH, "Tout va")])
    def test_it_speaks_both_languages(self, language: str, said: str) -> None:
        document = read(judged(), language)
        assert said in document.text
        assert document.elements[0] == ("html", {"lang": language})

    @pytest.mark.parametrize(
        ("language", "said"), [(ENGLISH, "not called yet"), (FRENCH, "pas encore appelé")]
    )
    def test_a_server_that_nobody_has_called_is_not_said_to_be_reachable(
        self, language: str, said: str
    ) -> None:
        (known,) = WELL.upstreams
        untried = evolve(known, pool=evolve(known.pool, tried=False))
        assert said not in read(judged(), language).text
        assert said in read(judged(upstreams=(untried,)), language).text

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_an_expired_list_and_debrayage_are_critical_and_told_in_words(
        self, language: str
    ) -> None:
        status = revoking(lists=(revocation_list(-DAY),), disengaged=(disengaged(),))
        document = read(status, language)
        assert document.classes("header") == ["critical"]
        assert "critical box" in document.classes("div")
        assert "critical" in document.classes("tr")
        words = {ENGLISH: ("EXPIRED", "DÉBRAYAGE IN FORCE", "3 h 00 min"),
                 FRENCH: ("EXPIRÉ", "DÉBRAYAGE EN COURS", "3 h 00 min")}[language]  # fmt: skip
        assert all(word in document.text for word in words)

    def test_what_is_well_is_not_red(self) -> None:
        document = read(judged())
        assert document.classes("header") == ["ok"]
        assert "critical" not in document.classes("tr") + document.classes("li")

    def test_a_source_without_a_list_is_told(self) -> None:
        assert "NO LIST" in read(revoking(lists=(no_list(),))).text

    def test_it_refreshes_itself(self) -> None:
        document = read(judged())
        assert ("meta", {"http-equiv": "refresh", "content": str(REFRESH)}) in document.elements

    def test_s39_nothing_that_others_word_is_markup(self) -> None:
        document = read(hostile())
        tags = {name for name, _ in document.elements}
        assert not tags & {"script", "img", "iframe", "object", "form", "a"}
        assert document.text.count("<script>alert(1)</script>") > 10
        handlers = [key for _, attributes in document.elements for key in attributes]
        assert not [key for key in handlers if key.startswith("on")]
        assert not re.search("[\x00\x1b\u2028]", document.text)

    def test_nothing_comes_from_elsewhere(self) -> None:
        links = [
            attributes[key]
            for _, attributes in read(hostile()).elements
            for key in ("src", "href", "action", "data")
            if key in attributes
        ]
        assert links == ["/icon-critical.svg"]

    def test_the_policy_lets_exactly_its_own_style_in(self) -> None:
        content = page(judged(), ENGLISH).decode()
        (style,) = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
        digest = b64encode(sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in POLICY
        assert POLICY.startswith("default-src 'none'")
        assert "style=" not in content
        assert "unsafe" not in POLICY

    def test_a_full_hour_has_a_bar_a_minute(self) -> None:
        document = read(judged(minutes=tuple(Minute(number) for number in range(MINUTES))))
        assert document.classes("rect").count("requests") == MINUTES - 1

    def test_a_bar_shows_the_part_of_its_life_that_is_left(self) -> None:
        document = read(judged(certificates=(certificate(73, 365),)))
        widths = [a.get("width") for n, a in document.elements if n == "rect" and "x" not in a]
        assert widths == ["100", "20.0"]

    @pytest.mark.parametrize("level", ["ok", "warning", "critical"])
    def test_there_is_an_icon_for_each_level(self, level: str) -> None:
        assert icon(level).startswith(b"<svg ")

    def test_every_label_is_said_in_both_languages(self) -> None:
        assert all(len(each) == len(LANGUAGES) and all(each) for each in _LABELS.values())

    @pytest.mark.parametrize(
        ("language", "ours", "theirs"),
        [
            (ENGLISH, "of SAS's side: 4 of 2000", "of applications that call SAS: 7"),
            (FRENCH, "du côté du SAS: 4 sur 2000", "d'applications qui appellent le SAS: 7"),
        ],
    )
    def test_connections_are_counted_by_their_direction(
        self, language: str, ours: str, theirs: str
    ) -> None:
        text = Document(
            page(judged(connections=evolve(WELL.connections, outbound=7)), language)
        ).text
        assert ours in text
        assert theirs in text


class TestMarkup:
    @given(st.text())
    def test_text_comes_back_as_it_was_but_for_what_no_browser_takes(self, text: str) -> None:
        html = element("p", text, title=text)
        assert "<" not in html.removeprefix("<p ").removesuffix("</p>")
        document = Document(html.encode("utf-8"))
        expected = "".join(
            each if each.isprintable() or each == "\n" else "\ufffd" for each in text
        )
        assert document.text == expected
        assert document.elements == [("p", {"title": expected})]

    def test_markup_is_not_escaped_twice(self) -> None:
        assert joined(element("b", "&"), Markup("<br>"), None, 1) == "<b>&amp;</b><br>1"


class TestData:
    def test_it_has_all_of_the_status_and_its_level_first(self) -> None:
        data = json.loads(json_of(revoking(lists=(revocation_list(-DAY),))))
        assert list(data)[:2] == ["format", "level"]
        assert (data["format"], data["level"]) == (FORMAT, "critical")
        (found,) = data["findings"]
        assert "EXPIRED" in found["text"]
        assert data["revocation"]["lists"][0]["number"] == 4711
        assert data["revocation"]["lists"][0]["next_update"] == "2026-11-22T12:00:00+00:00"
        assert data["decisions"][0]["decision"]["cn"] == "sas"

    def test_s39_it_is_ascii_whatever_is_in_it(self) -> None:
        assert json_of(hostile()).isascii()
        assert json.loads(json_of(hostile()))["decisions"][0]["decision"]["cn"] == HOSTILE

    def test_a_length_of_time_is_in_seconds(self) -> None:
        status = revoking(lists=(revocation_list(timedelta(hours=1)),))
        assert json.loads(json_of(status))["findings"][0]["values"]["left"] == 3600


class TestWords:
    @pytest.mark.parametrize(
        ("field", "language"),
        [
            ("", ENGLISH),
            ("fr", FRENCH),
            ("fr-FR,fr;q=0.9,en;q=0.8", FRENCH),
            ("en-GB,fr;q=0.9", ENGLISH),
            ("de,fr;q=0.1", FRENCH),
            ("fr;q=0.2, en;q=0.7", ENGLISH),
            ("fr;q=0", ENGLISH),
            ("de", ENGLISH),
            ("FR", FRENCH),
            ("fr;q=nan", ENGLISH),
            ("fr;q=x,,;;=", ENGLISH),
        ],
    )
    def test_a_browser_gets_the_language_it_prefers(self, field: str, language: str) -> None:
        assert preferred(field) == language

    @given(st.text())
    def test_any_field_gives_one_of_the_languages(self, field: str) -> None:
        assert preferred(field) in LANGUAGES

    @pytest.mark.parametrize(
        ("seconds", "english", "french"),
        [
            (-5, "0 seconds", "0 seconde"),
            (1, "1 second", "1 seconde"),
            (60, "1 minute", "1 minute"),
            (3600, "60 minutes", "60 minutes"),
            (7200, "2 hours", "2 heures"),
            (90000, "25 hours", "25 heures"),
            (172800, "2 days", "2 jours"),
        ],
    )
    def test_a_length_is_told_in_a_unit_that_is_fine_enough(
        self, seconds: float, english: str, french: str
    ) -> None:
        assert (length(seconds, ENGLISH), length(seconds, FRENCH)) == (english, french)
