"""The gate, in the real engine: what is refused asks nothing, or for a token at most, and leaves a state without resources."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.unit.program.keystone import serving
from tests.up.gate_project import GateProject

OVH = "https://auth.cloud.ovh.net/v3"
CLEURA = "https://kna1.citycloud.com:5000/v3"
INFOMANIAK = "https://api.pub1.infomaniak.cloud/identity/v3"
TOKEN = [("GET", "/identity/v3"), ("POST", "/identity/v3/auth/tokens")]
Asked = list[tuple[str, str]]


@pytest.fixture
def way(tmp_path: Path) -> Iterator[tuple[GateProject, Asked]]:
    with serving() as (url, asked):
        yield GateProject.prepare(tmp_path, url), asked


def refused(project: GateProject, asked: Asked, words: list[str], requests: Asked) -> str:
    """Run `preview` and `up`; both end with status 3 in their message, have asked just `requests`, and made nothing."""
    said = ""
    for command in (["preview"], ["up", "--yes", "--skip-preview"]):
        asked.clear()
        answer = project.pulumi(*command, "--stack", "t")
        said = answer.stdout + answer.stderr
        assert answer.returncode != 0, said
        assert "nothing was created (status 3)" in said, said
        assert [word for word in words if word not in said] == [], said
        assert "Traceback" not in said
        assert asked == requests
        assert project.resources() == []
    return said


class Plan(NamedTuple):
    auth_url: str | None
    settings: dict[str, Any]
    words: list[str]


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            Plan(CLEURA, {"region": "Kna1"}, ["parent", "ICG plc", "United Kingdom", "source:", "parent: adequate}"]),
            id="a Swedish seat with a British parent",
        ),
        pytest.param(
            Plan(OVH, {"region": "eu-west-eri"}, ["region: 'eu-west-eri'", "Erith, United Kingdom", "source:"]),
            id="a region whose name lies",
        ),
        pytest.param(
            Plan(OVH, {"region": "eu-west-nowhere"}, ["has no region 'eu-west-nowhere'", "GRA (Gravelines, France)"]),
            id="a region that nobody knows",
        ),
        pytest.param(
            Plan(
                OVH,
                {
                    "region": "GRA11",
                    "policy": {"soil": "eu"},
                    "endpoints": [{"use": "dns", "name": "one.example", "operator": "Cloudflare, Inc."}],
                },
                ["endpoints: dns 'one.example' of 'Cloudflare, Inc.'", "third country", "no policy admits it"],
            ),
            id="a resolver of a US operator",
        ),
    ],
)
def test_what_settings_alone_decide_asks_nothing(way: tuple[GateProject, Asked], plan: Plan) -> None:
    project, asked = way
    project.write(**plan.settings)
    if plan.auth_url:
        project.more["OS_AUTH_URL"] = plan.auth_url
    refused(project, asked, plan.words, [])


def test_a_plan_that_passes_goes_on_to_the_cloud(way: tuple[GateProject, Asked]) -> None:
    project, asked = way
    answer = project.pulumi("preview", "--stack", "t")
    assert "status 3" not in answer.stdout + answer.stderr
    assert [path for _, path in asked if path.startswith("/compute")], answer.stdout
