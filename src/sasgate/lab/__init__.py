"""IGC Santé in small: CAs in its exact profile, the SAS platform and an editor's backend.

Everything here is for tests and demonstrations. The keys are throw-away, every name starts with
"LAB", and nothing of it may be trusted outside the machine that made it.
"""
