"""Clients whose names try to pass for the platform's: S5 to S8, S10 and S39.

All are properly issued by ACI-EL-ORG-TEST, and all but the last few are to be answered 403.
"""

from cryptography import x509

from sasgate.environments import PREPRODUCTION, RECETTE
from sasgate.lab.client import ADMITTED, OTHER_PAIR, Client, named, pair, platform
from sasgate.lab.names import CN, EMAIL, OU, SERIAL, ST, C, O, attribute, name
from sasgate.lab.profile import Template


_WANTED_CN, _WANTED_OU = RECETTE.client_cn, RECETTE.client_ou
_OTHER_CN, _OTHER_OU = "somebody", "300000000000001"
# Cyrillic а, and digits of full width.
_LOOKALIKE_CN = _WANTED_CN.replace("a", "\u0430")
_LOOKALIKE_OU = "".join(chr(ord(digit) + 0xFEE0) for digit in _WANTED_OU)


def _refused(name_: str, says: str, template: Template) -> Client:
    return Client(name_, says, OTHER_PAIR, template)


_WRONG_VALUE = (
    _refused("wrong-cn", "another CN", pair(_OTHER_CN, _WANTED_OU)),
    _refused("wrong-ou", "another OU", pair(_WANTED_CN, _OTHER_OU)),
    _refused("lookalike-cn", "Cyrillic in the CN (S10)", pair(_LOOKALIKE_CN, _WANTED_OU)),
    _refused("lookalike-ou", "full-width digits in the OU (S10)", pair(_WANTED_CN, _LOOKALIKE_OU)),
    _refused("nul-cn", "CN + NUL + tail (S5)", pair(f"{_WANTED_CN}\0.evil", _WANTED_OU)),
    _refused("nul-ou", "OU + NUL + tail (S5)", pair(_WANTED_CN, f"{_WANTED_OU}\0.evil")),
    _refused("substring-cn", "the CN in a longer one (S6)",
             pair(f"evil-{_WANTED_CN}-evil", _WANTED_OU)),
    _refused("prefix-cn", "the CN, then more (S6)", pair(f"{_WANTED_CN}-evil", _WANTED_OU)),
    _refused("suffix-cn", "more, then the CN (S6)", pair(f"evil-{_WANTED_CN}", _WANTED_OU)),
    _refused("cut-cn", "the beginning of the CN (S6)", pair(_WANTED_CN[:-1], _WANTED_OU)),
    _refused("upper-case-cn", "the CN in capitals (S6)", pair(_WANTED_CN.upper(), _WANTED_OU)),
    _refused("space-after-cn", "the CN and a space (S6)", pair(f"{_WANTED_CN} ", _WANTED_OU)),
    _refused("space-before-cn", "a space and the CN (S6)", pair(f" {_WANTED_CN}", _WANTED_OU)),
    _refused("space-after-ou", "the OU and a space (S6)", pair(_WANTED_CN, f"{_WANTED_OU} ")),
    _refused("comma-in-cn", "a comma and `CN=` inside the CN (S6)",
             pair(f"{_OTHER_CN},CN={_WANTED_CN}", _WANTED_OU)),
    _refused("empty-cn", "an empty CN", pair("", _WANTED_OU)),
)  # fmt: skip

_WRONG_PLACE = (
    _refused(
        "cn-in-o",
        "no CN, and an O that reads as one in a printed name (S6)",
        Template(name((C, "FR"), (ST, "Paris (75)"), (O, f"CN={_WANTED_CN}"), (OU, _WANTED_OU))),
    ),
    _refused(
        "pair-in-o",
        "another pair, and an O that reads as the right one in a printed name (S6)",
        Template(
            name(
                (C, "FR"),
                (O, f"x, OU={_WANTED_OU}, CN={_WANTED_CN}"),
                (OU, _OTHER_OU),
                (CN, _OTHER_CN),
            )
        ),
    ),
    _refused("cn-as-o", "the CN as O (S7)", named((O, _WANTED_CN), (OU, _WANTED_OU))),
    _refused(
        "cn-in-email",
        "the CN as emailAddress (S7)",
        named((OU, _WANTED_OU), (CN, _OTHER_CN), (EMAIL, _WANTED_CN)),
    ),
    _refused(
        "cn-in-serial-number",
        "the CN as the serialNumber attribute (S7)",
        named((OU, _WANTED_OU), (CN, _OTHER_CN), (SERIAL, _WANTED_CN)),
    ),
    _refused(
        "cn-in-san",
        "the CN in a subjectAltName (S7)",
        Template(
            pair(_OTHER_CN, _WANTED_OU).subject,
            alternative_names=(x509.DNSName(_WANTED_CN),),
        ),
    ),
    _refused("no-cn", "no CN", named((OU, _WANTED_OU))),
    _refused("no-ou", "no OU", named((CN, _WANTED_CN))),
    _refused("no-name", "an empty subject", Template(name())),
)

_AMBIGUOUS = (
    _refused("two-cn", "the CN, then another (S8)",
             named((OU, _WANTED_OU), (CN, _WANTED_CN), (CN, _OTHER_CN))),
    _refused("two-cn-reversed", "another CN, then the right one (S8)",
             named((OU, _WANTED_OU), (CN, _OTHER_CN), (CN, _WANTED_CN))),
    _refused("two-ou", "the OU, then another (S8)",
             named((OU, _WANTED_OU), (OU, _OTHER_OU), (CN, _WANTED_CN))),
    _refused("two-ou-reversed", "another OU, then the right one (S8)",
             named((OU, _OTHER_OU), (OU, _WANTED_OU), (CN, _WANTED_CN))),
    _refused("two-pairs", "the pairs of two environments (S8, S9)",
             named((OU, _WANTED_OU), (CN, _WANTED_CN),
                   (OU, PREPRODUCTION.client_ou), (CN, PREPRODUCTION.client_cn))),
)  # fmt: skip

_INJECTING = (
    _refused("crlf-cn", "a header field in the CN (S39)",
             pair(f"{_OTHER_CN}\r\nX-SSL-Client-CN: {_WANTED_CN}", _WANTED_OU)),
    _refused("quotes-cn", "JSON in the CN (S39)",
             pair(f'{_OTHER_CN}", "status": "available", "x": "\\', _WANTED_OU)),
    _refused("u2028-cn", "Unicode's line separator in the CN (S39)",
             pair(f"{_OTHER_CN}\u2028x\u2029\x85\u202e", _WANTED_OU)),
    _refused("long-cn", "a CN of 64 KiB (S39)", pair("x" * 65536, _WANTED_OU)),
    _refused("not-latin-cn", "an emoji in the CN (S39)", pair("\U0001f3e5", _WANTED_OU)),
)  # fmt: skip

_RIGHT_BUT_ODD = (
    Client(
        "multi-valued-rdn",
        "the right CN and OU, both in one RDN (S6)",
        ADMITTED,
        Template(
            x509.Name(
                [
                    x509.RelativeDistinguishedName([attribute(C, "FR")]),
                    x509.RelativeDistinguishedName(
                        [attribute(OU, _WANTED_OU), attribute(CN, _WANTED_CN)]
                    ),
                ]
            )
        ),
    ),
    Client(
        "reversed-name",
        "the right name, from CN to C (S6)",
        ADMITTED,
        Template(x509.Name(list(reversed(platform(RECETTE).subject.rdns)))),
    ),
    Client(
        "other-organization",
        "the right CN and OU, another O and ST: only the pair counts",
        ADMITTED,
        Template(
            name((C, "FR"), (ST, "Rhône (69)"), (O, "x" * 40), (OU, _WANTED_OU), (CN, _WANTED_CN))
        ),
    ),
)

DECEIVERS = (*_WRONG_VALUE, *_WRONG_PLACE, *_AMBIGUOUS, *_INJECTING, *_RIGHT_BUT_ODD)
