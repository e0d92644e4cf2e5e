"""The list of plants: every control has one, each says what it touches, and none leaves documentation addresses."""

import ipaddress
import re
from dataclasses import fields
from typing import Any

import pytest

from classroom.sovereignty.verdict import DOCUMENTATION, Overlay
from classroom.verify.controls.control_catalogue import load_controls
from rehearsal.cloud_config import ENDPOINTS
from rehearsal.outside_hosts import EU, KINDS, SIDES, US
from rehearsal.stack import DECLARED
from tests.planted.control_runner import ALL
from tests.planted.injectors import InStackFile
from tests.planted.plants import PLANTS, VALUES, Plant

NAMED = (
    "LiveKit with TURN/TLS only",
    "CNED",
    "FallbackDNS",
    "a font from a CDN",
    "an NTP pool",
    "a cron job that calls a US host",
    "a leak over IPv6 only",
    "data in DNS names",
    "a relay through TURN to a stranger",
    "a Swedish seat with a British parent",
    "a state backend in the US",
    "a region that lies",
)

REFUSED = {"a Swedish seat with a British parent", "a region that lies", "a state backend in the US"}
"""Violations of settings, which `pulumi up` refuses before anything is created."""


def scripts(plant: Plant) -> str:
    found = []
    for action in plant.actions:
        for one in fields(action):  # type: ignore[arg-type]
            value = getattr(action, one.name)
            found.append(value if isinstance(value, str) else "")
    text = "\n".join(found)
    for name, value in VALUES.items():
        text = text.replace("{" + name + "}", value)
    return text


def test_every_control_has_a_plant_of_its_own_and_no_other_is_named() -> None:
    assert {control.id for control in load_controls()} == ALL
    assert frozenset().union(*(plant.red for plant in PLANTS)) == ALL
    assert all(plant.red and plant.red <= plant.collect <= ALL for plant in PLANTS)
    assert len({plant.name for plant in PLANTS}) == len(PLANTS)


@pytest.mark.parametrize("name", NAMED)
def test_the_plants_that_are_wanted_are_there(name: str) -> None:
    assert [plant for plant in PLANTS if name in plant.name]


def test_violations_on_machines_and_in_settings_are_both_planted() -> None:
    assert {plant.where for plant in PLANTS} >= {"host", "page", "cloud, host"}
    assert {plant.name for plant in PLANTS if plant.gate} == REFUSED


@pytest.mark.parametrize("plant", PLANTS, ids=[plant.name for plant in PLANTS])
def test_a_plant_names_documentation_addresses_and_example_names_alone(plant: Plant) -> None:
    text = scripts(plant)
    for word in re.findall(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", text):
        assert any(ipaddress.ip_address(word) in net for net in DOCUMENTATION), word
    for word in re.findall(r"\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}", text):
        assert ipaddress.ip_address(word) in ipaddress.ip_network("2001:db8::/32"), word
    assert not re.search(r"\b[\w-]+\.(?:com|org|net|io|fr|eu)\b", text)
    for word in re.findall(r"https?://([^/\s'\"#]+)", text):
        assert word.endswith(".example"), word


def test_changes_of_the_stack_file_are_valid_settings() -> None:
    there: dict[str, Any] = {"declared_cloud": DECLARED, "overlay": [side.overlay() for side in SIDES]}
    for plant in PLANTS:
        for action in plant.actions:
            if isinstance(action, InStackFile):
                changed = action.change(there)
                assert changed
                assert there["declared_cloud"] == DECLARED, "the file's own settings stay as they are"
                for label in changed.get("overlay", []):
                    Overlay.model_validate(label)


def test_the_two_sides_lie_apart_in_documentation_addresses_and_hold_the_table() -> None:
    nets = {side: [ipaddress.ip_network(p) for p in Overlay.model_validate(side.overlay()).prefixes] for side in SIDES}
    assert not [1 for one in nets[EU] for two in nets[US] if one.version == two.version and one.overlaps(two)]
    for side in SIDES:
        for kind in KINDS:
            for address in side.addresses(kind):
                assert any(ipaddress.ip_address(address) in net for net in nets[side])
    for row in ENDPOINTS:
        for address in row["addresses"]:  # type: ignore[attr-defined]
            assert any(ipaddress.ip_address(address) in net for net in nets[EU])
