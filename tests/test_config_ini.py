"""The text of an ini file: what stands where."""

import os
from configparser import RawConfigParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configurations import write
from sasgate.config import ini, load
from sasgate.errors import ConfigError, Fault


HERE = Path("gate.ini")


def parsed(text: str) -> dict[str, dict[str, list[tuple[int, str]]]]:
    document = ini.parse(HERE, text)
    assert not document.faults, document.faults
    return {
        section.name: {
            entry.key: [(line.number, line.text) for line in entry.lines]
            for entry in section.entries
        }
        for section in document.sections
    }


def faults_of(text: str) -> list[tuple[int | None, str]]:
    return [(fault.line, fault.reason) for fault in ini.parse(HERE, text).faults]


def reason_for(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    (fault,) = caught.value.faults
    assert fault.file == path
    return fault.reason


def test_each_line_of_a_list_has_its_own_number() -> None:
    text = "[a]\nlist =\n  one\n  # not this\n\n  two three\nnext = x\n"
    assert parsed(text) == {"a": {"list": [(3, "one"), (6, "two three")], "next": [(7, "x")]}}


def test_a_list_may_begin_on_the_line_of_its_key() -> None:
    assert parsed("[a]\nlist = one\n  two\n") == {"a": {"list": [(2, "one"), (3, "two")]}}


def test_a_key_without_a_value_has_no_lines() -> None:
    assert parsed("[a]\nempty =\n") == {"a": {"empty": []}}


def test_semicolon_and_hash_within_a_value_belong_to_it() -> None:
    assert parsed("[a]\ncn = x;y #z ; w\n") == {"a": {"cn": [(2, "x;y #z ; w")]}}


def test_colon_does_not_end_a_key() -> None:
    assert faults_of("[a]\nlisten: tcp\n")[0][0] == 2


def test_percent_is_not_interpolated() -> None:
    assert parsed("[a]\nurl = %(x)s%20\n") == {"a": {"url": [(2, "%(x)s%20")]}}


def test_default_is_a_section_like_another() -> None:
    assert parsed("[DEFAULT]\na = 1\n[b]\n") == {"DEFAULT": {"a": [(2, "1")]}, "b": {}}


def test_keys_keep_their_case() -> None:
    assert list(parsed("[a]\nListen = 1\n")["a"]) == ["Listen"]


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "gate.ini"
    path.write_bytes(b"\xef\xbb\xbf[a]\r\nb = 1\r\n")
    (section,) = ini.read(path).sections
    assert (section.name, section.entries[0].lines) == ("a", (ini.Line(2, "1"),))


def test_repeated_sections_and_keys_are_all_told() -> None:
    sections = ini.parse(HERE, "[a]\nb = 1\nb = 2\n[a]\nb = 3\n").sections
    numbers = [(each.number, [entry.number for entry in each.entries]) for each in sections]
    assert numbers == [(1, [2, 3]), (4, [5])]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[a]\nno delimiter\n", [2]),
        ("[a]\n= value without a key\n", [2]),
        ("[a] x\n", [1]),
        ("[a\n", [1]),
        ("before = any section\n[a]\n", [1]),
        ("before = any section\n[a]\nb\n", [1, 3]),
        ("text before\n[a]\nfirst\nb = 1\nsecond\n", [1, 3, 5]),
    ],
)
def test_lines_that_are_nothing_are_all_named(text: str, lines: list[int]) -> None:
    assert sorted(line or 0 for line, _ in faults_of(text)) == lines


def test_control_characters_are_refused_where_they_stand() -> None:
    with pytest.raises(ConfigError) as caught:
        ini.parse(HERE, "[a]\nb = 1\x00\nc = \x1b[0m\n")
    assert [fault.line for fault in caught.value.faults] == [2, 3]


def test_missing_file(tmp_path: Path) -> None:
    assert "No such file" in reason_for(tmp_path / "none.ini")


def test_directory_in_place_of_the_file(tmp_path: Path) -> None:
    assert "a directory" in reason_for(tmp_path)


def test_named_pipe_in_place_of_the_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in reason_for(tmp_path / "pipe")


def test_latin_1_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gate.ini"
    path.write_bytes("[a]\nb = Rhône\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.faults[0].line == 2
    assert "UTF-8" in str(caught.value)


def test_huge_file_is_refused(tmp_path: Path) -> None:
    assert "larger" in reason_for(write(tmp_path, "#" * (1024 * 1024 + 1)))


def test_path_with_a_nul_is_a_fault() -> None:
    with pytest.raises(ConfigError):
        load("/gate\x00.ini")


WORDS = st.text(alphabet="abcXYZ09_;#:%é[]/", min_size=1, max_size=8)
SECTION = WORDS.filter(lambda name: "]" not in name)
KEY = WORDS.filter(lambda key: key[0] not in "#;[")
VALUE = WORDS.filter(lambda value: value[0] not in "#;")
GAP = st.sampled_from(["", "\n", "# comment = 1\n", "   \n", "; [comment]\n"])
ENTRY = st.tuples(KEY, st.lists(VALUE, max_size=3), GAP)
FILE = st.dictionaries(
    SECTION, st.lists(ENTRY, max_size=4, unique_by=lambda entry: entry[0].lower()), max_size=3
)


def rendered(content: dict[str, list[tuple[str, list[str], str]]]) -> str:
    text = ""
    for section, entries in content.items():
        text += f"[{section}]\n"
        for key, values, gap in entries:
            text += f"{key} =\n" + "".join(f"  {value}\n" for value in values) + gap
    return text


@given(FILE)
def test_every_number_is_that_of_the_line(
    content: dict[str, list[tuple[str, list[str], str]]],
) -> None:
    text = rendered(content)
    lines = text.split("\n")
    document = ini.parse(HERE, text)
    assert not document.faults
    assert [section.name for section in document.sections] == list(content)
    for section in document.sections:
        assert section.number is not None
        assert lines[section.number - 1] == f"[{section.name}]"
        assert [entry.key for entry in section.entries] == [e[0] for e in content[section.name]]
        for entry in section.entries:
            assert lines[entry.number - 1] == f"{entry.key} ="
            assert all(lines[line.number - 1].strip() == line.text for line in entry.lines)


@given(FILE)
def test_configparser_itself_reads_the_same_values(
    content: dict[str, list[tuple[str, list[str], str]]],
) -> None:
    text = rendered(content)
    plain = RawConfigParser(default_section="", delimiters=("=",), interpolation=None)
    plain.optionxform = str  # type: ignore[assignment,method-assign]
    plain.read_string(text)
    for section in ini.parse(HERE, text).sections:
        ours = {entry.key: [line.text for line in entry.lines] for entry in section.entries}
        theirs = {
            key: [line for line in value.split("\n") if line]
            for key, value in plain.items(section.name)
        }
        assert ours == theirs


@given(st.text())
def test_no_text_raises_anything_but_a_configuration_error(text: str) -> None:
    try:
        document = ini.parse(HERE, text)
    except ConfigError:
        return
    count = text.replace("\r\n", "\n").count("\n") + 1
    numbers = [fault.line or 0 for fault in document.faults]
    numbers += [entry.number for section in document.sections for entry in section.entries]
    assert all(1 <= number <= count for number in numbers)


LIKELY_TEXT = st.lists(
    st.sampled_from(
        [
            "[sasgate]", "[inbound]", "[inbound:b]", "[outbound]", "[environment:own]",
            "[environment:recette]", "[revocation]", "[limits]", "[log]", "[x]",
            "environment = recette", "environment = recette preproduction own", "listen = tcp:1",
            "listen = haproxy:tcp:2 unix:x", "listen = systemd:domain=INET:name=a", "admin = tcp:3",
            "backend = http://127.0.0.1:1", "backend = https://[::1", "routes = a:/ = unix:",
            "routes =", "  /x = unix:/y", "certificate = c", "clients = CN=a,OU=b", "clients = \\",
            "deny = a:1", "addresses = any ::/0", "crl = ldap://x", "ocsp = http://o",
            "mode = off", "mode = ocsp", "proxy = a:1", "tls = 1.1", "ciphers = X:", "url = https:",
            "roots = r", "issuers = i", "check = GET /", "base_path = /", "handshake = 1e9",
            "crl_size = 9 TiB", "refresh = auto", "=", "  ", "\x00", "é = ½",
        ]
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=300)
@given(lines=LIKELY_TEXT)
def test_no_file_raises_anything_but_faults_in_order(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp(), "\n".join(lines))
    faults: tuple[Fault, ...] = ()
    try:
        load(path)
    except ConfigError as error:
        faults = error.faults
    numbers = [fault.line or len(lines) + 1 for fault in faults]
    assert numbers == sorted(numbers)
    assert all(number <= len(lines) + 1 for number in numbers)
    assert all(fault.file == path and fault.reason for fault in faults)


@given(data=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_configuration_error(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.ini"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load(path)
