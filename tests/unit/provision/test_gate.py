"""What the gate refuses and allows, and its messages; without a cloud and without requests."""

import datetime
import ipaddress
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from classroom.clients import proxies, pulumi_backend
from classroom.clients.openstack import CloudService, cloud_credentials
from classroom.common.errors import RefusedError, WrongUseError
from classroom.config.settings import Settings, load
from classroom.provision import gate
from classroom.sovereignty import addresses, operators, owners
from classroom.sovereignty import service_policy as outside

OVH = "https://auth.cloud.ovh.net/v3"
CLEURA = "https://kna1.citycloud.com:5000/v3"
INFOMANIAK = "https://api.pub1.infomaniak.cloud/identity/v3"
ACADEMY = "https://cloud.academy.example:5000/v3"
DECLARED: dict[str, Any] = {
    "name": "Cloud of the Academy",
    "operator": {"name": "Academy of Example", "country": "FR"},
    "parent": {"name": "The French state", "country": "FR"},
    "keystone": [ACADEMY],
    "regions": [
        {"name": "one", "city": "Creteil", "country": "FR"},
        {"name": "far", "city": "Zurich", "country": "CH"},
    ],
    "prefixes": ["203.0.113.0/24", "2001:db8:30::/48"],
    "source": "contract 12 of 2026",
    "date": "2026-10-01",
}
WIDEST = dict.fromkeys(("soil", "operator", "parent"), "adequate")
DAY = datetime.date(2026, 11, 24)
Make = Callable[..., Settings]


class Today(datetime.date):
    """A fixed date for all checks."""

    @classmethod
    def today(cls) -> "Today":
        return cls(2026, 11, 24)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the caller's variables, fix the date, set a file backend, and fail on any request."""
    for name in [name for name in os.environ if name.startswith(("OS_", "PULUMI_", "VAULT_", "PG"))]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower() in proxies.VARIABLES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    monkeypatch.setattr(gate.datetime, "date", Today)
    monkeypatch.setattr(requests.Session, "request", lambda *_, **__: pytest.fail("something was asked"))
    (tmp_path / "Pulumi.yaml").write_text("backend:\n  url: file://~\n")
    (tmp_path / "Pulumi.t.yaml").write_text("encryptionsalt: v1:x\n")


@pytest.fixture
def make(certificate: dict[str, str], public_key: str) -> Make:
    def made(**changes: Any) -> Settings:
        values = {
            "region": "GRA11",
            "image": "debian-13",
            "flavor_front": "small",
            "external_network": "public",
            "domain": "class.example",
            "admins": [{"name": "ada", "public_key": public_key}],
            "ssh_from": ["192.0.2.0/24"],
            "classes": [{"name": "CM2", "size": 30}],
            **certificate,
        }
        return load(values | changes)

    return made


@pytest.fixture
def plan(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that checks a plan on the cloud at a Keystone URL; default: OVHcloud's."""

    def judged(auth_url: str = OVH, **changes: Any) -> list[str]:
        for name, value in {"AUTH_URL": auth_url, "USERNAME": "ada", "PASSWORD": "x", "PROJECT_NAME": "p"}.items():
            monkeypatch.setenv(f"OS_{name}", value)
        return gate.check_plan(make(**changes), tmp_path / "Pulumi.t.yaml", tmp_path)

    return judged


def refusal(judge: Callable[..., object], *values: Any, **changes: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        judge(*values, **changes)
    message = str(caught.value)
    assert message.endswith("nothing was created (status 3)")
    return message


def test_a_plan_within_the_policy_passes(plan: Callable[..., list[str]]) -> None:
    assert plan() == []
    assert plan(ACADEMY, region="one", declared_cloud=DECLARED) == []


@pytest.mark.parametrize(
    ("auth_url", "changes", "words"),
    [
        (OVH, {"region": "UK1"}, ["region: 'UK1'", "London", "source:", "policy: {soil: adequate, operator: eu"]),
        (OVH, {"region": "eu-west-eri"}, ["region: 'eu-west-eri'", "Erith, United Kingdom", "allowed regions of OVH"]),
        (OVH, {"region": "nowhere"}, ["OVHcloud has no region 'nowhere'", "GRA (Gravelines, France)"]),
        (OVH, {"region": "nowhere", "policy": WIDEST}, ["OVHcloud has no region 'nowhere'"]),
        (CLEURA, {"region": "Kna1"}, ["ICG plc, United Kingdom", "{soil: eu, operator: eu, parent: adequate}"]),
        (INFOMANIAK, {"region": "dc3-a"}, ["Infomaniak SA", "{soil: adequate, operator: adequate, parent: adequate}"]),
        ("https://auth.cloud.ovh.us/v3", {"region": "US-EAST-VA-1"}, ["third country", "no policy allows it"]),
        (
            "https://cloud.unknown.example/v3",
            {},
            ["OS_AUTH_URL: 'https://cloud.unknown.example/v3' is not a Keystone", "classroom:declared_cloud"],
        ),
        ("https://cloud.unknown.example/v3", {"policy": WIDEST}, ["is not a Keystone in the catalogue"]),
        (ACADEMY, {"region": "two", "declared_cloud": DECLARED}, ["has no region 'two'"]),
        (ACADEMY, {"region": "far", "declared_cloud": DECLARED}, ["Zurich, Switzerland", "contract 12 of 2026"]),
        (OVH, {"facts_max_age_months": 1, "declared_cloud": []}, []),
    ],
)
def test_clouds_and_regions(
    plan: Callable[..., list[str]], auth_url: str, changes: dict[str, Any], words: list[str]
) -> None:
    if not words:
        assert plan(auth_url, **changes) == []
        return
    message = refusal(plan, auth_url, **changes)
    assert [word for word in words if word not in message] == [], message


def test_the_policy_line_in_a_refusal_allows_the_plan(plan: Callable[..., list[str]]) -> None:
    assert plan(INFOMANIAK, region="dc3-a", policy=WIDEST) == []
    assert plan(CLEURA, region="Kna1", policy={"parent": "adequate"}) == []


def test_outdated_facts_are_refused(plan: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Today, "today", classmethod(lambda cls: cls(2027, 11, 26)))
    assert "more than 12 months before 2027-11-26: read it again" in refusal(plan)
    assert plan(facts_max_age_months=24) == []


PROGRAM = """
import datetime, json, os, sys
from pathlib import Path
from classroom.common.errors import ClassroomError
from classroom.config.settings import load
from classroom.provision import gate

class Today(datetime.date):
    @classmethod
    def today(cls):
        return cls(2026, 11, 24)

datetime.date = Today
asked = []
sys.addaudithook(lambda event, args: asked.append(event) if event.startswith("socket.") else None)
folder = Path(sys.argv[1])
for url, region in [("https://auth.cloud.ovh.net/v3", "GRA11"), ("https://auth.cloud.ovh.net/v3", "eu-west-eri"),
                    ("https://unknown.example/v3", "one"), ("nonsense", "one")]:
    os.environ["OS_AUTH_URL"] = url
    try:
        gate.check_plan(load(json.loads(sys.argv[2]) | {"region": region}), folder / "Pulumi.t.yaml", folder)
        print("passed")
    except ClassroomError as error:
        print(error.status)
print(asked)
"""


def test_a_plan_is_checked_without_the_network(tmp_path: Path, smallest: dict[str, Any]) -> None:
    credentials = {"OS_USERNAME": "ada", "OS_PASSWORD": "x", "OS_PROJECT_NAME": "p"}
    values = json.dumps(smallest | {"endpoints": []})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path, values],
        env=os.environ | credentials,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["passed", "3", "3", "2", "[]"]


def endpoint(**changes: Any) -> dict[str, Any]:
    return {"use": "ntp", "name": "time.example", "operator": "hetzner"} | changes


NETWORK = {
    "name": "Network of the Academy",
    "country": "FR",
    "parent": {"name": "The French state", "country": "FR"},
    "source": "decree 7 of 2024",
    "date": "2026-10-01",
}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            endpoint(operator="Unknown Ltd"),
            ["its operator 'Unknown Ltd' is neither in the catalogue nor declared", "Hetzner Online"],
        ),
        (
            endpoint(operator="Cloudflare, Inc."),
            ["ntp 'time.example' of 'Cloudflare, Inc.'", "third country", "source:"],
        ),
        (endpoint(operator="CloudFerro"), ["its parent is not known, and unknown is never allowed"]),
        (endpoint(operator="Cleura"), ["its parent is not allowed", "parent: adequate}"]),
        (
            endpoint(operator="OVHcloud", addresses=["51.89.200.1"]),
            ["its soil is not known", "51.89.200.1", "United Kingdom"],
        ),
        (endpoint(addresses=["116.202.10.1", "3.120.10.1"]), ["its operator is not allowed", "3.120.10.1 (Amazon.com"]),
        (endpoint(operator="OVHcloud", addresses=["158.69.10.1"]), ["its soil is not allowed", "158.69.10.1", "CA"]),
        (endpoint(addresses=["10.0.0.53"]), ["its soil is not known", "10.0.0.53"]),
        (endpoint(addresses=["192.0.2.0/24"]), ["its soil is not known", "192.0.2.0"]),
        (
            endpoint(url="https://other.example/debian"),
            ["'https://other.example/debian' is 'other.example'", "correct name or url"],
        ),
    ],
)
def test_endpoints_that_are_refused(plan: Callable[..., list[str]], one: dict[str, Any], words: list[str]) -> None:
    message = refusal(plan, endpoints=[endpoint(), one])
    assert [word for word in words if word not in message] == [], message


def test_endpoints_that_pass(plan: Callable[..., list[str]]) -> None:
    assert (
        plan(endpoints=[endpoint(addresses=["116.202.10.1"]), endpoint(use="packages", url="https://time.example/d")])
        == []
    )
    known = endpoint(operator="network of the academy", addresses=["116.202.10.1"])
    assert plan(endpoints=[known], declared_operators=[NETWORK]) == []
    own = endpoint(operator="Cloud of the Academy", addresses=["203.0.113.0/24", "2001:db8:30::53"])
    within = DECLARED | {"regions": DECLARED["regions"][:1]}
    assert plan(endpoints=[own], declared_cloud=within) == []
    # The region of a prefix is not declared: the region with the most distant law counts.
    assert "its soil is not allowed" in refusal(plan, endpoints=[own], declared_cloud=DECLARED)


@pytest.mark.parametrize("text", ["217.0.0.0/8", "195.13.0.0/16", "82.64.0.0/10", "0.0.0.0/0", "2a00::/12"])
def test_a_network_with_something_else_inside_is_refused(plan: Callable[..., list[str]], text: str) -> None:
    """Both its ends are in the Union."""
    found = refusal(plan, endpoints=[endpoint(addresses=[text])])
    assert f"'{text}'" in found or f"address '{text[:6]}" in found
    assert len(found.splitlines()) < 60


def test_a_network_that_is_too_wide_is_refused_with_the_widest_that_can_be_judged(
    plan: Callable[..., list[str]],
) -> None:
    found = refusal(plan, endpoints=[endpoint(addresses=["217.0.0.0/8"])])
    widest = re.search(r"'(217\.0\.0\.0/\d+)' is the widest that can be judged", found)
    assert widest and "more than 2048 announced ranges" in found
    again = refusal(plan, endpoints=[endpoint(addresses=[widest[1]])])
    assert "too many to judge" not in again and re.search(r"\d+ further ranges are refused", again)
    wider = str(ipaddress.ip_network(widest[1]).supernet())
    assert "too many to judge" in refusal(plan, endpoints=[endpoint(addresses=[wider])])


def test_a_whole_network_of_one_operator_passes(plan: Callable[..., list[str]]) -> None:
    assert plan(endpoints=[endpoint(addresses=["116.202.0.0/16", "2a01:4f8:c0::/44"])]) == []


@pytest.mark.parametrize("address", ["95.179.128.1", "163.77.132.1", "2a09:8280:16::1", "2.56.220.1"])
def test_a_declared_operator_does_not_make_a_foreign_network_its_own(
    plan: Callable[..., list[str]], address: str
) -> None:
    """Three are announced from many places at once; the first is listed with its operator in the United States."""
    one = endpoint(operator="network of the academy", addresses=[address])
    assert f"{address}" in refusal(plan, endpoints=[one], declared_operators=[NETWORK])


def test_a_listed_network_whose_owner_is_not_known_is_refused(plan: Callable[..., list[str]]) -> None:
    listed = next(owner for owner in owners.load().owners if not owner.operator and not owner.cloud)
    number = next(iter(listed.networks))
    data = addresses.tables()
    place = next(first for first, found in zip(data._four[0], data._four[2], strict=True) if found == number)
    address = str(ipaddress.ip_address(place + 1))
    found = refusal(plan, endpoints=[endpoint(addresses=[address])])
    assert f"address '{address}': its operator is not known" in found


def test_a_network_that_no_file_lists_has_the_operator_of_its_row(plan: Callable[..., list[str]]) -> None:
    data, listed = addresses.tables(), owners.load().by_number
    judged = outside.Judge(DAY)
    for first, number in zip(data._four[0], data._four[2], strict=True):
        address = ipaddress.ip_address(first + 1)
        if number not in listed and judged.judge(str(address)).soil.verdict == "eu":
            break
    assert plan(endpoints=[endpoint(addresses=[str(address)])]) == []
    old = outside.Judge(DAY + datetime.timedelta(days=400))
    assert judged.undecided(address) and not old.undecided(address)


def test_all_refusals_are_reported_at_once(plan: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "azblob://states")
    message = refusal(plan, region="UK1", endpoints=[endpoint(operator="Unknown Ltd"), endpoint(operator="amazon")])
    for words in ("region: 'UK1'", "'Unknown Ltd' is neither", "of 'amazon'", "backend: 'azblob://states'"):
        assert words in message
    assert message.count("allowed operators under this policy") == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"use": "web"}, "use"),
        ({"name": "Time Example"}, "is not a host name"),
        ({"name": "https://time.example"}, "is not a host name"),
        ({"addresses": ["time.example"]}, "neither an address nor a network"),
        ({"addresses": ["192.0.2.1/24"]}, "neither an address nor a network"),
        ({"url": "time.example"}, "is not a URL"),
        ({"operator": ""}, "operator"),
        ({"port": 123}, "port"),
    ],
)
def test_an_invalid_endpoint_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        outside.Endpoint.model_validate(endpoint(**changes))


EU = [
    "file://~",
    "file:///srv/states",
    "s3://states?endpoint=https://s3.gra.io.cloud.ovh.net&region=gra",
    "s3://states?region=eu-de&endpoint=obs.eu-de.otc.t-systems.com",
    "s3://states?endpoint=s3.academy.example:9000",
]
OTHER = {
    "https://api.pulumi.com": ["Pulumi Corporation, United States", "source:"],
    "https://app.pulumi.com/school": ["Pulumi Corporation, United States", "source:"],
    "s3://states": ["Amazon.com, Inc., United States", "source:"],
    "s3://states?region=eu-west-3": ["Amazon.com, Inc."],
    "s3://states?endpoint=": ["Amazon.com, Inc."],
    "s3://states?endpoint=https://s3.eu-west-3.amazonaws.com": [
        "the operator and the location of 's3.eu-west-3.amazonaws.com'"
    ],
    "s3://states?endpoint=https://s3.bhs.io.cloud.ovh.net": ["Beauharnois, Canada", "soil: adequate"],
    "s3://states?endpoint=https://s3.io.cloud.ovh.net": ["its soil is not allowed"],
    "s3://states?endpoint=https://s3.us-east-va.io.cloud.ovh.us": ["third country"],
    "s3://states?endpoint=https://s3.kna1.citycloud.com": ["ICG plc"],
    "s3://states?endpoint=s3.gra.io.cloud.ovh.net&endpoint=s3.elsewhere.example": ["more than one endpoint"],
    "s3://states?endpoint=https://s3.gra.io.cloud.ovh.net.elsewhere.example": ["not known"],
    "s3://states?endpoint=3.120.10.1": ["Amazon.com, Inc."],
    "s3://states?endpoint=127.0.0.1:9000": ["loopback", "unknown is never allowed"],
    "s3://states?endpoint=s3.refused.example": ["it is a refused endpoint", "Cloudflare"],
    "azblob://states": ["Microsoft Corporation"],
    "gs://states": ["Google LLC"],
    "postgres://db.elsewhere.example/states": ["db.elsewhere.example"],
    "https://pulumi.academy.example.elsewhere.example": ["not known"],
    "nonsense": ["operator is unknown", "unknown is never allowed"],
}
NAMED = [
    endpoint(use="backups", name="s3.academy.example"),
    endpoint(use="backups", name="s3.refused.example", operator="Cloudflare, Inc."),
]


@pytest.fixture
def judge(make: Make) -> outside.ServicePolicy:
    return gate.outside_of(make(endpoints=NAMED))


@pytest.mark.parametrize("url", EU)
def test_backends_that_pass(judge: outside.ServicePolicy, url: str) -> None:
    assert pulumi_backend.refuse_backend(url, judge) is None


@pytest.mark.parametrize("url", OTHER)
def test_backends_that_are_refused(judge: outside.ServicePolicy, url: str) -> None:
    message = pulumi_backend.refuse_backend(url, judge)
    assert message is not None
    assert message.startswith(f"backend: '{url}'")
    assert "allowed: a folder on this machine" in message
    assert [word for word in OTHER[url] if word not in message] == [], message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://s3.academy.example/db?host=us.example", "parameter 'host'"),
        ("postgres://s3.academy.example/db?hostaddr=3.120.10.1", "parameter 'hostaddr'"),
        ("postgres://s3.academy.example/db?service=us", "parameter 'service'"),
        ("postgres://s3.academy.example/db?sslmode=require&host=", "parameter 'host'"),
        ("postgres://s3.academy.example,us.example/db", "several hosts"),
        ("postgres://s3.academy.example/db?sslmode=disable", "sslmode"),
        ("postgres://s3.academy.example/db?sslmode=require&sslmode=prefer", "sslmode"),
        ("postgresql://s3.academy.example/db?host=us.example", "parameter 'host'"),
        ("s3://states?endpoint=&endpoint=s3.academy.example", "more than one endpoint"),
        ("s3://states?endpoint=http://s3.academy.example", "plain HTTP"),
        ("s3://states?endpoint=s3.academy.example&disableSSL=true", "parameter 'disableSSL'"),
        ("s3://states?endpoint=s3.academy.example&role=arn:x", "parameter 'role'"),
        ("http://s3.academy.example", "plain HTTP"),
    ],
)
def test_a_backend_that_may_be_elsewhere_is_refused(judge: outside.ServicePolicy, url: str, words: str) -> None:
    message = pulumi_backend.refuse_backend(url, judge, {})
    assert message is not None and words in message and "unknown is never allowed" in message, message


def test_variables_of_postgres_are_refused(judge: outside.ServicePolicy) -> None:
    url = "postgres://s3.academy.example/db?sslmode=verify-full&table=t"
    assert pulumi_backend.refuse_backend(url, judge, {}) is None
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGSSLMODE", "PGOPTIONS"):
        assert f"{name} is set" in str(pulumi_backend.refuse_backend(url, judge, {name: "x"}))
        assert pulumi_backend.refuse_backend("file://~", judge, {name: "x"}) is None


MOUNTS = """
21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
22 21 0:30 / /srv/nfs\\040share rw - nfs4 server:/states rw
23 21 0:31 / /srv/tmp rw - nfs server:/x rw
24 21 0:32 / /srv/tmp rw master:1 - tmpfs tmpfs rw
25 21 0:33 / /srv/own/.pulumi/backups rw - fuse.sshfs server:/ rw
26 21 0:34 / /srv/cifs rw - cifs //server/x rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/states", None),
        ("/srv/nfs share/deep/er", "nfs4"),
        ("/srv/tmp", None),
        ("/srv/own", "fuse.sshfs"),
        ("/srv/cifs", "cifs"),
        ("/srv/cifs-not", None),
    ],
)
def test_a_folder_on_another_machine_is_refused(folder: str, kind: str | None) -> None:
    found = pulumi_backend._elsewhere(Path(folder), MOUNTS.strip())
    assert (found is None) == (kind is None)
    assert kind is None or (f"of type {kind}" in str(found) and "unknown is never allowed" in str(found))


def test_a_link_to_another_machine_is_followed(tmp_path: Path, judge: outside.ServicePolicy) -> None:
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / ".pulumi").symlink_to("/srv/cifs")
    assert "of type cifs" in str(pulumi_backend._elsewhere(tmp_path / "states", MOUNTS.strip()))
    (tmp_path / "states" / ".pulumi").unlink()
    assert pulumi_backend.refuse_backend(f"file://{tmp_path}/states?x=y", judge) is None
    assert "of type proc" in str(pulumi_backend.refuse_backend("FILE:///proc/self", judge))
    assert pulumi_backend._elsewhere(tmp_path, "") is not None


@pytest.mark.parametrize(
    "name", ["VAULT_SERVER_URL", "VAULT_ADDR", "VAULT_AGENT_ADDR", "VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY"]
)
def test_every_host_of_vault_is_judged(judge: outside.ServicePolicy, name: str) -> None:
    good = {"VAULT_ADDR": "https://s3.academy.example:8200"}

    def judged(more: dict[str, str]) -> str:
        return str(pulumi_backend.refuse_secrets_provider("hashivault://key", "file://~", judge, good | more))

    assert judged({}) == "None"
    assert "host 'vault.elsewhere.example'" in judged({name: "https://vault.elsewhere.example"})
    assert "'http://s3.academy.example' is plain HTTP" in judged({name: "http://s3.academy.example"})
    assert "is not known" in judged({name: "unix:///run/agent"}) or "are not known" in judged(
        {name: "unix:///run/agent"}
    )


@pytest.mark.parametrize("name", ["VAULT_SKIP_VERIFY", "VAULT_SRV_LOOKUP"])
def test_switches_of_vault_that_weaken_it_are_refused(judge: outside.ServicePolicy, name: str) -> None:
    good = {"VAULT_ADDR": "https://s3.academy.example:8200"}
    for value, passes in (("1", False), ("true", False), ("0", True), ("false", True), ("", True)):
        found = pulumi_backend.refuse_secrets_provider("hashivault://key", "file://~", judge, good | {name: value})
        assert (found is None) == passes and (passes or f"{name} is set" in str(found))


@pytest.mark.parametrize("provider", ["passphrase", "hashivault://key", "service"])
def test_the_state_s_own_secrets_provider_is_no_fallback(judge: outside.ServicePolicy, provider: str) -> None:
    name = "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"
    for value in ("true", "1", "TRUE", "yes"):
        found = pulumi_backend.refuse_secrets_provider(provider, "file://~", judge, {name: value})
        assert str(found).startswith(f"{name}: is set") and "unset it" in str(found)
    for value in ("false", "0", ""):
        assert pulumi_backend.refuse_secrets_provider("passphrase", "file://~", judge, {name: value}) is None


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "http_proxy"])
def test_proxies_are_judged(judge: outside.ServicePolicy, name: str) -> None:
    assert proxies.refuse_proxies(judge, {}) == proxies.refuse_proxies(judge, {name: ""}) == []
    for good in (
        "http://s3.academy.example:3128",
        "http://127.0.0.1:8080",
        "http://[::1]:3128",
        "http://localhost:3128",
    ):
        assert proxies.refuse_proxies(judge, {name: good}) == []
    for bad in ("http://ada:hidden-7@proxy.us.example:3128", "proxy.us.example:3128"):
        (fault,) = proxies.refuse_proxies(judge, {name: bad})
        assert fault.startswith(f"{name}: the proxy 'proxy.us.example': ") and "hidden-7" not in fault
    (fault,) = proxies.refuse_proxies(judge, {name: "http://3.120.10.1:3128"})
    assert "Amazon" in fault
    assert proxies.refuse_proxies(judge, {name: "nonsense://"}) != []


def test_a_proxy_ends_the_plan(plan: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.us.example:3128")
    assert "https_proxy: the proxy 'proxy.us.example'" in refusal(plan)


@pytest.mark.parametrize(
    ("url", "variables", "words"),
    [
        (
            "http://cloud.academy.example:5000/v3",
            {},
            "OS_AUTH_URL: 'http://cloud.academy.example:5000/v3' is plain HTTP",
        ),
        (ACADEMY, {"OS_INSECURE": "true"}, "OS_INSECURE: is set, so that the cloud's certificate is not checked"),
    ],
)
def test_an_unprotected_cloud_is_for_a_rehearsal_only(
    plan: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    declared = DECLARED | {"keystone": [url]}
    assert words in refusal(plan, url, region="one", declared_cloud=declared)
    assert plan(url, region="one", declared_cloud=declared, rehearsal=True) == []


def test_a_service_without_https_is_for_a_rehearsal_only(make: Make) -> None:
    rows = [CloudService("compute", "public", "http://203.0.113.10:8774/v2.1")]
    local = DECLARED | {"keystone": ["http://127.0.0.1:5000/v3"]}
    declared = {"declared_cloud": DECLARED, "region": "one"}
    assert "plain HTTP" in refusal(gate.check_catalogue, make(**declared), ACADEMY, rows)
    gate.check_catalogue(make(**declared, rehearsal=True), ACADEMY, rows)
    here = [CloudService("compute", "public", "http://127.0.0.1:8774/v2.1")]
    gate.check_catalogue(make(**declared | {"declared_cloud": local}), "http://127.0.0.1:5000/v3", here)


def test_a_backend_s_password_is_not_shown(judge: outside.ServicePolicy) -> None:
    message = pulumi_backend.refuse_backend("postgres://ada:hidden-7@db.elsewhere.example/states", judge)
    assert message is not None
    assert "hidden-7" not in message
    assert "'postgres://…@db.elsewhere.example/states'" in message
    # The part before an @ is not a host.
    message = pulumi_backend.refuse_backend(
        "s3://states?endpoint=https://s3.gra.io.cloud.ovh.net@elsewhere.example", judge
    )
    assert message is not None
    assert "host 'elsewhere.example'" in message


def test_the_backend_is_the_one_that_pulumi_uses(tmp_path: Path) -> None:
    variables = {"PULUMI_HOME": str(tmp_path)}
    assert pulumi_backend.backend_url(tmp_path, variables | {"PULUMI_BACKEND_URL": "s3://one"}) == "s3://one"
    assert pulumi_backend.backend_url(tmp_path, variables) == "file://~"
    (tmp_path / "Pulumi.yaml").write_text("name: classroom\n")
    assert pulumi_backend.backend_url(tmp_path, variables) == "https://api.pulumi.com"
    assert (
        pulumi_backend.backend_url(tmp_path, variables | {"PULUMI_API": "https://own.example"}) == "https://own.example"
    )
    (tmp_path / "credentials.json").write_text('{"current": "gs://two"}')
    assert pulumi_backend.backend_url(tmp_path, variables) == "gs://two"
    (tmp_path / "elsewhere").mkdir()
    moved = variables | {"PULUMI_CREDENTIALS_PATH": str(tmp_path / "elsewhere")}
    assert pulumi_backend.backend_url(tmp_path, moved) == "https://api.pulumi.com"
    (tmp_path / "credentials.json").write_text("no JSON")
    with pytest.raises(WrongUseError, match=r"credentials.json cannot be read .*PULUMI_BACKEND_URL"):
        pulumi_backend.backend_url(tmp_path, variables)


@pytest.mark.parametrize(
    ("provider", "vault", "words"),
    [
        ("passphrase", "", None),
        ("hashivault://key", "https://s3.academy.example:8200", None),
        ("awskms://alias/x?region=eu-west-3", "", ["Amazon.com, Inc."]),
        ("azurekeyvault://x.vault.azure.net/keys/y", "", ["Microsoft Corporation"]),
        ("gcpkms://projects/x", "", ["Google LLC"]),
        ("service", "", ["Pulumi Corporation"]),
        ("hashivault://key", "", ["VAULT_SERVER_URL is not set"]),
        ("hashivault://key", "https://vault.elsewhere.example", ["vault.elsewhere.example", "not known"]),
        ("base64key://x", "", ["operator is unknown", "unknown is never allowed"]),
    ],
)
def test_secrets_providers(judge: outside.ServicePolicy, provider: str, vault: str, words: list[str] | None) -> None:
    message = pulumi_backend.refuse_secrets_provider(provider, "file://~", judge, {"VAULT_SERVER_URL": vault})
    if words is None:
        assert message is None
        return
    assert message is not None
    assert message.startswith(f"secretsprovider: '{provider}'")
    assert "allowed: a passphrase" in message
    assert [word for word in words if word not in message] == [], message


def test_the_secrets_provider_is_read_from_the_stack_file(tmp_path: Path, plan: Callable[..., list[str]]) -> None:
    file = tmp_path / "Pulumi.t.yaml"
    assert pulumi_backend.secrets_provider("t", tmp_path) == "passphrase"
    for text, found in (
        ("", "passphrase"),
        ("secretsprovider: default", "passphrase"),
        ("secretsprovider: a://b", "a://b"),
    ):
        file.write_text(text)
        assert pulumi_backend.secrets_provider("t", tmp_path) == found
    file.write_text("secretsprovider: awskms://alias/x")
    assert "secretsprovider: 'awskms://alias/x': its soil" not in refusal(plan)
    with pytest.raises(WrongUseError, match=r"Pulumi.u.yaml cannot be read"):
        pulumi_backend.secrets_provider("u", tmp_path)


def test_a_program_without_an_engine_above_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match=r"stack file .*no Pulumi engine above"):
        pulumi_backend.stack_file("t", tmp_path)


WAITS = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]


@pytest.mark.parametrize(
    ("options", "variable", "file"),
    [
        ([], "", "root/Pulumi.t.yaml"),
        (["--config-file", "a.yaml"], "", "place/a.yaml"),
        (["--config-file=a.yaml"], "", "place/a.yaml"),
        (["--config-file=a.yaml", "--config-file", "b.yaml"], "", "place/b.yaml"),
        (["--config-file", "a.yaml", "--config-file=/b.yaml"], "", "/b.yaml"),
        ([], "c.yaml", "place/c.yaml"),
        (["--config-file=a.yaml"], "c.yaml", "place/a.yaml"),
        (["--config-file"], "", "root/Pulumi.t.yaml"),
        (["--config-files=a.yaml"], "", "root/Pulumi.t.yaml"),
    ],
)
def test_the_stack_file_is_the_one_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], variable: str, file: str
) -> None:
    (tmp_path / "place").mkdir()
    more = {"PULUMI_OPTION_CONFIG_FILE": variable} if variable else {}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*WAITS, *options], cwd=tmp_path / "place", env=os.environ | more, **pipes) as engine:
        assert engine.stdout and engine.stdout.readline() == b"\n"
        monkeypatch.setattr(pulumi_backend, "_engine", lambda _: engine.pid)
        assert pulumi_backend.stack_file("t", tmp_path / "root") == tmp_path / file
        engine.communicate()


def test_a_declaration_cannot_contain_public_addresses_or_names(plan: Callable[..., list[str]]) -> None:
    for changes, words in (
        (
            {"declared_cloud": DECLARED | {"prefixes": ["51.91.0.0/16"]}},
            "declared_cloud.prefixes: '51.91.0.0/16'",
        ),
        ({"declared_cloud": DECLARED | {"keystone": [OVH]}}, "belongs to OVHcloud in the catalogue"),
        ({"declared_cloud": DECLARED | {"name": "OVHcloud"}}, "declared_cloud: 'OVHcloud' is already known"),
        ({"declared_operators": [NETWORK | {"name": "amazon"}]}, "declared_operators: 'amazon' is already known"),
        (
            {"exceptions": [exception("Unknown Ltd")]},
            "exceptions: 'Unknown Ltd' .*neither in the catalogue nor declared",
        ),
    ):
        with pytest.raises(WrongUseError, match=words):
            plan(**changes)


def exception(name: str, until: str = "2026-12-31") -> dict[str, str]:
    return {"name": name, "reason": "the contract runs until then", "until": until}


def test_exceptions_are_reported_as_used_unused_or_ended(
    plan: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    us = endpoint(operator="Cloudflare, Inc.")
    reason = "until 2026-12-31: the contract runs until then"
    assert plan(endpoints=[us], exceptions=[exception("cloudflare")]) == [f"exceptions: 'cloudflare' is used, {reason}"]
    assert plan(exceptions=[exception("Cleura")]) == [f"exceptions: 'Cleura' is not used, {reason}"]
    assert plan(CLEURA, region="Kna1", exceptions=[exception("Cleura")])[0].startswith("exceptions: 'Cleura' is used")
    ended = refusal(plan, endpoints=[us], exceptions=[exception("cloudflare", "2026-11-23")])
    assert "the exception for cloudflare ended on 2026-11-23" in ended
    assert plan(exceptions=[exception("Cleura", "2026-11-23")]) == [
        "exceptions: 'Cleura' ended on 2026-11-23; remove it"
    ]
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    assert plan(exceptions=[exception("Amazon.com, Inc.")])
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    # An exception for the named operator does not cover the operator of the address's network.
    hosted = endpoint(operator="Cleura", addresses=["3.120.10.1"])
    message = refusal(plan, endpoints=[hosted], exceptions=[exception("Cleura")])
    assert "ntp 'time.example', address '3.120.10.1': its operator is not allowed" in message
    assert "ICG" not in message
    assert plan(endpoints=[hosted], exceptions=[exception("Cleura"), exception("amazon")])
    # Exceptions do not cover unknown facts.
    assert "unknown" in refusal(plan, endpoints=[endpoint(operator="CloudFerro")], exceptions=[exception("CloudFerro")])


def test_an_overlay_needs_a_rehearsal(make: Make, plan: Callable[..., list[str]]) -> None:
    party = {"name": "Example Inc.", "country": "US", "dpf": "unknown"}
    label = {"prefixes": ["192.0.2.128/25"], "country": "US", "operator": party, "parent": party}
    with pytest.raises(WrongUseError, match=r"overlay: .*rehearsal: true"):
        make(overlay=[label])
    settings = make(overlay=label, rehearsal=True, declared_cloud=DECLARED)
    assert settings.overlay[0].country == "US"
    assert "Example Inc." in str(
        gate.outside_of(settings).endpoint(outside.Endpoint.model_validate(endpoint(addresses=["192.0.2.130"])))
    )
    labelled = {"overlay": label, "rehearsal": True, "endpoints": [endpoint(addresses=["192.0.2.130"])]}
    message = refusal(plan, **labelled, exceptions=[exception("Example Inc.")])
    assert "its soil is not allowed" in message
    assert "its operator" not in message
    assert plan(**labelled, exceptions=[exception("Example Inc."), exception("hetzner")])
    with pytest.raises(WrongUseError, match="is not a documentation network"):
        make(overlay=label | {"prefixes": ["9.9.9.9/32"]}, rehearsal=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": {"soil": "us"}}, "policy.soil: 'us' is not allowed; write 'eu', 'eea' or 'adequate'"),
        ({"policy": {"soils": "eu"}}, "policy.soils: unknown key; did you mean soil?"),
        (
            {"exceptions": [{"name": "Cleura", "until": "2027-01-01"}]},
            "exceptions.0.reason: missing; add it, such as `reason: ",
        ),
        (
            {"declared_cloud": DECLARED | {"region": "x"}},
            "declared_cloud.region: unknown key; regions is already set",
        ),
        (
            {"endpoints": [endpoint(names="x")]},
            "endpoints.0.names: unknown key; name is already set, so remove this line",
        ),
        ({"facts_max_age_months": 0}, "facts_max_age_months: 0 is too small; write 1 or more"),
    ],
)
def test_faults_in_a_section_are_named(make: Make, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongUseError) as caught:
        make(**changes)
    assert words in str(caught.value)


COMPUTE = "https://compute.gra11.cloud.ovh.net/v2.1"


@pytest.mark.parametrize(
    ("auth_url", "url", "words"),
    [
        (OVH, COMPUTE, None),
        (OVH, "https://storage.gra.cloud.ovh.net/v1/AUTH_x", None),
        (OVH, "https://auth.cloud.ovh.net/v3", None),
        (OVH, "https://s3.rbx.io.cloud.ovh.net", None),
        (
            OVH,
            "https://compute.bhs5.cloud.ovh.net/v2.1",
            ["which is in another region", "Beauharnois, Canada", "source:"],
        ),
        (
            OVH,
            "https://compute.gra11.cloud.ovh.us/v2.1",
            ["does not belong to OVHcloud", "source:", "allowed: hosts in cloud.ovh.net"],
        ),
        (OVH, "https://compute.cloud.ovh.net.elsewhere.example/v2.1", ["does not belong to OVHcloud"]),
        (OVH, "https://xcloud.ovh.net/v2.1", ["does not belong to OVHcloud"]),
        (OVH, "https://51.91.10.1/v2.1", ["does not belong to OVHcloud"]),
        (OVH, "nonsense", ["does not belong to OVHcloud"]),
        (ACADEMY, "https://compute.academy.example:8774/v2.1", None),
        (ACADEMY, "https://203.0.113.10:8774/v2.1", None),
        (ACADEMY, "https://[2001:db8:30::10]:8774/v2.1", None),
        (
            ACADEMY,
            "http://203.0.114.10:8774/v2.1",
            ["does not belong to Cloud of the Academy", "declared_cloud: prefixes"],
        ),
        (ACADEMY, "http://10.0.0.1:8774/v2.1", ["does not belong to Cloud of the Academy"]),
        (ACADEMY, "https://academy.example.org/v2.1", ["does not belong to Cloud of the Academy"]),
    ],
)
def test_endpoints_in_the_service_catalogue(make: Make, auth_url: str, url: str, words: list[str] | None) -> None:
    settings = make(region="one" if auth_url == ACADEMY else "GRA11", declared_cloud=DECLARED)
    rows = [CloudService("identity", "public", auth_url), CloudService("compute", "public", url)]
    if words is None:
        gate.check_catalogue(settings, auth_url, rows)
        return
    message = refusal(gate.check_catalogue, settings, auth_url, rows)
    assert f"lists '{url}' for compute (public)" in message
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("auth.cloud.ovh.net", "cloud.ovh.net"),
        ("keystone.cloudferro.com", "cloudferro.com"),
        ("cloud.academy.gouv.fr", "academy.gouv.fr"),
        ("academy.gouv.fr", "academy.gouv.fr"),
        ("cloud.co.uk", "cloud.co.uk"),
        ("cloud.example", "cloud.example"),
        ("192.0.2.10", "192.0.2.10"),
        ("keystone", "keystone"),
    ],
)
def test_the_domain_of_a_cloud_s_services(host: str, domain: str) -> None:
    assert operators.domain_of(host) == domain


def test_no_cloud_s_domain_is_a_public_suffix() -> None:
    for cloud in operators.load_catalogue().clouds:
        assert all("." in domain and "{" not in domain for domain in operators.domains(cloud))


def entry(tmp_path: Path, words: str) -> None:
    (tmp_path / "clouds.yaml").write_text(f"clouds:\n  school:\n    {words}\n")


def test_the_keystone_url_is_read_from_clouds_yaml(make: Make, tmp_path: Path) -> None:
    entry(tmp_path, f"auth: {{auth_url: '{CLEURA}', username: a, password: b, project_name: p}}")
    message = refusal(gate.check_plan, make(cloud="school", region="Kna1"), tmp_path / "Pulumi.t.yaml", tmp_path)
    assert f"auth_url of the entry 'school' of clouds.yaml: '{CLEURA}': its parent is not allowed" in message
    entry(tmp_path, f"region_name: GRA11\n    auth: {{auth_url: '{OVH}', username: a, password: b, project_name: p}}")
    assert "has no region 'nowhere'" in refusal(
        gate.check_plan, make(cloud="school", region="nowhere"), tmp_path / "Pulumi.t.yaml", tmp_path
    )
    assert gate.check_plan(make(cloud="school"), tmp_path / "Pulumi.t.yaml", tmp_path) == []
    with pytest.raises(WrongUseError, match="RBX1 is not a valid region"):
        gate.check_plan(make(cloud="school", region="RBX1"), tmp_path / "Pulumi.t.yaml", tmp_path)
    entry(tmp_path, "profile: https://elsewhere.example")
    with pytest.raises(WrongUseError, match=r"profile from 'https://elsewhere.example'"):
        gate.check_plan(make(cloud="school"), tmp_path / "Pulumi.t.yaml", tmp_path)


def test_the_interfaces_in_use_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry(tmp_path, f"auth: {{auth_url: '{OVH}', username: a, password: b, project_name: p}}")
    assert cloud_credentials("school", "GRA11").interfaces == {"public"}
    monkeypatch.setenv("OS_ENDPOINT_TYPE", "internalURL")
    assert cloud_credentials("school", "GRA11").interfaces == {"public", "internal"}
    monkeypatch.delenv("OS_ENDPOINT_TYPE")
    entry(tmp_path, f"interface: admin\n    auth: {{auth_url: '{OVH}', username: a, password: b, project_name: p}}")
    assert cloud_credentials("school", "GRA11").interfaces == {"public", "admin"}


def test_the_rehearsal_passes(make: Make, monkeypatch: pytest.MonkeyPatch, plan: Callable[..., list[str]]) -> None:
    from rehearsal.cloud_config import AUTH_URL, REGION
    from rehearsal.stack import DECLARED as OWN

    declared = OWN | {"date": "2026-11-24"}
    assert plan(AUTH_URL, region=REGION, rehearsal=True, declared_cloud=declared) == []
    rows = [CloudService("compute", "public", f"{AUTH_URL.removesuffix(':5000/v3')}:8774/v2.1")]
    gate.check_catalogue(make(region=REGION, rehearsal=True, declared_cloud=declared), AUTH_URL, rows)
