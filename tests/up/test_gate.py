"""The gate in the real engine: a refused plan sends no request, or only for a token, and creates no resource.

A refusal leaves nothing behind, so all tests share one stack and one recording Keystone; each starts with the initial settings.
"""

import datetime
import re
import subprocess
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
Requests = list[tuple[str, str]]


UP = ("up", "--yes", "--skip-preview")
BOTH = (("preview",), UP)


class Gate(NamedTuple):
    """The stack, the requests to its cloud and proxy, and overridden endpoints of the cloud's service catalogue."""

    project: GateProject
    requests: Requests
    overrides: dict[str, str]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    overrides: dict[str, str] = {}
    with serving(overrides) as (url, requests):
        yield Gate(GateProject.prepare(tmp_path_factory.mktemp("gate"), url), requests, overrides)


@pytest.fixture
def gate(shared: Gate) -> Iterator[Gate]:
    file, more = shared.project.file.read_text(), dict(shared.project.more)
    shared.requests.clear()
    yield shared
    shared.project.file.write_text(file)
    shared.project.more = more
    shared.overrides.clear()


@pytest.fixture(scope="module")
def second_stack(shared: Gate) -> str:
    """Create a second stack, as a stack stores the name of its key in its state."""
    assert shared.project.pulumi("stack", "init", "keyed").returncode == 0
    return "keyed"


def refused(
    gate: Gate,
    words: list[str],
    requests: Requests,
    commands: tuple[tuple[str, ...], ...] = (UP,),
    stack: str = "t",
    options: tuple[str, ...] = (),
) -> str:
    """Assert that each command fails with status 3 and `words` in its message, sends exactly `requests`, and creates nothing.

    Returns the output of the last command.
    """
    project, output = gate.project, ""
    for command in commands:
        gate.requests.clear()
        answer = project.pulumi(*command, "--stack", stack, *options)
        output = answer.stdout + answer.stderr
        assert answer.returncode != 0, output
        assert "nothing was created" in output and "status 3" in output, output
        assert [word for word in words if word not in output] == [], output
        assert "Traceback" not in output
        assert gate.requests == requests
        assert project.resources(stack) == []
    return output


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
            id="a region outside the EU despite its name",
        ),
        pytest.param(
            Plan(OVH, {"region": "eu-west-nowhere"}, ["region", "'eu-west-nowhere'", "GRA (Gravelines, France)"]),
            id="a region that is not in the catalogue",
        ),
        pytest.param(
            Plan(
                OVH,
                {
                    "region": "GRA11",
                    "policy": {"soil": "eu"},
                    "endpoints": [{"use": "dns", "name": "one.example", "operator": "Cloudflare, Inc."}],
                },
                ["endpoints: dns 'one.example' of 'Cloudflare, Inc.'", "third country", "no policy"],
            ),
            id="a resolver of a US operator",
        ),
        pytest.param(
            Plan(OVH, {"region": "UK1"}, ["region: 'UK1'", "London, United Kingdom", "policy: {soil: adequate"]),
            id="a region outside the policy",
        ),
        pytest.param(
            Plan(None, {"declared_cloud": None}, ["Keystone", "catalogue", "classroom:declared_cloud"]),
            id="a cloud that is neither in the catalogue nor declared",
        ),
        pytest.param(
            Plan(
                None,
                {"endpoints": [{"use": "ntp", "name": "time.example", "operator": "Unknown"}]},
                ["endpoints: ntp 'time.example'", "operator 'Unknown'", "neither in the catalogue nor declared"],
            ),
            id="a time source of an unknown operator",
        ),
        pytest.param(
            Plan(
                None,
                {
                    "endpoints": [
                        {"use": "packages", "name": "m.example", "operator": "OVHcloud", "addresses": ["158.69.10.1"]}
                    ],
                    "exceptions": [
                        {"name": "OVHcloud", "reason": "contract of 2025", "until": datetime.date(2026, 1, 31)}
                    ],
                },
                [
                    "soil",
                    "158.69.10.1 (Canada, CA)",
                    "exception for OVHcloud",
                    "2026-01-31",
                ],
            ),
            id="a mirror in Canada with an expired exception",
        ),
    ],
)
def test_settings_that_violate_the_policy_are_refused_without_a_request(gate: Gate, plan: Plan) -> None:
    gate.project.write(**plan.settings)
    if plan.auth_url:
        gate.project.more["OS_AUTH_URL"] = plan.auth_url
    refused(gate, plan.words, [])


def test_a_valid_plan_reaches_the_cloud(gate: Gate) -> None:
    answer = gate.project.pulumi("preview", "--stack", "t")
    assert "status 3" not in answer.stdout + answer.stderr
    assert [path for _, path in gate.requests if path.startswith("/compute")], answer.stdout


@pytest.mark.parametrize("command", BOTH)
def test_a_private_key_in_clear_is_refused_with_the_command_that_stores_it_as_a_secret(
    gate: Gate, command: tuple[str, ...]
) -> None:
    gate.project.write(certificate_key=gate.project.key)
    answer = gate.project.pulumi(*command, "--stack", "t")
    output = answer.stdout + answer.stderr
    assert answer.returncode != 0 and "certificate_key: is in the stack file in clear" in output, output
    assert gate.project.key.splitlines()[1] not in output and "Traceback" not in output
    assert gate.requests == [] and gate.project.resources("t") == []
    (gate.project.root / "key.pem").write_text(gate.project.key)
    (advice,) = set(re.findall("`(pulumi config set .*?)`", output))
    subprocess.run(advice, shell=True, cwd=gate.project.root, env=gate.project.environment, check=True)
    assert gate.project.key.splitlines()[1] not in gate.project.file.read_text()
    answer = gate.project.pulumi("preview", "--stack", "t")
    assert "certificate_key" not in answer.stdout + answer.stderr
    assert [path for _, path in gate.requests if path.startswith("/compute")], answer.stdout


def test_a_swiss_cloud_passes_with_the_policy_line_of_the_message(gate: Gate) -> None:
    gate.project.more["OS_AUTH_URL"] = INFOMANIAK
    gate.project.write(region="dc3-a")
    output = refused(gate, ["Infomaniak SA, Switzerland", "source:"], [], BOTH)
    proposed = re.search(r"classroom:policy: (\{.*\})", output)
    assert proposed, output
    gate.project.write(policy=yaml.safe_load(proposed[1]))
    answer = gate.project.pulumi("preview", "--stack", "t")
    # Now the plan requests a token, which the recording proxy does not forward.
    assert "status 3" not in answer.stdout + answer.stderr
    assert gate.requests
    assert set(gate.requests) == {("CONNECT", "api.pub1.infomaniak.cloud:443")}


@pytest.mark.parametrize(
    ("endpoint", "commands"),
    [("https://compute.other.example/v2.1", BOTH), ("http://127.0.0.2:9/compute/v2.1", (UP,))],
)
def test_an_endpoint_of_the_catalogue_outside_the_cloud_is_refused(
    gate: Gate, endpoint: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    gate.overrides["compute"] = endpoint
    words = ["region: 'north'", f"'{endpoint}'", "compute", "allowed: ", "127.0.0.1"]
    refused(gate, words, TOKEN, commands)


@pytest.mark.parametrize("last", [TOKEN[:1], TOKEN])
def test_a_keystone_that_redirects_to_another_host_is_refused(gate: Gate, last: Requests) -> None:
    target = gate.project.more["OS_AUTH_URL"].removesuffix("/identity/v3").replace("127.0.0.1", "localhost")
    with serving(moved={last[-1]: f"{target}{last[-1][1]}"}) as (url, requests):
        gate.project.more["OS_AUTH_URL"] = url
        gate.project.write(declared_cloud=DECLARED | {"keystone": [url]})
        refused(gate._replace(requests=requests), [f"'{url}", "'localhost'"], last)
        assert gate.requests == []


def test_a_state_backend_in_the_united_states_is_refused(gate: Gate) -> None:
    with amazon() as (url, requests):
        gate.project.more |= variables(url) | {"PULUMI_BACKEND_URL": "s3://states?region=us-east-1"}
        assert gate.project.pulumi("stack", "init", "t").returncode == 0
        words = ["backend: 's3://states?region=us-east-1'", "Amazon.com, Inc.", "source:", "allowed: "]
        refused(gate, words, [])
        assert [path for method, path in requests if method == "PUT"], "the state must be in the S3 store"


def test_a_state_store_of_a_declared_operator_passes(gate: Gate) -> None:
    with amazon() as (url, _):
        endpoint = url.replace("127.0.0.1", "localhost")
        backend = f"s3://states?endpoint={endpoint}&region=north&s3ForcePathStyle=true"
        gate.project.more |= variables(url) | {"PULUMI_BACKEND_URL": backend}
        assert gate.project.pulumi("stack", "init", "t").returncode == 0
        refused(gate, [f"backend: '{backend}'", "'localhost'", "classroom:endpoints"], [])
        gate.project.write(endpoints=[{"use": "backups", "name": "localhost", "operator": "Cloud of the Academy"}])
        answer = gate.project.pulumi("preview", "--stack", "t")
        assert "status 3" not in answer.stdout + answer.stderr
        assert [path for _, path in gate.requests if path.startswith("/compute")], answer.stdout


def test_a_key_in_amazon_kms_is_refused(gate: Gate, second_stack: str) -> None:
    with amazon() as (url, requests):
        gate.project.more |= variables(url)
        provider = "awskms://alias/classroom?region=us-east-1"
        content = yaml.safe_load(gate.project.file.read_text())
        content.pop("encryptionsalt"), content["config"].pop("classroom:certificate_key")
        other = gate.project.root / f"Pulumi.{second_stack}.yaml"
        other.write_text(yaml.safe_dump(content | {"secretsprovider": provider}, allow_unicode=True))
        gate.project.set_key(gate.project.key, "--stack", second_stack)
        refused(
            gate,
            [f"secretsprovider: '{provider}'", "Amazon.com, Inc.", "source:", "passphrase"],
            [],
            stack=second_stack,
        )
        assert "TrentService.Encrypt" in [target for _, target in requests], "the KMS key must be in use"


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (("--config-file", "other/own settings.yaml"), {}),
        (("--config-file=other/own settings.yaml",), {}),
        # The last option wins, and options override the variable.
        (
            ("--config-file", "Pulumi.t.yaml", "--config-file=other/own settings.yaml"),
            {"PULUMI_OPTION_CONFIG_FILE": "Pulumi.t.yaml"},
        ),
        ((), {"PULUMI_OPTION_CONFIG_FILE": "other/own settings.yaml"}),
    ],
)
def test_a_key_in_a_file_given_by_config_file_is_refused(
    gate: Gate, second_stack: str, options: tuple[str, ...], more: dict[str, str]
) -> None:
    content = yaml.safe_load(gate.project.file.read_text())
    content.pop("encryptionsalt"), content["config"].pop("classroom:certificate_key")
    provider = "awskms://alias/classroom?region=us-east-1"
    other = gate.project.root / "other" / "own settings.yaml"
    other.parent.mkdir(exist_ok=True)
    other.write_text(yaml.safe_dump(content | {"secretsprovider": provider}, allow_unicode=True))
    with amazon() as (url, requests):
        gate.project.more |= variables(url)
        gate.project.set_key(gate.project.key, "--stack", second_stack, "--config-file", str(other))
        gate.project.more |= more
        refused(
            gate,
            [f"secretsprovider: '{provider}'", "Amazon.com, Inc.", "source:"],
            [],
            stack=second_stack,
            options=options,
        )
        assert "TrentService.Encrypt" in [target for _, target in requests], "the KMS key must be in use"


def test_a_valid_file_given_by_config_file_passes(gate: Gate) -> None:
    other = gate.project.root / "own settings.yaml"
    other.write_text(gate.project.file.read_text())
    gate.project.file.unlink()
    answer = gate.project.pulumi("preview", "--stack", "t", "--config-file", other.name)
    assert "cannot be read" not in answer.stdout + answer.stderr
    assert [path for _, path in gate.requests if path.startswith("/compute")], answer.stdout
