"""What users get wrong, and what clouds do to them, while a class is open: one clear sentence, and nothing is lost."""

import datetime
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal import stack
from rehearsal.cloud_config import AUTH_URL
from rehearsal.folders import STACK
from tests.rehearsal.command import as_client, count, in_cloud

UP = ("pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "--non-interactive", "--stack", stack.NAME)


@contextmanager
def changed(folder: Path, **values: Any) -> Iterator[tuple[str, str]]:
    """Give the words that let Pulumi take other settings than the stack's own: these `values` are changed."""
    settings = yaml.safe_load(stack.SETTINGS.read_text())
    settings["config"] |= {f"classroom:{key}": value for key, value in values.items()}
    file = folder / "Pulumi.changed.yaml"
    file.write_text(yaml.safe_dump(settings))
    file.chmod(0o600)
    yield "--config-file", str(file)


def up(folder: Path, env: dict[str, str] | None = None, **values: Any) -> "subprocess.CompletedProcess[str]":
    """Run `pulumi up` on the open class with changed settings."""
    with changed(folder, **values) as words:
        return as_client(*UP, *words, env=env)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_lost(inventory: Path) -> Iterator[None]:
    """The class answers before and after, on as many machines."""
    there = count("server")
    yield
    assert count("server") == there
    assert '"ok"' in as_client("curl", "-sS", "-m", "5", "https://class.example/api/health").stdout


REFUSED = {
    "an unknown flavour": (
        {"flavor_media": "enormous"},
        "flavor_media: the cloud has no 'enormous'; choose one of: medium, small, tiny",
    ),
    "an unknown image": ({"image": "debian-31"}, "image: the cloud has no 'debian-31'; choose one of: debian-13"),
    "an unknown network": (
        {"external_network": "internet"},
        "external_network: the cloud has no 'internet'; choose one of: public",
    ),
    "an unknown zone": (
        {"availability_zone": "moon"},
        "availability_zone: the cloud has no 'moon'; choose one of: nova",
    ),
    "an unknown key": ({"flavour_media": "small"}, "flavour_media: "),
    "a wrong type": ({"media_count": "two"}, "media_count: 'two'"),
    "a network that is none": ({"ssh_from": ["nowhere"]}, "ssh_from.0: 'nowhere'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_the_cloud_cannot_meet(what: str, tmp_path: Path) -> None:
    values, sentence = REFUSED[what]
    answer = up(tmp_path, **values)
    assert answer.returncode != 0
    said = answer.stdout + answer.stderr
    assert sentence in said, said
    assert "Traceback" not in said
    assert not re.search(r"(created|updated|deleted) \(", said), said


NOWHERE = "http://192.0.2.99:5000/v3"
WAYS_IN = {
    "a wrong password": (
        {"OS_PASSWORD": "not-this-one"},
        "the cloud http://192.0.2.10:5000/v3 refuses 'deployer': wrong password",
    ),
    "a cloud that is not there": (
        {"OS_AUTH_URL": NOWHERE},
        "the cloud http://192.0.2.99:5000/v3 cannot be reached (Network is unreachable): check its address in the OS_* variables",
    ),
}


@pytest.mark.parametrize("what", WAYS_IN)
def test_no_way_into_the_cloud(what: str, tmp_path: Path) -> None:
    env, sentence = WAYS_IN[what]
    declared = stack.DECLARED | {"keystone": [AUTH_URL, NOWHERE], "date": datetime.date.today().isoformat()}
    answer = up(tmp_path, env=env, declared_cloud=declared)
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert sentence in said, said
    assert "Traceback" not in said and "not-this-one" not in said


def test_a_quota_that_is_too_small(tmp_path: Path) -> None:
    """Three more machines need six processors; the project has five left."""
    used = int(
        in_cloud(
            "print(c.compute.get_limits(tenant_id=c.identity.find_project('rehearsal').id).absolute.total_cores_used)"
        )
    )
    in_cloud(f"c.set_compute_quotas('rehearsal', cores={used + 5})")
    try:
        answer = up(tmp_path, media_count=4)
    finally:
        in_cloud("c.set_compute_quotas('rehearsal', cores=64)")
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert f"processors needed: 6, left in the project: 5 of {used + 5}" in said, said


@pytest.mark.parametrize("left", [0, 2048])
def test_no_room_for_the_state(tmp_path: Path, left: int) -> None:
    """The operator's own disk is full, or nearly (`left` KiB are free): said before anything is asked of the cloud."""
    script = (
        'mount -t tmpfs -o size=150m none "$1" && cp -r "$2/." "$1"; free=$(df -k --output=avail "$1" | tail -1);'
        ' head -c "$((free - $3))k" /dev/zero > "$1/full"; url="file://$1"; shift 3; PULUMI_BACKEND_URL=$url exec "$@"'
    )
    place = tmp_path / "state"
    place.mkdir()
    answer = as_client("sh", "-c", script, "sh", place, STACK / "state", left, *UP)
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    told = rf"\d MiB are free in {place}, and \d+ MiB are needed" if left else rf"{place}/\S+: no space left on device"
    assert re.search(told, said), said
