# Every target does all of its own set-up on a fresh clone.
#   make demo [KEEP=1]            the gateway, the platform's calls, a table of what came
#   make test [PYTEST_ARGS=...]   every test
#   make lint                     ruff and mypy
#   make fuzz [COUNT=100000]      damaged requests, lists and OCSP answers, so many of each
#   make bench-crl [ROUNDS=7] [ENTRIES="0 1000000"] [INTO=docs/performance.md]
#                                 what lists of revoked certificates cost, with nginx beside
#   make bench-outbound [ROUNDS=7] [INTO=docs/performance.md]
#                                 how long a call to SAS takes, with curl beside
#   make bench-floor [ROUNDS=7] [INTO=docs/performance.md]
#                                 what OpenSSL itself needs for a handshake
#   make soak-reload [COUNT=1000], soak-handshakes [COUNT=100000], soak-descriptors
#                                 whether so many leave anything behind; some minutes each
#   make clean                    back to a fresh clone
# PYTHON=python3.12 takes another interpreter (3.11 or newer).

PYTHON ?= python3
PYTEST_ARGS ?=
COUNT ?= 100000
ROUNDS ?= 7
ENTRIES ?= 0 10000 100000 1000000
INTO ?=
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PROGRAMS := nginx apache2 haproxy stunnel openssl curl chromium logrotate

# Debian keeps nginx where only root looks for programs.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: demo test lint fuzz bench-crl bench-floor bench-outbound bench-revocation \
    soak-reload soak-handshakes soak-descriptors \
    clean programs FORCE
.DELETE_ON_ERROR:

demo: .make/installed
	@$(BIN)/python -m sasgate.lab.demo $(if $(KEEP),--keep)

test: .make/installed programs
	$(BIN)/python -m pytest -p tests.plugin_no_skip $(PYTEST_ARGS)

lint: .make/linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: .make/installed
	$(BIN)/python tests/fuzz_http.py --count $(COUNT)
	$(BIN)/python tests/fuzz_crl.py --count $(COUNT)
	$(BIN)/python -m tests.fuzz_ocsp --count $(COUNT)

bench-crl: .make/installed
	$(BIN)/python -m bench.crl --rounds $(ROUNDS) --entries "$(ENTRIES)" $(if $(INTO),--into $(INTO))

bench-outbound: .make/installed
	$(BIN)/python -m bench.outbound --rounds $(ROUNDS) $(if $(INTO),--into $(INTO))

bench-floor: .make/installed
	$(BIN)/python -m bench.floor --rounds $(ROUNDS) $(if $(INTO),--into $(INTO))

soak-reload: COUNT := $(if $(filter file,$(origin COUNT)),1000,$(COUNT))
soak-reload: .make/installed
	cd tests && ../$(BIN)/python soak_reload.py --count $(COUNT)

soak-handshakes: .make/installed
	cd tests && ../$(BIN)/python soak_handshakes.py --count $(COUNT)

soak-descriptors: .make/installed
	cd tests && ../$(BIN)/python soak_descriptors.py

clean:
	rm -rf .venv .make build dist sasgate-demo src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

programs:
	@missing=; for program in $(PROGRAMS); do \
	    command -v $$program >/dev/null || missing="$$missing $$program"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "Missing:$$missing. The tests that need them are skipped; to run them, as root:"; \
	    echo "    apt-get install$$missing"; \
	fi

.make/venv: | .make
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is not Python 3.11 or newer: make PYTHON=/path/to/python3.11, or as root:"; \
	    echo "    apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make a virtual environment; as root:"; \
	    echo "    apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@touch $@

# The editable install is a tree of links (setup.cfg, editable_wheel): a file that comes or goes
# needs a new one, a file that changes doesn't. Hence the list, and not the files.
.make/sources: FORCE | .make
	@find src/sasgate twisted -name '*.py' | LC_ALL=C sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

.make/installed: .make/venv .make/sources setup.cfg pyproject.toml constraints.txt
	$(INSTALL) setuptools
	$(INSTALL) --no-build-isolation -e '.[test]'
	@touch $@

.make/linters: .make/installed
	$(INSTALL) --no-build-isolation -e '.[test,lint]'
	@touch $@

.make:
	@mkdir -p $@
