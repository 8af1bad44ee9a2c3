"""nginx as the guide's 5.9 has it, with the paths, the port and what cannot run here changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import frames
from bench.peers.programs import authorities
from neighbours import installed
from processes import LoggedProcess, environment, free_port
from sasgate.lab.pki import Lab


# Where the sample protects what it serves.
PROTECTED = "/mtls-protect"

# The sample's `return 401 {…};` is not what nginx can read: the body has to stand in quotes. Lists
# and OCSP (which asks 8.8.8.8) are left out, and every access is logged nowhere.
_HTTP = """\
access_log off;
map $ssl_client_s_dn $ssl_client_s_dn_cn {{
    default "";
    ~CN=(?<CN>[^\\,]+) $CN;
}}
server {{
    listen      127.0.0.1:{port} ssl;
    server_name localhost;
    root        html;
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
"""  # noqa: E501 - as it stands in the guide


@contextmanager
def guide_nginx(
    lab: Lab, folder: Path, *, verify: str = "optional", more: str = ""
) -> Iterator[int]:
    """The server, with the lab's certificates; gives its port.

    `verify` is `ssl_verify_client`, `more` are further directives.
    """
    program, port, html = installed("nginx"), free_port(), folder / "html"
    certificate, key = lab.server_paths()
    html.mkdir()
    html.chmod(0o755)
    (html / "index.html").write_text("<html>the editor's site</html>")
    http = _HTTP.format(
        port=port, certificate=certificate, key=key, verify=verify, more=more,
        cas=authorities(lab, folder),
    )  # fmt: skip
    command = frames.nginx(program, folder, http, connections=64)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("start worker process ")
        yield port
