# Common tasks. The first target that needs the environment in .venv creates it; it is created again when setup.py
# changes.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run dev test coverage check format schema messages picture images bench dist clean programs

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/serves ## serve polls at http://127.0.0.1:8080 (other options: make run ARGS="--port 9000")
	@exec $(BIN)/python -m polls $(ARGS)

dev: .venv/develops ## serve on 127.0.0.1, and restart after each change of code, templates or styles
	@exec $(BIN)/watchfiles "$(BIN)/python -X dev -m polls --development $(ARGS)" polls templates static sql config

test: .venv/develops programs ## run all tests (some of them: make test ARGS="tests/web -k language")
	$(BIN)/python -m pytest $(ARGS)

coverage: .venv/develops programs ## run all tests and list the lines of polls that they don't cover
	$(BIN)/python -m pytest --cov=polls --cov-branch --cov-report=term-missing:skip-covered $(ARGS)

check: .venv/develops ## check format, lint, security, types and imports between layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLC2701 tests  # no import of a private name
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive polls 2>/dev/null  # it warns of comments that it needs
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/develops ## format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: .venv/develops ## write sql/expected_schema.json anew, after a new migration
	$(BIN)/python -m tests.support.expected_schema

messages: .venv/develops ## update the translation catalogues in polls/locale from the code
	$(BIN)/pybabel -q extract -F pyproject.toml -k plural_forms:1,2 -o .venv/polls.pot --project polls --msgid-bugs-address "" --no-location --sort-output .
	$(BIN)/pybabel -q update -i .venv/polls.pot -d polls/locale -D polls --ignore-pot-creation-date --no-fuzzy-matching --ignore-obsolete --width 110
	$(BIN)/python -m tests.support.unavailable_pages

picture: .venv/develops programs ## make the README's screenshot again
	$(BIN)/python -m tests.journeys.picture .readme/polls.png

images: .venv/develops programs ## draw the icons and the picture for link previews in static/img/ again
	$(BIN)/python -m tests.journeys.images static/img

bench: .venv/develops ## measure requests/s and CPU per request, beside a bare aiohttp server
	@command -v wrk >/dev/null || { $(call install,wrk); }
	$(BIN)/python -m tests.bench $(ARGS)

dist: .venv/serves ## build the wheel into dist/
	rm -rf dist
	$(BIN)/pip -q wheel --no-deps --wheel-dir dist .

clean: ## remove everything generated, except the data in var/
	rm -rf .venv build dist .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

# Programs that the tests run: a browser, network namespaces, nginx, faketime, slow HTTP clients, etcd, an HTML checker.
programs:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || command -v chromium-browser >/dev/null \
	  || { $(call install,chromium); }
	@command -v ip >/dev/null || { $(call install,iproute2); }
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { $(call install,nginx); }
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || { $(call install,libfaketime); }
	@PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null || { $(call install,pgbouncer); }
	@command -v slowhttptest >/dev/null || { $(call install,slowhttptest); }
	@command -v etcd >/dev/null || { $(call install,etcd-server); }
	@command -v etcdctl >/dev/null || { $(call install,etcd-client); }
	@command -v java >/dev/null || { $(call install,default-jre-headless); }
	@command -v npm >/dev/null || { $(call install,npm); }
	@test -e .venv/node_modules/vnu-jar || npm --silent install --prefix .venv --no-save vnu-jar@26.9.27 >/dev/null \
	  || echo 'npm could not install vnu-jar; the test of valid HTML is skipped.' >&2

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
	@echo 'Installing the dependencies of tests and checks.'
	@$(BIN)/pip -q --disable-pip-version-check install --editable '.[test,dev]'
	@touch $@

# Install Debian's package $(1) if we are root. Otherwise print a hint; the tests that need it are skipped.
define install
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
  then apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y $(1) >/dev/null; \
  else echo 'Please install $(1) (on Debian: sudo apt-get install $(1)).' >&2; fi
endef
