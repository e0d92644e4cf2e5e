"""The generated tables of hosts, services and ports: complete, and up to date in the documentation."""

import json
import re

import pytest
from typer.testing import CliRunner

from classroom.cli.app import app
from classroom.common.paths import REPO
from classroom.config.ports import LOCAL_PORTS, PORTS
from classroom.configure.host_tables import DOCS, page, port_range, roles, tables


def test_the_documentation_is_up_to_date() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text == page(text), "generate it again: classroom ports --docs"


def test_every_role_is_in_the_table_once() -> None:
    folders = {path.name for path in (REPO / "ansible" / "roles").iterdir() if path.is_dir()}
    found = [role.name for role in roles()]
    assert sorted(found) == sorted(folders), "a role that site.yml does not list never runs"
    assert {role.group for role in roles()} == {"all", "front", "media"}


def test_every_unit_that_a_role_installs_is_in_the_table() -> None:
    for role in roles():
        units = {
            path.name.split(".")[0] for path in (REPO / "ansible/roles" / role.name).glob("templates/*.service.j2")
        }
        assert units <= set(role.services), role


def test_every_port_is_in_the_table() -> None:
    for port in PORTS:
        assert re.search(
            rf"\| {port_range(port.first, port.last)} \| {port.protocol} \| .* \| {re.escape(port.why)} \|", tables()
        )


def test_every_local_port_is_in_the_table() -> None:
    for port in LOCAL_PORTS:
        assert f"| {port.number} | {', '.join(port.protocols)} | {port.why} |" in tables()


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        page("# Architecture\n")


def test_the_command_lists_every_port() -> None:
    assert [one["name"] for one in json.loads(CliRunner().invoke(app, ["ports", "--json"]).stdout)] == [
        p.name for p in PORTS
    ]
    shown = CliRunner().invoke(app, ["ports"]).stdout
    assert all(str(port.first) in shown for port in PORTS)
