"""[revocation], [limits] and [log]."""

from pathlib import Path

from sasgate.config.section import SectionReader
from sasgate.config.values import (
    choice,
    count,
    duration,
    host_port,
    one_of,
    path_from,
    size,
)
from sasgate.settings import (
    Limits,
    Log,
    LogFormat,
    OCSPNonce,
    Revocation,
    RevocationMode,
)


_MINUTE = 60.0
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB
# What is shorter than any exchange would only refuse good clients.
_BRIEF = 0.05

# The bounds keep a slip of the pen from switching a limit off.
_TIMES = {
    "handshake": (_BRIEF, _MINUTE),
    "head_time": (_BRIEF, _MINUTE),
    "body_idle": (_BRIEF, 10 * _MINUTE),
    "keep_alive": (_BRIEF, _HOUR),
    "connection_age": (_BRIEF, _DAY),
    "connect": (_BRIEF, _MINUTE),
    "answer": (_BRIEF, 10 * _MINUTE),
    "outbound_answer": (_BRIEF, 10 * _MINUTE),
    "crl_time": (_BRIEF, 10 * _MINUTE),
    "ocsp_time": (_BRIEF, _MINUTE),
    "ocsp_cache": (_BRIEF, _DAY),
    "drain": (_BRIEF, 10 * _MINUTE),
}
_SIZES = {
    "head_size": (256, _MIB),
    "body_rate": (1, _GIB),
    "crl_size": (_KIB, _GIB),
    "ocsp_size": (_KIB, _MIB),
}
_COUNTS = {
    "head_fields": (1, 10_000),
    "connections": (1, 1_000_000),
    "connections_per_address": (1, 1_000_000),
}


def read_limits(reader: SectionReader) -> Limits:
    """[limits]; each key is a field of `Limits`."""
    default = Limits()
    times = {
        key: reader.one(key, duration(*bounds), getattr(default, key))
        for key, bounds in _TIMES.items()
    }
    sizes = {
        key: reader.one(key, size(*bounds), getattr(default, key)) for key, bounds in _SIZES.items()
    }
    counts = {
        key: reader.one(key, count(*bounds), getattr(default, key))
        for key, bounds in _COUNTS.items()
    }
    reader.finish()
    return Limits(**times, **sizes, **counts)


def read_log(reader: SectionReader) -> Log:
    """[log]."""
    log = Log(
        format=reader.one("format", choice(LogFormat), LogFormat.TEXT),
        full_paths=reader.one("paths", one_of({"masked": False, "full": True}), False),
    )
    reader.finish()
    return log


def read_revocation(reader: SectionReader) -> Revocation:
    """[revocation]."""
    path = path_from(reader.folder)
    admits = reader.one("when_unknown", one_of({"refuse": False, "admit": True}), False)
    admit_for = reader.one("admit_for", duration(1, 7 * _DAY), _DAY)
    export_pem: Path | None = reader.one("export_pem", path, None)
    revocation = Revocation(
        mode=reader.one("mode", choice(RevocationMode), RevocationMode.CRL_OR_OCSP),
        refresh=reader.one("refresh", _refresh, None),
        admit_for=admit_for if admits else None,
        proxy=reader.one("proxy", host_port, None),
        ocsp_hash=reader.one("ocsp_hash", one_of({"sha1": "sha1", "sha256": "sha256"}), "sha1"),
        ocsp_nonce=reader.one("ocsp_nonce", choice(OCSPNonce), OCSPNonce.NO),
        export_pem=export_pem,
        export_hash_dir=reader.one("export_hash_dir", path, None),
    )
    reader.finish()
    return revocation


def _refresh(text: str) -> float | None:
    return None if text == "auto" else duration(_MINUTE, 7 * _DAY)(text)
