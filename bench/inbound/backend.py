"""The server behind: an nginx that answers at once, out of its configuration or a cached file.

One in Python, as the other benches have, costs as much CPU a call but reads no bodies. A body is
read to its end before it is answered, as an application does: `mirror` makes nginx do so before it
looks at the file, which it then refuses to POST, and that refusal is the answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import PATIENCE, free_port, running
from bench.inbound.works import ANSWERS, LARGE, POSTED, SMALL
from bench.peers import frames, nginx
from sasgate.lab.processes import Ending


_HTTP = """\
    access_log off;
    default_type application/fhir+json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=4;
    client_max_body_size 2m;
    client_body_buffer_size 2m;
    server {{
        listen 127.0.0.1:{port};
        root files;
        location = {small} {{ return 200 '{answer}'; }}
        location = {large} {{ }}
        location = {posted} {{
            mirror /read;
            error_page 405 =200 {small};
        }}
        location = /read {{ internal; return 204; }}
    }}
"""


@contextmanager
def backend(folder: Path, core: int, ending: Ending) -> Iterator[int]:
    """The server, on one CPU; its port.

    Raises:
        NotReady, Stopped: as of `sasgate.lab.processes`.
    """
    (folder / "files").mkdir(parents=True)
    for path in (LARGE, POSTED):
        (folder / f"files{path}").write_bytes(ANSWERS[path])
    port = free_port()
    http = _HTTP.format(
        port=port,
        small=SMALL,
        large=LARGE,
        posted=POSTED,
        answer=ANSWERS[SMALL].decode("ascii"),
    )
    main = "master_process off; worker_rlimit_nofile 8192;"
    command = frames.nginx(nginx.PROGRAM.path(), folder, http, connections=4096, main=main)
    with running("backend", command, folder / "log", ending, core=core) as process:
        process.wait_for("using the", ending, PATIENCE)
        yield port
