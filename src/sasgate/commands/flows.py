"""The network flows that a host needs for its configuration; nothing is opened here."""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from attrs import field, frozen
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from sasgate.settings import Backend, Outbound, RevocationMode, Settings
from sasgate.trust import Anchors


class Expected(Enum):
    """What at the end of a flow shows that it is open."""

    CONNECTION = "a connection"
    SUCCESS = "a status 2xx"
    ANSWER = "any answer"
    LIST = "a revocation list"
    OCSP = "an OCSP answer"


@frozen
class Flow:
    """One flow: `url` is http or https; to the UNIX socket `socket` where that is given.

    `proxy` is the `host:port` that it goes through; `roots` are the CAs that the server is
    verified against, None the system's; `credential` are the files of the certificate and key to
    present; `query` is an OCSP request to be posted, in DER.
    """

    purpose: str
    url: str
    expected: Expected
    socket: str | None = None
    proxy: str | None = None
    roots: Path | None = None
    credential: tuple[Path, Path] | None = None
    query: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        where = f"unix:{self.socket}" if self.socket else self.url
        through = f" through {self.proxy}" if self.proxy else ""
        return f"{self.purpose}: {where}{through}"


def flows(settings: Settings, anchors: Mapping[str, Anchors]) -> tuple[Flow, ...]:
    """Every flow that the configuration needs, each once; `anchors` by environment."""
    found = [*_backends(settings), *_revocation(settings, anchors)]
    for outbound in settings.outbounds:
        found.extend(_sas(outbound, settings))
    # One host of a list serves several environments.
    distinct = {
        (flow.expected, flow.url, flow.socket, flow.proxy, flow.credential): flow for flow in found
    }
    return tuple(distinct.values())


def _backends(settings: Settings) -> Iterator[Flow]:
    for inbound in settings.inbounds:
        for route in inbound.routes:
            for backend in route.backends:
                yield _backend(f"backend of [{inbound.name}]", backend, inbound.check)


def _backend(purpose: str, backend: Backend, check: str | None) -> Flow:
    is_unix = backend.scheme == "unix"
    origin = f"http://{backend.authority}" if is_unix else str(backend)
    return Flow(
        purpose,
        url=f"{origin}{check or '/'}",
        expected=Expected.SUCCESS if check else Expected.CONNECTION,
        socket=backend.path if is_unix else None,
        roots=backend.roots,
    )


def _revocation(settings: Settings, anchors: Mapping[str, Anchors]) -> Iterator[Flow]:
    revocation = settings.revocation
    if revocation.mode is RevocationMode.OFF:
        return
    served = {name for inbound in settings.inbounds for name in inbound.environments}
    for name in sorted(served):
        environment = settings.environments[name]
        for source in environment.crl:
            if "://" in source:
                yield Flow(f"list for {name}", source, Expected.LIST, proxy=revocation.proxy)
        if revocation.mode is not RevocationMode.CRL and environment.ocsp is not None:
            yield Flow(
                f"OCSP for {name}",
                environment.ocsp,
                Expected.OCSP,
                proxy=revocation.proxy,
                query=_query(anchors[name], revocation.ocsp_hash),
            )


def _query(anchors: Anchors, name: str) -> bytes:
    """A query about the issuing CA: whatever the responder says of it, it was reached."""
    algorithm = hashes.SHA256() if name == "sha256" else hashes.SHA1()  # noqa: S303 - RFC 6960 CertID
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        anchors.issuers[0].certificate, anchors.roots[0].certificate, algorithm
    )
    return builder.build().public_bytes(serialization.Encoding.DER)


def _sas(outbound: Outbound, settings: Settings) -> Iterator[Flow]:
    environment = settings.environments[outbound.environment]
    if environment.url is not None:
        yield Flow(
            f"SAS for [{outbound.name}]",
            environment.url,
            Expected.ANSWER,
            proxy=outbound.proxy,
            roots=environment.sas_roots,
            credential=(outbound.certificate, outbound.key),
        )
