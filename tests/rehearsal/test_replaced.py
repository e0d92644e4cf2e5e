"""A machine that the cloud leaves in ERROR is named and replaced: a drill, as it takes minutes and uses a second media machine."""

import json
import re
from pathlib import Path

import pytest

from rehearsal import outside_network, stack
from tests.rehearsal.command import as_client, in_cloud
from tests.rehearsal.quick_check import assert_sound
from tests.rehearsal.test_bad_input import UP, class_survives, up

__all__ = ["class_survives"]

# Placement must learn that the host is enabled again. A report of the host that is already under way may disable it once more,
# until the next report a minute later.
ENABLED = """s = next(c.compute.services(binary='nova-compute')); c.compute.enable_service(s, s.host, s.binary)
import time
good, end = 0, time.time() + 90
while good < 4 and time.time() < end:
    time.sleep(1)
    host = c.placement.get('/resource_providers').json()['resource_providers'][0]['uuid']
    traits = c.placement.get(f'/resource_providers/{host}/traits', microversion='1.6').json()['traits']
    good = 0 if 'COMPUTE_STATUS_DISABLED' in traits else good + 1
assert good, 'the host stays disabled in Placement'
"""


@pytest.mark.drill
def test_a_machine_that_the_cloud_leaves_in_error_is_replaced(tmp_path: Path) -> None:
    """A second media machine finds no host; the next `up` replaces it, and a last `up` removes it."""
    in_cloud("s = next(c.compute.services(binary='nova-compute')); c.compute.disable_service(s, s.host, s.binary)")
    try:
        answer = up(tmp_path, media_count=2)
    finally:
        in_cloud(ENABLED)
    output = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert re.search(r"media2: .* ERROR \(.*No valid host.*\).* `pulumi up`", output), output
    answer = up(tmp_path, media_count=2)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    outside_network.publish_dns(stack.output("dns_records"))  # type: ignore[arg-type]
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps(stack.output("inventory")))
    found = assert_sound(inventory)
    assert any("media2" in test for test in found)
    answer = as_client(*UP)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr
    outside_network.publish_dns(stack.output("dns_records"))  # type: ignore[arg-type]
    inventory.write_text(json.dumps(stack.output("inventory")))
    assert not any("media2" in test for test in assert_sound(inventory)), "nothing of the second media machine is left"
