"""Conventions that every role follows, checked in its files: argument specification, defaults, tasks/main.yml, names."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from classroom.verify.hosts.accounting import EXPOSED

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
ROLES = sorted(p.name for p in (ANSIBLE / "roles").iterdir() if p.is_dir())
OWN = {path.stem for path in (ANSIBLE / "library").glob("*.py")}
"""The project's own modules."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def tasks_of(role: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((ANSIBLE / "roles" / role).glob("*/*.yml")):
        if (path.parent.name in {"tasks", "handlers"} and path.name != "main.yml") or path.parent.name == "handlers":
            found += read(path)
    assert found, role
    return found


def test_exactly_these_roles_exist() -> None:
    assert ROLES == ["access", "acme", "base", "firewall", "media", "portal", "tls", "valkey", "web"]


@pytest.mark.parametrize("role", ROLES)
def test_specification_and_defaults_agree(role: str) -> None:
    options = read(ANSIBLE / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = read(ANSIBLE / "roles" / role / "defaults" / "main.yml")
    # A required option has no default: the numbers of ports are only in the port tables.
    assert all("default" not in option for option in options.values() if option.get("required"))
    assert {name: option["default"] for name, option in options.items() if not option.get("required")} == defaults
    assert len(defaults) < 25
    assert all(name.startswith(f"{role}_") for name in defaults)
    assert all(option["description"] for option in options.values())


@pytest.mark.parametrize("role", ROLES)
def test_main_only_imports_task_files(role: str) -> None:
    for task in read(ANSIBLE / "roles" / role / "tasks" / "main.yml"):
        assert set(task) - {"when"} == {"name", "ansible.builtin.import_tasks", "tags"}
        assert role in task["tags"]


@pytest.mark.parametrize("role", ROLES)
def test_modules_are_builtin_or_the_projects(role: str) -> None:
    keywords = {
        "name",
        "register",
        "when",
        "loop",
        "loop_control",
        "notify",
        "vars",
        "tags",
        "until",
        "retries",
        "delay",
    }
    keywords |= {"changed_when", "failed_when", "check_mode", "no_log", "become", "ignore_errors"}
    for task in tasks_of(role):
        (module,) = set(task) - keywords
        assert module.startswith("ansible.builtin.") or module in OWN, task["name"]


@pytest.mark.parametrize("role", ROLES)
def test_internal_variables_have_the_roles_prefix(role: str) -> None:
    for path in (ANSIBLE / "roles" / role).rglob("*.yml"):
        for name in re.findall(r"\b__[a-z]\w*", path.read_text()):
            assert name.startswith(f"__{role}_"), (path.name, name)


@pytest.mark.parametrize("role", ROLES)
def test_templates_name_the_role_that_renders_them(role: str) -> None:
    for path in (ANSIBLE / "roles" / role).rglob("*.j2"):
        if not path.name.endswith(".json.j2"):  # JSON has no comments
            assert any(f"Rendered by Ansible (role {role})" in line for line in path.read_text().splitlines()[:2]), (
                path.name
            )


def test_the_first_run_updates_every_package_whose_updates_a_verification_demands() -> None:
    updated = set(read(ANSIBLE / "roles/base/vars/Debian_13.yml")["__base_exposed"])
    for role in ROLES:
        options = read(ANSIBLE / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
        updated |= set(options.get(f"{role}_packages", {}).get("default", []))
    assert set(EXPOSED) <= updated


def test_mapped_variables_exist() -> None:
    specifications = [read(ANSIBLE / "roles" / role / "meta" / "argument_specs.yml") for role in ROLES]
    known = {name for found in specifications for name in found["argument_specs"]["main"]["options"]}
    mapped = {n for n in read(ANSIBLE / "group_vars" / "all.yml") if not n.startswith(("__", "ansible_"))}
    assert mapped <= known


def test_no_template_contains_a_secret() -> None:
    for path in ANSIBLE.rglob("*.j2"):
        for expression in re.findall(r"{{.*?}}", path.read_text()):
            assert not re.search(r"_(secret|password|codes_key|certificate_key)\b(?!_file)", expression), path


def test_the_verifier_has_no_wildcards_in_its_commands() -> None:
    rights = (ANSIBLE / "roles" / "base" / "files" / "verifier-sudoers").read_text()
    lines = [line for line in rights.splitlines() if not line.startswith("#")]
    commands = [c.strip(" ,\\") for c in lines if c.startswith(" ")]
    assert commands
    for command in commands:
        assert command.startswith("/"), command
        assert not re.search(r"[*?\[!]", command), f"{command}: a wildcard allows more commands than listed"
        assert " " in command, f"{command}: sudo allows any arguments if none are listed"
