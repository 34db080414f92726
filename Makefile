# Three commands: `make demo` shows it, `make test` proves it, `make lint` keeps it readable.
PYTHON ?= python3
# uv in a folder of the checkout, unless the machine has one.
UV ?= $(shell command -v uv || echo .uv/bin/uv)
STAMP := .venv/.synced
DIST ?= dist

.PHONY: demo install up down wheel lint docs web test test-alone test-stacks bench bench-quick bench-containers campaign clean

install: $(STAMP)

# Bytecode at once, as pip does: else the first start compiles it, and every start of every process
# where PYTHONDONTWRITEBYTECODE is set, as in many containers.
$(STAMP): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras --compile-bytecode --python $(PYTHON)
# Python reads this file in the locale's encoding: a path with an umlaut must not stand in it.
	@for file in .venv/lib/python3*/site-packages/_editable_impl_tradewind.pth; do \
	  echo ../../../../src >"$$file"; done
# Hatchling lays copies of what is shipped there, which would grow old: here it is read where it is.
	@rm -rf .venv/lib/python3*/site-packages/tradewind
	@touch $@

# Libraries of models that only tests name; 290 MB.
.venv/.estimators: $(STAMP)
	$(UV) sync --frozen --all-extras --group estimators --inexact --no-install-project --python $(PYTHON)
	@touch $@

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "tradewind needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .uv || { rm -rf .uv; \
	  echo "$(PYTHON) has no venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	.uv/bin/pip install --quiet 'uv>=0.9,<1'

demo:
	@began=$$(date +%s); $(MAKE) --no-print-directory install && \
	  echo "install took $$(($$(date +%s) - began)) s"
	.venv/bin/tradewind demo

up: install
	.venv/bin/tradewind up --detach

down:
	.venv/bin/tradewind down

# In dist/: the wheel, and the versions of all that it needs which are tested with it, for `pip --constraint`.
wheel: | $(UV)
	@rm -f "$(DIST)"/tradewind-*.whl
	$(UV) build --quiet --wheel --out-dir "$(DIST)"
	$(UV) export --quiet --frozen --no-dev --all-extras --no-emit-project --no-hashes --no-annotate \
	  --output-file "$(DIST)/constraints.txt"
	@ls "$(DIST)"

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@$(MAKE) --no-print-directory docs

# The pages in docs/ as a site, in site/: a link or a reference that leads nowhere fails. The variable
# keeps the theme from advertising its successor.
docs: install
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

# The desk's page, from web/ into the package, where it is committed: a user needs no Node.
web:
	cd web && npm ci --no-audit --no-fund && npm run build

test: test-alone test-stacks

# What needs no stack, on all cores.
test-alone: install .venv/.estimators
	.venv/bin/pytest --numprocesses auto --dist loadfile --ignore tests/stack --ignore tests/compose

# The containers, then the local stack. Beside each other, on two cores, the services of one are
# taken for dead while the other's start. In a stack that is broken each test waits to its limit, so
# after a few failures no more are tried.
test-stacks: install
	.venv/bin/pytest --maxfail 8 tests/compose tests/stack

bench: install
	.venv/bin/python -m benchmarks

# Ratios alone, with wide margins.
bench-quick: install
	.venv/bin/python -m benchmarks --quick

# What the containers take; needs an engine.
bench-containers: install
	.venv/bin/python -m benchmarks.containers

# Bad inputs through the command line: none may be accepted, or end in a traceback. What the gate makes
# of nothing, hours: what is in it by chance is printed, and beyond that fails. Then 200 kills of services
# at random while everything is busy: nothing may be lost, doubled or stuck. Memory over 300 trainings.
# A year of trainings, with and without housekeeping.
# All data deleted and restored from a backup, and work goes on; for the containers' an engine is needed.
# A desk's work on a team's services that are restarted meanwhile; logins by a provider in containers.
# Models of other libraries and of the desk's own, traded on paper to the cent.
# From a vendor's refresh to fills at a broker's stand-in, through ten kills.
# A workspace from the wheel alone, in an environment of its own and in containers; with PyTorch, 25 GB of disk.
campaign: install .venv/.estimators
	.venv/bin/python -m benchmarks.bad_inputs
	.venv/bin/python -m benchmarks.placebo
	.venv/bin/python -m benchmarks.kills
	.venv/bin/python -m benchmarks.memory
	.venv/bin/python -m benchmarks.year
	.venv/bin/pytest tests/stack/restored_whole.py
	.venv/bin/pytest tests/stack/theirs_whole.py
	.venv/bin/pytest tests/stack/own_kinds_traded.py
	TRADEWIND_REFRESH_KILLS=10 .venv/bin/pytest -s tests/trading/test_refresh_to_orders.py
	.venv/bin/pytest -s tests/stack/from_wheel.py
	.venv/bin/pytest tests/compose/total_loss.py
	.venv/bin/pytest -s tests/compose/from_wheel.py
	.venv/bin/pytest tests/compose/login_by_provider.py

# Stops the stack and removes everything that it and `make install` made in this folder.
clean:
	-.venv/bin/tradewind down
	rm -rf .tradewind .venv .uv dist site
