"""X.509 names for the lab, including those that no decent CA would sign.

`cryptography` refuses lengths outside RFC 5280's upper bounds unless told not to check, and the
ASN.1 string type is a private parameter of `NameAttribute`: both are used here and nowhere else.
"""

import warnings

from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID


C = NameOID.COUNTRY_NAME
ST = NameOID.STATE_OR_PROVINCE_NAME
O = NameOID.ORGANIZATION_NAME  # noqa: E741 - the attribute is called so
OU = NameOID.ORGANIZATIONAL_UNIT_NAME
CN = NameOID.COMMON_NAME
EMAIL = NameOID.EMAIL_ADDRESS
SERIAL = NameOID.SERIAL_NUMBER

StringType = _ASN1Type
Kind = x509.ObjectIdentifier
Attribute = x509.NameAttribute[str | bytes]


def attribute(kind: Kind, value: str, encoding: _ASN1Type | None = None) -> Attribute:
    """One attribute, unchecked; by default UTF8String, or PrintableString for C."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return x509.NameAttribute(kind, value, encoding, _validate=False)


def name(*attributes: Attribute | tuple[Kind, str]) -> x509.Name:
    """A name with one attribute an RDN, in the order given."""
    return x509.Name([attribute(*each) if isinstance(each, tuple) else each for each in attributes])
