"""`$CREDENTIALS_DIRECTORY` in a configuration: where systemd puts its copies of keys."""

from pathlib import Path

import pytest

from calling import SLOT, answered, platform
from processes import BackendProcess, GatewayProcess, twistd_result, write_ini
from sasgate.config.values import Rejected, path_from
from sasgate.lab.pki import Lab


HERE = Path("/etc/sasgate")
INTO = {"= server.": "= $CREDENTIALS_DIRECTORY/server."}


class TestPath:
    def test_it_starts_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/sasgate.service")
        path = path_from(HERE)("$CREDENTIALS_DIRECTORY/a/b.pem")
        assert path == Path("/run/credentials/sasgate.service/a/b.pem")

    @pytest.mark.parametrize("value", [None, ""])
    def test_without_systemd_it_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        if value is not None:
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", value)
        with pytest.raises(Rejected, match=r"\$CREDENTIALS_DIRECTORY is not set"):
            path_from(HERE)("$CREDENTIALS_DIRECTORY/a.pem")

    @pytest.mark.parametrize(
        "text", ["$CREDENTIALS_DIRECTORYX/a", "x/$CREDENTIALS_DIRECTORY/a", "$HOME/a", "~/a"]
    )
    def test_nothing_else_is_expanded(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
        assert path_from(HERE)(text) == HERE / text


class TestDaemon:
    def test_it_serves_with_keys_from_there(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        ini = write_ini(lab, tmp_path / "etc", backend.url, changes=INTO)
        folder = tmp_path / "credentials"
        folder.mkdir()
        for name in ("server.pem", "server.key"):
            (ini.parent / name).rename(folder / name)
        with GatewayProcess(ini, env={"CREDENTIALS_DIRECTORY": str(folder)}) as process:
            assert answered(platform(lab, process.port()).send(SLOT)).status == 200

    def test_without_systemd_the_key_is_named(self, lab: Lab, tmp_path: Path) -> None:
        ini = write_ini(lab, tmp_path, changes=INTO)
        code, said = twistd_result(ini)
        assert code == 1
        assert "[inbound] certificate = $CREDENTIALS_DIRECTORY/server.pem" in said
        assert "$CREDENTIALS_DIRECTORY is not set" in said
        assert "LoadCredential=" in said
        assert "Traceback" not in said
