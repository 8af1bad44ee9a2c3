"""nginx as the guide's 5.9 has it, with the paths, the port and what cannot run here changed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes import LoggedProcess, environment, free_port
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab


# Where the sample protects what it serves.
PROTECTED = "/mtls-protect"

# The sample's `return 401 {…};` is not what nginx can read: the body has to stand in quotes. Lists
# and OCSP (which asks 8.8.8.8) are left out, and every access is logged nowhere.
_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
access_log off;
map $ssl_client_s_dn $ssl_client_s_dn_cn {{
    default "";
    ~CN=(?<CN>[^\\,]+) $CN;
}}
server {{
    listen      127.0.0.1:{port} ssl;
    server_name localhost;
    root        {folder}/html;
    ssl_certificate      {certificate};
    ssl_certificate_key  {key};
    ssl_protocols        TLSv1.1 TLSv1.2;
    ssl_verify_client    {verify};
    ssl_verify_depth     10;
    ssl_client_certificate {cas};
    {more}
    location / {{
        try_files $uri /index.html$is_args$args;
    }}
    location /mtls-protect/ {{
        try_files $uri /index.html$is_args$args;
        if ($ssl_client_verify != SUCCESS) {{
            return 401 '{{"status": "KO:Unauthorized", "verify": "$ssl_client_verify", "CN": "$ssl_client_s_dn_cn"}}';
        }}
        if ($ssl_client_s_dn_cn !~ "sas-agregateur-recette") {{
            return 403 '{{"status": "KO:Forbidden", "verify": "$ssl_client_verify", "CN": "$ssl_client_s_dn_cn"}}';
        }}
    }}
}}
}}
"""  # noqa: E501 - as it stands in the guide


@contextmanager
def guide_nginx(
    lab: Lab, folder: Path, *, verify: str = "optional", more: str = ""
) -> Iterator[int]:
    """The server, with the lab's certificates; gives its port.

    `verify` is `ssl_verify_client`, `more` are further directives.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    port = free_port()
    certificate, key = lab.server_paths()
    cas, html, config = folder / "cas.pem", folder / "html", folder / "nginx.conf"
    both = (lab.authorities[each].certificate for each in (trees.ROOT_TEST, trees.ORG_TEST))
    cas.write_bytes(pem_of(tuple(both)))
    html.mkdir()
    html.chmod(0o755)
    (html / "index.html").write_text("<html>the editor's site</html>")
    config.write_text(
        _CONFIGURATION.format(folder=folder, port=port, certificate=certificate, key=key,
                              verify=verify, cas=cas, more=more)
    )  # fmt: skip
    command = (program, "-c", config, "-e", "stderr", "-p", folder)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("start worker process ")
        yield port
