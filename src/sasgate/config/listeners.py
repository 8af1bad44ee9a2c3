"""[inbound], [inbound:NAME], [outbound] and [outbound:NAME]."""

import re
from collections.abc import Iterable
from pathlib import Path

from OpenSSL import SSL

from sasgate.config.backends import backend_from, distinct, in_order, route_from
from sasgate.config.coherence import Placed
from sasgate.config.endpoints import Endpoint, endpoint_from
from sasgate.config.environment import environment_name
from sasgate.config.section import SectionReader
from sasgate.config.values import (
    Rejected,
    choice,
    host_port,
    network,
    path_from,
    path_prefix,
    socket_mode,
    socket_owner,
    url_path,
    yes_or_no,
)
from sasgate.settings import Backend, Inbound, Listen, Outbound, Route, TLSVersion


# RFC 9325, 4.2: forward secrecy and authenticated encryption.
DEFAULT_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_SOUND_CIPHER = re.compile(r"ECDHE-(ECDSA|RSA)-\w+-(GCM-SHA(256|384)|CCM|POLY1305)")


def read_inbound(
    reader: SectionReader, known: Iterable[str], inherited: tuple[str, ...]
) -> tuple[Inbound, Placed]:
    """One listener that SAS calls; `inherited` are [sasgate]'s environments."""
    path = path_from(reader.folder)
    environments = reader.words("environment", environment_name(known), inherited)
    endpoints = _listen(reader)
    certificate = reader.needed("certificate", path, Path())
    inbound = Inbound(
        name=reader.name,
        environments=tuple(dict.fromkeys(environments)),
        listen=tuple(Listen(each.text, each.proxied) for each in endpoints),
        certificate=certificate,
        key=reader.one("key", path, certificate),
        routes=_routes(reader, environments),
        base_path=reader.one("base_path", _base_path, ""),
        check=reader.one("check", _check, None),
        proxies=reader.words("proxies", network),
        tls=reader.words("tls", choice(TLSVersion), tuple(TLSVersion)),
        ciphers=":".join(_ciphers(reader)),
    )
    _check_proxies(reader, endpoints)
    reader.finish()
    return inbound, Placed(reader.name, "listen", endpoints)


def read_outbound(
    reader: SectionReader, known: Iterable[str], inherited: tuple[str, ...]
) -> tuple[Outbound, Placed]:
    """One local listener whose calls go to SAS; it has exactly one environment."""
    path = path_from(reader.folder)
    environments = reader.words("environment", environment_name(known), inherited)
    if len(environments) > 1:
        names = ", ".join(environments)
        remedy = "give one here; another [outbound:NAME] can have the other"
        reader.reject("environment", None, f"an outbound listener has one, not {names}", remedy)
    endpoints = _listen(reader)
    certificate = reader.needed("certificate", path, Path())
    outbound = Outbound(
        name=reader.name,
        environment=environments[0] if environments else "",
        listen=tuple(Listen(each.text, each.proxied) for each in endpoints),
        certificate=certificate,
        key=reader.one("key", path, certificate),
        proxy=reader.one("proxy", host_port, None),
        socket_mode=reader.one("socket_mode", socket_mode, 0o660),
        socket_owner=reader.one("socket_owner", socket_owner, None),
    )
    unsafe = reader.one("unsafe_listen", yes_or_no, False)
    _check_local(reader, endpoints, unsafe)
    reader.finish()
    return outbound, Placed(reader.name, "listen", endpoints)


def admin_endpoint(reader: SectionReader) -> Endpoint | None:
    """[sasgate] admin: on this machine only, with no way around (S58)."""
    endpoint: Endpoint | None = reader.one("admin", endpoint_from(reader.folder), None)
    if endpoint is not None and (endpoint.proxied or not endpoint.local):
        reader.reject(
            "admin",
            endpoint.text,
            "could be reached from other machines",
            "write tcp:9180:interface=127.0.0.1 or unix:/path",
        )
    return endpoint


def _listen(reader: SectionReader) -> tuple[Endpoint, ...]:
    reader.expect("listen")
    if not reader.has("listen"):
        reader.reject("listen", None, "is missing")
    return reader.words("listen", endpoint_from(reader.folder))


def _routes(reader: SectionReader, environments: Iterable[str]) -> tuple[Route, ...]:
    roots: Path | None = reader.one("backend_roots", path_from(reader.folder), None)
    unsafe = reader.one("unsafe_backend", yes_or_no, False)
    backend = backend_from(reader.folder, roots, unsafe)
    routes = list(reader.rows("routes", route_from(backend, environments)))
    backends = reader.words("backend", backend)
    if backends:
        try:
            routes.append(Route(None, "/", distinct(backends)))
        except Rejected as error:
            reader.reject("backend", None, error.reason)
    if roots is not None and not any(_uses_roots(route.backends) for route in routes):
        reader.reject("backend_roots", str(roots), "no backend of this listener is https://")
    _check_routes(reader, routes, environments)
    return in_order(routes)


def _check_routes(reader: SectionReader, routes: list[Route], environments: Iterable[str]) -> None:
    seen = set()
    for route in routes:
        rule = (route.environment, route.prefix)
        if rule in seen:
            name = f"{route.environment}:" if route.environment else ""
            reason = f"there are two routes for {name}{route.prefix}"
            remedy = "keep one; `backend` is the route / of all environments"
            reader.reject("routes", None, reason, remedy)
        seen.add(rule)
    if not (reader.sound("routes") and reader.sound("backend")):
        return
    for environment in environments:
        if not any(route.environment in {None, environment} for route in routes):
            reader.reject("backend", None, f"is missing: {environment} has no route to any backend")


def _check_proxies(reader: SectionReader, endpoints: Iterable[Endpoint]) -> None:
    proxied = any(endpoint.proxied for endpoint in endpoints)
    if proxied and not reader.has("proxies"):
        reason = "is missing: haproxy: needs the addresses whose PROXY header is believed"
        reader.reject("proxies", None, reason)
    if reader.has("proxies") and not proxied:
        reason = "no endpoint of this listener takes a PROXY header"
        reader.reject("proxies", None, reason, "write listen = haproxy:tcp:… or remove the key")


def _check_local(reader: SectionReader, endpoints: Iterable[Endpoint], unsafe: bool) -> None:
    files = False
    for endpoint in endpoints:
        files = files or endpoint.kind == "unix"
        if endpoint.proxied:
            reader.reject("listen", endpoint.text, "haproxy: is for inbound listeners")
        elif not endpoint.local and not unsafe:
            reader.reject(
                "listen",
                endpoint.text,
                "could be reached from other machines, which would speak to SAS as this editor",
                "add interface=127.0.0.1, write unix:/path, or set unsafe_listen = yes",
            )
        if endpoint.has_mode:
            reader.reject("listen", endpoint.text, "gives a mode", "write it as socket_mode")
    for key in ("socket_mode", "socket_owner"):
        if reader.has(key) and not files:
            reader.reject(key, None, "this listener has no unix: socket")


def _uses_roots(backends: Iterable[Backend]) -> bool:
    return any(backend.scheme == "https" for backend in backends)


def _ciphers(reader: SectionReader) -> tuple[str, ...]:
    def convert(text: str) -> str:
        for name in text.split(":"):
            _check_cipher(name)
        return text

    return reader.words("ciphers", convert, DEFAULT_CIPHERS)


def _check_cipher(name: str) -> None:
    if name.startswith("TLS_"):
        raise Rejected(f"{name} is a suite of TLS 1.3, which are all sound and always on")
    if not _SOUND_CIPHER.fullmatch(name):
        raise Rejected(f"{name or 'an empty name'} is not ECDHE with AEAD")
    try:
        SSL.Context(SSL.TLS_SERVER_METHOD).set_cipher_list(name.encode())
    except SSL.Error:
        raise Rejected(f"OpenSSL knows no cipher {name}") from None


def _base_path(text: str) -> str:
    prefix = path_prefix(text)
    if prefix == "/":
        raise Rejected("stands for no path", "remove the line")
    return prefix


def _check(text: str) -> str | None:
    if text == "connect":
        return None
    method, _, path = text.partition(" ")
    if method != "GET":
        raise Rejected("is neither `connect` nor `GET /path`")
    return url_path(path.strip())
