"""Makes `twistd sasgate` known to Twisted; nothing heavy is imported here."""

from twisted.application.service import ServiceMaker


sasgate = ServiceMaker(
    "sasgate",
    "sasgate.tap",
    "Mutual-TLS gateway between a health-software editor and SAS.",
    "sasgate",
)
