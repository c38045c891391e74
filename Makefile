# Goldseam. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
UV_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet
# Control planes side by side, for tests wait more than they work; on a cluster that is lent one at a time.
PARALLEL := $(if $(E2E_KUBECONFIG),,-n 3 --dist worksteal)
FAULTY := $(if $(E2E_KUBECONFIG),,-n 2 --dist loadfile)
NEIGHBOURS := argo-rollouts,kustomize-controller,keda
SOURCES := $(wildcard operator deploy/local deploy/demo tests benchmarks)

.PHONY: help venv lock control-plane demo crds reference format format-check lint types layers generated test test-fast test-interop faults fuzz mutate bench coverage check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv from the lock

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Goldseam needs Python 3.11 or newer, and $(PYTHON) is %d.%d: call make with PYTHON=python3.11" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no ensurepip: install the package python3-venv of your system"; exit 1; }
	@test -x $(PY) || { echo "Making $(VENV) (about a minute, once)."; $(PYTHON) -m venv $(VENV); }
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PY) -m pip check
	@touch $@

lock: venv ## write the hash-pinned locks anew from pyproject.toml
	$(PY) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile pyproject.toml $(UV_FLAGS) -o requirements/run.txt
	$(VENV)/bin/uv pip compile pyproject.toml --extra dev $(UV_FLAGS) -c requirements/run.txt -o requirements/dev.txt

control-plane: venv ## build the control plane, Prometheus and Alertmanager (once, about 15 min)
	@deploy/local/cluster build

demo: venv ## watch four incidents being healed on a real control plane (KEEP=1 leaves it running; CLUSTER=kind)
	@$(PY) deploy/demo/play.py

crds: venv ## write crds/ from the models
	$(PY) -m goldseam.api.write_crds crds

reference: venv ## write guards.md, reasons.md and rights.md of docs/reference
	$(PY) -m goldseam.engine.reasons.write_reference docs/reference
	$(PY) -m tests.stolen docs/reference

format: venv ## format the code
	$(VENV)/bin/ruff format $(SOURCES)
	$(VENV)/bin/ruff check --fix --select I $(SOURCES)

format-check: venv ## format, without changing anything
	$(VENV)/bin/ruff format --check $(SOURCES)

lint: venv ## style
	$(VENV)/bin/ruff check $(SOURCES)

types: venv ## types
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy deploy/local/controlplane

layers: venv ## layers point one way
	$(VENV)/bin/lint-imports

generated: venv ## generated files are as the models say
	$(PY) -m pytest -q tests/unit/test_generated_files.py

test: control-plane ## unit, component and cluster tests
	$(PY) -m pytest $(PARALLEL)

test-fast: venv ## unit and component tests only (seconds)
	$(PY) -m pytest tests/unit tests/component

test-interop: control-plane ## beside the real Flux, Argo Rollouts and KEDA (they are built once, about 20 min)
	@deploy/local/cluster build --only $(NEIGHBOURS)
	$(PY) -m pytest tests/interop

faults: control-plane ## the proofs by crashing, and by what else fails, and the slow tests (up to two hours)
	$(PY) -m pytest -m '' tests/component/test_crashes.py tests/component/test_node_incidents.py tests/component/test_shared_cordons.py tests/component/test_fault_proxy.py tests/cluster/test_kills.py tests/cluster/test_two_operators.py
	$(PY) -m pytest -m slow $(PARALLEL) --ignore tests/cluster/test_kills.py tests/cluster
	$(PY) -m pytest $(FAULTY) --ignore-glob '*/test_*crash_matrix.py' tests/faults
	$(PY) -m pytest $(FAULTY) tests/faults/test_crash_matrix.py tests/faults/test_node_crash_matrix.py

fuzz: venv ## random lives of an incident, and random clusters that are drained, for some minutes
	HYPOTHESIS_PROFILE=fuzz $(PY) -m pytest --timeout=1800 tests/component/test_random_lives.py tests/component/test_random_drains.py tests/component/test_random_shared_cordons.py

mutate: venv ## put faults into the core that tests must notice: a fixed sample of 60, minutes; or all of MODULE=engine/verdict.py
	@$(PY) -m tests.mutants $(if $(MODULE),$(addprefix --module ,$(MODULE)),--sample 60)

bench: control-plane ## measure: make bench NAME=idle|latency|policies|reading|receiver|drain|nodes
	@$(PY) -m benchmarks.$(NAME)

coverage: venv ## branch coverage of the core
	$(PY) -m pytest -q tests/unit tests/component --cov=goldseam.engine --cov=goldseam.api --cov=goldseam.actions --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=95

check: format-check lint types layers generated test ## all that CI runs, in its order

clean: ## remove what can be made again, but not the built control plane
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
