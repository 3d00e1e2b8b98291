# `make help` lists what there is. Each target installs what it misses, if root runs it.

python := build/venv/bin/python
pytest = $(python) -m pytest --junitxml=build/reports/$@.xml
sources := $(shell find plugin -type f ! -name '*.pyc') pyproject.toml
shells := $(shell grep --recursive --files-with-matches --extended-regexp \
	'^#!/(bin/sh|usr/bin/env bash)' scripts plugin tests .ci)

# What needs no root runs as the owner of the tree, so that sudo leaves no caches of root.
as_owner := $(shell [ "$$(id -u):$$(stat --format %u .)" = 0:0 ] || [ "$$(id -u)" != 0 ] || \
	stat --format 'setpriv --reuid=%u --regid=%g --clear-groups' .)

# sudo and su leave out the folders of nft and ip; bytecode stays out of the tree.
export PATH := $(PATH):/usr/sbin:/sbin
export PYTHONPATH := $(CURDIR)
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/cache/bytecode

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check lint unit kernel static endurance vm acceptance plugin bench setup lock
.PHONY: hook clean as-root setup-build setup-dev setup-vm

help: ## list the targets
	@sed -En 's/^([a-z]+):.*## (.*)/\1\t\2/p' Makefile | expand --tabs=12

demo: as-root plugin ## two pods on one machine, without Kubernetes; cleans up (root)
	scripts/demo

test: as-root setup-vm check static endurance vm acceptance ## everything (root)

check: as-root lint unit kernel ## the quick part (root)

lint: setup-dev ## format, lint, types, layers, shell scripts, changelog fragments
	$(as_owner) $(python) -m ruff format --check
	$(as_owner) $(python) -m ruff check
	$(as_owner) $(python) -m mypy
	$(as_owner) build/venv/bin/lint-imports --no-logo --cache-dir build/cache/layers
	$(as_owner) build/venv/bin/towncrier build --draft --version next >/dev/null
	shellcheck $(shells)

unit: setup-dev ## tests without root, with all branches of the pure modules covered
	$(as_owner) $(python) -m coverage run -m pytest --junitxml=build/reports/unit.xml \
		tests/plugin tests/agent tests/architecture
	$(as_owner) $(python) -m coverage report

kernel: as-root setup-dev plugin ## tests in network namespaces of their own (root)
	$(pytest) --numprocesses=3 tests/kernel

static: as-root setup-dev plugin ## the static file itself, also from a newer Debian's Python (root)
	$(pytest) tests/static

endurance: as-root setup-dev plugin ## a kill at every step, many rounds, many leases (root)
	$(pytest) --timeout=600 tests/endurance

vm: as-root setup-vm plugin ## tests in small emulated machines (root)
	$(pytest) --timeout=900 tests/vm

acceptance: as-root setup-dev plugin ## the foreign ways of running a plugin (root)
	$(pytest) --timeout=600 tests/acceptance

plugin: build/pycni ## build/pycni, the plugin as one static file

build/pycni: $(sources) | setup-build
	plugin/freeze/build.sh $@

bench: as-root setup-dev plugin ## ADD and DEL as ratios to the reference plugins (root)
	$(python) -m tests.bench

setup: setup-vm ## install all that the other targets need (root, if any is missing)

setup-build setup-dev setup-vm:
	@scripts/setup $(@:setup-%=%)

lock: ## write requirements/ from pyproject.toml's dependency groups
	scripts/lock

hook: ## have git run `make lint` before each commit
	mkdir -p "$$(git rev-parse --git-path hooks)"
	printf '#!/bin/sh\nexec make lint\n' >"$$(git rev-parse --git-path hooks)/pre-commit"
	chmod +x "$$(git rev-parse --git-path hooks)/pre-commit"

clean: ## remove build/, all that was made here
	rm -rf build

as-root:
	@[ "$$(id -u)" = 0 ] || { echo "Network namespaces need root: use sudo make." >&2; exit 1; }
