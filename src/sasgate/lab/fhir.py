"""The few FHIR R4 resources of the SAS flows, as small as they can be and still be FHIR.

Source: ANS's implementation guide "Service d'Accès aux Soins" and the facts page ("How the
platform behaves").
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sasgate import __version__


MEDIA_TYPE = "application/json+fhir"
RPPS = "urn:oid:1.2.250.1.71.4.2.1"
_SLOT = timedelta(minutes=15)

Resource = dict[str, object]


def encode(resource: Resource) -> bytes:
    """JSON, UTF-8."""
    return json.dumps(resource, ensure_ascii=False).encode()


def interval(starts: Sequence[str]) -> tuple[datetime, datetime]:
    """The instants of `start=ge…` and `start=le…`, both of which SAS sends.

    A `+` that was not percent-encoded arrives as a space, as it does in ANS's own examples.

    Raises:
        ValueError: one of the two is absent, or is no date.
    """
    found = {start[:2]: start[2:].replace(" ", "+") for start in starts}
    if found.keys() != {"ge", "le"}:
        raise ValueError("start=ge… and start=le… are needed, once each")
    return datetime.fromisoformat(found["ge"]), datetime.fromisoformat(found["le"])


def slots(begin: datetime, end: datetime, self_url: str) -> Resource:
    """A searchset with two free slots, those that fit between `begin` and `end`."""
    starts = (begin + _SLOT, begin + 3 * _SLOT)
    found = [_slot(number, start) for number, start in enumerate(starts, 1) if start < end]
    return _searchset([*found, _schedule()] if found else [], len(found), self_url)


def schedules(self_url: str) -> Resource:
    """A searchset with one schedule."""
    return _searchset([_schedule()], 1, self_url)


def practitioner(rpps: str = "810002909371") -> Resource:
    """A regulator's account, as SAS creates and changes it at the editor's."""
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": RPPS, "value": rpps}],
        "active": True,
        "name": [{"family": "DÉPLAÇANT-ŒUVRÉ", "given": ["Anne-Lyse"]}],
    }


def outcome(diagnostics: str) -> Resource:
    """Why a call was refused."""
    issue = {"severity": "error", "code": "invalid", "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def capabilities() -> Resource:
    """The answer to `metadata`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": [MEDIA_TYPE],
        "software": {"name": "sasgate lab backend", "version": __version__},
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {"type": "Slot", "interaction": [{"code": "search-type"}]},
                    {"type": "Schedule", "interaction": [{"code": "search-type"}]},
                    {
                        "type": "Practitioner",
                        "interaction": [{"code": "create"}, {"code": "update"}],
                    },
                ],
            }
        ],
    }


def _searchset(resources: list[Resource], total: int, self_url: str) -> Resource:
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": [{"relation": "self", "url": self_url}],
        "entry": [{"resource": resource} for resource in resources],
    }


def _slot(number: int, start: datetime) -> Resource:
    return {
        "resourceType": "Slot",
        "id": f"slot-{number}",
        "schedule": {"reference": "Schedule/schedule-1"},
        "status": "free",
        "start": start.isoformat(timespec="milliseconds"),
        "end": (start + _SLOT).isoformat(timespec="milliseconds"),
    }


def _schedule() -> Resource:
    return {
        "resourceType": "Schedule",
        "id": "schedule-1",
        "actor": [{"identifier": {"system": RPPS, "value": "810002909371"}}],
    }
