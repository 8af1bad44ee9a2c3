"""What nginx and Apache need to run in the foreground, with nothing of the system's own files.

Whatever they write is in one folder, to which relative paths in their configuration belong.
"""

import os
from pathlib import Path

from sasgate.lab.processes import NotReady


_MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")


def nginx(
    program: str, folder: Path, http: str, *, connections: int, main: str = ""
) -> tuple[str | Path, ...]:
    """The command that runs nginx with a configuration, which is written into the folder.

    `http` is what stands in `http {}`, `main` what stands beside it, `connections` how many the
    worker may have at the same time. Without a master, which `main` can switch off, the log says
    "using the …" once it serves, and with one "start worker process …".
    """
    (folder / "nginx.conf").write_text(
        f"""\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
{main}
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{http}
}}
""",
        "utf-8",
    )
    return program, "-c", folder / "nginx.conf", "-e", "stderr", "-p", folder


def apache(
    program: str, folder: Path, modules: tuple[str, ...], directives: str
) -> tuple[str | Path, ...]:
    """The command that runs Apache with a configuration, which is written into the folder.

    Its log says "resuming normal operations" once it serves. Where root starts it, its children are
    a user of their own: it does not start otherwise.

    Raises:
        NotReady: its modules are nowhere.
    """
    where = next((each for each in map(Path, _MODULES) if (each / "mod_ssl.so").is_file()), None)
    if where is None:
        raise NotReady("Apache's mod_ssl is not installed: apt-get install apache2")
    lines = (
        *(f"LoadModule {each}_module {where}/mod_{each}.so" for each in modules),
        f"ServerRoot {folder}",
        "ServerName localhost",
        f"DefaultRuntimeDir {folder}",
        "PidFile apache.pid",
        *(("User #65534", "Group #65534") if os.geteuid() == 0 else ()),
        "ErrorLog /dev/stderr",
    )
    (folder / "apache.conf").write_text("\n".join((*lines, directives)), "utf-8")
    return program, "-f", folder / "apache.conf", "-DFOREGROUND"
