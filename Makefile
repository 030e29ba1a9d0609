# Every target prepares what it needs (tools/setup) on a fresh Debian 12 machine.
.DEFAULT_GOAL := help
NAME ?= songnodes
COUNT ?= 1
ARGS ?=
SHELL := /bin/bash
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help venv setup demo test test-full build lint unit sanity contract bench lab-up lab-down lab-reboot lab-shell clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@tools/setup

venv:
	@tools/setup venv

demo: setup ## a bare lab host becomes hardened k3s running SongNodes, with a summary at the end (ARGS=--check …)
	@tools/demo $(ARGS)

test: setup ## everything: gates, unit tests, sanity, the lab and the scenarios (ARGS="--only lint,unit")
	@$(PYTHON) tools/run_tests.py $(ARGS)

test-full: setup ## the same with the long loops whole
	@$(PYTHON) tools/run_tests.py --full $(ARGS)

build: setup ## the Galaxy artifact in build/
	@source tools/env.sh && ansible-galaxy collection build --force --output-path build

lint: setup ## ruff, mypy, yamllint, shellcheck, ansible-lint, gofmt
	@tools/lint

unit: venv ## unit tests (ARGS="-k NAME")
	@tools/unit $(ARGS)

sanity: setup ## ansible-test sanity
	@tools/sanity $(ARGS)

contract: setup ## what the product relies on, checked on a lab host (CONTRACT_HOST, LAB_K3S=PATH)
	@tools/contract $(ARGS)

bench: setup ## ours beside the peers, in one run (ARGS="-k NAME")
	@source tools/env.sh && pytest tests/bench -q -s -p no:cacheprovider $(ARGS)

lab-up: setup ## bare lab hosts (NAME=songnodes COUNT=1)
	@$(PYTHON) -m lab up --name $(NAME) --count $(COUNT)

lab-down: venv ## remove lab hosts (NAME=…; NAME=all for every one of this checkout)
	@$(PYTHON) -m lab down $(if $(filter all,$(NAME)),--all,--name $(NAME))

lab-reboot: venv ## orderly reboot of a lab host (NAME=…)
	@$(PYTHON) -m lab reboot --name $(NAME)

lab-shell: venv ## a root shell in a lab host (NAME=…)
	@$(PYTHON) -m lab shell --name $(NAME)

clean: ## remove what the targets made in this checkout; the user's cache stays
	@[ ! -x $(PYTHON) ] || $(PYTHON) -m lab down --all || true
	@rm -rf build .lab .ansible .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
