"""`sasgate fetch-ca`: nothing but the pinned certificates is ever kept."""

import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from loopback import Answer, answer, closed_port, mute_server, web_server
from sasgate.commands import main
from sasgate.commands.fetch_ca import LARGEST, NotFetched, from_ans, keep
from sasgate.environments import ACR_EL, PRESETS, PublishedCA
from sasgate.lab.pki import Lab


def fetch(environment: str, to: Path, *arguments: object, proxy: str | None = None) -> Result:
    environ = {"http_proxy": f"http://{proxy}" if proxy else "", "no_proxy": ""}
    words = ["fetch-ca", "--environment", environment, "--to", str(to), *map(str, arguments)]
    return CliRunner(env=environ).invoke(main, words)


def refused(result: Result, to: Path) -> str:
    """What a refusal says; it must have left nothing behind."""
    assert result.exit_code == 1, result.output
    assert not list(to.glob("*"))
    assert "nothing was written" in result.stderr
    assert "Traceback" not in result.output
    return result.stderr


@pytest.fixture
def ans(shared: Path) -> Iterator[str]:
    """A proxy that answers for ANS's own URLs with the genuine certificates."""
    genuine = {
        ca.url: (shared / "igc-sante" / f"{ca.name}.cer").read_bytes()
        for preset in PRESETS.values()
        for ca in (preset.root, preset.issuer)
    }

    def send(handler: BaseHTTPRequestHandler) -> None:
        known = handler.path in genuine
        answer(200 if known else 404, genuine.get(handler.path, b""))(handler)

    with web_server(send) as place:
        yield place


@pytest.mark.parametrize("name", PRESETS)
def test_downloads_the_genuine_cas_under_their_names(tmp_path: Path, ans: str, name: str) -> None:
    to = tmp_path / "new" / "ca"
    result = fetch(name, to, proxy=ans)
    assert result.exit_code == 0, result.output
    preset = PRESETS[name]
    assert {path.name for path in to.iterdir()} == {
        f"{preset.root.name}.cer",
        f"{preset.issuer.name}.cer",
    }
    for ca in (preset.root, preset.issuer):
        path = to / f"{ca.name}.cer"
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        x509.load_der_x509_certificate(path.read_bytes())
        assert f"{path} written, SHA-256 {ca.sha256}" in result.output


def test_what_is_there_already_is_left_alone(tmp_path: Path, shared: Path) -> None:
    fetch("production", tmp_path, "--from", shared / "igc-sante")
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    result = fetch("production", tmp_path, "--from", shared / "igc-sante")
    assert result.output.count("is there already") == 2
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


def test_what_was_there_is_replaced(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "ACR-EL.cer"
    path.write_bytes(b"older")
    fetch("production", tmp_path, "--from", shared / "igc-sante")
    assert path.read_bytes() == (shared / "igc-sante" / "ACR-EL.cer").read_bytes()


def test_pem_from_a_folder_becomes_der(tmp_path: Path, shared: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "ca"
    source.mkdir()
    for name, suffix in {"ACR-EL": "cer", "ACI-EL-ORG": "pem"}.items():
        der = (shared / "igc-sante" / f"{name}.cer").read_bytes()
        pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        (source / f"{name}.{suffix}").write_bytes(pem)
    assert fetch("production", to, "--from", source).exit_code == 0
    for name in ("ACR-EL", "ACI-EL-ORG"):
        genuine = shared / "igc-sante" / f"{name}.cer"
        assert (to / f"{name}.cer").read_bytes() == genuine.read_bytes()


def test_a_folder_of_other_certificates_is_refused(tmp_path: Path, lab: Lab) -> None:
    """The lab's CAs bear ANS's file names and are not ANS's."""
    to = tmp_path / "ca"
    said = refused(fetch("production", to, "--from", lab.directory / "ca"), to)
    assert "is not ANS's ACR-EL" in said
    assert f"instead of {ACR_EL.sha256}" in said


def test_one_wrong_ca_of_two_keeps_both_out(tmp_path: Path, shared: Path, lab: Lab) -> None:
    source, to = tmp_path / "source", tmp_path / "ca"
    source.mkdir()
    (source / "ACR-EL.cer").write_bytes((shared / "igc-sante" / "ACR-EL.cer").read_bytes())
    (source / "ACI-EL-ORG.cer").write_bytes(lab.ca_path("ACI-EL-ORG").read_bytes())
    assert "ACI-EL-ORG.cer: is not ANS's" in refused(fetch("production", to, "--from", source), to)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"<html>portal</html>", "web page"),
        (b"\x30\x82\x06\x00cut", "cut short"),
    ],
)
def test_a_spoilt_source_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """S1."""
    source, to = tmp_path / "source", tmp_path / "ca"
    source.mkdir()
    if content is not None:
        (source / "ACR-EL.cer").write_bytes(content)
    said = refused(fetch("production", to, "--from", source), to)
    assert str(source / "ACR-EL.cer") in said
    assert reason in said


def test_two_certificates_in_one_file_are_refused(tmp_path: Path, shared: Path) -> None:
    pems = b"".join(
        x509.load_der_x509_certificate(
            (shared / "igc-sante" / f"{name}.cer").read_bytes()
        ).public_bytes(serialization.Encoding.PEM)
        for name in ("ACR-EL", "ACI-EL-ORG")
    )
    source, to = tmp_path / "source", tmp_path / "ca"
    source.mkdir()
    (source / "ACR-EL.cer").write_bytes(pems)
    assert "holds 2 certificates" in refused(fetch("production", to, "--from", source), to)


def download(send: Answer, wait: float = 5, whole: float = 10) -> str:
    """Why the download of a CA was refused."""
    with web_server(send) as place:
        return not_fetched(evolve(ACR_EL, url=f"http://{place}/ACR-EL.cer"), wait, whole)


def not_fetched(ca: PublishedCA, wait: float = 5, whole: float = 10) -> str:
    with pytest.raises(NotFetched) as caught:
        from_ans(ca, wait, whole)
    assert ca.url in str(caught.value)
    return str(caught.value)


def test_a_web_page_in_place_of_the_ca_is_refused() -> None:
    assert "web page" in download(answer(200, b"<html>please log in</html>", "text/html"))


def test_a_tampered_ca_is_refused(shared: Path) -> None:
    content = bytearray((shared / "igc-sante" / "ACR-EL.cer").read_bytes())
    content[-1] ^= 1
    assert "is not ANS's" in download(answer(200, bytes(content)))


def test_another_genuine_ca_is_refused(shared: Path) -> None:
    other = (shared / "igc-sante" / "ACR-EL-TEST.cer").read_bytes()
    assert "is not ANS's" in download(answer(200, other))


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_status_is_told(status: int) -> None:
    assert f"HTTP {status}" in download(answer(status))


def test_a_huge_answer_is_cut() -> None:
    assert "this is no certificate" in download(answer(200, b"\x30" * (LARGEST + 1)))


def test_a_truncated_answer_is_refused() -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1580")
        handler.end_headers()
        handler.wfile.write(b"\x30\x82")

    assert download(cut)


def test_a_redirect_to_another_host_is_not_followed() -> None:
    asked: list[str] = []

    def other(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        answer(200)(handler)

    with web_server(other) as place:
        said = download(answer(302, Location=f"http://{place}/ACR-EL.cer"))
    assert f"redirects to http://{place}" in said
    assert not asked


def test_a_redirect_to_a_file_is_not_followed() -> None:
    assert download(answer(302, Location="file:///etc/passwd"))


def test_a_redirect_within_the_host_is_followed(shared: Path) -> None:
    genuine = (shared / "igc-sante" / "ACR-EL.cer").read_bytes()

    def moved(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/new.cer":
            answer(200, genuine)(handler)
        else:
            answer(301, Location="/new.cer")(handler)

    with web_server(moved) as place:
        assert from_ans(evolve(ACR_EL, url=f"http://{place}/ACR-EL.cer")) == genuine


def test_a_redirect_loop_ends() -> None:
    assert "HTTP 302" in download(answer(302, Location="/again"))


def test_a_mute_server_is_left() -> None:
    with mute_server() as place:
        not_fetched(evolve(ACR_EL, url=f"http://{place}/ACR-EL.cer"), wait=0.05)


def test_a_dripping_server_is_left() -> None:
    """S25: each wait is short enough, all of them together are not."""
    over = Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not over.wait(0.01):
            handler.wfile.write(b"\x30")

    try:
        assert "not done within 0.2 s" in download(drip, whole=0.2)
    finally:
        over.set()


def test_a_closed_port_is_told() -> None:
    assert "refused" in not_fetched(evolve(ACR_EL, url=f"http://{closed_port()}/x"))


def test_an_unwritable_place_is_told(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = fetch("production", tmp_path / "file", "--from", shared / "igc-sante")
    assert result.exit_code == 1
    assert str(tmp_path / "file") in result.stderr


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S28: written atomically."""
    path = tmp_path / "ACR-EL.cer"
    path.write_bytes(b"older")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep(path, b"newer", "ab")
    assert [each.name for each in tmp_path.iterdir()] == ["ACR-EL.cer"]
    assert path.read_bytes() == b"older"
