# What can be done with polls. The environment in .venv is made by the first target that needs it, and made anew
# when setup.py changes.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run dev test coverage check format messages picture bench dist clean programs

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/serves ## serve polls at http://127.0.0.1:8080 (other options: make run ARGS="--port 9000")
	@exec $(BIN)/python -m polls $(ARGS)

dev: .venv/develops ## serve on 127.0.0.1, and again after each change of the code, a template or a style
	@exec $(BIN)/watchfiles "$(BIN)/python -X dev -m polls --development $(ARGS)" polls templates static sql config

test: .venv/develops programs ## run all tests (some of them: make test ARGS="tests/web -k language")
	$(BIN)/python -m pytest $(ARGS)

coverage: .venv/develops programs ## run all tests, and tell which lines of polls none of them runs
	$(BIN)/python -m pytest --cov=polls --cov-branch --cov-report=term-missing:skip-covered $(ARGS)

check: .venv/develops ## check format, lint, types and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/develops ## put the code in its format, and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

messages: .venv/develops ## bring the catalogues in polls/locale up to date with the sentences in the code
	$(BIN)/pybabel -q extract -F pyproject.toml -o .venv/polls.pot --project polls --msgid-bugs-address "" --no-location --sort-output .
	$(BIN)/pybabel -q update -i .venv/polls.pot -d polls/locale -D polls --ignore-pot-creation-date --no-fuzzy-matching --ignore-obsolete --width 110
	$(BIN)/python -m tests.support.unavailable_pages

picture: .venv/develops programs ## take the README's picture anew
	$(BIN)/python -m tests.journeys.picture .readme/polls.png

bench: .venv/develops ## measure requests a second and CPU a request beside a bare aiohttp server
	@command -v wrk >/dev/null || { $(call install,wrk); }
	$(BIN)/python -m tests.bench $(ARGS)

dist: .venv/serves ## build the wheel into dist/
	rm -rf dist
	$(BIN)/pip -q wheel --no-deps --wheel-dir dist .

clean: ## remove what was made, but not the data in var/
	rm -rf .venv build dist .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

# The programs that tests drive: a browser, a proxy, a clock that is wrong, and clients that are slow.
programs:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || command -v chromium-browser >/dev/null \
	  || { $(call install,chromium); }
	@command -v ip >/dev/null || { $(call install,iproute2); }
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { $(call install,nginx); }
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || { $(call install,libfaketime); }
	@command -v slowhttptest >/dev/null || { $(call install,slowhttptest); }

.venv/serves: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'polls needs Python 3.11 or later, for example: make run PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call install,python3-venv); }
	@echo 'Setting up .venv; the first time this takes a minute or two.'
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip -q --disable-pip-version-check install --editable .
	@touch $@

.venv/develops: .venv/serves
	@echo 'Adding what tests and checks need.'
	@$(BIN)/pip -q --disable-pip-version-check install --editable '.[test,dev]'
	@touch $@

# Debian's package $(1), where we may install it. Where not, say so; the tests that need it are skipped with the reason.
define install
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
  then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y $(1) >/dev/null; \
  else echo 'Please install $(1) (on Debian: sudo apt-get install $(1)).' >&2; fi
endef
