# Every target sets up what it needs and then runs; set-up is redone only when what it is made from changes.
# .venv holds the sources as they are, and the codec in C; the wheel's environment also has modules compiled.
# PYTHON=... chooses the interpreter, ARGS=... adds arguments to pytest.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check install --quiet
EDITABLE := --config-settings editable_mode=compat
CHECKED := goblins_py netlayers persistence tests docs $(wildcard examples benchmarks)

NATIVE := $(wildcard goblins_py/syrup/native/*.[ch])
SOURCES := $(shell find goblins_py netlayers persistence -name '*.py' -o -name '*.pxd' -o -name '*.[ch]')
# What has a compiled form, and what shows it at the wire and on the disk.
PURE := $(wildcard tests/test_syrup*.py tests/test_actors*.py tests/test_captp*.py tests/test_stores.py \
	tests/test_locators.py tests/test_lib.py tests/test_persistent_state.py tests/test_upgrades.py)

# The wheel is tried as a user has it: in an environment of its own, from an empty folder.
WHEEL_VENV := .cache/wheel-venv
WHEEL_PY := $(CURDIR)/$(WHEEL_VENV)/bin/python

# Benchmarks have an environment of their own, too, with those whom they compare us with.
BENCH_VENV := .cache/bench-venv
BENCH_PY := $(BENCH_VENV)/bin/python
BENCHES := round_trips pipelined one_way connect bulk local syrup churns opening growth memory \
	websocket prelay compaction
RESULTS := benchmarks/results

.PHONY: help demo test test-pure test-wheel wheel check format docs coverage guard guard-update guile browser \
	bench bench-quick bench-docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo      two people, two processes, one guest book"
	@echo "make test      all tests (ARGS='-k name' for some)"
	@echo "make test-pure the tests of what has a compiled form, without it (ARGS=tests for all)"
	@echo "make test-wheel all tests on the wheel, whose innermost modules are compiled"
	@echo "make check     ruff, format, mypy --strict, layers and style"
	@echo "make docs      the documentation, into docs/_build/html"
	@echo "make guile     the Guile Goblins peer, for the tests that want one (root, Debian)"
	@echo "make browser   Chromium, for the tests of pages (root, Debian)"
	@echo "make bench     every row of docs/performance beside its floor and its peers (bench-quick: in two minutes)"
	@echo "make bench-docs the tables and plots of docs/performance, from what make bench has measured"
	@echo "make coverage  all tests, with branches counted"
	@echo "make guard     instructions per operation, against the baseline (valgrind; guard-update rewrites it)"

$(VENV)/.installed: pyproject.toml setup.py $(NATIVE)
	@$(call ready,$(VENV))
	$(PY) $(PIP) $(EDITABLE) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml setup.py $(NATIVE)
	@$(call ready,$(VENV))
	$(PY) $(PIP) $(EDITABLE) -e '.[dev]'
	@touch $(VENV)/.installed $@

# A virtual environment at $(1) whose interpreter runs; one that lost its interpreter is made anew.
define ready
	if [ -z "$(PYTHON)" ]; then echo "no Python of 3.11 or newer with venv found; say PYTHON=/path/to/python3" >&2; exit 1; fi; \
	$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(1)
endef

demo: $(VENV)/.installed
	@$(PY) -m goblins_py demo

test: $(VENV)/.installed-dev
	$(PY) -m pytest $(ARGS)

test-pure: $(VENV)/.installed-dev
	GOBLINS_PURE=1 $(PY) -m pytest $(or $(ARGS),$(PURE))

check: $(VENV)/.installed-dev
	! command -v $(CC) >/dev/null || $(CC) -fsyntax-only -std=c11 -Wall -Wextra -Werror $(filter %.c,$(NATIVE)) \
		-I$$($(PY) -c "import sysconfig; print(sysconfig.get_paths()['include'])")
	$(PY) -m ruff check $(CHECKED)
	$(PY) -m ruff format --check $(CHECKED)
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_layering.py tests/test_style.py tests/test_public_names.py tests/test_typing.py

format: $(VENV)/.installed-dev
	$(PY) -m ruff check --fix $(CHECKED)
	$(PY) -m ruff format $(CHECKED)

$(WHEEL_VENV)/.installed: pyproject.toml setup.py $(SOURCES) | $(VENV)/.installed-dev
	rm -rf dist build
	$(PY) -m build --wheel --outdir dist .
	$(PY) tests/check_wheel.py dist/*.whl
	@$(call ready,$(WHEEL_VENV))
	$(WHEEL_PY) $(PIP) --upgrade "$$(echo dist/*.whl)[dev]"
	$(WHEEL_PY) $(PIP) --force-reinstall --no-deps dist/*.whl
	@touch $@

wheel: $(WHEEL_VENV)/.installed

test-wheel: wheel
	rm -rf .cache/empty
	mkdir -p .cache/empty
	cd .cache/empty && $(WHEEL_PY) -P -m pytest -c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) $(CURDIR)/tests $(ARGS)

docs: $(VENV)/.installed-dev
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

coverage: $(VENV)/.installed-dev
	$(PY) -m pytest --cov --cov-branch --cov-report=term-missing $(ARGS)

# As a user has it: with the innermost modules compiled, which an editable install leaves out.
$(BENCH_VENV)/.installed-peers: pyproject.toml
	@$(call ready,$(BENCH_VENV))
	$(BENCH_PY) $(PIP) '.[bench]'
	@touch $@

$(BENCH_VENV)/.installed: $(BENCH_VENV)/.installed-peers setup.py $(SOURCES)
	$(BENCH_PY) $(PIP) --force-reinstall --no-deps .
	@touch $@

# BENCH_ARGS=... adds arguments to every script; one that fails is told, and the others run on.
bench: $(BENCH_VENV)/.installed
	@rm -rf $(RESULTS) && mkdir -p $(RESULTS)
	@for name in $(BENCHES); do \
		$(BENCH_PY) benchmarks/$$name.py --json $(RESULTS)/$$name.json $(BENCH_ARGS) || echo "$$name failed" >&2; done
	@$(BENCH_PY) benchmarks/summary.py $(patsubst %,$(RESULTS)/%.json,$(BENCHES))

bench-quick:
	@$(MAKE) --no-print-directory bench BENCH_ARGS="--quick $(BENCH_ARGS)"

bench-docs: $(BENCH_VENV)/.installed
	$(BENCH_PY) benchmarks/plot.py $(RESULTS) docs

guard: wheel
	$(WHEEL_PY) tests/guard/check.py

guard-update: wheel
	$(WHEEL_PY) tests/guard/check.py --update

guile:
	$(PYTHON) tests/guile/make_chroot.py

browser:
	$(PYTHON) tests/browser/install.py

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(BENCH_VENV) $(RESULTS) .cache/empty build dist docs/_build *.egg-info goblins_py/syrup/*.so .coverage .mypy_cache .pytest_cache .ruff_cache
