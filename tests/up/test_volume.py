"""A root volume in a preview with the real engine and plugin, against a small OpenStack API."""

import copy
from pathlib import Path
from typing import Any

from tests.unit.cli.test_init import OFFERS, OPERATOR, SERVICES
from tests.unit.keystone import serving
from tests.up.gate_project import GateProject

TYPES = {"volume_types": [{"name": "ssd", "id": "t1"}]}


def test_a_plan_with_a_volume_passes_gate_preflight_and_plugin(tmp_path: Path) -> None:
    elsewhere: dict[str, str] = {}
    offers: dict[str, Any] = copy.deepcopy(OFFERS)
    offers["/compute/v2.1/flavors/detail"]["flavors"] = [
        {"name": "small", "id": "s", "vcpus": 2, "ram": 4096, "disk": 0}
    ]
    offers |= {"/volume/v3/p1/types": TYPES, "/volume/v3/p1/limits": {"limits": {"absolute": {}}}}
    with serving(elsewhere, offers=offers) as (url, asked):
        server = url.removesuffix("/identity/v3")
        elsewhere |= {"image": f"{server}/image", "block-storage": f"{server}/volume/v3/p1"}
        project = GateProject.prepare(
            tmp_path, url, image="Debian 13", endpoints=SERVICES, declared_operators=[OPERATOR]
        )
        refused = project.pulumi("preview", "--stack", "t")
        assert "set volume: {size: 20}, so that its machines start from volumes" in refused.stdout + refused.stderr
        project.write(volume={"size": 20, "type": "ssd"})
        done = project.pulumi("preview", "--stack", "t", "--diff", "--non-interactive")
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        for words in ("destinationType", '"volume"', "volumeSize", "deleteOnTermination", '"d13"', '"ssd"'):
            assert words in output, output
        assert not [one for one in asked if one[0] == "POST" and not one[1].endswith("/auth/tokens")]
        project.write(volume={"size": 20, "type": "tape"})
        refused = project.pulumi("preview", "--stack", "t")
        assert "volume.type: the cloud has no 'tape'; choose one of: ssd" in refused.stdout + refused.stderr
