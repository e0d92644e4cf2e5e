# The commands of this project; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install machine lock check linters units up gate plays roles overload drills all-drills mutants class pages rehearsal rehearsal-down test planted bench no-open-rehearsal role role-down

VENV := .venv/bin
CACHE := $(or $(CLASSROOM_CACHE),$(HOME)/.cache/sovereign-classroom)
# Debian packages of the rehearsal and its tests; none of them starts a service. The product itself needs none of them.
MACHINE_PACKAGES := mmdebstrap chromium chromium-sandbox firefox-esr libnss3-tools nmap nftables iproute2 openssh-client gpgv debian-archive-keyring

# Run two targets in parallel. Output is grouped by target; commands with `+` print immediately.
LANES = $(MAKE) --no-print-directory -j2 --output-sync

# The parts of `make test`, in order. One after the other, as most of them measure times or need both processors.
# tests/budgets.toml has the budget of each in seconds.
TEST_PARTS := check roles pages up overload class

ROLE ?= base
export CLASSROOM_PLUGIN := $(PLUGIN)

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install the Python environment; build Pulumi's engine and plugin, LiveKit, class page and portal
	@engine/install.sh
	@$(VENV)/python -m engine.build

machine: # install the Debian packages of the rehearsal that are missing
	@missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(MACHINE_PACKAGES) 2>/dev/null \
	  | awk '$$2 == "installed" {print $$1}' | sort | comm -13 - <(printf '%s\n' $(MACHINE_PACKAGES) | sort)); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "error: the rehearsal lacks the Debian packages" $$missing": run this as root to install them" >&2; exit 1; fi; \
	  echo "Debian packages" $$missing "…"; mkdir -p $(CACHE)/logs; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } \
	    > $(CACHE)/logs/apt.log 2>&1 || { tail -20 $(CACHE)/logs/apt.log >&2; exit 1; }; \
	fi

test: no-open-rehearsal install machine ## run all tests including the rehearsal, without drills; print a table of seconds and budgets
	+@$(VENV)/python -m tests.budget $(TEST_PARTS)

class: no-open-rehearsal install machine # run the rehearsal's tests, which open and close a class
	@$(VENV)/pytest -v -s --tb=short -o console_output_style=times -m 'not drill' tests/rehearsal

planted: install machine ## run the planted violations on the open class (opens one if needed): the controls must detect each
	@$(VENV)/pytest -v -s --tb=short -o console_output_style=times tests/rehearsal/test_planted.py --keep

bench: no-open-rehearsal install machine ## measure the figures of BENCHMARKS.md on an idle machine
	@$(VENV)/python -m rehearsal.bench

no-open-rehearsal: # stop if a rehearsal is open, as its class would be lost
	@if grep -qsa "^unshare.*[i]nside/init.sh.*$(CACHE)/rehearsal" /proc/[0-9]*/cmdline; then \
	  echo "error: a rehearsal is open: stop it first with \`make rehearsal-down\`" >&2; exit 2; \
	fi

role: install machine ## run one role on a persistent systemd-nspawn host: make role ROLE=web
	@$(VENV)/python -m tests.roles.host run $(ROLE)

role-down: ## remove the host of `make role`
	@$(VENV)/python -m tests.roles.host down

lock: ## update the lock files of the Python packages
	@cd $(CURDIR) && for f in requirements engine/toolchain; do \
	  $(VENV)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -o $$f.lock $$f.in; \
	done
	@awk '/^uv==/ {p = 1} p && /^[a-z]/ && !/^uv==/ {exit} p' requirements.lock > engine/uv.lock

check: install ## run linters, type checks and unit tests
	@$(LANES) units linters

linters:
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports --no-cache --no-logo
	@$(VENV)/yamllint --strict .
	@cd ansible && ../$(VENV)/ansible-lint --offline -q
	@$(VENV)/python -m engine.check_page

units:
	+@$(VENV)/pytest -q tests/unit

mutants: install ## change the code that decides what is allowed in random places (COUNT=100, SEED=1); list what no unit test notices
	@$(VENV)/python -m tests.mutants --count $(or $(COUNT),100) --seed $(or $(SEED),1)

up: install ## run `pulumi up` with the real engine on this machine, without a cloud
	@$(LANES) plays gate

# All tests that run Ansible are in one lane: they look at the folders of all runs in memory.
PLAYS := tests/up/test_up.py tests/up/test_operators_machine.py

plays:
	+@$(VENV)/pytest -v --tb=short -o console_output_style=times $(PLAYS)

gate:
	@$(VENV)/pytest -v --tb=short -o console_output_style=times $(PLAYS:%=--ignore %) tests/up

roles: install machine ## test every role on systemd-nspawn hosts: converge, idempotence, Testinfra
	@$(VENV)/pytest -v -o console_output_style=times tests/roles/test_contract.py tests/roles/test_plugins.py \
	  tests/roles/test_fleet.py tests/roles/test_each_role.py tests/roles/test_access.py tests/roles/test_egress.py

overload: install machine ## test that one machine's flood takes the page from no other client
	@$(VENV)/pytest -v -o console_output_style=times tests/roles/test_overload.py

drills: no-open-rehearsal install machine ## run the long tests: all roles on one host and on three, live classes, interrupted runs
	+@$(VENV)/python -m tests.budget --drills all-drills

all-drills:
	@$(VENV)/pytest -v -o console_output_style=times tests/roles/test_host.py tests/roles/test_acme.py tests/roles/test_start.py \
	  tests/roles/test_single.py tests/roles/test_split.py
	@$(VENV)/pytest -v -s -o console_output_style=times -m drill tests/rehearsal

pages: install machine ## test the class page in real browsers with a real media server
	@$(VENV)/python -m engine.check_page
	@$(VENV)/pytest -q tests/page --timeout 120

rehearsal: install machine ## start a one-machine OpenStack, run `pulumi up`, verify; leaves the class open
	@$(VENV)/classroom rehearsal up

rehearsal-down: ## stop the rehearsal and delete its cloud
	@$(VENV)/classroom rehearsal down --wipe
