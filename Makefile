# make demo | test | bench | bench-peers | lint | messages | venv | lock | clean
# PYTHON chooses the interpreter of a new environment, VENV its folder, ARGS goes to the command.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

RUN := $(VENV)/bin/python
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(RUN) -m pip -qq install
CONSTRAINTS = constraints/$$($(RUN) -c 'import sys; print("py311-django52" if sys.version_info < (3, 12) else "py313-django61")').txt
INPUTS := pyproject.toml $(wildcard constraints/*.txt)

.PHONY: demo test bench bench-peers lint messages venv lock clean

demo: $(VENV)/.runtime
	@$(RUN) manage.py demo $(ARGS)

test: $(VENV)/.dev
	$(RUN) -m pytest -n logical --dist loadfile $(ARGS)

bench: $(VENV)/.dev
	$(RUN) -m benchmarks.run $(ARGS)

bench-peers: $(VENV)/.dev .bench/.ready
	$(RUN) -m benchmarks.run --peers $(ARGS)

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	find faktory_django example_project -name '*.html' -exec $(VENV)/bin/djade --target-version 5.2 --check {} +
	$(RUN) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

# Brings the catalogues of all languages up to date, and compiles them.
messages: $(VENV)/.dev
	$(RUN) -m tests.catalogue

venv: $(VENV)/.dev

lock:
	@bash .ci/lock

clean:
	rm -rf $(VENV) .bench .ci/venvs .ci/node .ci/screenshots dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A folder without a stamp is an attempt that failed, or of another Python: --clear starts anew.
$(VENV)/.runtime: $(INPUTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed: apt-get install python3.11 python3.11-venv, then add PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing what faktory_django needs into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) -c $(CONSTRAINTS) hatchling editables
	@$(PIP) -c $(CONSTRAINTS) --no-build-isolation -e '.[binary,dashboard,embedded,encryption,server]'
	@touch $@

# Other systems, and this one, on one Python and one Django; Node for one of them.
.bench/.ready: benchmarks/peers.txt benchmarks/package.json pyproject.toml
	@command -v node npm redis-server >/dev/null || { \
	  echo "make bench-peers needs Node and Redis: apt-get install nodejs npm redis-server" >&2; exit 1; }
	@echo "Installing the systems to compare with into .bench"
	@rm -rf .bench && mkdir -p .bench/node
	@$$(bash .ci/python 3.13 3.12) -m venv .bench/venv
	@PIP_DISABLE_PIP_VERSION_CHECK=1 .bench/venv/bin/python -m pip -qq install -r benchmarks/peers.txt -e .
	@cp benchmarks/package.json .bench/node/ && cd .bench/node && npm install --silent --no-audit --no-fund
	@touch $@

# pip reads dependency groups since 25.1.
$(VENV)/.dev: $(VENV)/.runtime
	@echo "Installing the tools for tests and lints into $(VENV)"
	@$(PIP) -c $(CONSTRAINTS) --upgrade pip
	@$(PIP) -c $(CONSTRAINTS) --group dev
	@touch $@
