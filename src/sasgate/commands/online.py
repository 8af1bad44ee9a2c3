"""`sasgate check --online`: each flow is tried, step by step, within a short time."""

import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

import click
from attrs import define, frozen
from cryptography.x509 import ocsp

from sasgate import __version__
from sasgate.commands.deadline import within
from sasgate.commands.dialing import NotOpened, addresses_of, first_connected, open_tunnel
from sasgate.commands.flows import Expected, Flow


# Seconds for one wait on the network, and for a whole flow with all its waits.
WAIT = 5.0
WHOLE = 15.0
_LARGEST_ANSWER = 64 * 1024
_LIST_STARTS = (b"\x30", b"-----BEGIN X509 CRL-----")


@frozen
class Outcome:
    """How a flow ended; `step` is DNS, TCP, proxy, TLS or HTTP where it is blocked, else None."""

    flow: Flow
    step: str | None
    detail: str

    def __str__(self) -> str:
        verdict = "ok      " if self.step is None else f"BLOCKED at {self.step}"
        return f"{verdict} {self.flow}: {self.detail}"


def report_online(flows: Iterable[Flow]) -> bool:
    """Try all flows at once and print how each ended; False if one of them is blocked."""
    listed = tuple(flows)
    with ThreadPoolExecutor(max_workers=max(1, len(listed))) as pool:
        outcomes = tuple(pool.map(try_flow, listed))
    for outcome in outcomes:
        click.echo(outcome)
    return all(outcome.step is None for outcome in outcomes)


def try_flow(flow: Flow, wait: float = WAIT, whole: float = WHOLE) -> Outcome:
    """How far one flow gets; limits in seconds."""
    trial = _Trial(flow, wait)
    try:
        return Outcome(flow, None, within(whole, trial.run))
    except TimeoutError:
        return Outcome(flow, trial.step, "no answer in time")
    except ssl.SSLCertVerificationError as error:
        return Outcome(flow, trial.step, f"the server is not trusted: {error.verify_message}")
    except OSError as error:
        return Outcome(flow, trial.step, error.strerror or str(error))
    except (HTTPException, NotOpened, _Unexpected, ValueError) as error:
        return Outcome(flow, trial.step, str(error) or type(error).__name__)


class _Unexpected(Exception):
    """An answer, and not the one that shows the flow to be open."""


@define
class _Trial:
    """One flow under way; `step` is what is being tried."""

    flow: Flow
    wait: float
    step: str = "DNS"

    def run(self) -> str:
        """Go all the way, and say what was at the end."""
        parts = urlsplit(self.flow.url)
        host = parts.hostname or ""
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        with self._connected(host, port) as plain:
            connection = HTTPConnection(host, port, timeout=self.wait)
            connection.sock = plain
            if parts.scheme == "https":
                if self.flow.proxy:
                    self.step = "proxy"
                    open_tunnel(plain, host, port)
                self.step = "TLS"
                connection.sock = self._context().wrap_socket(plain, server_hostname=host)
            with connection.sock:
                if self.flow.expected is Expected.CONNECTION:
                    return "connected"
                self.step = "HTTP"
                return self._exchange(connection)

    def _connected(self, host: str, port: int) -> socket.socket:
        if self.flow.socket is not None:
            self.step = "TCP"
            local = socket.socket(socket.AF_UNIX)
            local.settimeout(self.wait)
            local.connect(self.flow.socket)
            return local
        if self.flow.proxy:
            proxy = urlsplit(f"//{self.flow.proxy}")
            host, port = proxy.hostname or "", proxy.port or 0
        addresses = addresses_of(host, port)
        self.step = "TCP"
        return first_connected(addresses, port, self.wait)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.flow.roots)
        context.hostname_checks_common_name = False
        if self.flow.credential is not None:
            context.load_cert_chain(*self.flow.credential)
        return context

    def _exchange(self, connection: HTTPConnection) -> str:
        flow, parts = self.flow, urlsplit(self.flow.url)
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        if flow.proxy and parts.scheme == "http":
            target = flow.url
        headers = {"Connection": "close", "User-Agent": f"sasgate/{__version__}"}
        if flow.query is None:
            connection.request("GET", target, headers=headers)
        else:
            headers["Content-Type"] = "application/ocsp-request"
            connection.request("POST", target, flow.query, headers)
        response = connection.getresponse()
        said = f"HTTP {response.status}"
        if not _is_as_expected(flow.expected, response):
            kind = response.getheader("Content-Type", "no type")
            raise _Unexpected(f"{said}, {kind}: this is not {flow.expected.value}")
        return said


def _is_as_expected(expected: Expected, response: HTTPResponse) -> bool:
    if expected is Expected.LIST:
        return response.status == 200 and response.read(64).startswith(_LIST_STARTS)
    if expected is Expected.OCSP:
        try:
            ocsp.load_der_ocsp_response(response.read(_LARGEST_ANSWER))
        except ValueError:
            return False
        return response.status == 200
    return expected is Expected.ANSWER or 200 <= response.status < 300
