"""Sound machines stay sound: after updates, all timers, rotated logs and a restart, everything on them is still accounted for.

A drill, as the class is interrupted.
"""

import contextlib
import time
from pathlib import Path

import pytest

from classroom.verify.deployment import Deployment
from tests.rehearsal.command import in_cloud
from tests.rehearsal.quick_check import assert_sound, run_as_admin

USE = """
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet --quiet update && apt-get --quiet --quiet --yes upgrade >/dev/null
logger 'a day of use' && journalctl --rotate --quiet
[ ! -e /etc/logrotate.conf ] || logrotate --force /etc/logrotate.conf
systemctl show --property=Unit --value '*.timer' | grep . | while read -r unit; do systemctl start "$unit"; done
"""
RUNNING = "systemctl is-system-running --wait >/dev/null; ! systemctl --failed --no-legend --plain | grep ."
LIMIT = 180
"""Seconds that a machine may take until it answers again."""


def reachable(inventory: Path, machine: str) -> bool:
    with contextlib.suppress(AssertionError):
        run_as_admin(inventory, machine, RUNNING)
        return True
    return False


@pytest.mark.drill
def test_machines_stay_sound_after_updates_timers_and_a_restart(inventory: Path) -> None:
    target = Deployment.read(inventory)
    for machine in target.machines:
        run_as_admin(inventory, machine.name, USE)
    assert_sound(inventory)
    for machine in target.machines:
        server = target.inventory["_meta"]["hostvars"][machine.name]["classroom_server_id"]
        run_as_admin(inventory, machine.name, "touch /run/before-the-restart")
        in_cloud(
            f"c.compute.reboot_server('{server}', 'SOFT'); c.compute.wait_for_server(c.compute.get_server('{server}'))"
        )
    end = time.monotonic() + LIMIT
    for machine in target.machines:
        while not reachable(inventory, machine.name):
            assert time.monotonic() < end, f"{machine.name} does not answer {LIMIT} s after its restart"
            time.sleep(2)
        run_as_admin(inventory, machine.name, "test ! -e /run/before-the-restart")
    assert_sound(inventory)
