"""What single values cannot show: sections that contradict each other, or leave a gap."""

from pathlib import Path

import pytest

from configurations import INBOUND, OWN, fault_in, faults_in, line_of, write
from sasgate.config import load
from sasgate.settings import RevocationMode


KIT = "CN=sas-aggregator-preproduction,OU=499700343942006"
TWIN = """\
[environment:twin]
roots = other-root.cer
issuers = {issuer}
clients = CN=a,OU={ou}
addresses = any
"""


def outbound(environment: str, listen: str) -> str:
    return (
        f"[outbound:{environment}]\nenvironment = {environment}\nlisten = {listen}\n"
        "certificate = acme.pem\n"
    )


@pytest.mark.parametrize("listener", ["[inbound]", "[outbound]"])
def test_production_cannot_run_without_revocation(tmp_path: Path, listener: str) -> None:
    if listener == "[inbound]":
        text = INBOUND.replace("recette", "production")
    else:
        text = INBOUND + outbound("production", "unix:out")
    text += "[revocation]\nmode = off\n"
    fault = fault_in(tmp_path, text)
    assert (fault.section, fault.key, fault.line) == (
        "revocation",
        "mode",
        line_of(text, "mode"),
    )


@pytest.mark.parametrize("name", ["recette", "preproduction"])
def test_others_can_run_without_revocation(tmp_path: Path, name: str) -> None:
    text = INBOUND.replace("recette", name) + "[revocation]\nmode = off\n"
    assert load(write(tmp_path, text)).revocation.mode is RevocationMode.OFF


@pytest.mark.parametrize(
    ("mode", "keys"),
    [("crl", ["crl"]), ("crl-or-ocsp", ["crl"]), ("crl-and-ocsp", ["crl", "ocsp"]),
     ("ocsp", ["crl", "ocsp"])],
)  # fmt: skip
def test_own_environment_gives_what_the_mode_asks(
    tmp_path: Path, mode: str, keys: list[str]
) -> None:
    text = OWN.replace("mode = off", f"mode = {mode}")
    assert [fault.key for fault in faults_in(tmp_path, text)] == keys
    given = text + "crl = http://l.example/\nocsp = http://o.example/\n"
    assert load(write(tmp_path, given)).revocation.mode is RevocationMode(mode)


def test_the_same_ca_and_pair_twice_on_one_listener_are_refused(tmp_path: Path) -> None:
    text = INBOUND.replace("= recette", "= recette preproduction")
    text += f"[environment:recette]\nclients = {KIT}\n"
    fault = fault_in(tmp_path, text)
    assert (fault.section, fault.key) == ("inbound", "environment")
    assert "recette and preproduction both have CN=sas-aggregator-preproduction" in fault.reason


def test_the_same_pair_on_two_listeners_is_fine(tmp_path: Path) -> None:
    text = (
        f"{INBOUND}[environment:recette]\nclients = {KIT}\n"
        "[inbound:b]\nenvironment = preproduction\nlisten = tcp:444\ncertificate = s.pem\n"
        "backend = http://127.0.0.1\n"
    )
    assert len(load(write(tmp_path, text)).inbounds) == 2


@pytest.mark.parametrize("issuer", ["issuer.cer", "./issuer.cer", "x/../issuer.cer"])
def test_own_environments_with_one_issuer_file_and_pair_are_refused(
    tmp_path: Path, issuer: str
) -> None:
    text = OWN.replace("= own", "= own twin") + TWIN.format(issuer=issuer, ou=1)
    assert "own and twin both have CN=a, OU=1" in fault_in(tmp_path, text).reason


@pytest.mark.parametrize(("issuer", "ou"), [("other.cer", 1), ("issuer.cer", 2)])
def test_own_environments_that_differ_share_a_listener(
    tmp_path: Path, issuer: str, ou: int
) -> None:
    text = OWN.replace("= own", "= own twin") + TWIN.format(issuer=issuer, ou=ou)
    assert load(write(tmp_path, text)).inbounds[0].environments == ("own", "twin")


@pytest.mark.parametrize("listen", ["unix:/run/in.sock", "systemd:domain=UNIX:name=in"])
def test_peers_without_addresses_need_the_filter_off(tmp_path: Path, listen: str) -> None:
    text = INBOUND.replace("tcp:443", listen)
    fault = fault_in(tmp_path, text)
    assert (fault.key, fault.remedy) == (
        "listen",
        "set addresses = any in [environment:recette]",
    )
    allowed = text + "[environment:recette]\naddresses = any\n"
    assert load(write(tmp_path, allowed)).inbounds[0].listen[0].endpoint == listen


def test_two_listeners_on_one_endpoint_are_refused(tmp_path: Path) -> None:
    text = INBOUND + (
        "[inbound:b]\nlisten = tcp:443:interface=192.0.2.1\ncertificate = s.pem\n"
        "backend = http://127.0.0.1\n"
    )
    fault = fault_in(tmp_path, text)
    assert (fault.section, fault.key) == ("inbound:b", "listen")
    assert "[inbound] listen = tcp:443" in fault.reason


def test_one_endpoint_twice_on_a_listener_is_refused(tmp_path: Path) -> None:
    assert fault_in(tmp_path, INBOUND.replace("tcp:443", "tcp:443 tcp:443")).key == "listen"


def test_admin_does_not_share_its_port(tmp_path: Path) -> None:
    text = INBOUND.replace("[inbound]", "admin = tcp:81:interface=127.0.0.1\n[inbound]")
    text += outbound("recette", "tcp:81:interface=127.0.0.1")
    fault = fault_in(tmp_path, text)
    assert fault.section == "outbound:recette"
    assert "[sasgate] admin" in fault.reason


def test_outbound_needs_a_url_to_call(tmp_path: Path) -> None:
    text = OWN + outbound("own", "unix:out")
    assert fault_in(tmp_path, text).key == "url"
    given = text.replace("addresses = any", "addresses = any\nurl = https://sas.example/")
    assert load(write(tmp_path, given)).environments["own"].url == "https://sas.example/"


def test_outbound_alone_needs_no_clients(tmp_path: Path) -> None:
    text = outbound("own", "unix:out") + (
        "[environment:own]\nroots = r\nissuers = i\nurl = https://sas.example/\n"
    )
    assert load(write(tmp_path, text)).inbounds == ()


def test_a_refused_value_is_not_told_again_as_missing(tmp_path: Path) -> None:
    text = OWN.replace("clients = CN=a,OU=1", "clients = nobody").replace("= any", "= everybody")
    assert {fault.key for fault in faults_in(tmp_path, text)} == {"clients", "addresses"}
    assert all("is missing" not in fault.reason for fault in faults_in(tmp_path, text))


def test_a_refused_mode_asks_for_no_lists(tmp_path: Path) -> None:
    assert fault_in(tmp_path, OWN.replace("mode = off", "mode = of")).key == "mode"
