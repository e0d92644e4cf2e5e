"""A second stack of another shape beside the open class: settings as people write them; a drill, as it takes minutes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from classroom.common.paths import REPO
from rehearsal import authority, outside_network, stack
from rehearsal.cloud_config import CLIENT4, ENDPOINTS
from rehearsal.folders import STACK
from tests.rehearsal.command import as_client
from tests.rehearsal.quick_check import assert_sound
from tests.rehearsal.test_bad_input import class_survives
from tests.unit.config.spellings import TEXTS, rfc4716

__all__ = ["class_survives"]

NAME = "annexe"
FILE = REPO / f"Pulumi.{NAME}.yaml"
DOMAIN = "college-des-quatre-vents.academie-de-lille.class.example"
"""A name that is longer than a bucket of nginx's tables is by default."""
CLASSES = ["6ème B", "Terminale spé", "CE1/CE2", "L'atelier", "Français (groupe 1)", "601"]
KEPT = ("region", "image", "external_network", "rehearsal", "overlay", "declared_cloud", "declared_operators")
"""Settings that are those of the open class."""


def plain(chain: str) -> dict[str, Any]:
    """Return the settings of the second stack in the usual spelling."""
    open_class = stack.settings("single")
    values: dict[str, Any] = {key: open_class[f"classroom:{key}"] for key in KEPT}
    public = (STACK / "id_ed25519.pub").read_text().strip()
    return values | {
        "flavor_front": "small",
        "network_cidr": "10.40.0.0/24",
        "shape": "single",
        "domain": DOMAIN,
        "certificate": chain,
        "admins": [{"name": "ada", "public_key": public}, {"name": "bob", "public_key": public}],
        "ssh_from": [f"{CLIENT4}/32"],
        "classes": [{"name": name, "size": 20} for name in CLASSES],
        "endpoints": ENDPOINTS,
    }


def as_people_write(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the same settings in other spellings."""
    line = values["admins"][0]["public_key"]
    rows = [row | {"name": f"{str(row['name']).upper()}."} for row in ENDPOINTS]
    return values | {
        "network_cidr": "10.40.0.0/255.255.255.0",
        "domain": f"{DOMAIN.title()}.",
        "certificate": TEXTS["folded"](values["certificate"]),
        "admins": [
            {"name": "ada", "public_key": rfc4716(line, folder)},
            {"name": "bob", "public_key": f"\ufeff# key of Bob\r\n{line}\r\n"},
        ],
        "ssh_from": [CLIENT4, f"{CLIENT4}/255.255.255.255"],
        "endpoints": [*rows, ENDPOINTS[0]],
        "declared_cloud": [values["declared_cloud"]],
    }


def write(values: dict[str, Any]) -> None:
    """Write the stack's settings; what Pulumi stores in the file is preserved."""
    content = yaml.safe_load(FILE.read_text()) if FILE.exists() else {}
    kept = {key: value for key, value in content.get("config", {}).items() if key == "classroom:certificate_key"}
    config = kept | {f"classroom:{key}": value for key, value in values.items()}
    FILE.write_text(yaml.safe_dump(content | {"config": config}, allow_unicode=True))


def pulumi(*words: str) -> "subprocess.CompletedProcess[str]":
    answer = as_client("pulumi", "--non-interactive", *words, "--stack", NAME)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    return answer


def up(*words: str) -> None:
    pulumi("up", "--yes", "--skip-preview", "--suppress-outputs", *words)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Create the stack with its key; at the end, destroy it, and restore the DNS of the open class."""
    leaf, key = authority.signed("root", "class", authority.names_of(DOMAIN))
    (tmp_path / "key.pem").write_bytes(key)
    answer = as_client("pulumi", "--non-interactive", "stack", "init", NAME)
    assert answer.returncode == 0, answer.stderr
    try:
        values = plain((leaf + (STACK / "root.pem").read_bytes()).decode())
        write(as_people_write(values, tmp_path))
        script = 'pulumi --non-interactive config set --stack "$1" --secret certificate_key < "$2"'
        answer = as_client("sh", "-c", script, "sh", NAME, tmp_path / "key.pem")
        assert answer.returncode == 0, answer.stderr
        yield values
    finally:
        pulumi("destroy", "--yes", "--skip-preview")
        as_client("pulumi", "--non-interactive", "stack", "rm", "--yes", NAME)
        FILE.unlink(missing_ok=True)
        outside_network.publish_dns(stack.output("dns_records"))  # type: ignore[arg-type]


@pytest.mark.drill
def test_a_stack_of_another_shape_with_settings_as_people_write_them(settings: dict[str, Any], tmp_path: Path) -> None:
    up()
    records = json.loads(pulumi("stack", "output", "--json", "dns_records").stdout)
    assert {record["name"] for record in records} == {DOMAIN, f"turn.{DOMAIN}"}
    assert {record["type"] for record in records} == {"A"}
    outside_network.publish_dns([*stack.output("dns_records"), *records])  # type: ignore[misc]
    inventory = tmp_path / "inventory.json"
    inventory.write_text(pulumi("stack", "output", "--json", "inventory").stdout)
    assert_sound(inventory)
    listed = as_client("classroom", "classes", "--stack", NAME, "--json")
    assert [entry["name"] for entry in json.loads(listed.stdout)] == CLASSES, listed.stderr
    # Nothing changes: with the same file, as the cloud stores it, and in the usual spelling.
    up("--expect-no-changes")
    pulumi("preview", "--refresh", "--expect-no-changes")
    write(settings)
    up("--expect-no-changes")
