"""Wrong settings and failures of the cloud while a class is open: a clear message, and the class keeps running."""

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
    """Yield Pulumi options that select a copy of the stack's settings in which `values` are changed."""
    settings = yaml.safe_load(stack.SETTINGS.read_text())
    settings["config"] |= {f"classroom:{key}": value for key, value in values.items()}
    file = folder / "Pulumi.changed.yaml"
    file.write_text(yaml.safe_dump(settings))
    file.chmod(0o600)
    yield "--config-file", str(file)


def up(folder: Path, env: dict[str, str] | None = None, **values: Any) -> "subprocess.CompletedProcess[str]":
    """Run `pulumi up` on the open class with changed settings."""
    with changed(folder, **values) as options:
        return as_client(*UP, *options, env=env)


@pytest.fixture(scope="module", autouse=True)
def class_survives(inventory: Path) -> Iterator[None]:
    """Assert that the class still answers afterwards, on the same number of machines."""
    servers = count("server")
    yield
    assert count("server") == servers
    assert '"ok"' in as_client("curl", "-sS", "-m", "5", "https://class.example/api/health").stdout


REFUSED = {
    "an unknown flavour": ({"flavor_media": "enormous"}, "flavor_media: .*'enormous'.*: medium, small, tiny"),
    "an unknown image": ({"image": "debian-31"}, "image: .*'debian-31'.*: debian-13"),
    "an unknown network": ({"external_network": "internet"}, "external_network: .*'internet'.*: public"),
    "an unknown zone": ({"availability_zone": "moon"}, "availability_zone: .*'moon'.*: nova"),
    "an unknown key": ({"flavour_media": "small"}, "flavour_media: "),
    "a wrong type": ({"media_count": "two"}, "media_count: .*'two'"),
    "an invalid network": ({"ssh_from": ["nowhere"]}, r"ssh_from\.0: .*'nowhere'"),
}
"""Settings that are refused, with a pattern of the message: key, value and, where there is a choice, the allowed values."""


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_the_cloud_cannot_meet_are_refused(what: str, tmp_path: Path) -> None:
    values, message = REFUSED[what]
    answer = up(tmp_path, **values)
    assert answer.returncode != 0
    output = answer.stdout + answer.stderr
    assert re.search(message, output), output
    assert "Traceback" not in output
    assert not re.search(r"(created|updated|deleted) \(", output), output


UNREACHABLE = "http://192.0.2.99:5000/v3"
BAD_CREDENTIALS = {
    "a wrong password": ({"OS_PASSWORD": "not-this-one"}, rf"{re.escape(AUTH_URL)} .*'deployer'.*wrong password"),
    "an unreachable cloud": (
        {"OS_AUTH_URL": UNREACHABLE},
        rf"{re.escape(UNREACHABLE)} .*\(Network is unreachable\).*OS_",
    ),
}
"""Credentials that do not work, with a pattern of the message: URL, user or reason, and what to check."""


@pytest.mark.parametrize("what", BAD_CREDENTIALS)
def test_bad_credentials_are_named_and_not_printed(what: str, tmp_path: Path) -> None:
    env, message = BAD_CREDENTIALS[what]
    declared = stack.DECLARED | {"keystone": [AUTH_URL, UNREACHABLE], "date": datetime.date.today().isoformat()}
    answer = up(tmp_path, env=env, declared_cloud=declared)
    output = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert re.search(message, output), output
    assert "Traceback" not in output and "not-this-one" not in output


def test_a_quota_that_is_too_small_is_refused(tmp_path: Path) -> None:
    """Three more machines need six processors; the quota leaves five."""
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
    output = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert re.search(rf"processors .*\b6\b.*\b5 of {used + 5}\b", output), output


@pytest.mark.parametrize("left", [0, 2048])
def test_a_full_disk_for_the_state_is_reported(tmp_path: Path, left: int) -> None:
    """The operator's disk has only `left` KiB free: the message names the folder, before any request to the cloud."""
    script = (
        'mount -t tmpfs -o size=150m none "$1" && cp -r "$2/." "$1"; free=$(df -k --output=avail "$1" | tail -1);'
        ' head -c "$((free - $3))k" /dev/zero > "$1/full"; url="file://$1"; shift 3; PULUMI_BACKEND_URL=$url exec "$@"'
    )
    folder = tmp_path / "state"
    folder.mkdir()
    answer = as_client("sh", "-c", script, "sh", folder, STACK / "state", left, *UP)
    output = answer.stdout + answer.stderr
    assert answer.returncode != 0
    expected = rf"{folder}\S*: \d+ MiB .* \d+ MiB" if left else rf"{folder}/\S+: no space left on device"
    assert re.search(expected, output), output
