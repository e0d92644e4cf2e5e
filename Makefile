# The commands of this project; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install machine lock check linters units up gate plays roles drills all-drills class pages rehearsal rehearsal-down test planted bench closed role role-down

VENV := .venv/bin
CACHE := $(or $(CLASSROOM_CACHE),$(HOME)/.cache/sovereign-classroom)
# What the rehearsal and its tests take from Debian; none of these starts a service. The product itself needs none.
MACHINE_PACKAGES := mmdebstrap chromium chromium-sandbox libnss3-tools nmap nftables iproute2 openssh-client

# Side by side: a target's output is shown as a whole at its end, that of a command with `+` as it comes.
LANES = $(MAKE) --no-print-directory -j2 --output-sync

# The parts of the test run, in their order; tests/budgets.toml gives each its seconds.
TEST_PARTS := check roles pages up class

ROLE ?= base
export CLASSROOM_PLUGIN := $(PLUGIN)

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## the Python environment, Pulumi's engine and plugin, LiveKit, the class page and the portal
	@engine/install.sh
	@$(VENV)/python -m engine.build

machine: # Debian packages for the rehearsal, where they are missing
	@missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(MACHINE_PACKAGES) 2>/dev/null \
	  | awk '$$2 == "installed" {print $$1}' | sort | comm -13 - <(printf '%s\n' $(MACHINE_PACKAGES) | sort)); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "error: the rehearsal runs as root only, and lacks: $$missing" >&2; exit 1; fi; \
	  echo "Debian packages" $$missing "…"; mkdir -p $(CACHE)/logs; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } \
	    > $(CACHE)/logs/apt.log 2>&1 || { tail -20 $(CACHE)/logs/apt.log >&2; exit 1; }; \
	fi

test: closed install machine ## every test, the whole rehearsal included; ends with a table of seconds and budgets
	+@$(VENV)/python -m tests.budget $(TEST_PARTS)

class: closed install machine # the rehearsal's tests, on a class that they open and close
	@$(VENV)/pytest -v -s --tb=short -o console_output_style=times -m 'not drill' tests/rehearsal

planted: install machine ## planted violations on the open class (opened if there is none): each control has to catch its own
	@$(VENV)/pytest -v -s --tb=short -o console_output_style=times tests/rehearsal/test_planted.py --keep

bench: closed install machine ## measure the figures, on an idle machine, and write BENCHMARKS.md
	@$(VENV)/python -m rehearsal.bench

closed: # no rehearsal may be open: its class would be lost
	@if grep -qsa "^unshare.*[i]nside/init.sh.*$(CACHE)/rehearsal" /proc/[0-9]*/cmdline; then \
	  echo "error: a rehearsal is open; end it first: make rehearsal-down" >&2; exit 2; \
	fi

role: install machine ## one role on a kept systemd-nspawn host: make role ROLE=web
	@$(VENV)/python -m tests.roles.host run $(ROLE)

role-down: ## remove that host
	@$(VENV)/python -m tests.roles.host down

lock: ## pin the Python packages anew
	@cd $(CURDIR) && for f in requirements engine/toolchain; do \
	  $(VENV)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 -o $$f.lock $$f.in; \
	done
	@awk '/^uv==/ {p = 1} p && /^[a-z]/ && !/^uv==/ {exit} p' requirements.lock > engine/uv.lock

check: install ## linters, types and unit tests
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

up: install # `pulumi up` itself
	@$(LANES) plays gate

plays:
	+@$(VENV)/pytest -v --tb=short -o console_output_style=times tests/up/test_up.py

gate:
	@$(VENV)/pytest -v --tb=short -o console_output_style=times --ignore tests/up/test_up.py tests/up

roles: install machine ## every role on a systemd-nspawn host: converge, no change the second time, Testinfra
	@$(VENV)/pytest -v -o console_output_style=times tests/roles/test_contract.py tests/roles/test_plugins.py \
	  tests/roles/test_fleet.py tests/roles/test_each_role.py tests/roles/test_access.py tests/roles/test_egress.py

drills: closed install machine ## what takes long: all roles together on one host and on three, live classes, runs cut off half-way
	+@$(VENV)/python -m tests.budget --drills all-drills

all-drills:
	@$(VENV)/pytest -v -o console_output_style=times tests/roles/test_single.py tests/roles/test_split.py
	@$(VENV)/pytest -v -s -o console_output_style=times -m drill tests/rehearsal

pages: install machine ## the class page in real browsers, with a real media server
	@$(VENV)/python -m engine.check_page
	@$(VENV)/pytest -q tests/page --timeout 120

rehearsal: install machine ## main job: a one-machine OpenStack, `pulumi up`, verified; leaves the class open
	@$(VENV)/classroom rehearsal up

rehearsal-down: ## end the rehearsal and drop its cloud
	@$(VENV)/classroom rehearsal down --wipe
