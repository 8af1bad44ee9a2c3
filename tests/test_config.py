"""A whole file: defaults, presets, and every fault at once."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from configurations import INBOUND, OWN, fault_in, faults_in, line_of, write
from sasgate.config import load
from sasgate.environments import PRESETS
from sasgate.identity import NamePair
from sasgate.settings import (
    Backend,
    CAFile,
    DeniedFingerprint,
    DeniedSerial,
    Limits,
    Listen,
    Log,
    LogFormat,
    OCSPNonce,
    RevocationMode,
    Route,
    TLSVersion,
)


OUTBOUND = INBOUND + "[outbound]\nlisten = unix:out.sock\ncertificate = acme.pem\n"


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    settings = load(write(tmp_path, INBOUND))
    assert (settings.state, settings.admin) == (tmp_path / "state", None)
    assert settings.limits == Limits()
    assert settings.log == Log(LogFormat.TEXT, full_paths=False)
    assert settings.revocation.mode is RevocationMode.CRL_OR_OCSP
    assert settings.revocation.admit_for is None
    assert settings.revocation.ocsp_nonce is OCSPNonce.NO
    (inbound,) = settings.inbounds
    assert inbound.name == "inbound"
    assert inbound.environments == ("recette",)
    assert inbound.listen == (Listen("tcp:443", proxied=False),)
    assert inbound.certificate == inbound.key == tmp_path / "server.pem"
    assert inbound.routes == (Route(None, "/", (Backend("http", "127.0.0.1", 8080, ""),)),)
    assert (inbound.base_path, inbound.check, inbound.proxies) == ("", None, ())
    assert inbound.tls == (TLSVersion.V1_2, TLSVersion.V1_3)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_ans_publishes(tmp_path: Path, name: str) -> None:
    preset = PRESETS[name]
    environment = load(write(tmp_path, INBOUND.replace("recette", name))).environments[name]
    assert environment.preset
    assert environment.roots == (
        CAFile(tmp_path / "ca" / f"{preset.root.name}.cer", preset.root.sha256),
    )
    assert environment.issuers == (
        CAFile(tmp_path / "ca" / f"{preset.issuer.name}.cer", preset.issuer.sha256),
    )
    assert environment.clients == (NamePair(preset.client_cn, preset.client_ou),)
    assert environment.addresses == (ip_network(preset.address),)
    assert environment.crl == (preset.root.crl_url, preset.issuer.crl_url)
    assert (environment.ocsp, environment.url) == (preset.ocsp_url, preset.url)
    assert environment.deny == ()


def test_ca_folder_is_where_the_pinned_files_are(tmp_path: Path) -> None:
    text = INBOUND.replace("[inbound]", "ca = /srv/ans\n[inbound]")
    environment = load(write(tmp_path, text)).environments["recette"]
    assert environment.roots[0].path == Path("/srv/ans/ACR-EL-TEST.cer")


def test_clients_of_the_file_are_added_to_those_of_ans(tmp_path: Path) -> None:
    text = INBOUND + "[environment:recette]\nclients =\n  CN=kit\\; of ANS,OU=11B0073160\n"
    clients = load(write(tmp_path, text)).environments["recette"].clients
    assert clients == (
        NamePair("sas-agregateur-recette", "499700234190004"),
        NamePair("kit; of ANS", "11B0073160"),
    )


def test_addresses_of_the_file_replace_those_of_ans(tmp_path: Path) -> None:
    text = INBOUND + "[environment:recette]\naddresses = 192.0.2.1 2001:db8::/32\n"
    addresses = load(write(tmp_path, text)).environments["recette"].addresses
    assert addresses == (ip_network("192.0.2.1"), ip_network("2001:db8::/32"))


def test_any_switches_the_address_filter_off(tmp_path: Path) -> None:
    text = INBOUND + "[environment:recette]\naddresses = any\n"
    assert load(write(tmp_path, text)).environments["recette"].addresses is None


def test_any_beside_an_address_is_refused(tmp_path: Path) -> None:
    text = INBOUND + "[environment:recette]\naddresses = any 192.0.2.1\n"
    assert "beside" in fault_in(tmp_path, text).reason


@pytest.mark.parametrize("key", ["roots", "issuers"])
@pytest.mark.parametrize("name", PRESETS)
def test_cas_of_a_preset_are_never_changed(tmp_path: Path, name: str, key: str) -> None:
    text = f"{INBOUND.replace('recette', name)}[environment:{name}]\n{key} = mine.cer\n"
    fault = fault_in(tmp_path, text)
    assert (fault.line, fault.key) == (line_of(text, key), key)
    assert "pinned" in fault.reason


def test_environments_that_no_listener_uses_are_left_out(tmp_path: Path) -> None:
    text = INBOUND + "[environment:own]\nroots = r\nissuers = i\n"
    assert list(load(write(tmp_path, text)).environments) == ["recette"]


def test_environments_that_no_listener_uses_are_checked_all_the_same(tmp_path: Path) -> None:
    assert fault_in(tmp_path, INBOUND + "[environment:production]\ndeny = x\n").key == "deny"


def test_own_environment(tmp_path: Path) -> None:
    text = OWN.replace(
        "addresses = any",
        "addresses = any\ncrl = http://lists.example/a.crl lists\nocsp = http://ocsp.example\n"
        "ocsp_signers = signer.pem\nurl = https://sas.example/\nsas_roots = sas.pem",
    ).replace("roots = root.cer", "roots = old.cer new.cer")
    own = load(write(tmp_path, text)).environments["own"]
    assert not own.preset
    assert own.roots == (CAFile(tmp_path / "old.cer", None), CAFile(tmp_path / "new.cer", None))
    assert own.crl == ("http://lists.example/a.crl", str(tmp_path / "lists"))
    assert own.ocsp == "http://ocsp.example"
    assert own.ocsp_signers == (tmp_path / "signer.pem",)
    assert (own.url, own.sas_roots) == ("https://sas.example/", tmp_path / "sas.pem")


@pytest.mark.parametrize("key", ["roots", "issuers", "clients", "addresses"])
def test_own_environment_must_say_who_is_let_in(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in OWN.splitlines(True) if not line.startswith(f"{key} ="))
    fault = fault_in(tmp_path, text)
    assert (fault.key, fault.line) == (key, line_of(text, "[environment:own]"))
    assert "is missing" in fault.reason


def test_misspelt_preset_is_no_silent_own_environment(tmp_path: Path) -> None:
    faults = faults_in(tmp_path, INBOUND + "[environment:recete]\naddresses = any\n")
    assert {fault.key for fault in faults} == {"roots", "issuers"}
    assert all(fault.remedy == "did you mean recette?" for fault in faults)


def test_denials_of_each_form(tmp_path: Path) -> None:
    text = INBOUND + (
        "[environment:recette]\ndeny =\n"
        f"  {'AB' * 32}\n  {':'.join(['cd'] * 32)}\n"
        "  AC IGC-SANTE ELEMENTAIRE ORGANISATIONS:00ab12\n"
    )
    assert load(write(tmp_path, text)).environments["recette"].deny == (
        DeniedFingerprint("ab" * 32),
        DeniedFingerprint("cd" * 32),
        DeniedSerial("AC IGC-SANTE ELEMENTAIRE ORGANISATIONS", "AB12"),
    )


def test_listeners_are_repeated_by_name(tmp_path: Path) -> None:
    text = INBOUND + (
        "[inbound:b.example]\nenvironment = preproduction\nlisten = tcp:444\n"
        "certificate = b.pem\nkey = b.key\nbackend = unix:run/b.sock\n"
    )
    first, second = load(write(tmp_path, text)).inbounds
    assert (first.name, second.name) == ("inbound", "inbound:b.example")
    assert second.environments == ("preproduction",)
    assert second.key == tmp_path / "b.key"
    assert second.routes[0].backends == (Backend("unix", "", 0, str(tmp_path / "run/b.sock")),)


def test_recette_and_preproduction_share_a_listener(tmp_path: Path) -> None:
    text = INBOUND.replace("recette", "recette preproduction")
    assert load(write(tmp_path, text)).inbounds[0].environments == ("recette", "preproduction")


def test_outbound_takes_one_pem_and_a_socket_of_its_group(tmp_path: Path) -> None:
    (outbound,) = load(write(tmp_path, OUTBOUND)).outbounds
    assert (outbound.name, outbound.environment) == ("outbound", "recette")
    assert outbound.certificate == outbound.key == tmp_path / "acme.pem"
    assert outbound.listen == (Listen(f"unix:{tmp_path}/out.sock", proxied=False),)
    assert (outbound.socket_mode, outbound.socket_owner, outbound.proxy) == (0o660, None, None)


def test_outbound_with_all_its_keys(tmp_path: Path) -> None:
    text = OUTBOUND + (
        "key = acme.key\nproxy = http://proxy.example:3128\nsocket_mode = 0600\n"
        "socket_owner = app:www-data\n"
    )
    (outbound,) = load(write(tmp_path, text)).outbounds
    assert outbound.key == tmp_path / "acme.key"
    assert outbound.proxy == "proxy.example:3128"
    assert (outbound.socket_mode, outbound.socket_owner) == (0o600, "app:www-data")


def test_revocation_with_all_its_keys(tmp_path: Path) -> None:
    text = INBOUND + (
        "[revocation]\nmode = crl-and-ocsp\nrefresh = 30m\nwhen_unknown = admit\nadmit_for = 4h\n"
        "proxy = 192.0.2.9:8080\nocsp_hash = sha256\nocsp_nonce = required\n"
        "export_pem = lists.pem\nexport_hash_dir = /srv/lists\n"
    )
    revocation = load(write(tmp_path, text)).revocation
    assert revocation.mode is RevocationMode.CRL_AND_OCSP
    assert (revocation.refresh, revocation.admit_for) == (1800, 4 * 3600)
    assert revocation.proxy == "192.0.2.9:8080"
    assert (revocation.ocsp_hash, revocation.ocsp_nonce) == ("sha256", OCSPNonce.REQUIRED)
    assert revocation.export_pem == tmp_path / "lists.pem"
    assert revocation.export_hash_dir == Path("/srv/lists")


def test_nobody_is_admitted_for_a_while_unless_asked(tmp_path: Path) -> None:
    """S23: soft mode is reached by explicit decision only."""
    text = INBOUND + "[revocation]\nadmit_for = 4h\n"
    assert load(write(tmp_path, text)).revocation.admit_for is None


def test_admission_of_unknown_status_ends_after_a_day_by_default(tmp_path: Path) -> None:
    text = INBOUND + "[revocation]\nwhen_unknown = admit\n"
    assert load(write(tmp_path, text)).revocation.admit_for == 24 * 3600


def test_limits_are_read_by_their_names(tmp_path: Path) -> None:
    text = INBOUND + "[limits]\nhandshake = 5 s\nhead_size = 32 KiB\nconnections = 10\n"
    limits = load(write(tmp_path, text)).limits
    assert (limits.handshake, limits.head_size, limits.connections) == (5.0, 32768, 10)


def test_log_with_all_its_keys(tmp_path: Path) -> None:
    text = INBOUND + "[log]\nformat = json\npaths = full\n"
    assert load(write(tmp_path, text)).log == Log(LogFormat.JSON, full_paths=True)


def test_lines_say_where_each_key_stands(tmp_path: Path) -> None:
    settings = load(write(tmp_path, INBOUND))
    assert settings.lines["inbound", "certificate"] == line_of(INBOUND, "certificate")
    assert ("inbound", "key") not in settings.lines


def test_relative_path_of_the_file_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, INBOUND)
    monkeypatch.chdir(tmp_path)
    settings = load("gate.ini")
    assert settings.path == tmp_path / "gate.ini"
    assert settings.inbounds[0].certificate == tmp_path / "server.pem"


def test_every_fault_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        "[sasgate]\nenvironment = productoin\nsate = x\n"
        "[inbound]\nlisten = tcp:none\nbackend = http://127.0.0.1:1\n"
        "[limits]\nhandshake = soon\nhandshake = 1\n"
        "[lgo]\n"
    )
    faults = faults_in(tmp_path, text)
    assert [(fault.line, fault.section, fault.key) for fault in faults] == [
        (2, "sasgate", "environment"),
        (3, "sasgate", "sate"),
        (4, "inbound", "certificate"),
        (5, "inbound", "listen"),
        (8, "limits", "handshake"),
        (9, "limits", "handshake"),
        (10, "lgo", None),
    ]


def test_a_fault_names_file_line_section_key_value_and_the_way_out(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, INBOUND.replace("= recette", "= recete"))
    assert str(fault) == (
        f"{tmp_path}/gate.ini:2: [sasgate] environment = recete: is no environment; "
        "did you mean recette?"
    )


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("certficate = x", "did you mean certificate?"),
        ("Backend = x", "did you mean backend?"),
        ("zzz = x", "known here: "),
    ],
)
def test_unknown_key_names_the_likely_one(tmp_path: Path, line: str, remedy: str) -> None:
    fault = fault_in(tmp_path, INBOUND + line)
    assert fault.line == 7
    assert fault.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("header", "remedy"),
    [
        ("[inbuond]", "did you mean inbound?"),
        ("[sasgate:x]", "did you mean sasgate?"),
        ("[Log]", "did you mean log?"),
        ("[inbound:]", "did you mean inbound?"),
        ("[inbound:a b]", "did you mean inbound"),
        ("[environment]", "did you mean environment:NAME?"),
        ("[DEFAULT]", "known here: "),
        ("[]", "known here: "),
    ],
)
def test_unknown_section_names_the_likely_one(tmp_path: Path, header: str, remedy: str) -> None:
    fault = fault_in(tmp_path, INBOUND + header)
    assert fault.line == 7
    assert fault.remedy.startswith(remedy)


def test_environment_without_a_name_is_refused(tmp_path: Path) -> None:
    text = INBOUND + "[environment:]\nroots = a\nissuers = b\n"
    assert "no name" in fault_in(tmp_path, text).reason


def test_repeated_section_is_refused(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, INBOUND + "[log]\n[log]\n")
    assert (fault.line, fault.reason) == (8, "is given twice, first on line 7")


def test_repeated_key_is_refused(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, INBOUND + "certificate = other.pem\n")
    assert (fault.line, fault.reason) == (7, "is given twice, first on line 5")


@pytest.mark.parametrize("key", ["deny", "clients", "addresses", "crl", "ocsp"])
def test_a_key_without_a_value_is_refused(tmp_path: Path, key: str) -> None:
    fault = fault_in(tmp_path, f"{INBOUND}[environment:recette]\n{key} =\n")
    assert (fault.line, fault.key) == (8, key)
    assert "no value" in fault.reason


@pytest.mark.parametrize("key", ["roots", "issuers", "clients", "addresses"])
def test_one_without_a_default_is_not_to_be_removed(tmp_path: Path, key: str) -> None:
    line = OWN.splitlines()[line_of(OWN, key) - 1]
    fault = fault_in(tmp_path, OWN.replace(line, f"{key} ="))
    assert (fault.key, fault.reason, fault.remedy) == (
        key,
        "has no value",
        "write one: there is no default",
    )


@pytest.mark.parametrize("key", ["listen", "certificate"])
def test_nor_one_of_a_listener(tmp_path: Path, key: str) -> None:
    line = INBOUND.splitlines()[line_of(INBOUND, key) - 1]
    fault = fault_in(tmp_path, INBOUND.replace(line, f"{key} ="))
    assert (fault.key, fault.remedy) == (key, "write one: there is no default")


def test_one_with_a_default_may_be_removed(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, INBOUND + "key =\n")
    assert fault.remedy == "remove the line to have the default"


def test_two_lines_for_one_value_are_refused(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, INBOUND + "key = a.key\n  b.key\n")
    assert "one value" in fault.reason


@pytest.mark.parametrize("key", ["listen", "certificate", "backend"])
def test_inbound_needs(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in INBOUND.splitlines(True) if not line.startswith(key))
    fault = fault_in(tmp_path, text)
    assert (fault.section, fault.key, fault.line) == ("inbound", key, 3)
    assert "is missing" in fault.reason


@pytest.mark.parametrize("key", ["listen", "certificate"])
def test_outbound_needs(tmp_path: Path, key: str) -> None:
    head, tail = OUTBOUND.split("[outbound]")
    kept = "".join(line for line in tail.splitlines(True) if not line.startswith(key))
    fault = fault_in(tmp_path, f"{head}[outbound]{kept}")
    assert (fault.section, fault.key) == ("outbound", key)


def test_a_listener_needs_an_environment(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, INBOUND.replace("environment = recette\n", ""))
    assert (fault.section, fault.key) == ("inbound", "environment")


def test_outbound_has_one_environment(tmp_path: Path) -> None:
    fault = fault_in(tmp_path, OUTBOUND.replace("= recette", "= recette preproduction"))
    assert (fault.section, fault.key) == ("outbound", "environment")
    assert "has one" in fault.reason


def test_a_file_without_listeners_is_refused(tmp_path: Path) -> None:
    assert "neither" in fault_in(tmp_path, "[sasgate]\nenvironment = recette\n").reason
