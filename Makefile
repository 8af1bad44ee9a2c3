# Every target does all of its own set-up on a fresh clone.
#   make demo [KEEP=1]            the gateway, the platform's calls, a table of what came
#   make test [PYTEST_ARGS=...]   every test
#   make lint                     ruff and mypy
#   make fuzz [COUNT=100000]      damaged requests, lists and OCSP answers, so many of each
#   make bench [ROUNDS=5]         all that follows, into docs/performance.md; installs the peers as root
#   make bench-inbound [ROUNDS=5] [INTO=docs/performance.md] [ONLY="--work get --beside nginx"]
#                                 what calls from SAS cost, with nginx, HAProxy, Apache and stunnel beside
#   make bench-crl [ROUNDS=7] [ENTRIES="0 1000000"] [INTO=docs/performance.md]
#                                 what lists of revoked certificates cost, with nginx beside
#   make bench-outbound [ROUNDS=7] [INTO=docs/performance.md]
#                                 what a call to SAS takes, with curl, nginx and stunnel beside
#   make bench-floor [ROUNDS=7] [INTO=docs/performance.md]
#                                 what OpenSSL itself needs for a handshake
#   make bench-revocation [ROUNDS=7] [INTO=docs/performance.md]
#                                 OCSP, and who is revoked while connected, with others beside
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
ONLY ?=
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# PROGRAM, or PROGRAM:PACKAGE where Debian's package is named otherwise.
PROGRAMS := nginx apache2 haproxy stunnel:stunnel4 ab:apache2-utils openssl curl chromium logrotate
# apache2-bin has the program without a service, which would want the port that nginx's has.
BENCH_PROGRAMS := nginx apache2:apache2-bin haproxy stunnel:stunnel4 ab:apache2-utils openssl curl
find_missing = missing=; for each in $(1); do \
    command -v $${each%%:*} >/dev/null || missing="$$missing $$(echo $$each | cut -d: -f2)"; \
    done

# Debian keeps nginx where only root looks for programs.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: demo test lint fuzz bench bench-programs bench-inbound bench-targets \
    bench-crl bench-floor bench-outbound bench-revocation \
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

# One after the other, whatever -j says: two at a time would measure each other.
bench: ROUNDS := $(if $(filter file,$(origin ROUNDS)),5,$(ROUNDS))
bench: bench-programs .make/installed
	$(MAKE) bench-floor ROUNDS=$(ROUNDS) INTO=docs/performance.md
	$(MAKE) bench-inbound ROUNDS=$(ROUNDS) INTO=docs/performance.md
	$(MAKE) bench-crl ROUNDS=$(ROUNDS) INTO=docs/performance.md
	$(MAKE) bench-revocation ROUNDS=$(ROUNDS) INTO=docs/performance.md
	$(MAKE) bench-outbound ROUNDS=$(ROUNDS) INTO=docs/performance.md
	$(MAKE) bench-targets

bench-programs:
	@$(call find_missing,$(BENCH_PROGRAMS)); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then \
	    echo "Missing for the bench; as root:"; \
	    echo "    apt-get install --no-install-recommends$$missing"; exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; set -x; \
	apt-get update && apt-get install --yes --no-install-recommends $$missing

bench-inbound: ROUNDS := $(if $(filter file,$(origin ROUNDS)),5,$(ROUNDS))
bench-inbound: .make/installed
	$(BIN)/python -m bench.inbound --rounds $(ROUNDS) $(ONLY) $(if $(INTO),--into $(INTO))

bench-targets: .make/installed
	$(BIN)/python -m bench.targets docs/performance.md

bench-crl: .make/installed
	$(BIN)/python -m bench.crl --rounds $(ROUNDS) --entries "$(ENTRIES)" $(if $(INTO),--into $(INTO))

bench-outbound: .make/installed
	$(BIN)/python -m bench.outbound --rounds $(ROUNDS) $(if $(INTO),--into $(INTO))

bench-floor: .make/installed
	$(BIN)/python -m bench.floor --rounds $(ROUNDS) $(if $(INTO),--into $(INTO))

bench-revocation: .make/installed
	$(BIN)/python -m bench.revocation --rounds $(ROUNDS) $(if $(INTO),--into $(INTO))

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
	@$(call find_missing,$(PROGRAMS)); \
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
