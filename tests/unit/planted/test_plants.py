"""Tests the list of planted violations: every control has one, and all use only documentation addresses."""

import ipaddress
import re
from dataclasses import fields
from typing import Any

import pytest

from classroom.sovereignty.verdict import DOCUMENTATION, Overlay
from classroom.verify.controls.control_catalogue import load_controls
from rehearsal.cloud_config import ENDPOINTS
from rehearsal.outside_hosts import EU, JURISDICTIONS, KINDS, US
from rehearsal.stack import DECLARED
from tests.planted.control_runner import ALL
from tests.planted.injectors import InStackFile
from tests.planted.plants import PLANTED_VIOLATIONS, VALUES, PlantedViolation, violation_groups

REQUIRED = (
    "LiveKit without a TURN server of its own",
    "CNED",
    "FallbackDNS",
    "a font from a CDN",
    "an NTP pool",
    "a cron job that calls a US host",
    "a leak over IPv6 only",
    "data in DNS names",
    "a TURN relay to an unknown host",
    "a TURN relay without a limit for each participant",
    "a Swedish seat with a British parent",
    "a state backend in the US",
    "a region with a false location",
)

REFUSED = {"a Swedish seat with a British parent", "a region with a false location", "a state backend in the US"}
"""Violations of settings, which `pulumi up` refuses before anything is created."""


def scripts(violation: PlantedViolation) -> str:
    found = []
    for injector in violation.injectors:
        for one in fields(injector):  # type: ignore[arg-type]
            value = getattr(injector, one.name)
            found.append(value if isinstance(value, str) else "")
    text = "\n".join(found)
    for name, value in VALUES.items():
        text = text.replace("{" + name + "}", value)
    return text


def test_every_control_has_a_violation_and_every_violation_names_known_controls() -> None:
    assert {control.id for control in load_controls()} == ALL
    assert frozenset().union(*(one.failing for one in PLANTED_VIOLATIONS)) == ALL
    assert all(one.failing and one.failing <= one.collected <= ALL for one in PLANTED_VIOLATIONS)
    assert len({one.name for one in PLANTED_VIOLATIONS}) == len(PLANTED_VIOLATIONS)


@pytest.mark.parametrize("name", REQUIRED)
def test_the_required_violations_exist(name: str) -> None:
    assert [one for one in PLANTED_VIOLATIONS if name in one.name]


def test_violations_on_machines_and_in_settings_are_both_planted() -> None:
    assert {one.where for one in PLANTED_VIOLATIONS} >= {"host", "page", "cloud, host"}
    assert {one.name for one in PLANTED_VIOLATIONS if one.gate} == REFUSED


@pytest.mark.parametrize("violation", PLANTED_VIOLATIONS, ids=[one.name for one in PLANTED_VIOLATIONS])
def test_a_violation_uses_only_documentation_addresses_and_example_names(violation: PlantedViolation) -> None:
    text = scripts(violation)
    for word in re.findall(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", text):
        assert any(ipaddress.ip_address(word) in net for net in DOCUMENTATION), word
    for word in re.findall(r"\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}", text):
        assert ipaddress.ip_address(word) in ipaddress.ip_network("2001:db8::/32"), word
    assert not re.search(r"\b[\w-]+\.(?:com|org|net|io|fr|eu)\b", text)
    for word in re.findall(r"https?://([^/\s'\"#]+)", text):
        assert word.endswith(".example"), word


def test_changes_of_the_stack_file_are_valid_settings() -> None:
    settings: dict[str, Any] = {"declared_cloud": DECLARED, "overlay": [one.overlay() for one in JURISDICTIONS]}
    for violation in PLANTED_VIOLATIONS:
        for injector in violation.injectors:
            if isinstance(injector, InStackFile):
                changed = injector.change(settings)
                assert changed
                assert settings["declared_cloud"] == DECLARED, "the original settings must not change"
                for label in changed.get("overlay", []):
                    Overlay.model_validate(label)


def test_the_jurisdictions_do_not_overlap_and_contain_all_their_hosts() -> None:
    nets = {
        jurisdiction: [ipaddress.ip_network(p) for p in Overlay.model_validate(jurisdiction.overlay()).prefixes]
        for jurisdiction in JURISDICTIONS
    }
    assert not [1 for one in nets[EU] for two in nets[US] if one.version == two.version and one.overlaps(two)]
    for jurisdiction in JURISDICTIONS:
        for kind in KINDS:
            for address in jurisdiction.addresses(kind):
                assert any(ipaddress.ip_address(address) in net for net in nets[jurisdiction])
    for row in ENDPOINTS:
        for address in row["addresses"]:  # type: ignore[attr-defined]
            assert any(ipaddress.ip_address(address) in net for net in nets[EU])


def test_every_violation_is_in_one_group_that_proves_each_control_once() -> None:
    groups = violation_groups(PLANTED_VIOLATIONS)
    assert sorted(v.name for group in groups for v in group) == sorted(v.name for v in PLANTED_VIOLATIONS)
    for group in groups:
        assert sum(len(violation.collected) for violation in group) == len(
            frozenset().union(*(v.collected for v in group))
        )
        assert len({violation.new_class for violation in group}) == 1
        assert len(group) == 1 or not any(violation.gate for violation in group)
    assert max(map(len, groups)) > 1, "no violations share a run"
    assert groups[-1] == (PLANTED_VIOLATIONS[-1],), "it changes what the next runs would see"
