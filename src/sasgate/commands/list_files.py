"""Lists that a configuration names as files or folders, looked at as the daemon does at start."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from sasgate.errors import Fault
from sasgate.failures import unread
from sasgate.revocation.crl import verify_list
from sasgate.revocation.refusal import ListRefused
from sasgate.revocation.watch import UnusableSource, files_of, is_url
from sasgate.settings import RevocationMode, Settings
from sasgate.trust import Anchors


def list_faults(
    settings: Settings, anchors: Mapping[str, Anchors], now: datetime
) -> Iterator[Fault]:
    """A fault for each that cannot be read, or is no list of the environment's CAs (S1)."""
    if settings.revocation.mode is RevocationMode.OFF:
        return
    for inbound in settings.inbounds:
        for name in inbound.environments:
            authorities = [ca.certificate for ca in anchors[name].all]
            for source in settings.environments[name].crl:
                if not is_url(source):
                    for path, reason in _faults(Path(source), authorities, now, settings):
                        yield settings.fault(f"environment:{name}", "crl", path, reason)


def _faults(
    source: Path, authorities: Sequence[x509.Certificate], now: datetime, settings: Settings
) -> Iterator[tuple[Path, str]]:
    try:
        files = files_of(source)
    except UnusableSource as error:
        yield error.path, error.reason
        return
    for path in files:
        try:
            if path.stat().st_size > settings.limits.crl_size:
                yield path, f"is larger than {settings.limits.crl_size} bytes"
            else:
                verify_list(path.read_bytes(), authorities, now)
        except OSError as error:
            yield path, unread(error)
        except ListRefused as error:
            yield path, str(error)
