"""`sasgate probe`: what ANS's acceptance kit checks, of our gateway and of servers that fail it."""

import re
import ssl
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calling_sas import resetting_server, sas, saying
from guide_nginx import PROTECTED, guide_nginx
from loopback import answer, closed_port, mute_server, web_server
from neighbours import public_folder
from processes import PATIENCE, GatewayProcess
from sasgate.commands import main
from sasgate.commands.probe_server import How, ProbedServer, Version
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab


__all__ = ["public_folder"]
# OpenSSL's SSL_OP_ALLOW_CLIENT_RENEGOTIATION, without which it refuses by itself.
_ALLOW_CLIENT_RENEGOTIATION = 1 << 8
AVAILABLE = answer(200, b'{"status": "available"}', "application/json")


class Table:
    """The table that the command printed."""

    def __init__(self, result: Result) -> None:
        assert isinstance(result.exception, SystemExit | None), result.exception
        self.code = result.exit_code
        self.output = result.output
        found = re.findall(r"^(\S.*?)  +(pass|note|FAIL|-)  +(.*)$", result.output, re.MULTILINE)
        self.rows = {check.strip(): (verdict, seen) for check, verdict, seen in found}

    def __getitem__(self, check: str) -> str:
        return self.rows[check][0]

    def seen(self, check: str) -> str:
        return self.rows[check][1]

    def but(self, *verdicts: str) -> dict[str, str]:
        """The checks with another verdict."""
        return {check: each for check, (each, _) in self.rows.items() if each not in verdicts}


def probe(lab: Lab, port: int | str, *options: object, base: str = "", client: str | None = None,
          strangers: tuple[str, ...] = ()) -> Table:  # fmt: skip
    """What the command says of `localhost`, with clients of the lab's catalogue."""
    named = [("--client", lab.path_of(client, chain=True))] if client else []
    named += [("--stranger", lab.path_of(each)) for each in strangers]
    arguments = [str(each) for pair in named for each in pair] + [str(each) for each in options]
    url = f"https://localhost:{port}{base}"
    roots = [] if "--roots" in arguments else ["--roots", str(lab.public_root)]
    return Table(CliRunner().invoke(main, ["probe", url, *roots, *arguments]))


def at(place: str) -> str:
    return place.rpartition(":")[2]


def probed(place: str, patience: float = PATIENCE, base: str = "") -> ProbedServer:
    return ProbedServer("localhost", int(at(place)), base, ("127.0.0.1",), patience)


def asking(lab: Lab, server: str = "server") -> ssl.SSLContext:
    """TLS that asks for a certificate as it should: it does not demand one, and knows both CAs."""
    tls = sas(lab, server)
    tls.load_verify_locations(cadata=lab.ca_path(trees.ORG_TEST).read_bytes())
    tls.verify_mode = ssl.CERT_OPTIONAL
    return tls


class TestOurGateway:
    def test_everything_passes(self, lab: Lab, gateway: GatewayProcess) -> None:
        strangers = ("wrong-cn", "wrong-ou", "crossed-pair", "substring-cn", "expired", "person",
                     "ssl-serv", "self-signed")  # fmt: skip
        table = probe(lab, gateway.port(), client="recette", strangers=strangers)
        assert (table.code, table.but("pass")) == (0, {}), table.output
        assert len(table.rows) == 11 + len(strangers)

    @pytest.mark.parametrize("client", ["preproduction", "multi-valued-rdn"])
    def test_for_each_client_that_is_to_be_admitted(
        self, lab: Lab, gateway: GatewayProcess, client: str
    ) -> None:
        assert probe(lab, gateway.port(), client=client).code == 0

    def test_a_client_that_is_not_admitted_is_told_with_the_gateways_word(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        table = probe(lab, gateway.port(), client="expired")
        assert table.code == 1
        for version in ("1.2", "1.3"):
            check = f"/check with the certificate, TLS {version}"
            assert table[check] == "FAIL"
            assert table.seen(check) == "HTTP 403, verify FAILED:expired"

    def test_a_stranger_who_is_let_in_fails(self, lab: Lab, gateway: GatewayProcess) -> None:
        table = probe(lab, gateway.port(), strangers=("preproduction",))
        assert table.but("pass", "-") == {"preproduction.pem is refused": "FAIL"}
        assert table.code == 1

    def test_without_a_client_what_needs_one_is_not_tried(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        table = probe(lab, gateway.port())
        assert table.code == 0
        assert set(table.but("pass")) == {
            "/check with the certificate", "search for slots within 1 s"
        }  # fmt: skip
        assert "2 not tried: nothing was wrong in what was tried" in table.output

    def test_without_roots_the_systems_cas_decide(self, lab: Lab, gateway: GatewayProcess) -> None:
        url = f"https://localhost:{gateway.port()}"
        table = Table(CliRunner().invoke(main, ["probe", url]))
        assert table.but("pass", "-") == {"server certificate": "FAIL"}
        assert "LAB PUBLIC ROOT" in table.seen("server certificate")

    def test_no_output_holds_a_key(self, lab: Lab, gateway: GatewayProcess) -> None:
        """S57."""
        table = probe(lab, gateway.port(), client="recette", strangers=("wrong-cn",))
        for name in ("recette", "wrong-cn"):
            key = lab.path_of(name).read_text().partition("-----END")[0].splitlines()[1:]
            assert not [line for line in key if line in table.output]


class TestTheGuidesNginx:
    """The guide's 5.9, as it stands and with the other value of its own key."""

    def test_what_it_gets_wrong(self, lab: Lab, public_folder: Path) -> None:
        strangers = ("substring-cn", "wrong-ou", "wrong-cn", "expired")
        with guide_nginx(lab, public_folder) as port:
            table = probe(lab, port, base=PROTECTED, client="recette", strangers=strangers)
        assert table.code == 1
        assert table.but("pass") == {
            "/check without a certificate": "note",
            "/check with the certificate, TLS 1.2": "note",
            # S6: its pattern is found anywhere in the CN, and it never reads the OU.
            "substring-cn.pem is refused": "FAIL",
            "wrong-ou.pem is refused": "FAIL",
        }, table.output
        assert table.seen("/check without a certificate") == "HTTP 401"
        assert table.seen("TLS 1.3 without a certificate").startswith("TLS 1.3 is not spoken")

    def test_it_speaks_tls_1_1_wherever_openssl_lets_it(
        self, lab: Lab, public_folder: Path
    ) -> None:
        """Debian's OpenSSL does not any more; the sample itself asks for it."""
        more = "ssl_ciphers ALL:@SECLEVEL=0;"
        with guide_nginx(lab, public_folder, more=more) as port:
            table = probe(lab, port, base=PROTECTED)
        assert table["TLS 1.0 is refused"] == "pass"
        assert (table["TLS 1.1 is refused"], table.code) == ("FAIL", 1)
        assert table.seen("TLS 1.1 is refused") == "it is spoken"

    def test_what_is_not_below_its_location_is_open_to_all(
        self, lab: Lab, public_folder: Path
    ) -> None:
        with guide_nginx(lab, public_folder) as port:
            table = probe(lab, port)
        for check in ("TLS 1.2 without a certificate", "/check without a certificate"):
            assert (table[check], table.seen(check)) == ("FAIL", "HTTP 200: let in")
        assert table.code == 1

    def test_a_certificate_that_is_demanded_is_answered_400(
        self, lab: Lab, public_folder: Path
    ) -> None:
        """The kit lets it pass; whoever reads the answer learns nothing, and 2.4 wants 403."""
        with guide_nginx(lab, public_folder, verify="on") as port:
            table = probe(lab, port, base=PROTECTED, client="recette", strangers=("expired",))
        assert table.seen("TLS 1.2 without a certificate") == "HTTP 400"
        assert table["/check without a certificate"] == "note"
        assert table.seen("expired.pem is refused") == "HTTP 400"
        assert table.code == 0


class TestFaultyServers:
    def test_one_that_aborts_the_handshake_without_a_certificate(self, lab: Lab) -> None:
        with web_server(AVAILABLE, sas(lab)) as place:
            table = probe(lab, at(place))
        for version in ("1.2", "1.3"):
            check = f"TLS {version} without a certificate"
            assert table[check] == "FAIL"
            assert table.seen(check).startswith("TLS alert: ")
        assert "ssl_verify_client optional_no_ca" in table.output
        assert table.code == 1

    def test_one_that_asks_for_no_certificate(self, lab: Lab) -> None:
        with web_server(answer(401), sas(lab, ask=None)) as place:
            table = probe(lab, at(place))
        assert table.but("pass", "-", "note") == {"asks for a certificate": "FAIL"}

    @pytest.mark.parametrize("status", [200, 204, 301, 500, 502, 503])
    def test_a_stranger_is_answered_by_4xx_and_nothing_else(self, lab: Lab, status: int) -> None:
        with web_server(answer(status), sas(lab, ask=None)) as place:
            table = probe(lab, at(place))
        for check in ("TLS 1.2 without a certificate", "TLS 1.3 without a certificate",
                      "/check without a certificate"):  # fmt: skip
            assert table[check] == "FAIL"

    @pytest.mark.parametrize(
        ("status", "verdict"), [(403, "pass"), (401, "note"), (404, "note"), (400, "note")]
    )
    def test_check_wants_403(self, lab: Lab, status: int, verdict: str) -> None:
        """Specification, 2.4; the kit lets any 4xx pass."""
        with web_server(answer(status), sas(lab, ask=None)) as place:
            assert probe(lab, at(place))["/check without a certificate"] == verdict

    @pytest.mark.parametrize("status", [201, 204, 302, 401, 503])
    def test_check_with_the_certificate_wants_exactly_200(self, lab: Lab, status: int) -> None:
        with web_server(answer(status), asking(lab)) as place:
            table = probe(lab, at(place), client="recette")
        assert table["/check with the certificate, TLS 1.2"] == "FAIL"
        assert table["/check with the certificate, TLS 1.3"] == "FAIL"
        assert table["search for slots within 1 s"] == "FAIL"

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'"available"', b'{"status": "KO"}', b"\xff", b"[" * 9999]
    )
    def test_an_unavailable_body_is_noted(self, lab: Lab, body: bytes) -> None:
        with web_server(answer(200, body), asking(lab)) as place:
            table = probe(lab, at(place), client="recette")
        assert table["/check with the certificate, TLS 1.2"] == "note"

    def test_a_connection_that_is_cut(self, lab: Lab) -> None:
        with resetting_server() as place:
            table = probe(lab, at(place), client="recette", strangers=("expired",))
        assert table["TLS 1.2 without a certificate"] == "FAIL"
        assert table.seen("TLS 1.2 without a certificate") == "cut: the connection was reset"
        assert "is this host's address admitted?" in table.output
        assert table["expired.pem is refused"] == "FAIL"
        assert table["renegotiation is refused"] == "-"
        assert table.code == 1

    @pytest.mark.parametrize("raw", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 401 U\r\nX: "])
    def test_what_is_no_http_answer(self, lab: Lab, raw: bytes) -> None:
        with web_server(saying(raw), sas(lab, ask=None)) as place:
            table = probe(lab, at(place))
        assert table["TLS 1.2 without a certificate"] == "FAIL"
        assert table["TLS 1.3 without a certificate"] == "FAIL"

    def test_one_that_speaks_no_tls(self, lab: Lab) -> None:
        with web_server(answer(401)) as place:
            table = probe(lab, at(place))
        assert not {"pass", "note"}.intersection(verdict for verdict, _ in table.rows.values())

    def test_a_server_of_tls_1_3_alone(self, lab: Lab) -> None:
        tls = sas(lab, ask=None, version=ssl.TLSVersion.TLSv1_3)
        with web_server(answer(403), tls) as place:
            table = probe(lab, at(place))
        assert table["TLS 1.2 without a certificate"] == "FAIL"
        assert table["TLS 1.3 without a certificate"] == "pass"

    def test_one_that_renegotiates(self, lab: Lab) -> None:
        """S17."""
        tls = sas(lab, ask=None)
        tls.options |= _ALLOW_CLIENT_RENEGOTIATION
        with web_server(answer(403), tls) as place:
            table = probe(lab, at(place))
        assert table["renegotiation is refused"] == "FAIL"

    @pytest.mark.parametrize(
        ("name", "version"), [("1.0", ssl.TLSVersion.TLSv1), ("1.1", ssl.TLSVersion.TLSv1_1)]
    )
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_one_that_speaks_an_old_version(
        self, lab: Lab, name: str, version: ssl.TLSVersion
    ) -> None:
        tls = sas(lab, ask=None)
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = version
        with web_server(answer(403), tls) as place:
            table = probe(lab, at(place))
        assert table[f"TLS {name} is refused"] == "FAIL"
        assert table["TLS 1.2 without a certificate"] == "pass"


class TestItsCertificate:
    @pytest.mark.parametrize(
        ("server", "why"),
        [
            ("expired", "it expired on "),
            ("no-san", "it has no name in its subjectAltName"),
            ("other-name", "it is for other.invalid, not for localhost"),
            ("client-auth", "it is not for servers"),
        ],
    )
    def test_is_refused_and_hides_no_other_check(self, lab: Lab, server: str, why: str) -> None:
        with web_server(answer(403), asking(lab, server)) as place:
            table = probe(lab, at(place))
        assert table.but("pass", "-", "note") == {"server certificate": "FAIL"}
        assert table.seen("server certificate").startswith(why)

    def test_its_intermediate_has_to_be_sent(self, lab: Lab, tmp_path: Path) -> None:
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(pem_of((lab.servers["server"].certificate,)))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(leaf, lab.server_paths()[1])
        with web_server(answer(403), tls) as place:
            table = probe(lab, at(place))
        assert table["server certificate"] == "FAIL"
        assert "which the server does not send" in table.seen("server certificate")


class TestQuestions:
    """One question, where the whole table would take long."""

    def test_silence_is_told(self) -> None:
        with mute_server() as place:
            seen = probed(place, 0.2).get("/Slot", Version.V1_2)
        assert (seen.how, seen.shaken) == (How.SILENT, False)

    def test_what_this_host_cannot_ask_is_told(
        self, gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not taken for a refusal by the server."""
        monkeypatch.setattr("sasgate.commands.probe_server._ANYTHING", b"AES128-GCM-SHA256")
        seen = probed(f"x:{gateway.port()}").get("/Slot", Version.V1_0)
        assert seen.how is How.NOT_TRIED

    def test_a_question_is_one_request_to_the_right_host(self, lab: Lab) -> None:
        asked: list[str] = []

        def send(handler: BaseHTTPRequestHandler) -> None:
            asked.extend((handler.requestline, handler.headers["Host"]))
            answer(403)(handler)

        with web_server(send, sas(lab, ask=None)) as place:
            probed(place, base="/fhir").get("/check", Version.V1_3)
        assert asked == ["GET /fhir/check HTTP/1.1", f"localhost:{at(place)}"]

    def test_of_a_chain_the_leaf_alone_is_sent(self, lab: Lab) -> None:
        """As SAS does it: a server that knows the root and not the intermediate refuses it."""
        with web_server(AVAILABLE, sas(lab)) as place:
            table = probe(lab, at(place), client="recette")
        for version in ("1.2", "1.3"):
            check = f"/check with the certificate, TLS {version}"
            assert (table[check], "unknown ca" in table.seen(check)) == ("FAIL", True)


class TestCommand:
    def test_a_server_that_is_not_there(self, lab: Lab) -> None:
        result = CliRunner().invoke(main, ["probe", f"https://{closed_port()}/"])
        assert result.exit_code == 2
        assert "cannot be reached: Connection refused" in result.output

    def test_a_name_without_an_address(self) -> None:
        result = CliRunner().invoke(main, ["probe", "https://editor.invalid/"])
        assert result.exit_code == 2
        assert "editor.invalid:443 cannot be reached" in result.output

    @pytest.mark.parametrize(
        "url", ["http://localhost/", "", "localhost:port", "https://", "https://x/?a=b", "https://u@x/",
                "https://x/#a", "https://x/a/../b", "https://x/é"]
    )  # fmt: skip
    def test_a_url_that_is_none(self, url: str) -> None:
        result = CliRunner().invoke(main, ["probe", url])
        assert result.exit_code == 2
        assert f"Invalid value for URL: {url} " in result.output

    def test_plain_http_is_told_what_to_write(self) -> None:
        result = CliRunner().invoke(main, ["probe", "http://localhost/"])
        assert "is no https:// URL; write for example https://" in result.output

    @pytest.mark.parametrize("path", ["", "/fhir/"])
    def test_https_may_be_left_out(self, path: str) -> None:
        place = closed_port()
        result = CliRunner().invoke(main, ["probe", f"{place}{path}"])
        assert result.exit_code == 2
        assert f"{place} cannot be reached: Connection refused" in result.output

    @pytest.mark.parametrize("option", ["--client", "--stranger", "--roots"])
    def test_a_file_that_is_not_there(self, option: str, tmp_path: Path) -> None:
        """S1: never another store or certificate instead."""
        file = tmp_path / "none.pem"
        result = CliRunner().invoke(main, ["probe", f"https://{closed_port()}", option, str(file)])
        assert result.exit_code == 1
        assert f"{file}: does not exist" in result.output

    def test_a_key_of_another_certificate(self, lab: Lab, tmp_path: Path) -> None:
        mixed = tmp_path / "mixed.pem"
        leaf = pem_of((lab.clients["recette"].certificate,))
        mixed.write_bytes(leaf + lab.server_paths()[1].read_bytes())
        mixed.chmod(0o600)
        command = ["probe", f"https://{closed_port()}", "--client", str(mixed)]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1
        assert f"{mixed}: key and first certificate" in result.output

    def test_a_key_that_others_can_read(self, lab: Lab, tmp_path: Path) -> None:
        """S57."""
        copied = tmp_path / "open.pem"
        copied.write_bytes(lab.path_of("recette").read_bytes())
        copied.chmod(0o644)
        command = ["probe", f"https://{closed_port()}", "--client", str(copied)]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1
        assert "can be read by every user" in result.output
