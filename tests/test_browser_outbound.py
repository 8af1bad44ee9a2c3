"""A hostile page in a real browser on the gateway's host, which has SAS's calls within reach (S53).

Its site, evil.example, leads to this host, as its owner can have it by DNS.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from applications import Application, local_url, write_outbound
from processes import GatewayProcess
from raw_client import PATIENCE
from sasgate.lab.pki import Lab
from sasgate.lab.sas_server import SASServer
from test_browser import CHROMIUM, DRIVER, browsing


pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="chromium is absent: apt-get install chromium chromium-driver",
)

EVIL = "evil.example"
PATH = "/fhir/v1/Appointment"
# Each has the browser ask for a URL, and does not care whether it may read the answer.
ATTACKS = {
    "form": (
        "const form = document.createElement('form'), field = document.createElement('input');"
        "form.method = 'POST'; form.action = url; form.enctype = 'text/plain';"
        "form.target = 'frame';"
        "field.name = '{\"resourceType\": \"Appointment\", \"x\": \"'; field.value = '\"}';"
        "form.append(field); document.body.append(form); form.submit();"
    ),
    "fetch": "fetch(url, {method: 'POST', mode: 'no-cors', body: '{}'});",
    "preflight": "fetch(url, {method: 'PUT', headers: {'Content-Type': 'application/json'}});",
    "image": "document.body.append(Object.assign(new Image(), {src: url}));",
    "frame": "document.querySelector('iframe').src = url;",
}  # fmt: skip


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!DOCTYPE html><title>evil</title><body><iframe name=frame></iframe>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@contextmanager
def hostile_site() -> Iterator[int]:
    """The port of a web server with a page to attack from."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def sas(lab: Lab) -> Iterator[SASServer]:
    with SASServer(lab) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    lab: Lab, sas: SASServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("attacked")
    with GatewayProcess(write_outbound(lab, folder, {"a": local_url(sas)})) as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing("en", f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as found:
        yield found


@pytest.fixture(autouse=True)
def _no_calls_before(sas: SASServer) -> None:
    sas.calls.clear()


def refusals(gateway: GatewayProcess, seen: int) -> list[str]:
    return [
        line for line in gateway.lines[seen:] if "listener=outbound:a" in line and " 403 " in line
    ]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("site", [EVIL, "localhost"], ids=["cross-site", "same-site"])
def test_a_page_of_another_origin_has_nothing_sent_to_sas(
    gateway: GatewayProcess, sas: SASServer, browser: Any, site: str, attack: str
) -> None:
    seen = len(gateway.lines)
    port = gateway.port("outbound:a")
    with hostile_site() as at:
        browser.get(f"http://{site}:{at}/")
        browser.execute_script(f"const url = 'http://localhost:{port}{PATH}'; {attack}")
        arrived = partial(refusals, gateway, seen)
        WebDriverWait(browser, PATIENCE).until(lambda _: arrived() or sas.calls)
    assert sas.calls == []


def test_a_page_whose_name_leads_here_has_nothing_sent_to_sas(
    gateway: GatewayProcess, sas: SASServer, browser: Any
) -> None:
    """DNS rebinding: to the browser it is all one origin, so that it may send and read anything."""
    browser.get(f"http://{EVIL}:{gateway.port('outbound:a')}/")
    status = browser.execute_async_script(
        "const done = arguments[0], headers = {'Content-Type': 'application/fhir+json'};"
        f"fetch('{PATH}', {{method: 'POST', headers, body: '{{}}'}})"
        ".then(each => done(each.status));"
    )
    assert status == 403
    assert sas.calls == []


def test_a_program_calls_meanwhile(gateway: GatewayProcess, sas: SASServer) -> None:
    assert Application(gateway, "a").ask().status == 201
    assert len(sas.calls) == 1
