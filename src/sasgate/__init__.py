"""Mutual-TLS gateway between a health-software editor and the ANS platform SAS."""

__version__ = "0.1.0"
