"""What comes after a CSR: the guide's two procedures, in its order (specification, 4.3.2).

The names of ANS's forms are left in French: so are they found on ANS's site.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path


def next_steps(key: Path, csr: Path, cn: str, *, production: bool) -> Iterator[str]:
    """The text after a key and a CSR were written, line by line."""
    yield f"{key}: the private key, for its owner only (mode 0600)"
    yield f"{csr}: the request for a certificate with the subject CN={cn}"
    yield ""
    yield "The key stays on this host. It is never sent to anybody, ANS included, and goes into"
    yield "no backup, no version control and no ticket (4.3.1). If it is lost, or was seen by"
    yield "somebody else, make a new key and a new CSR."
    yield ""
    yield "Next, one of the two procedures of ANS's guide:"
    yield ""
    yield "A. By yourself (4.3.2.1)"
    yield from _by_yourself(csr, production=production)
    yield ""
    yield "B. Through ANS, if A is not possible (4.3.2.2)"
    yield from _through_ans(csr, production=production)
    yield ""
    yield "Then, with the certificate that you were given:"
    yield from _then(key, production=production)


def _by_yourself(csr: Path, *, production: bool) -> Iterator[str]:
    steps = _PRODUCTION_STEPS if production else _TEST_STEPS
    for number, (first, *rest) in enumerate(steps, 1):
        yield f"   {number}. {first}"
        yield from (f"      {line}" for line in rest)
    yield f"   {csr} is what the last one asks for. The OU will be your own identifier."


def _through_ans(csr: Path, *, production: bool) -> Iterator[str]:
    named = "PROD" if production else "TEST"
    yield f"   1. Encrypt {csr} and mail it to your contacts at ANS; give them the"
    yield "      password another way (telephone). The CSR only: never the key."
    yield f"   2. ANS sends <EDITEUR>_{named}.crt back, encrypted. It lasts 3 years; its OU is"
    yield "      ANS's own SIRET; its renewal and revocation remain yours to see to."


def _then(key: Path, *, production: bool) -> Iterator[str]:
    environment = "production" if production else "recette"
    stem = f"{key.stem.rpartition('_')[0]}_{'PROD' if production else 'TEST'}"
    given = shlex.quote(str(key))
    yield f"   sasgate show {stem}.crt"
    yield f"   sasgate bundle --key {given} --certificate {stem}.crt --environment {environment}"
    yield "and send its CN and OU to ANS: SAS answers 403 until they are registered (4.3.4)."


_CONTRACT = (
    "« Contrat d'adhésion et déclaration du représentant légal »,",
    "unless there is one with ANS already",
)
_PRODUCTION_STEPS: tuple[tuple[str, ...], ...] = (
    _CONTRACT,
    (
        "« Service en ligne pour la gestion et la demande de cartes »,",
        "if the legal representative delegates: further cards",
    ),
    (
        "« Déclaration des administrateurs autorisés à commander des certificats logiciels »,",
        "type ORG, by the legal representative or an appointed mandatary",
    ),
    (
        "« Téléservice de gestion et de commande des certificats »,",
        "production: ORG, AUTH_CLI, with the CPx card that was authorised",
    ),
)
_TEST_STEPS: tuple[tuple[str, ...], ...] = (
    _CONTRACT,
    (
        "« Commande des cartes de tests avec habilitations associées »,",
        "type ORG; ANS recommends the kit of 5 CPx cards, one of them a CPA",
    ),
    (
        "« Téléservice de gestion et commande des certificats »,",
        "hors-production: ORG, AUTH_CLI, with the CPx test card that was authorised",
    ),
)
