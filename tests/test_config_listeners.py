"""[inbound] and [outbound]: what they take, and what would be open by mistake."""

from pathlib import Path

import pytest

from configurations import INBOUND, fault_in, faults_in, line_of, write
from sasgate.config import load
from sasgate.settings import Backend, Inbound, Listen, Route, TLSVersion


LOCAL = Backend("http", "127.0.0.1", 8080, "")
OUTBOUND = "[sasgate]\nenvironment = recette\n[outbound]\ncertificate = acme.pem\nlisten = "


def inbound_with(tmp_path: Path, *lines: str) -> Inbound:
    return load(write(tmp_path, INBOUND + "\n".join(lines))).inbounds[0]


def with_backend(text: str) -> str:
    return INBOUND.replace("http://127.0.0.1:8080", text)


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("http://127.0.0.1:8080", LOCAL),
        ("http://localhost", Backend("http", "localhost", 80, "")),
        ("http://[::1]:81/", Backend("http", "::1", 81, "")),
        ("https://App.example", Backend("https", "app.example", 443, "")),
        ("https://192.0.2.1:8443", Backend("https", "192.0.2.1", 8443, "")),
        ("unix:/run/app.sock", Backend("unix", "", 0, "/run/app.sock")),
    ],
)
def test_backend(tmp_path: Path, text: str, backend: Backend) -> None:
    inbound = load(write(tmp_path, with_backend(text))).inbounds[0]
    assert inbound.routes == (Route(None, "/", (backend,)),)


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1/fhir", "http://127.0.0.1?x=1", "http://127.0.0.1?", "http://127.0.0.1/;x",
     "http://u:p@127.0.0.1", "ftp://127.0.0.1", "127.0.0.1:8080", "unix:", "unix://run/x",
     "http://127.0.0.1:0", "http://"],
)  # fmt: skip
def test_no_backend(tmp_path: Path, text: str) -> None:
    fault = fault_in(tmp_path, with_backend(text))
    assert (fault.key, fault.line, fault.value) == ("backend", 6, text)


@pytest.mark.parametrize(
    "text", ["http://10.0.0.1", "http://app.example:8080", "http://0.0.0.0:80", "http://[::]:80"]
)
def test_plain_backend_elsewhere_must_be_asked_for(tmp_path: Path, text: str) -> None:
    fault = fault_in(tmp_path, with_backend(text))
    assert "unsafe_backend = yes" in fault.remedy
    asked = with_backend(text) + "unsafe_backend = yes"
    assert load(write(tmp_path, asked)).inbounds[0].routes[0].backends[0].scheme == "http"


def test_unsafe_backend_is_yes_or_no(tmp_path: Path) -> None:
    text = with_backend("http://10.0.0.1") + "unsafe_backend = true"
    assert {fault.key for fault in faults_in(tmp_path, text)} == {"backend", "unsafe_backend"}


def test_several_backends_are_balanced(tmp_path: Path) -> None:
    text = with_backend("http://127.0.0.1:8080 unix:/run/app.sock")
    backends = load(write(tmp_path, text)).inbounds[0].routes[0].backends
    assert backends == (LOCAL, Backend("unix", "", 0, "/run/app.sock"))


def test_a_backend_named_twice_is_refused(tmp_path: Path) -> None:
    text = with_backend("http://127.0.0.1:80 http://127.0.0.1/")
    assert "twice" in fault_in(tmp_path, text).reason


def test_backend_roots_go_with_https(tmp_path: Path) -> None:
    text = with_backend("https://app.example http://127.0.0.1") + "backend_roots = app-ca.pem"
    first, second = load(write(tmp_path, text)).inbounds[0].routes[0].backends
    assert (first.roots, second.roots) == (tmp_path / "app-ca.pem", None)


def test_backend_roots_without_https_are_refused(tmp_path: Path) -> None:
    assert fault_in(tmp_path, INBOUND + "backend_roots = app-ca.pem").key == "backend_roots"


def test_routes_are_ordered_longest_first_and_particular_first(tmp_path: Path) -> None:
    text = INBOUND.replace("recette", "recette preproduction") + (
        "routes =\n  /fhir = http://127.0.0.1:1\n  recette:/ = http://127.0.0.1:2\n"
        "  /fhir/R4 = http://127.0.0.1:3 unix:/run/x\n  preproduction:/fhir=http://127.0.0.1:4\n"
    )
    routes = load(write(tmp_path, text)).inbounds[0].routes
    assert [(route.environment, route.prefix) for route in routes] == [
        (None, "/fhir/R4"),
        ("preproduction", "/fhir"),
        (None, "/fhir"),
        ("recette", "/"),
        (None, "/"),
    ]
    assert [backend.port for backend in routes[0].backends] == [3, 0]


@pytest.mark.parametrize(
    "row",
    ["fhir = http://127.0.0.1", "/fhir", "/fhir =", "/fhir http://127.0.0.1", "= http://127.0.0.1",
     "/fhir/ = http://127.0.0.1", "//x = http://127.0.0.1", "/a/../b = http://127.0.0.1",
     "/x = http://10.0.0.1", "/x = http://127.0.0.1/y", "/a b = http://127.0.0.1",
     "/x = http://127.0.0.1 http://127.0.0.1:80", "production:/x = http://127.0.0.1",
     "preproduction:/x = http://127.0.0.1", "recette: /x = http://127.0.0.1"],
)  # fmt: skip
def test_no_route(tmp_path: Path, row: str) -> None:
    text = f"{INBOUND}routes =\n  /ok = http://127.0.0.1\n  {row}\n"
    fault = fault_in(tmp_path, text)
    assert (fault.key, fault.line, fault.value) == ("routes", 9, row)


def test_two_routes_of_one_rule_are_refused(tmp_path: Path) -> None:
    text = INBOUND + "routes =\n  /a = http://127.0.0.1:1\n  /a = http://127.0.0.1:2\n"
    assert "two routes for /a" in fault_in(tmp_path, text).reason


def test_backend_is_the_route_of_all_and_cannot_be_given_twice(tmp_path: Path) -> None:
    text = INBOUND + "routes = / = http://127.0.0.1:1\n"
    assert "two routes for /;" in str(fault_in(tmp_path, text))


def test_an_environment_without_any_route_is_refused(tmp_path: Path) -> None:
    text = INBOUND.replace("recette", "recette preproduction").replace(
        "backend = http://127.0.0.1:8080", "routes = recette:/ = http://127.0.0.1"
    )
    assert "preproduction has no route" in fault_in(tmp_path, text).reason


def test_routes_alone_are_enough(tmp_path: Path) -> None:
    text = INBOUND.replace("backend = ", "routes = /fhir = ")
    assert load(write(tmp_path, text)).inbounds[0].routes == (Route(None, "/fhir", (LOCAL,)),)


def test_base_path_and_check(tmp_path: Path) -> None:
    inbound = inbound_with(tmp_path, "base_path = /fhir/R4", "check = GET /health")
    assert (inbound.base_path, inbound.check) == ("/fhir/R4", "/health")


@pytest.mark.parametrize("line", ["base_path = /", "base_path = fhir", "base_path = /fhir/"])
def test_no_base_path(tmp_path: Path, line: str) -> None:
    assert fault_in(tmp_path, INBOUND + line).key == "base_path"


@pytest.mark.parametrize(
    "text", ["CONNECT", "get /x", "POST /x", "GET", "GET x", "GET /x HTTP/1.1", "GET http://a/x"]
)
def test_no_check(tmp_path: Path, text: str) -> None:
    assert fault_in(tmp_path, f"{INBOUND}check = {text}").key == "check"


def test_check_may_say_its_default(tmp_path: Path) -> None:
    assert inbound_with(tmp_path, "check = connect").check is None


def test_several_endpoints(tmp_path: Path) -> None:
    text = INBOUND.replace("tcp:443", "tcp:443 tcp:444:interface=192.0.2.1")
    assert load(write(tmp_path, text)).inbounds[0].listen == (
        Listen("tcp:443", proxied=False),
        Listen("tcp:444:interface=192.0.2.1", proxied=False),
    )


def test_haproxy_with_its_proxies(tmp_path: Path) -> None:
    text = INBOUND.replace("tcp:443", "haproxy:tcp:443") + "proxies = 192.0.2.9 2001:db8::/64\n"
    inbound = load(write(tmp_path, text)).inbounds[0]
    assert inbound.listen == (Listen("tcp:443", proxied=True),)
    assert [str(each) for each in inbound.proxies] == ["192.0.2.9/32", "2001:db8::/64"]


def test_haproxy_without_proxies_is_refused(tmp_path: Path) -> None:
    """S44: a PROXY header is believed only from listed peers."""
    assert fault_in(tmp_path, INBOUND.replace("tcp:443", "haproxy:tcp:443")).key == "proxies"


def test_proxies_without_haproxy_are_refused(tmp_path: Path) -> None:
    assert fault_in(tmp_path, INBOUND + "proxies = 192.0.2.9\n").key == "proxies"


@pytest.mark.parametrize("text", ["1.3", "1.2", "1.3 1.2"])
def test_tls_versions(tmp_path: Path, text: str) -> None:
    versions = inbound_with(tmp_path, f"tls = {text}").tls
    assert versions == tuple(TLSVersion(word) for word in text.split())


@pytest.mark.parametrize("text", ["1.1", "1.0 1.2", "TLSv1.2", "ssl3", "1.4"])
def test_older_tls_cannot_be_asked_for(tmp_path: Path, text: str) -> None:
    assert fault_in(tmp_path, f"{INBOUND}tls = {text}").key == "tls"


@pytest.mark.parametrize(
    "text",
    ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
     "ECDHE-ECDSA-AES128-CCM ECDHE-RSA-CHACHA20-POLY1305"],
)  # fmt: skip
def test_ciphers(tmp_path: Path, text: str) -> None:
    assert inbound_with(tmp_path, f"ciphers = {text}").ciphers == text.replace(" ", ":")


@pytest.mark.parametrize(
    "text",
    ["ALL", "HIGH:!aNULL", "ECDHE", "ECDHE+AESGCM", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256",
     "DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM8", "ECDHE-RSA-AES999-GCM-SHA256",
     "TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256:", "ECDHE-PSK-CHACHA20-POLY1305",
     "@SECLEVEL=0", "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0", "ADH-AES128-GCM-SHA256"],
)  # fmt: skip
def test_no_cipher(tmp_path: Path, text: str) -> None:
    assert fault_in(tmp_path, f"{INBOUND}ciphers = {text}").key == "ciphers"


@pytest.mark.parametrize(
    "listen",
    ["tcp:8081", "tcp:8081:interface=0.0.0.0", "tcp:8081:interface=192.0.2.1",
     "systemd:domain=INET:name=out"],
)  # fmt: skip
def test_outbound_beyond_this_machine_must_be_asked_for(tmp_path: Path, listen: str) -> None:
    """S53: the local port is no open relay."""
    fault = fault_in(tmp_path, OUTBOUND + listen)
    assert "unsafe_listen = yes" in fault.remedy
    asked = f"{OUTBOUND}{listen}\nunsafe_listen = yes"
    assert load(write(tmp_path, asked)).outbounds[0].listen[0].endpoint == listen


@pytest.mark.parametrize(
    "listen", ["tcp:8081:interface=127.0.0.1", "unix:/run/out", "systemd:domain=UNIX:name=out"]
)
def test_outbound_on_this_machine(tmp_path: Path, listen: str) -> None:
    assert load(write(tmp_path, OUTBOUND + listen)).outbounds[0].listen[0].endpoint == listen


def test_outbound_takes_no_proxy_header(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, OUTBOUND + "haproxy:tcp:1:interface=127.0.0.1")
    assert "inbound" in fault.reason


def test_outbound_socket_has_one_mode(tmp_path: Path) -> None:
    assert "socket_mode" in fault_in(tmp_path, OUTBOUND + "unix:/run/out:mode=666").remedy


@pytest.mark.parametrize("line", ["socket_mode = 0600", "socket_owner = app"])
def test_socket_rights_without_a_socket_are_refused(tmp_path: Path, line: str) -> None:
    fault = fault_in(tmp_path, f"{OUTBOUND}tcp:1:interface=127.0.0.1\n{line}")
    assert fault.key == line.partition(" ")[0]


@pytest.mark.parametrize("listen", ["tcp:9180:interface=127.0.0.1", "unix:/run/admin.sock"])
def test_admin(tmp_path: Path, listen: str) -> None:
    text = INBOUND.replace("[inbound]", f"admin = {listen}\n[inbound]")
    assert load(write(tmp_path, text)).admin == listen


@pytest.mark.parametrize(
    "listen",
    ["tcp:9180", "tcp:9180:interface=192.0.2.1", r"tcp:9180:interface=\:\:", "haproxy:tcp:9180",
     "haproxy:tcp:9180:interface=127.0.0.1", "systemd:domain=INET:name=admin"],
)  # fmt: skip
def test_admin_beyond_this_machine_is_refused(tmp_path: Path, listen: str) -> None:
    """S58."""
    text = INBOUND.replace("[inbound]", f"admin = {listen}\n[inbound]")
    fault = fault_in(tmp_path, text)
    assert (fault.key, fault.line) == ("admin", line_of(text, "admin"))
