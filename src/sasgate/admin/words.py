"""What is said of a status, in English and French."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from sasgate.admin.status import Finding


ENGLISH, FRENCH = "en", "fr"
LANGUAGES = (ENGLISH, FRENCH)

Words = Mapping[str, tuple[str, str]]

FINDINGS: Words = MappingProxyType(
    {
        "disengaged_by_hand": (
            (
                "débrayage by {who} for {cas} until {until} ({left} left): clients whose status is"
                " unknown are admitted, {admitted} so far; reason: {why}"
            ),
            (
                "débrayage par {who} pour {cas} jusqu'au {until} (encore {left}) : des clients au"
                " statut inconnu sont admis, {admitted} à ce jour ; motif : {why}"
            ),
        ),
        "disengaged_by_itself": (
            (
                "automatic débrayage for {cas} until {until} ({left} left): clients whose status is"
                " unknown are admitted, {admitted} so far"
            ),
            (
                "débrayage automatique pour {cas} jusqu'au {until} (encore {left}) : des clients au"
                " statut inconnu sont admis, {admitted} à ce jour"
            ),
        ),
        "unknown": (
            "the status of {ca}'s certificates is unknown since {since}: its clients are refused",
            (
                "le statut des certificats de {ca} est inconnu depuis {since} : ses clients sont"
                " refusés"
            ),
        ),
        "no_list": (
            "no revocation list of {ca} is held",
            "aucune liste de révocation de {ca} n'est détenue",
        ),
        "list_expired": (
            "the revocation list of {cas} (number {number}) EXPIRED on {when}",
            "la liste de révocation de {cas} (numéro {number}) a EXPIRÉ le {when}",
        ),
        "list_late": (
            "the revocation list of {cas} expires in {left} and no newer one came",
            "la liste de révocation de {cas} expire dans {left} et aucune plus récente n'est venue",
        ),
        "source_failed": (
            "{source} gave no list: {error}",
            "{source} n'a pas donné de liste : {error}",
        ),
        "certificate_ends_server": (
            "the gateway's own certificate of {name} ends in {left}, on {when}: renew it",
            "le certificat serveur de {name} prend fin dans {left}, le {when} : renouvelez-le",
        ),
        "certificate_ended_server": (
            "the gateway's own certificate of {name} ENDED on {when}: SAS refuses it",
            "le certificat serveur de {name} a PRIS FIN le {when} : le SAS le refuse",
        ),
        "certificate_ends_editor": (
            "the editor's certificate of {name} ends in {left}, on {when}: order the next one",
            (
                "le certificat éditeur de {name} prend fin dans {left}, le {when} : commandez le"
                " suivant"
            ),
        ),
        "certificate_ended_editor": (
            "the editor's certificate of {name} ENDED on {when}: SAS refuses it",
            "le certificat éditeur de {name} a PRIS FIN le {when} : le SAS le refuse",
        ),
        "certificate_ends_ca": (
            "the CA {name} ends in {left}, on {when}: look what ANS publishes in its place",
            "l'AC {name} prend fin dans {left}, le {when} : voyez ce que l'ANS publie à sa place",
        ),
        "certificate_ended_ca": (
            "the CA {name} ENDED on {when}: none of its clients is admitted",
            "l'AC {name} a PRIS FIN le {when} : aucun de ses clients n'est admis",
        ),
        "own_revoked": (
            "the gateway's own certificate {subject} is REVOKED: have another issued",
            "le certificat serveur {subject} est RÉVOQUÉ : faites-en émettre un autre",
        ),
        "route_dead": (
            "no server answers for {environment} {prefix}: {servers}",
            "aucun serveur ne répond pour {environment} {prefix} : {servers}",
        ),
        "server_unreachable": (
            "{server} ({owner}) cannot be reached: {problem}",
            "{server} ({owner}) est injoignable : {problem}",
        ),
        "sas_unreachable": (
            "SAS ({server}) cannot be reached by {owner}: {problem}",
            "le SAS ({server}) est injoignable par {owner} : {problem}",
        ),
        "responder_failed": (
            "the OCSP responder {url} gave no usable answer {failures} times running: {problem}",
            (
                "le répondeur OCSP {url} n'a pas donné de réponse utilisable {failures} fois de"
                " suite : {problem}"
            ),
        ),
        "reload_refused": (
            "the reload of {when} was refused, what was in force still is: {fault}",
            "le rechargement du {when} a été refusé, l'ancienne configuration reste : {fault}",
        ),
        "nearly_full": (
            "SAS's side has taken {connections} of {most} connections",
            "{connections} connexions sur {most} sont prises du côté du SAS",
        ),
        "late": (
            "the event loop was {lag} s late within the last minute",
            "la boucle d'événements a eu {lag} s de retard dans la dernière minute",
        ),
    }
)

_UNITS = (
    (86400, ("day", "days"), ("jour", "jours")),
    (3600, ("hour", "hours"), ("heure", "heures")),
    (60, ("minute", "minutes"), ("minute", "minutes")),
    (1, ("second", "seconds"), ("seconde", "secondes")),
)
_UNKNOWN_TIME = ("an unknown time", "un moment inconnu")
_ALL = ("all CAs", "toutes les AC")


def worded(finding: Finding, language: str) -> str:
    """A finding in plain words."""
    values = {key: shown(value, language) for key, value in finding.values.items()}
    return FINDINGS[finding.key][LANGUAGES.index(language)].format(**values)


def shown(value: object, language: str) -> str:
    """A value as it stands in a sentence; None is an instant that was lost, `*` all CAs."""
    at = LANGUAGES.index(language)
    if value is None:
        return _UNKNOWN_TIME[at]
    if value == "*":
        return _ALL[at]
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, timedelta):
        return length(value.total_seconds(), language)
    return str(value)


def instant(value: datetime) -> str:
    """An instant to the minute; the zone is said, since the log's readers compare it."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def length(seconds: float, language: str) -> str:
    """About how long, in the unit of which there are at least two: `36 hours`, `1 minute`."""
    left = max(0, int(seconds))
    for size, *names in _UNITS:
        count = left // size
        if count >= 2 or size == 1 or (count and size == 60):
            singular, plural = names[LANGUAGES.index(language)]
            # French counts nothing in the singular.
            one = count == 1 or (count == 0 and language == FRENCH)
            return f"{count} {singular if one else plural}"
    raise AssertionError("seconds are always enough")


def clock(seconds: float) -> str:
    """To the minute, alike in both languages: `3 h 59 min`."""
    minutes = max(0, int(seconds)) // 60
    return f"{minutes // 60} h {minutes % 60:02} min"


def preferred(accept_language: str) -> str:
    """The language of a browser, by its Accept-Language field; English where it wants neither.

    RFC 9110, 12.5.4: weights from 0 to 1, of equals the first.
    """
    best, best_weight = ENGLISH, 0.0
    for part in accept_language[:1024].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = tag.strip().lower().partition("-")[0]
        weight = _weight(parameter)
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, max(0.0, float(value))) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
