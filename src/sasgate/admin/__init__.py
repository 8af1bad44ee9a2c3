"""How the gateway fares, for people and for machines; it is only read here, never changed (S58)."""
