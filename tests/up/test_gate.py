"""The gate, in the real engine: what is refused asks nothing, or for a token at most, and leaves a state without resources.

A refusal leaves nothing behind, so all tests share one stack and one recorder; each begins with the first settings.
"""

import datetime
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from tests.unit.keystone import serving
from tests.up.amazon import amazon, variables
from tests.up.gate_project import DECLARED, GateProject

OVH = "https://auth.cloud.ovh.net/v3"
CLEURA = "https://kna1.citycloud.com:5000/v3"
INFOMANIAK = "https://api.pub1.infomaniak.cloud/identity/v3"
TOKEN = [("GET", "/identity/v3"), ("POST", "/identity/v3/auth/tokens")]
Asked = list[tuple[str, str]]


UP = ("up", "--yes", "--skip-preview")
BOTH = (("preview",), UP)


class Way(NamedTuple):
    """The stack, what its cloud and proxy was asked, and the services that the cloud's catalogue places elsewhere."""

    project: GateProject
    asked: Asked
    elsewhere: dict[str, str]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    elsewhere: dict[str, str] = {}
    with serving(elsewhere) as (url, asked):
        yield Way(GateProject.prepare(tmp_path_factory.mktemp("gate"), url), asked, elsewhere)


@pytest.fixture
def way(first: Way) -> Iterator[Way]:
    file, more = first.project.file.read_text(), dict(first.project.more)
    first.asked.clear()
    yield first
    first.project.file.write_text(file)
    first.project.more = more
    first.elsewhere.clear()


@pytest.fixture(scope="module")
def keyed(first: Way) -> str:
    """A second stack: one keeps the name of its key in its state."""
    assert first.project.pulumi("stack", "init", "keyed").returncode == 0
    return "keyed"


def refused(
    way: Way,
    words: list[str],
    requests: Asked,
    commands: tuple[tuple[str, ...], ...] = (UP,),
    stack: str = "t",
    options: tuple[str, ...] = (),
) -> str:
    """Run `commands`; each ends with status 3 in its message, has asked just `requests`, and made nothing."""
    project, asked, said = way.project, way.asked, ""
    for command in commands:
        asked.clear()
        answer = project.pulumi(*command, "--stack", stack, *options)
        said = answer.stdout + answer.stderr
        assert answer.returncode != 0, said
        assert "nothing was created (status 3)" in said, said
        assert [word for word in words if word not in said] == [], said
        assert "Traceback" not in said
        assert asked == requests
        assert project.resources(stack) == []
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
        pytest.param(
            Plan(OVH, {"region": "UK1"}, ["region: 'UK1'", "London, United Kingdom", "policy: {soil: adequate"]),
            id="a region outside the policy",
        ),
        pytest.param(
            Plan(None, {"declared_cloud": None}, ["is no Keystone of the catalogue", "classroom:declared_cloud"]),
            id="a cloud that nobody knows",
        ),
        pytest.param(
            Plan(
                None,
                {"endpoints": [{"use": "ntp", "name": "time.example", "operator": "Nobody"}]},
                ["endpoints: ntp 'time.example': its operator 'Nobody' is neither in the catalogue nor declared"],
            ),
            id="a time source of an operator that nobody knows",
        ),
        pytest.param(
            Plan(
                None,
                {
                    "endpoints": [
                        {"use": "packages", "name": "m.example", "operator": "OVHcloud", "addresses": ["158.69.10.1"]}
                    ],
                    "exceptions": [
                        {"name": "OVHcloud", "reason": "it was meant so", "until": datetime.date(2026, 1, 31)}
                    ],
                },
                [
                    "its soil is not allowed",
                    "158.69.10.1 (Canada, CA)",
                    "the exception for OVHcloud ended on 2026-01-31",
                ],
            ),
            id="a mirror in Canada, and an exception past its end",
        ),
    ],
)
def test_what_settings_alone_decide_asks_nothing(way: Way, plan: Plan) -> None:
    way.project.write(**plan.settings)
    if plan.auth_url:
        way.project.more["OS_AUTH_URL"] = plan.auth_url
    refused(way, plan.words, [])


def test_a_plan_that_passes_goes_on_to_the_cloud(way: Way) -> None:
    answer = way.project.pulumi("preview", "--stack", "t")
    assert "status 3" not in answer.stdout + answer.stderr
    assert [path for _, path in way.asked if path.startswith("/compute")], answer.stdout


def test_a_swiss_cloud_by_the_line_that_the_message_tells(way: Way) -> None:
    way.project.more["OS_AUTH_URL"] = INFOMANIAK
    way.project.write(region="dc3-a")
    said = refused(way, ["Infomaniak SA, Switzerland", "source:"], [], BOTH)
    line = next(line for line in said.splitlines() if "the line of the stack file that would admit it: " in line)
    key, _, value = line.rpartition("it: ")[2].partition(": ")
    assert key == "classroom:policy"
    way.project.write(policy=yaml.safe_load(value))
    answer = way.project.pulumi("preview", "--stack", "t")
    # It is asked for a token now, which the recorder does not let through.
    assert "status 3" not in answer.stdout + answer.stderr
    assert way.asked
    assert set(way.asked) == {("CONNECT", "api.pub1.infomaniak.cloud:443")}


@pytest.mark.parametrize(
    ("leads", "commands"),
    [("https://compute.elsewhere.example/v2.1", BOTH), ("http://127.0.0.2:9/compute/v2.1", (UP,))],
)
def test_a_catalogue_that_leads_elsewhere(way: Way, leads: str, commands: tuple[tuple[str, ...], ...]) -> None:
    way.elsewhere["compute"] = leads
    words = ["region: 'north'", f"leads to '{leads}' for compute", "allowed: hosts in 127.0.0.1"]
    refused(way, words, TOKEN, commands)


@pytest.mark.parametrize("last", [TOKEN[:1], TOKEN])
def test_a_keystone_that_redirects_elsewhere(way: Way, last: Asked) -> None:
    there = way.project.more["OS_AUTH_URL"].removesuffix("/identity/v3").replace("127.0.0.1", "localhost")
    with serving(moved={last[-1]: f"{there}{last[-1][1]}"}) as (url, asked):
        way.project.more["OS_AUTH_URL"] = url
        way.project.write(declared_cloud=DECLARED | {"keystone": [url]})
        refused(way._replace(asked=asked), [f"leads from '{url}", "to the host 'localhost'"], last)
        assert way.asked == []


def test_a_state_backend_in_the_united_states(way: Way) -> None:
    with amazon() as (url, kept):
        way.project.more |= variables(url) | {"PULUMI_BACKEND_URL": "s3://states?region=us-east-1"}
        assert way.project.pulumi("stack", "init", "t").returncode == 0
        words = ["backend: 's3://states?region=us-east-1'", "Amazon.com, Inc.", "source:", "allowed: a folder"]
        refused(way, words, [])
        assert [path for method, path in kept if method == "PUT"], "the state was really there"


def test_a_state_store_of_a_declared_operator_passes(way: Way) -> None:
    with amazon() as (url, _):
        here = url.replace("127.0.0.1", "localhost")
        there = f"s3://states?endpoint={here}&region=north&s3ForcePathStyle=true"
        way.project.more |= variables(url) | {"PULUMI_BACKEND_URL": there}
        assert way.project.pulumi("stack", "init", "t").returncode == 0
        refused(way, [f"backend: '{there}', host 'localhost'", "not known", "classroom:endpoints"], [])
        way.project.write(endpoints=[{"use": "backups", "name": "localhost", "operator": "Cloud of the Academy"}])
        answer = way.project.pulumi("preview", "--stack", "t")
        assert "status 3" not in answer.stdout + answer.stderr
        assert [path for _, path in way.asked if path.startswith("/compute")], answer.stdout


def test_a_key_that_amazon_holds(way: Way, keyed: str) -> None:
    with amazon() as (url, kept):
        way.project.more |= variables(url)
        provider = "awskms://alias/classroom?region=us-east-1"
        there = yaml.safe_load(way.project.file.read_text())
        there.pop("encryptionsalt")
        other = way.project.root / f"Pulumi.{keyed}.yaml"
        other.write_text(yaml.safe_dump(there | {"secretsprovider": provider}, allow_unicode=True))
        refused(way, [f"secretsprovider: '{provider}'", "Amazon.com, Inc.", "source:", "passphrase"], [], stack=keyed)
        assert "TrentService.Encrypt" in [target for _, target in kept], "the key was really there"


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (("--config-file", "elsewhere/its own.yaml"), {}),
        (("--config-file=elsewhere/its own.yaml",), {}),
        # The last one counts, and a flag comes before the variable.
        (
            ("--config-file", "Pulumi.t.yaml", "--config-file=elsewhere/its own.yaml"),
            {"PULUMI_OPTION_CONFIG_FILE": "Pulumi.t.yaml"},
        ),
        ((), {"PULUMI_OPTION_CONFIG_FILE": "elsewhere/its own.yaml"}),
    ],
)
def test_a_key_that_another_file_names(way: Way, keyed: str, options: tuple[str, ...], more: dict[str, str]) -> None:
    there = yaml.safe_load(way.project.file.read_text())
    there.pop("encryptionsalt")
    provider = "awskms://alias/classroom?region=us-east-1"
    other = way.project.root / "elsewhere" / "its own.yaml"
    other.parent.mkdir(exist_ok=True)
    other.write_text(yaml.safe_dump(there | {"secretsprovider": provider}, allow_unicode=True))
    with amazon() as (url, kept):
        way.project.more |= variables(url) | more
        refused(
            way, [f"secretsprovider: '{provider}'", "Amazon.com, Inc.", "source:"], [], stack=keyed, options=options
        )
        assert "TrentService.Encrypt" in [target for _, target in kept], "the key was really there"


def test_a_file_of_its_own_that_passes(way: Way) -> None:
    other = way.project.root / "its own.yaml"
    other.write_text(way.project.file.read_text())
    way.project.file.unlink()
    answer = way.project.pulumi("preview", "--stack", "t", "--config-file", other.name)
    assert "cannot be read" not in answer.stdout + answer.stderr
    assert [path for _, path in way.asked if path.startswith("/compute")], answer.stdout
