"""`sasgate lab init`: what it writes, and where it refuses to write."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from sasgate import config
from sasgate.commands import main
from sasgate.commands.lab import lab as command
from sasgate.commands.lab_steps import Steps
from sasgate.environments import PRESETS
from sasgate.identity import NamePair
from sasgate.lab.configuration import Ports, configuration
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.profile import BASE_URL
from sasgate.settings import RevocationMode, Settings
from sasgate.trust import load_anchors, load_credential


ENVIRONMENTS = ("lab-recette", "lab-preproduction", "lab-production")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["init", *arguments])


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Path:
    """A lab by the command, but with the session's keys: making them is tested once, below."""
    monkeypatch.setattr(Lab, "create", lambda directory, **_: copy_of(lab, directory))
    result = run(str(tmp_path / "new"), "--port", "7001", "--backend", "http://127.0.0.1:7003")
    assert result.exit_code == 0, result.output
    return tmp_path / "new"


def copy_of(lab: Lab, directory: Path) -> Lab:
    for file in lab.directory.rglob("*"):
        if file.is_file():
            copy = directory / file.relative_to(lab.directory)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
            copy.chmod(file.stat().st_mode)
    return Lab.open(directory)


@pytest.fixture
def settings(made: Path) -> Settings:
    return config.load(made / "sasgate.ini")


def test_the_configuration_has_no_fault(settings: Settings) -> None:
    assert set(ENVIRONMENTS) <= set(settings.environments)


def test_recette_and_preproduction_share_a_listener_and_production_has_its_own(
    settings: Settings,
) -> None:
    listeners = {
        inbound.name: (inbound.environments, [str(each) for each in inbound.listen])
        for inbound in settings.inbounds
    }
    assert listeners == {
        "inbound": (ENVIRONMENTS[:2], ["tcp:7001:interface=127.0.0.1"]),
        "inbound:production": (ENVIRONMENTS[2:], ["tcp:7002:interface=127.0.0.1"]),
    }


def test_every_route_leads_to_the_backend(settings: Settings) -> None:
    backends = {
        str(backend)
        for inbound in settings.inbounds
        for route in inbound.routes
        for backend in route.backends
    }
    assert backends == {"http://127.0.0.1:7003"}


@pytest.mark.parametrize("preset", PRESETS)
def test_each_environment_has_the_platforms_pair_and_the_loopback(
    preset: str, settings: Settings
) -> None:
    environment = settings.environments[f"lab-{preset}"]
    published = PRESETS[preset]
    assert environment.clients == (NamePair(published.client_cn, published.client_ou),)
    assert [str(network) for network in environment.addresses or ()] == ["127.0.0.1/32", "::1/128"]


def test_revocation_is_off_and_the_file_says_why(settings: Settings, made: Path) -> None:
    assert settings.revocation.mode is RevocationMode.OFF
    assert "without revocation" in (made / "sasgate.ini").read_text()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_gateway_can_load_each_environments_cas(environment: str, settings: Settings) -> None:
    anchors = load_anchors(settings, environment)
    assert len(anchors.roots) == len(anchors.issuers) == 1


def test_the_gateway_can_load_its_own_certificate(settings: Settings) -> None:
    inbound = settings.inbounds[0]
    credential = load_credential(
        settings, inbound.name, inbound.certificate, inbound.key, datetime.now(UTC)
    )
    assert len(credential.chain) == 2


def test_no_genuine_environment_is_named_in_the_file() -> None:
    """A lab must never admit the genuine platform, nor a genuine gateway the lab."""
    text = configuration(Ports(), "http://127.0.0.1:8080")
    sections = [line for line in text.splitlines() if line.startswith("[environment:")]
    assert len(sections) == 3
    assert all(line.startswith("[environment:lab-") for line in sections)


def test_port_0_leaves_both_listeners_to_the_system() -> None:
    text = configuration(Ports(0, 0), "http://127.0.0.1:8080")
    assert text.count("listen = tcp:0:interface=127.0.0.1") == 2


def test_the_command_makes_a_whole_lab_and_says_what_to_run_next(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    result = run(str(directory), "--port", "0")
    assert result.exit_code == 0
    assert f"twistd --nodaemon --pidfile= sasgate -c {directory}/sasgate.ini" in result.output
    assert "https://127.0.0.1:PORT/check" in result.output
    made = Lab.open(directory)
    assert made.authorities["ACR-EL"].key.key_size == 4096
    assert made.clients["recette"].key.key_size == 2048
    assert "tcp:0:" in (directory / "sasgate.ini").read_text()


def test_an_empty_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    monkeypatch.setattr(Lab, "create", lambda directory, **_: copy_of(lab, directory))
    assert run(str(tmp_path)).exit_code == 0


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_folder_that_holds_anything_else_is_refused_and_left_alone(
    force: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    result = run(str(tmp_path), *force)
    assert result.exit_code == 1
    assert "not empty, and no lab" in result.output
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_existing_lab_is_kept_unless_forced(made: Path) -> None:
    before = (made / "server.key").read_bytes()
    result = run(str(made))
    assert result.exit_code == 1
    assert "--force" in result.output
    assert (made / "server.key").read_bytes() == before


def test_an_existing_lab_is_written_over_when_forced(made: Path) -> None:
    (made / "server.key").write_text("old")
    with pytest.raises(NotALab):
        Lab.open(made)
    assert run(str(made), "--force").exit_code == 0
    Lab.open(made)


def test_a_folder_that_cannot_be_made_is_named_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(str(tmp_path / "file" / "below"))
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert str(tmp_path / "file") in result.output


class TestStatusPage:
    """Without a word the lab has one, where no port can be in its way."""

    def test_it_has_a_socket_in_the_folder(self, made: Path, settings: Settings) -> None:
        assert settings.admin == f"unix:{made}/admin.sock"

    def test_it_has_a_port_for_a_browser(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
    ) -> None:
        monkeypatch.setattr(Lab, "create", lambda directory, **_: copy_of(lab, directory))
        result = run(str(tmp_path / "new"), "--admin", "7009")
        assert "# the status page: http://127.0.0.1:7009/\n" in result.output
        assert config.load(tmp_path / "new" / "sasgate.ini").admin == (
            "tcp:7009:interface=127.0.0.1"
        )

    def test_a_folder_too_deep_for_a_socket_is_refused_before_anything_is_made(
        self, tmp_path: Path
    ) -> None:
        result = run(str(tmp_path / ("a" * 100)))
        assert result.exit_code == 1
        assert "name a shorter folder, or --admin PORT" in result.output
        assert not list(tmp_path.iterdir())

    def test_a_port_will_do_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
    ) -> None:
        monkeypatch.setattr(Lab, "create", lambda directory, **_: copy_of(lab, directory))
        assert run(str(tmp_path / ("a" * 100)), "--admin", "7009").exit_code == 0

    @pytest.mark.parametrize("port", ["0", "65536", "unix:x"])
    def test_a_port_that_a_browser_cannot_find_is_refused(self, port: str, tmp_path: Path) -> None:
        assert run(str(tmp_path / "new"), "--admin", port).exit_code == 2


def steps(**changes: Any) -> list[str]:
    options = {"ports": Ports(), "backend": "http://127.0.0.1:8080", "publisher": None,
               "sas": None, "admin": None, "directory": Path("lab"), **changes}  # fmt: skip
    return [each.strip() for each in Steps(**options).lines()]


class TestSteps:
    """What is printed can be pasted, in its order."""

    def test_the_backend_runs_before_the_gateway(self) -> None:
        said = steps()
        gateway = said.index("twistd --nodaemon --pidfile= sasgate -c lab/sasgate.ini")
        assert said.index("sasgate lab backend") < gateway < said.index("and then, in another one:")

    def test_publisher_and_sas_run_before_the_gateway_too(self) -> None:
        said = steps(publisher="http://127.0.0.1:7089", sas="https://127.0.0.1:7445")
        assert said[1:5] == [
            "sasgate lab serve lab --port 7089",
            "sasgate lab backend",
            "sasgate lab sas lab --port 7445",
            "twistd --nodaemon --pidfile= sasgate -c lab/sasgate.ini",
        ]

    @pytest.mark.parametrize(
        ("backend", "step"),
        [
            ("http://127.0.0.1:7003", "sasgate lab backend --port 7003"),
            ("http://localhost", "sasgate lab backend --port 80"),
            ("unix:/run/app.sock", "# your own server, at unix:/run/app.sock"),
            ("https://app.example", "# your own server, at https://app.example"),
            ("http://[::1]:8080", "# your own server, at http://[::1]:8080"),
        ],
    )
    def test_the_backend_is_where_the_gateway_looks(self, backend: str, step: str) -> None:
        assert step in steps(backend=backend)

    def test_a_client_calls_then_and_the_status_is_asked(self) -> None:
        client = "--cacert lab/public-root.pem --cert lab/clients/recette.pem"
        said = steps(ports=Ports(7001, 7002))
        assert f"curl -siw '\\n' {client} https://127.0.0.1:7001/check" in said
        assert "sasgate status --config lab/sasgate.ini" in said

    def test_an_application_calls_sas_only_where_there_is_one(self) -> None:
        where = "http://127.0.0.1:8081/fhir/v1/Appointment"
        assert any(each.endswith(where) for each in steps(sas="https://127.0.0.1:8445"))
        assert not any(where in each for each in steps())

    def test_a_folder_with_a_space_is_one_word_to_the_shell(self) -> None:
        sas = "https://127.0.0.1:8445"
        said = steps(directory=Path("my lab"), publisher="http://127.0.0.1:8089", sas=sas)
        for each in said:
            if "my lab" in each:
                assert [word for word in shlex.split(each) if word.startswith("my lab")]
                assert "lab" not in shlex.split(each)[3:], each

    def test_a_relative_folder_needs_terminals_that_are_here(self) -> None:
        assert "in this folder" in steps()[0]
        assert "in this folder" not in steps(directory=Path("/srv/lab"))[0]

    def test_every_command_of_ours_is_one(self) -> None:
        said = steps(publisher="http://127.0.0.1:1", sas="https://127.0.0.1:2")
        ours = [shlex.split(each)[1:] for each in said if each.startswith("sasgate ")]
        assert len(ours) == 4
        for words in ours:
            context = click.Context(main)
            command: click.Command = main
            while isinstance(command, click.Group):
                found = command.get_command(context, words.pop(0))
                assert found is not None
                command = found
            names = {name for each in command.params for name in each.opts}
            assert {word for word in words if word.startswith("-")} <= names


class TestPublisher:
    """With `--publisher`, what the lab publishes is where the gateway looks."""

    URL = "http://127.0.0.1:7089"

    @pytest.fixture
    def published(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Path:
        monkeypatch.setattr(Lab, "create", lambda directory, **_: copy_of(lab, directory))
        result = run(str(tmp_path / "new"), "--publisher", f"{self.URL}/")
        assert result.exit_code == 0, result.output
        return tmp_path / "new"

    @pytest.mark.parametrize("preset", PRESETS)
    def test_each_environment_asks_for_its_lists_and_the_responder(
        self, preset: str, published: Path
    ) -> None:
        environment = config.load(published / "sasgate.ini").environments[f"lab-{preset}"]
        cas = (PRESETS[preset].root.name, PRESETS[preset].issuer.name)
        assert environment.crl == tuple(f"{self.URL}/CRL/{ca}.crl" for ca in cas)
        assert environment.ocsp == f"{self.URL}/ocsp"

    def test_revocation_is_checked_every_minute(self, published: Path) -> None:
        revocation = config.load(published / "sasgate.ini").revocation
        assert (revocation.mode, revocation.refresh) == (RevocationMode.CRL_OR_OCSP, 60)

    def test_the_certificates_name_the_publisher(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
    ) -> None:
        asked: list[str] = []

        def create(directory: Path, *, base_url: str) -> Lab:
            asked.append(base_url)
            return copy_of(lab, directory)

        monkeypatch.setattr(Lab, "create", create)
        run(str(tmp_path / "with"), "--publisher", self.URL)
        run(str(tmp_path / "without"))
        assert asked == [self.URL, BASE_URL]

    def test_switches_and_lists_of_an_older_lab_do_not_outlive_it(self, published: Path) -> None:
        switches = published / "publication.json"
        switches.write_text("{}")
        kept = published / "state" / "crl"
        kept.mkdir(parents=True)
        (kept / "of-a-CA-that-is-no-more.crl").write_text("")
        assert run(str(published), "--force").exit_code == 0
        assert not switches.exists()
        assert not kept.exists()

    @pytest.mark.parametrize("url", ["", "8089", "127.0.0.1:8089", "ldap://127.0.0.1", "http://"])
    def test_what_is_no_url_is_refused_at_once(self, url: str, tmp_path: Path) -> None:
        result = run(str(tmp_path / "new"), "--publisher", url)
        assert result.exit_code == 2
        assert "--publisher" in result.output
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("port", ["-1", "65535", "http"])
def test_a_port_that_leaves_none_for_production_is_refused(port: str, tmp_path: Path) -> None:
    assert run(str(tmp_path / "new"), "--port", port).exit_code == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("backend", ["8080", "http://192.0.2.1:8080", "http://127.0.0.1:1/x", ""])
def test_a_backend_that_the_gateway_would_refuse_is_refused_at_once(
    backend: str, tmp_path: Path
) -> None:
    result = run(str(tmp_path / "new"), "--backend", backend)
    assert result.exit_code == 2
    assert "--backend" in result.output
    assert not (tmp_path / "new").exists()
