"""Lists of revoked certificates: read, verified, indexed, and the word they give on a serial."""
