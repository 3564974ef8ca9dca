# Everything a developer does, in one place. `make` alone lists it.
#
# Two stamps say what .venv holds: `run` (enough for the demo) and `dev` (the tools and tests on top of it).
# Both are installed from files that pin every package by hash; see `make lock`.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

RUN := .venv/.stamp-run
DEV := .venv/.stamp-dev
SOURCES := services clients/python/src tests bench deploy/dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test retest simulate model coverage faults bench recovery check check-python check-protos format generate proto-baseline grpcurl etcd lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(DEV) ## Create .venv with everything that development needs

$(RUN): requirements.lock pyproject.toml deploy/dev/setup.sh
	@bash deploy/dev/setup.sh requirements.lock
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	@bash deploy/dev/setup.sh requirements-dev.lock
	@touch $@

demo: $(RUN) ## Run tasks over real files, kill a node half way, check the result (INPUT=dir LIMIT=n AGENTS=n)
	@tenure demo $(if $(INPUT),--input '$(INPUT)') $(if $(LIMIT),--limit $(LIMIT)) $(if $(AGENTS),--agents $(AGENTS))

test: $(DEV) ## Run all tests (ARGS='-k lease' to choose)
	@pytest -n 2 --dist worksteal $(ARGS)

retest: $(DEV) ## Run again, one at a time, what failed in the last `make test`
	@pytest --last-failed --last-failed-no-failures none

simulate: $(DEV) ## Run SEEDS=2000 clusters on virtual time under drawn faults, from seed FIRST=0 on
	@python -m tests.simulation --seeds $(or $(SEEDS),2000) --first $(or $(FIRST),0) $(ARGS)

model: $(DEV) ## Check the Promela model of ownership exhaustively, and that each guard matters
	@pytest -q tests/model

coverage: $(DEV) ## Run all tests and report which lines they did not reach
	@rm -f .coverage .coverage.*
	@coverage run -m pytest $(ARGS)
	@coverage combine --quiet
	@coverage report

faults: $(DEV) ## Run traffic and real faults against a real fleet and check what happened (ARGS='--seed 7 --minutes 5')
	@python -m tests.faults --report tests/faults/report.json $(ARGS)

bench: $(DEV) ## Measure throughput, latency and failover; writes bench/results/latest.json
	@python -m bench $(ARGS)

recovery: $(DEV) ## Break a fleet over and over and measure how soon all is well again (ARGS='node_killed --rounds 5')
	@python -m bench.recovery $(ARGS)

check: check-python check-protos ## Lint, types, import contracts, protocol definitions, generated code

check-python: $(DEV)
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports

# The generator's check comes first: it also lays out the borrowed definitions that buf needs.
check-protos: $(DEV)
	@python deploy/dev/generate.py --check
	@buf lint
	@buf format --diff --exit-code protos
	@[ -f protos/baseline.binpb ] || { echo 'protos/baseline.binpb is missing: write it with `make proto-baseline`'; exit 1; }
	@buf breaking protos --against protos/baseline.binpb

format: $(DEV) ## Rewrite sources and protocol definitions in the project's format
	@ruff check --fix .
	@ruff format .
	@python deploy/dev/generate.py --borrow
	@buf format --write protos

generate: $(DEV) ## Generate the Python code of the protocol definitions
	@python deploy/dev/generate.py

proto-baseline: $(DEV) ## Accept today's protocol definitions as what later ones must not break
	@python deploy/dev/generate.py --baseline

grpcurl: .tools/grpcurl ## Build grpcurl for the cookbook's test, where Go is at hand

.tools/grpcurl:
	@command -v go > /dev/null || { echo 'grpcurl is built with Go: install Go, or put a grpcurl on the PATH'; exit 2; }
	@GOBIN='$(CURDIR)/.tools' go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4

etcd: .tools/etcd ## Build a current etcd for the contract tests, where Go is at hand

.tools/etcd: deploy/dev/etcd.sh
	@bash deploy/dev/etcd.sh $@

lock: ## Resolve the dependencies anew and pin them by hash (UPGRADE=1 takes newer versions)
	@bash deploy/dev/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## Remove the environment, caches and everything else that can be made again
	@rm -rf .venv .deps build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache
	@rm -rf .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
