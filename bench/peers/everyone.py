"""The servers that sasgate is measured beside, each as ANS's guide has it, corrected.

The same for all: one process on one core; a client certificate of IGC Santé's test CAs, its CN and
OU compared; no session resumed; a line of log a request; connections to the backend kept; and the
headers that sasgate sets, in so far as the server can. What a client sends under another spelling
of those names (`X_SSL_Client_CN`) is taken away by sasgate alone, nginx leaves it out by itself:
that work is the others' gain.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from bench.contenders import Contender, How
from bench.peers import apache, haproxy, nginx, programs, stunnel
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


class Start(Protocol):
    """Starts one: `lists` has the lists of both CAs (PEM); None asks for no list."""

    def __call__(
        self,
        lab: Lab,
        lists: Path | None,
        backend_port: int,
        folder: Path,
        ending: Ending,
        *,
        how: How = ...,
    ) -> AbstractContextManager[Contender]: ...


# All that answer calls with headers; stunnel knows nothing of HTTP.
PROXIES: Mapping[str, Start] = MappingProxyType(
    {nginx.NAME: nginx.nginx, haproxy.NAME: haproxy.haproxy, apache.NAME: apache.apache}
)
ALL: Mapping[str, Start] = MappingProxyType({**PROXIES, stunnel.NAME: stunnel.stunnel})
PROGRAMS: Mapping[str, programs.Program] = MappingProxyType(
    {
        nginx.NAME: nginx.PROGRAM,
        haproxy.NAME: haproxy.PROGRAM,
        apache.NAME: apache.PROGRAM,
        stunnel.NAME: stunnel.PROGRAM,
    }
)
