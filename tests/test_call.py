"""`sasgate call`: one call to SAS, step by step, fit to be pasted into a ticket."""

import re
import ssl
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from click.testing import CliRunner

from calling_sas import PATH, Caller, Recorded, resetting_server, sas, saying, steps, tunnel
from loopback import answer, closed_port, mute_server, web_server
from processes import GatewayProcess
from sasgate.commands import main
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab


@pytest.fixture
def caller(lab: Lab, tmp_path: Path) -> Caller:
    return Caller(lab, tmp_path)


class TestAGoodCall:
    def test_every_step_is_shown(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200, b"{}", "application/json"), sas(lab)) as place:
            result = caller.at(place)
        assert result.exit_code == 0
        assert steps(result) == ["DNS", "TCP", "TLS", "answer"]
        for told in ("localhost is ", f"to 127.0.0.1:{place.partition(':')[2]}", "TLSv1.3, TLS_"):
            assert told in result.output

    def test_the_servers_certificate_is_told(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200), sas(lab)) as place:
            output = caller.at(place).output
        assert "subject   CN=localhost\n" in output
        assert "names     localhost, 127.0.0.1, ::1\n" in output
        assert "issuer    CN=LAB PUBLIC CA,O=LAB PUBLIC,C=FR\n" in output
        assert re.search(r"until     \d{4}-\d\d-\d\d \d\d:\d\d UTC \(39\d days left\)\n", output)
        assert "verified  yes" in output

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_the_editors_certificate_is_presented_and_told(
        self, lab: Lab, caller: Caller, version: ssl.TLSVersion
    ) -> None:
        seen = Recorded(answer(200))
        with web_server(seen, sas(lab, version=version)) as place:
            output = caller.at(place).output
        assert seen.clients == [lab.editors["ACME_TEST"].certificate]
        assert "CN        sas-agregateur-test-ACME\n" in output
        assert "OU        300000000000017\n" in output
        assert "issuer    CN=LAB TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS" in output

    def test_the_cas_that_the_server_names_are_told(
        self, caller: Caller, gateway: GatewayProcess
    ) -> None:
        result = caller.at(f"localhost:{gateway.port()}")
        named = result.output.partition("its issuer is among the 2 CAs named:\n")[2].splitlines()
        assert [line.split(",")[0].strip() for line in named[:2]] == [
            "CN=LAB TEST AC RACINE IGC-SANTE ELEMENTAIRE",
            "CN=LAB TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",
        ]
        assert (result.exit_code, "SAS answered 403" in result.output) == (1, True)

    def test_an_issuer_that_the_server_does_not_name_is_told(
        self, caller: Caller, gateway: GatewayProcess
    ) -> None:
        result = caller.at(f"localhost:{gateway.port('inbound:production')}")
        assert "its issuer is not among the 2 CAs named" in result.output
        assert (result.exit_code, "SAS answered 401" in result.output) == (1, True)

    def test_a_server_that_asks_for_none_is_named(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200), sas(lab, ask=None)) as place:
            output = caller.at(place).output
        assert "presented certificate: NONE" in output
        assert "sas-agregateur-test-ACME" not in output

    def test_the_request_is_the_gateways(self, lab: Lab, caller: Caller, tmp_path: Path) -> None:
        body = tmp_path / "appointment.json"
        body.write_bytes(b'{"resourceType": "Appointment"}')
        seen = Recorded(answer(201, Location="/fhir/v1/Appointment/1"))
        with web_server(seen, sas(lab)) as place:
            result = caller.at(
                place, "--data", f"@{body}", "-H", "X-Own: 1", "-H", "Keep-Alive: 5", method="post"
            )
        assert result.exit_code == 0
        assert seen.requests == [f"POST {PATH} HTTP/1.1"]
        assert seen.bodies == [body.read_bytes()]
        (fields,) = seen.fields
        assert fields["Host"] == f"localhost:{place.partition(':')[2]}"
        assert fields["Content-Type"] == "application/fhir+json"
        assert fields["X-Own"] == "1"
        assert "Keep-Alive" not in fields
        sent = {line[2:] for line in map(str.strip, result.output.splitlines()) if line[:2] == "> "}
        shown = {*seen.requests, *(f"{name}: {value}" for name, value in fields.items())}
        assert shown <= sent

    def test_a_body_comes_from_standard_input_too(self, lab: Lab, caller: Caller) -> None:
        seen = Recorded(answer(200))
        with web_server(seen, sas(lab)) as place:
            ini = caller.ini(f"https://localhost:{place.partition(':')[2]}")
            command = ["call", "-c", str(ini), "POST", PATH, "--data", "@-"]
            result = CliRunner().invoke(main, command, input=b"{}")
        assert (result.exit_code, seen.bodies) == (0, [b"{}"])

    def test_a_body_that_is_sent_is_not_shown(
        self, lab: Lab, caller: Caller, tmp_path: Path
    ) -> None:
        (tmp_path / "body").write_bytes(b"Madame Michu")
        with web_server(answer(200), sas(lab)) as place:
            result = caller.at(place, "--data", f"@{tmp_path}/body", method="POST")
        assert "Michu" not in result.output
        assert "(12 bytes of body)" in result.output

    def test_interim_answers_are_no_answer(self, lab: Lab, caller: Caller) -> None:
        raw = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        with web_server(saying(raw), sas(lab)) as place:
            result = caller.at(place)
        assert result.exit_code == 0
        assert "103" not in "".join(re.findall(r"< HTTP.*", result.output))


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(200, 0), (201, 0), (302, 1), (400, 1), (401, 1), (403, 1), (404, 1), (500, 1), (503, 1)],
    )
    def test_exit_code(self, lab: Lab, caller: Caller, status: int, code: int) -> None:
        with web_server(answer(status), sas(lab)) as place:
            result = caller.at(place)
        assert result.exit_code == code
        assert f"SAS answered {status}: " in result.output

    @pytest.mark.parametrize(
        ("status", "meaning"), [(401, "does not recognise the certificate's issuer"),
                                (403, "CN and OU are not registered")]
    )  # fmt: skip
    def test_what_a_refusal_means(
        self, lab: Lab, caller: Caller, status: int, meaning: str
    ) -> None:
        with web_server(answer(status), sas(lab)) as place:
            assert meaning in caller.at(place).output

    def test_a_redirect_is_not_followed(self, lab: Lab, caller: Caller) -> None:
        """S52."""
        seen = Recorded(answer(302, Location="/other"))
        with web_server(seen, sas(lab)) as place:
            result = caller.at(place)
        assert len(seen.requests) == 1
        assert "< Location: /other" in result.output

    def test_of_a_long_body_the_beginning_is_shown(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200, b"x" * 100 + b"y" * 100_000), sas(lab)) as place:
            result = caller.at(place, "--body", "100")
        assert result.exit_code == 0
        assert "the first 100 bytes of the body" in result.output
        assert "x" * 100 in result.output
        assert "yy" not in result.output

    def test_a_cut_inside_a_character_is_text(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200, "aéé".encode()), sas(lab)) as place:
            assert "aé\n" in caller.at(place, "--body", "4").output

    def test_what_is_no_text_is_not_printed(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200, b"\x1f\x8b\xff\xfe"), sas(lab)) as place:
            assert "body, 4 bytes, which are no text" in caller.at(place).output

    def test_terminals_are_given_no_orders(self, lab: Lab, caller: Caller) -> None:
        """S39."""
        hostile = "\x1b]0;owned\x07 \u202egpj\u2028\x9b31m"
        given = answer(200, f"{hostile}\nline".encode(), **{"X-Odd": "\x9b31m\xa0"})
        with web_server(given, sas(lab)) as place:
            output = caller.at(place).output
        assert all(each.isprintable() or each == "\n" for each in output)
        assert "X-Odd" in output

    def test_a_body_that_breaks_off_is_named(self, lab: Lab, caller: Caller) -> None:
        raw = b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf"
        with web_server(saying(raw), sas(lab)) as place:
            result = caller.at(place)
        assert result.exit_code == 1
        assert "THE BODY IS NOT WHOLE" in result.output

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-Half: ",
        ],
    )
    def test_what_the_gateway_takes_for_no_answer_is_none(
        self, lab: Lab, caller: Caller, raw: bytes
    ) -> None:
        with web_server(saying(raw), sas(lab)) as place:
            result = caller.at(place)
        assert result.exit_code == 2
        assert steps(result)[-1] == "answer!"


class TestSecrets:
    @pytest.mark.parametrize(
        "name", ["Authorization", "Cookie", "X-Api-Key", "X-Auth-Token", "Client-Secret"]
    )
    def test_what_gives_access_is_sent_and_not_shown(
        self, lab: Lab, caller: Caller, name: str
    ) -> None:
        seen = Recorded(answer(200))
        with web_server(seen, sas(lab)) as place:
            result = caller.at(place, "--header", f"{name}: opensesame")
        assert seen.fields[0][name] == "opensesame"
        assert "opensesame" not in result.output
        assert f"> {name}: ***" in result.output

    def test_cookies_that_are_set_are_not_shown(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200, **{"Set-Cookie": "id=opensesame"}), sas(lab)) as place:
            result = caller.at(place)
        assert "opensesame" not in result.output
        assert "< Set-Cookie: ***" in result.output


class TestWrongServers:
    """S52: refused before anything of the request is sent, and told exactly why."""

    @pytest.mark.parametrize(
        ("server", "why"),
        [
            ("expired", r"it expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC"),
            ("no-san", "it has no name in its subjectAltName"),
            ("other-name", "it is for other.invalid, not for localhost"),
            ("client-auth", "it is not for servers: its extendedKeyUsage has no serverAuth"),
        ],
    )
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_is_refused(
        self, lab: Lab, caller: Caller, server: str, why: str, version: ssl.TLSVersion
    ) -> None:
        seen = Recorded(answer(200))
        with web_server(seen, sas(lab, server, version=version)) as place:
            result = caller.at(place)
        assert result.exit_code == 2
        assert steps(result) == ["DNS", "TCP", "TLS!"]
        assert re.search(f"verified  REFUSED: {why}", result.output)
        assert "subject   CN=localhost" in result.output
        assert not seen.requests

    def test_an_unknown_ca(self, lab: Lab, caller: Caller) -> None:
        other = lab.ca_path(trees.ROOT)
        with web_server(answer(200), sas(lab)) as place:
            result = caller.at(place, sas_roots=other)
        assert result.exit_code == 2
        assert "its chain ends at CN=LAB PUBLIC ROOT" in result.output

    def test_a_root_that_is_sent_and_not_trusted(self, lab: Lab, caller: Caller) -> None:
        certificate, key = lab.server_paths()
        chain = caller.folder / "chain.pem"
        chain.write_bytes(certificate.read_bytes() + lab.public_root.read_bytes())
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(chain, key)
        with web_server(answer(200), tls) as place:
            result = caller.at(place, sas_roots=lab.ca_path(trees.ROOT))
        assert "the CA CN=LAB PUBLIC ROOT,O=LAB PUBLIC,C=FR behind it is a root" in result.output

    def test_a_missing_intermediate(self, lab: Lab, caller: Caller) -> None:
        leaf = caller.folder / "leaf.pem"
        leaf.write_bytes(pem_of((lab.servers["server"].certificate,)))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(leaf, lab.server_paths()[1])
        with web_server(answer(200), tls) as place:
            result = caller.at(place)
        assert result.exit_code == 2
        assert "issued by CN=LAB PUBLIC CA,O=LAB PUBLIC,C=FR, which the server does not send" in (
            result.output
        )

    def test_the_systems_cas_are_asked_where_none_are_configured(
        self, lab: Lab, caller: Caller
    ) -> None:
        with web_server(answer(200), sas(lab)) as place:
            url = f"https://localhost:{place.partition(':')[2]}"
            text = re.sub("sas_roots = .*", "", caller.text(url))
            ini = caller.folder / "gate.ini"
            ini.write_text(text)
            assert caller.call(ini).exit_code == 2


class TestNoAnswer:
    def test_a_name_without_an_address(self, caller: Caller) -> None:
        result = caller.call(caller.ini("https://sas.invalid/"))
        assert (result.exit_code, steps(result)) == (2, ["DNS!"])
        assert "[outbound] proxy" in result.output

    def test_a_refused_connection(self, caller: Caller) -> None:
        result = caller.at(closed_port())
        assert (result.exit_code, steps(result)) == (2, ["DNS", "TCP!"])
        assert "Connection refused" in result.output

    def test_silence_instead_of_tls(self, caller: Caller) -> None:
        with mute_server() as place:
            result = caller.at(place, limits="connect = 0.2")
        assert (result.exit_code, steps(result)) == (2, ["DNS", "TCP", "TLS!"])
        assert "waits for 0.2 s: [limits] connect" in result.output

    def test_silence_instead_of_an_answer(self, lab: Lab, caller: Caller) -> None:
        def say_nothing(handler: BaseHTTPRequestHandler) -> None:
            handler.rfile.read(1)
            handler.close_connection = True

        with web_server(say_nothing, sas(lab)) as place:
            result = caller.at(place, limits="outbound_answer = 0.2")
        assert (result.exit_code, steps(result)) == (2, ["DNS", "TCP", "TLS", "answer!"])
        assert "waits for 0.2 s: [limits] outbound_answer" in result.output

    def test_plain_http_instead_of_tls(self, caller: Caller) -> None:
        with web_server(answer(200)) as place:
            result = caller.at(place)
        assert (result.exit_code, steps(result)[-1]) == (2, "TLS!")

    def test_a_connection_that_is_reset(self, caller: Caller) -> None:
        with resetting_server() as place:
            result = caller.at(place)
        assert (result.exit_code, steps(result)[-1]) == (2, "TLS!")
        assert "the connection was reset" in result.output

    @pytest.mark.parametrize(
        ("version", "step"),
        [(ssl.TLSVersion.TLSv1_2, "TLS!"), (ssl.TLSVersion.TLSv1_3, "answer!")],
    )
    def test_a_server_that_refuses_the_presented_certificate(
        self, lab: Lab, caller: Caller, version: ssl.TLSVersion, step: str
    ) -> None:
        with web_server(answer(200), sas(lab, ask=trees.ROOT, version=version)) as place:
            result = caller.at(place)
        assert (result.exit_code, steps(result)[-1]) == (2, step)
        assert "alert unknown ca" in result.output
        assert "refuses the presented certificate" in result.output


class TestProxy:
    def test_the_call_goes_through_it(self, lab: Lab, caller: Caller) -> None:
        """The name of SAS is the proxy's to resolve."""
        seen = Recorded(tunnel(sas(lab)))
        with web_server(seen) as proxy:
            result = caller.call(caller.ini("https://localhost:9999", proxy=proxy))
        assert result.exit_code == 0
        assert steps(result) == ["DNS", "TCP", "proxy", "TLS", "answer"]
        assert seen.requests == ["CONNECT localhost:9999 HTTP/1.1"]
        assert "verified  yes" in result.output

    def test_the_server_behind_it_is_verified(self, lab: Lab, caller: Caller) -> None:
        """S52."""
        with web_server(tunnel(sas(lab, "other-name"))) as proxy:
            result = caller.call(caller.ini("https://localhost:9999", proxy=proxy))
        assert (result.exit_code, steps(result)[-1]) == (2, "TLS!")

    def test_a_refusal_is_told(self, caller: Caller) -> None:
        with web_server(answer(407)) as proxy:
            result = caller.call(caller.ini("https://sas.invalid", proxy=proxy))
        assert (result.exit_code, steps(result)) == (2, ["DNS", "TCP", "proxy!"])
        assert "the proxy answered 407" in result.output

    def test_a_proxy_that_is_down(self, caller: Caller) -> None:
        result = caller.call(caller.ini("https://sas.invalid", proxy=closed_port()))
        assert (result.exit_code, steps(result)) == (2, ["DNS", "TCP!"])


class TestWhatIsNotSent:
    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["GET", "fhir"], "fhir: the path begins with /"),
            (["GET", "http://evil/"], "the path begins with /"),
            (["GET", "/a b"], "the gateway refuses to send GET /a b"),
            (["GET", "/a\r\nX: 1"], "holds a line end"),
            (["GET", "/a HTTP/1.1\r\nX: 1"], "holds a line end"),
            (["GET", "/a HTTP/1.1\r\nHost: x\r\n\r\nGET /b"], "holds a line end"),
            (["GET", "/a\0"], "holds a line end"),
            (["GET", "/é"], "percent-encode it"),
            (["G T", "/"], "the gateway refuses"),
            (["CONNECT", "/"], "CONNECT is a method that is not for a gateway"),
            (["GET", "/", "-H", "X: 1\r\nY: 2"], "holds a line end"),
            (["GET", "/", "-H", "Host: evil"], "the gateway refuses"),
            (["GET", "/", "-H", "no colon"], "the gateway refuses"),
            (["GET", "/", "-H", "Content-Length: 5"], "the length of the body is that of --data"),
            (["GET", "/", "-H", "Transfer-Encoding: chunked"], "the length of the body"),
            (["POST", "/", "--data", "{}"], "say --data @FILE"),
            (["POST", "/", "--data", "@/nowhere/x"], "/nowhere/x: No such file"),
        ],
    )
    def test_is_refused(self, caller: Caller, arguments: list[str], told: str) -> None:
        """S53."""
        ini = caller.ini(f"https://{closed_port()}/")
        result = CliRunner().invoke(main, ["call", "-c", str(ini), *arguments])
        assert result.exit_code == 1
        assert told in result.output
        assert "TCP" not in result.output


class TestConfiguration:
    def test_an_environment_is_chosen(self, lab: Lab, caller: Caller) -> None:
        with web_server(answer(200), sas(lab)) as place:
            here = f"https://localhost:{place.partition(':')[2]}/"
            ini = caller.folder / "gate.ini"
            first = caller.text("https://sas.invalid/", name="one")
            # The certificate is judged by the CAs of the environment that is called.
            for ca, other in ((trees.ROOT_TEST, trees.ROOT), (trees.ORG_TEST, trees.ORG)):
                first = first.replace(str(lab.ca_path(ca)), str(lab.ca_path(other)))
            ini.write_text(first + caller.text(here, name="two"))
            assert caller.call(ini, "--environment", "two").exit_code == 0

    def test_several_environments_need_a_choice(self, caller: Caller) -> None:
        ini = caller.folder / "gate.ini"
        both = (caller.text("https://sas.invalid/", name=each) for each in ("one", "two"))
        ini.write_text("".join(both))
        result = caller.call(ini)
        assert result.exit_code == 1
        assert "--environment, one of one, two" in result.output

    def test_an_environment_that_is_not_called(self, caller: Caller) -> None:
        result = caller.call(caller.ini("https://sas.invalid/"), "--environment", "production")
        assert result.exit_code == 1
        assert "no [outbound] calls production; say --environment own" in result.output

    def test_a_certificate_that_sas_would_refuse_calls_nobody(self, caller: Caller) -> None:
        """S55."""
        wrong = caller.lab.editor_path("ACME_PROD")
        result = caller.call(caller.ini("https://sas.invalid/", certificate=wrong))
        assert result.exit_code == 1
        assert f"certificate = {wrong}" in result.output

    def test_roots_that_cannot_be_read_are_no_roots(self, caller: Caller) -> None:
        """S1: never the system's store instead."""
        result = caller.call(caller.ini("https://sas.invalid/", sas_roots="/nowhere"))
        assert result.exit_code == 1
        assert "/nowhere" in result.output

    def test_a_file_that_is_not_there(self, caller: Caller) -> None:
        result = caller.call(caller.folder / "none.ini")
        assert result.exit_code == 1
        assert "none.ini" in result.output
