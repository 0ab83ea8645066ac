# `make` prints the targets. Everything needed is installed by the targets themselves.
SHELL := /bin/bash
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help environment demo test lint type unit clients verify apiserver e2e soak bench docs lock clean

help: ## print the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

environment: ## .venv with every extra and the development tools
	@hack/environment

demo: environment ## a real Kubernetes, the operator, a verified model, its first embedding
	@$(BIN)/python hack/demo.py

test: environment ## lint, types, unit, API-server and e2e tests, with the time of each layer
	@$(BIN)/python hack/run_layers.py

lint: environment ## ruff, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

type: environment ## mypy, strict
	@$(BIN)/mypy

verify: environment ## everything generated is up to date
	@$(BIN)/python hack/generate --check

unit: environment ## tests without a cluster
	@$(BIN)/pytest -m "not apiserver and not e2e and not clients and not soak"

clients: environment ## SDKs and frameworks, each in an environment of its own, against live servers
	@$(BIN)/pytest tests/clients

apiserver: environment ## tests against a real API server
	@hack/cluster up
	@$(BIN)/pytest -m "apiserver and not soak"

e2e: environment ## tests on the whole local cluster, with built images
	@hack/cluster up
	@hack/cluster build all
	@$(BIN)/pytest -m "e2e and not soak" --ignore=tests/localcluster/lifecycle

soak: environment ## load for minutes; a model of every family through the operator, on the local cluster
	@hack/cluster up
	@hack/cluster build all
	@$(BIN)/pytest -m "soak or always" --durations=5

bench: environment ## figures: speed beside its peers (docs/benchmarks.md), memory, inspection, downloads, the operator
	@$(BIN)/python bench/peers/environments.py infinity
	@$(BIN)/python bench/offline.py
	@$(BIN)/python bench/serving.py
	@$(BIN)/python bench/start.py
	@$(BIN)/python bench/http_share.py
	@$(BIN)/python bench/report.py
	@$(BIN)/python bench/inspection.py
	@$(BIN)/python bench/memory.py
	@$(BIN)/python bench/long_inputs.py
	@$(BIN)/python bench/fetch_throughput.py
	@$(BIN)/python bench/scale.py
	@$(BIN)/python hack/demo.py > /dev/null && $(BIN)/python bench/operator_latency.py

docs: environment ## regenerate CRD, reference pages and chart tables
	@$(BIN)/python hack/generate

lock: environment ## resolve dependencies anew into requirements/
	@hack/lock

clean: ## stop the cluster, remove .venv and build; caches stay (hack/cluster status names them)
	@hack/cluster down
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
