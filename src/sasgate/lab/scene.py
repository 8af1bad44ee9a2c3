"""A whole installation in small: a lab that publishes, an editor's backend, SAS, a real gateway."""

import json
import re
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from sasgate.control_asking import NotAnswered, ask
from sasgate.lab.client import Listener
from sasgate.lab.configuration import FILE, STATE, Ports, configuration
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Platform
from sasgate.lab.processes import Child, Ending, NotReady
from sasgate.lab.sas_server import SASServer
from sasgate.lab.switchboard import Switchboard


HOST = "127.0.0.1"
_LISTENS = re.compile(rf"(\S+) listens on \S+ at {re.escape(HOST)}:(\d+)")

# A certificate of the other tree, as SAS sees it that is called with it by mistake; and an end of
# patience with SAS that nobody who looks on has to wait long for.
_MORE = """
[outbound:production]
environment = lab-production
listen = tcp:0:interface=127.0.0.1
certificate = editor/ACME_PROD.key.crt.ca.pem

[limits]
outbound_answer = 2s
"""


class Scene:
    """Publisher, backend and gateway as processes of their own, with their files in a folder.

    `sas` is the platform that applications call, within this process. Each listens on a free port.
    `gateway_log` is what the administrator reads, `board` has the switches of what is published.
    """

    def __init__(self, lab: Lab, ending: Ending) -> None:
        self.lab = lab
        self.board = Switchboard.of(lab)
        self._ending = ending
        self.gateway_log = lab.directory / "gateway.log"
        self._children: list[Child] = []
        self._ports: dict[str, int] = {}
        self._publisher = ""
        self.sas = SASServer(lab)
        self._backend_port = 0
        self._seen = 0

    @contextmanager
    def playing(self, twistd: Path | None = None) -> Iterator[None]:
        """All three run within, and none afterwards; `twistd` by default is Python's own.

        Raises:
            NotReady: one of them did not start.
            Stopped: by a signal, meanwhile.
        """
        try:
            self._start_publisher()
            self.start_backend()
            self._start_gateway(twistd or Path(sys.executable).with_name("twistd"))
            yield
        finally:
            while self._children:
                self._children.pop().stop()
            self.sas.stop()

    def start_backend(self) -> None:
        """Start the backend, again on its port if it had one."""
        command = (sys.executable, "-m", "sasgate.lab.backend", "--port", str(self._backend_port))
        backend = self._start("the backend", command, self.lab.directory / "backend.log")
        self._backend_port = int(backend.wait_for(r"^\d+$", self._ending)[0])
        self._seen = 0

    def stop_backend(self) -> None:
        """End the backend; the gateway finds nobody on its port."""
        (backend,) = (child for child in self._children if child.name == "the backend")
        self._children.remove(backend)
        backend.stop()

    @property
    def fallen(self) -> Child | None:
        """A process that has ended by itself."""
        return next((child for child in self._children if not child.running), None)

    def port(self, listener: Listener) -> int:
        """The TCP port of one of the gateway's listeners."""
        return self._ports[listener.value]

    def application(self, listener: str) -> int:
        """The TCP port where applications call SAS: that of an outbound listener, by its name."""
        return self._ports[listener]

    def platform(
        self,
        client: str | None,
        listener: Listener = Listener.TEST,
        version: ssl.TLSVersion | None = None,
    ) -> Platform:
        """Who calls with the certificate of one of the lab's clients, the leaf only, or none."""
        pem = None if client is None else self.lab.path_of(client)
        return Platform(HOST, self.port(listener), self.lab.public_root, pem, version)

    def received(self) -> Sequence[Mapping[str, Any]]:
        """What reached the backend since this was last asked, as `Received.as_json` tells it."""
        connection = HTTPConnection(HOST, self._backend_port, timeout=10)
        try:
            connection.request("GET", "/recorded")
            record: list[dict[str, Any]] = json.load(connection.getresponse())
        except ConnectionRefusedError:
            return ()
        finally:
            connection.close()
        new, self._seen = record[self._seen :], len(record)
        return new

    def order(self, command: str, *, must: bool = True, **arguments: object) -> None:
        """Have the gateway do what `sasgate crl` or `sasgate disengage` would ask of it.

        Raises:
            NotReady: it did not answer, or it refused what it `must` do.
        """
        try:
            answer = ask(self.lab.directory / STATE, command, arguments)
        except NotAnswered as error:
            raise NotReady(f"twistd sasgate does not {command}: {error}") from error
        if must and not answer.ok:
            raise NotReady(f"twistd sasgate, asked to {command}, says: {answer.text}")

    def _start_publisher(self) -> None:
        folder = self.lab.directory
        command = (sys.executable, "-m", "sasgate", "lab", "serve", str(folder), "--port", "0")
        publisher = self._start("sasgate lab serve", command, folder / "publisher.log")
        self._publisher = publisher.wait_for(r" is published at (\S+)$", self._ending)[1]

    def _start_gateway(self, twistd: Path) -> None:
        ini = self.lab.directory / FILE
        backend = f"http://{HOST}:{self._backend_port}"
        text = configuration(Ports(0, 0, 0), backend, self._publisher, self.sas.url)
        ini.write_text(text + _MORE, "utf-8")
        command = (str(twistd), "--nodaemon", "--pidfile=", "sasgate", "-c", str(ini))
        gateway = self._start("twistd sasgate", command, self.gateway_log)
        gateway.wait_for(r"sasgate \S+ serves ", self._ending)
        found = (_LISTENS.search(line) for line in gateway.lines())
        self._ports = {match[1]: int(match[2]) for match in found if match}
        # The first lists: without them nobody is admitted.
        self.order("refresh")

    def _start(self, name: str, command: Sequence[str], log: Path) -> Child:
        child = Child(name, command, log)
        self._children.append(child)
        return child
