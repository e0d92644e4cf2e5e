"""The recipes of CONTRIBUTING.md: a step that is left out makes a test fail, here or in the tests that the recipe names."""

import ast
import re
from collections.abc import Iterator

import pytest
import yaml

from classroom.cli.app import app
from classroom.common.paths import REPO
from classroom.config.ports import PORTS, Port
from classroom.config.settings import RESERVED_ACCOUNTS, Settings
from classroom.configure.host_tables import roles
from classroom.verify.controls.control_catalogue import load_controls
from tests.planted.injectors import OnHost
from tests.planted.plants import PLANTED_VIOLATIONS, VALUES

ANSIBLE = REPO / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir() if path.is_dir())
DEFAULT_SERVERS = {"ssh"}
"""Ports that a service has by default, so that no role sets them."""
OPTIONAL = {"base_reboot_at"}
"""Arguments of roles that an operations team may set, and that are empty otherwise."""


def text_of(*places: str) -> str:
    """Return the text of all source files below these folders, or of these files."""
    found = []
    for place in places:
        path = REPO / place
        files = (
            [path]
            if path.is_file()
            else sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        )
        found += [file.read_text(errors="replace") for file in files]
    return "\n".join(found)


def yaml_of(path: str) -> dict[str, object]:
    return dict(yaml.safe_load((REPO / path).read_text()))


# A setting.


def test_every_setting_is_used() -> None:
    trees = [ast.parse(path.read_text()) for path in (REPO / "classroom").rglob("*.py")]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(Settings.model_fields) - read == set(), "a key that changes nothing"


def test_every_variable_of_the_inventory_is_read() -> None:
    given = set(re.findall(r'"(classroom_[a-z0-9_]+)"', text_of("classroom/configure/inventory.py")))
    text = text_of("ansible", "classroom/verify", "classroom/cli", "tests/deployed", "tests/rehearsal", "tests/planted")
    assert not {name for name in given if not re.search(rf"\b{name}\b", text)}


def test_every_variable_that_the_playbook_maps_is_given() -> None:
    wanted = set(re.findall(r"\bclassroom_[a-z0-9_]+", text_of("ansible/group_vars/all.yml")))
    text = text_of("classroom")
    assert {name for name in wanted if f"{name}" not in text} == set()


# A port.


def named_in(port: Port, text: str) -> bool:
    """Return whether a text names a port: in quotes, or as a key of the table of numbers."""
    return bool(re.search(rf"['\"]{port.name}['\"]|classroom_port_numbers\.{port.name}\b", text))


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.name)
def test_every_port_is_served_by_a_role(port: Port) -> None:
    served = text_of("ansible/group_vars", *(f"ansible/roles/{role}" for role in ROLES if role != "firewall"))
    assert port.name in DEFAULT_SERVERS or named_in(port, served), "open, and no role sets up a service on it"


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.name)
def test_every_port_is_expected_by_the_test_of_what_listens(port: Port) -> None:
    assert named_in(port, text_of("tests/deployed/every/test_listening.py"))


# A role with its service; that site.yml lists it is tested in test_host_tables.py.


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_run_alone_by_a_test(role: str) -> None:
    tree = ast.parse(text_of("tests/roles/test_each_role.py"))
    assert f"check_{role}" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    lists = [
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ROLES"
    ]
    assert [role in one for one in lists] == [True]


@pytest.mark.parametrize("role", ROLES)
def test_every_argument_that_a_role_needs_is_mapped(role: str) -> None:
    defaults = yaml_of(f"ansible/roles/{role}/defaults/main.yml")
    mapped = yaml_of("ansible/group_vars/all.yml")
    assert {name for name, value in defaults.items() if value in ("", [], {})} - mapped.keys() - OPTIONAL == set()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "base"])
def test_the_packages_of_every_role_are_installed_by_base(role: str) -> None:
    """The base role installs all packages: the last ones before the firewall lets nothing else out."""
    defaults = yaml_of(f"ansible/roles/{role}/defaults/main.yml")
    listed = str(yaml_of("ansible/group_vars/all.yml")["base_packages_more"])
    assert [name for name in defaults if name.endswith("_packages") and name not in listed] == []


def test_no_administrator_takes_the_account_of_a_service() -> None:
    units = "\n".join(text for role in ROLES for text in (text_of(f"ansible/roles/{role}"),))
    accounts = set(re.findall(r"^User=([\w-]+)$", units, re.M))
    assert accounts
    assert accounts <= RESERVED_ACCOUNTS


def test_every_service_is_verified_on_the_running_hosts() -> None:
    text = text_of("tests/deployed")
    assert [name for role in roles() for name in role.services if f'"{name}"' not in text] == []


# A control; its files, page and planted violation are tested in test_control_catalogue.py and test_plants.py.


@pytest.mark.parametrize("one", load_controls(), ids=lambda one: one.id)
def test_every_judge_has_a_unit_test(one) -> None:
    text = text_of("tests/unit/verify/controls")
    assert re.search(rf"\b{one.module}\.judge\(", text), "judge it on made-up evidence, good and bad"


# A planted violation.


def scripts() -> Iterator[tuple[str, str]]:
    for violation in PLANTED_VIOLATIONS:
        for injector in violation.injectors:
            for name, value in vars(injector).items():
                if isinstance(value, str):
                    yield f"{violation.name}: {name}", value


def test_every_value_of_a_planted_violation_is_known() -> None:
    """A name in braces without a value would be planted unchanged; braces of shell and Python contain more than a name."""
    made_by_the_run = {"domain", "us_certificate", "us_key"}
    wanted = {(where, name) for where, text in scripts() for name in re.findall(r"(?<![$\w{])\{([a-z_0-9]+)\}", text)}
    assert {(where, name) for where, name in wanted if name not in VALUES.keys() | made_by_the_run} == set()


def test_every_planted_violation_on_a_host_is_reverted() -> None:
    on_hosts = [
        (one.name, injector) for one in PLANTED_VIOLATIONS for injector in one.injectors if isinstance(injector, OnHost)
    ]
    assert on_hosts
    assert [
        name for name, injector in on_hosts if injector.revert_script.strip() in {"", injector.script.strip()}
    ] == []


# A command.


def test_every_command_is_registered() -> None:
    """Each file of the command line is reached by `classroom --help`; its name is the command's."""
    paths = set((REPO / "classroom" / "cli").glob("*.py")) - {REPO / "classroom" / "cli" / "app.py"}
    files = {path.stem for path in paths if re.search(r"^def command\(|^app = ", path.read_text(), re.M)}
    assert files
    names = {one.name for one in app.registered_commands} | {group.name for group in app.registered_groups}
    assert files - names == set()
