"""What stands on the page around the facts, in English and French."""

from collections.abc import Mapping
from types import MappingProxyType

from sasgate.admin.words import LANGUAGES


_LABELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ok": ("All is well", "Tout va bien"),
        "warning": ("Warning", "Avertissement"),
        "critical": ("Critical", "Critique"),
        "nothing": ("Nothing to see to.", "Rien à signaler."),
        "to_do": ("To see to", "À traiter"),
        "traffic": ("Last hour", "Dernière heure"),
        "requests": ("requests", "requêtes"),
        "refusals": ("refusals", "refus"),
        "closed": ("closed before a handshake", "fermées avant la poignée de main"),
        "most": ("most in a minute", "maximum par minute"),
        "now": ("now", "maintenant"),
        "hour_ago": ("1 hour ago", "il y a 1 heure"),
        "listeners": ("Listeners", "Points d'écoute"),
        "listener": ("listener", "point d'écoute"),
        "environments": ("environments", "environnements"),
        "address": ("address", "adresse"),
        "connections": ("connections", "connexions"),
        "of_sas": ("of SAS's side", "du côté du SAS"),
        "of_applications": ("of applications that call SAS", "d'applications qui appellent le SAS"),
        "leaving": ("closed, drains", "fermé, se vide"),
        "strangers": ("not admitted", "non admises"),
        "of": ("of", "sur"),
        "certificates": ("Certificates", "Certificats"),
        "server": ("own, for SAS's calls", "serveur, pour les appels du SAS"),
        "editor": ("editor's, for calls to SAS", "éditeur, pour les appels vers le SAS"),
        "ca": ("CA", "AC"),
        "kind": ("kind", "type"),
        "name": ("name", "nom"),
        "until": ("until", "jusqu'au"),
        "left": ("left", "restant"),
        "days": ("days", "jours"),
        "ended": ("ENDED", "TERMINÉ"),
        "lists": ("Revocation lists", "Listes de révocation"),
        "mode": ("mode", "mode"),
        "number": ("number", "numéro"),
        "entries": ("entries", "entrées"),
        "age": ("age", "âge"),
        "expires": ("expires", "expire"),
        "next_look": ("next look", "prochaine consultation"),
        "last_error": ("last error", "dernière erreur"),
        "expired": ("EXPIRED", "EXPIRÉE"),
        "no_list": ("NO LIST", "AUCUNE LISTE"),
        "none": ("none", "aucun"),
        "source": ("source", "source"),
        "ocsp": ("OCSP", "OCSP"),
        "responder": ("responder", "répondeur"),
        "answers": ("answers", "réponses"),
        "failures": ("without an answer", "sans réponse"),
        "last_answer": ("last answer", "dernière réponse"),
        "state": ("state", "état"),
        "cached": ("certificates in the cache", "certificats en cache"),
        "hits": ("answered from it", "réponses tirées du cache"),
        "never_asked": ("No responder was asked yet.", "Aucun répondeur n'a été interrogé."),
        "disengaged": ("DÉBRAYAGE IN FORCE", "DÉBRAYAGE EN COURS"),
        "engaged": ("Débrayage: none in force.", "Débrayage : aucun en cours."),
        "by_hand": ("by", "par"),
        "by_itself": ("automatic", "automatique"),
        "all_cas": ("all CAs", "toutes les AC"),
        "admitted_under": ("admitted under it", "admis sous ce régime"),
        "since": ("since", "depuis"),
        "without_list": ("even without a list", "même sans liste"),
        "unknown": ("status unknown", "statut inconnu"),
        "upstreams": ("Servers behind", "Serveurs en aval"),
        "server_": ("server", "serveur"),
        "for": ("for", "pour"),
        "reachable": ("reachable", "joignable"),
        "untried": ("not called yet", "pas encore appelé"),
        "unreachable": ("UNREACHABLE", "INJOIGNABLE"),
        "idle": ("idle connections", "connexions en attente"),
        "decisions": ("Last decisions", "Dernières décisions"),
        "when": ("when", "quand"),
        "outcome": ("outcome", "issue"),
        "reason": ("reason", "motif"),
        "who": ("who", "qui"),
        "times": ("times", "fois"),
        "admitted": ("admitted", "admis"),
        "unauthorized": ("refused, 401", "refusé, 401"),
        "forbidden": ("refused, 403", "refusé, 403"),
        "closed_": ("closed", "fermé"),
        "cut": ("cut", "coupé"),
        "nobody": ("Nobody has called yet.", "Personne n'a encore appelé."),
        "process": ("Process", "Processus"),
        "version": ("version", "version"),
        "started": ("started", "démarré"),
        "up": ("up", "actif depuis"),
        "configuration": ("configuration", "configuration"),
        "generation": ("generation", "génération"),
        "last_reload": ("last reload", "dernier rechargement"),
        "taken_up": ("taken up", "pris en compte"),
        "refused": ("REFUSED", "REFUSÉ"),
        "lag": ("event-loop lag", "retard de la boucle"),
        "at": ("as of", "état au"),
    }
)


class Labels:
    """The labels of one language, by their keys."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)

    def __getitem__(self, key: str) -> str:
        return _LABELS[key][self._at]
