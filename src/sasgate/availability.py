"""What a configuration may ask for and this version cannot do yet.

The daemon refuses to start on any of it: a protection that was asked for is never left out in
silence.
"""

from collections.abc import Iterator

from sasgate.errors import Fault
from sasgate.settings import RevocationMode, Settings


_WITHOUT_REVOCATION = (
    "until then only environments other than production can run, with [revocation] mode = off"
)
_REMOVE = "remove the line until then"
_ENVIRONMENT_KEYS = ("crl", "ocsp", "ocsp_signers")
_REVOCATION_KEYS = (
    "refresh",
    "when_unknown",
    "admit_for",
    "proxy",
    "ocsp_hash",
    "ocsp_nonce",
    "export_pem",
    "export_hash_dir",
)
_LIMITS = ("outbound_answer", "crl_time", "crl_size", "ocsp_time", "ocsp_size", "ocsp_cache")


def not_yet_available(settings: Settings) -> tuple[Fault, ...]:
    """A fault for each thing asked for, by the file or by a default that protects; file order."""
    faults = (*_features(settings), *_keys(settings))
    last = float("inf")
    return tuple(sorted(faults, key=lambda fault: fault.line or last))


def _features(settings: Settings) -> Iterator[Fault]:
    mode = settings.revocation.mode
    if mode is not RevocationMode.OFF:
        default = "" if ("revocation", "mode") in settings.lines else " (it is the default)"
        reason = f"revocation checks are not available yet{default}"
        yield settings.fault("revocation", "mode", mode.value, reason, _WITHOUT_REVOCATION)
    if settings.admin is not None:
        reason = "the status page is not available yet"
        yield settings.fault("sasgate", "admin", settings.admin, reason, _REMOVE)
    for outbound in settings.outbounds:
        listen = " ".join(map(str, outbound.listen))
        reason = "calls to SAS are not available yet"
        yield settings.fault(
            outbound.name, "listen", listen, reason, "remove the section until then"
        )


def _keys(settings: Settings) -> Iterator[Fault]:
    asked = {"revocation": _REVOCATION_KEYS, "limits": _LIMITS}
    asked |= {f"environment:{name}": _ENVIRONMENT_KEYS for name in settings.environments}
    for (section, key), line in settings.lines.items():
        if key in asked.get(section, ()):
            reason = "is not available yet"
            yield Fault(settings.path, line, section, key, None, reason, _REMOVE)
