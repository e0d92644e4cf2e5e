"""Two spellings of one stack file give the same plan: the same resources, with the same inputs."""

import json
import random
import unicodedata
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from classroom.config.settings import load
from classroom.provision import pulumi_program
from classroom.provision.preflight import Findings
from tests.unit.config.spellings import TEXTS, key_line, networks
from tests.unit.conftest import issued
from tests.unit.provision.test_classroom import Seen, run

Pair = tuple[Any, Any]
ISSUED = issued("class.example", "turn.class.example", "turn1.class.example", "turn2.class.example")
KEYS = [key_line(kind) for kind in ("ed25519", "rsa", "ecdsa")]
PUBLIC4 = ("198.51.100.0/24", "203.0.113.7/32", "192.0.2.0/25")


def twice(spellings: list[Any]) -> st.SearchStrategy[Pair]:
    return st.tuples(st.sampled_from(spellings), st.sampled_from(spellings))


def host(name: str) -> list[str]:
    return [name, name.upper(), f"{name}.", f" {name.title()} "]


def name_of_class(name: str) -> list[str]:
    return [name, unicodedata.normalize("NFD", name), f"  {name} ", name.replace(" ", "  ")]


def key(line: str) -> list[str]:
    kind, body, _ = line.split()
    return [line, f"{kind} {body}", f"\ufeff{line}\r\n", f"# a comment\n{kind}  {body}  eve@home\n"]


def address(text: str) -> list[str]:
    bare, _, length = text.partition("/")
    mask = {"32": "255.255.255.255", "24": "255.255.255.0", "25": "255.255.255.128"}[length or "32"]
    return [text, f" {text}", f"{bare}/{mask}", *([bare] if length == "32" else [])]


def endpoint(use: str, name: str, network: str, url: str = "") -> list[dict[str, Any]]:
    rows = []
    for spelled, place in zip(host(name), [*address(network), network], strict=False):
        row: dict[str, Any] = {"use": use, "name": spelled, "operator": "Example Cooperative", "addresses": [place]}
        if url:
            row["url"] = (
                url if len(rows) % 2 else url.replace("https://", "HTTPS://").replace(name, f"{name.upper()}.") + "/"
            )
        rows.append(row)
    return rows


CLOUD = {
    "name": "Cloud of the Academy",
    "operator": {"name": "Academy of Example", "country": "FR"},
    "parent": {"name": "The French state", "country": "FR"},
    "keystone": ["https://cloud.example:5000/v3"],
    "regions": [{"name": "r", "city": "Lille", "country": "FR"}],
    "prefixes": ["203.0.113.0/24", "2001:db8:30::/48"],
    "source": "contract 12 of 2026",
    "date": "2026-11-24",
}
SAME_CLOUD = CLOUD | {
    "keystone": ["https://Cloud.Example.:5000/v3/"],
    "prefixes": ["203.0.113.0/255.255.255.0", "2001:DB8:0030:0::/48"],
}


@st.composite
def stack_files(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give two spellings of one stack file, without the private key."""
    split = draw(st.booleans())
    rows: dict[str, Pair] = {
        "region": twice(["r", " r "]),
        "image": twice(["debian-13", "debian-13 "]),
        "flavor_front": twice(["small"]),
        "external_network": twice(["public"]),
        "domain": twice(host("class.example")),
        "certificate": twice([change(ISSUED["certificate"]) for change in TEXTS.values()]),
        "shape": twice(["split" if split else "single"]),
        "media_count": twice([2, "2"] if split else [1, "1", None]),
        "network_cidr": twice(["10.20.0.0/24", "10.20.0.0/255.255.255.0", None]),
        "ipv6": twice(["2001:db8:30::/64", "2001:DB8:0030:0000::/64"] if draw(st.booleans()) else [None]),
        "declared_cloud": twice([CLOUD, [CLOUD], SAME_CLOUD, [CLOUD, SAME_CLOUD]]),
        "facts_max_age_months": twice([12, "12", None]),
    }
    found = {name: draw(strategy) for name, strategy in rows.items()}
    if split:
        found["flavor_media"] = ("large", " large")
    names = draw(
        st.lists(
            st.sampled_from(["6ème B", "Terminale spé", "CE1/CE2", "L'atelier", "Français (groupe 1)"]),
            unique=True,
            min_size=1,
        )
    )
    classes = [draw(twice(name_of_class(name))) for name in names]
    found["classes"] = tuple(
        [{"name": pair[side], "size": 20 + n} for n, pair in enumerate(classes)] for side in (0, 1)
    )
    lines = [draw(twice(key(line))) for line in KEYS[: draw(st.integers(1, 3))]]
    found["admins"] = tuple(
        [{"name": f"a{n}", "public_key": pair[side]} for n, pair in enumerate(lines)] for side in (0, 1)
    )
    sources = [draw(twice(address(text))) for text in PUBLIC4] + draw(st.lists(networks().filter(outside), max_size=3))
    found["ssh_from"] = tuple(_shuffled(draw, [pair[side] for pair in sources]) for side in (0, 1))
    services = [
        draw(twice(endpoint("dns", "dns.example", "192.0.2.53/32"))),
        draw(twice(endpoint("ntp", "ntp.example", "192.0.2.123/32"))),
        draw(twice(endpoint("packages", "mirror.example", "192.0.2.80/32", "https://mirror.example/debian"))),
    ]
    found["endpoints"] = tuple(
        [pair[side] for pair in services] + draw(st.sampled_from([[], [services[0][1 - side]]])) for side in (0, 1)
    )
    return tuple({name: pair[side] for name, pair in found.items() if pair[side] is not None} for side in (0, 1))  # type: ignore[return-value]


def outside(pair: tuple[str, str]) -> bool:
    """Return whether a network is outside the classroom's own networks, and is not that of all addresses."""
    return not pair[0].strip().startswith(("10.", "2001:", "0."))


def _shuffled(draw: st.DrawFn, values: list[str]) -> list[str]:
    again = [*values, *draw(st.lists(st.sampled_from(values), max_size=2))]
    random.Random(draw(st.integers(0, 99))).shuffle(again)
    return again


def as_engine(values: Mapping[str, Any], style: bool | None) -> dict[str, str]:
    """Return the configuration that the engine passes for a stack file with these settings, in one of YAML's styles."""
    content = {f"classroom:{name}": value for name, value in values.items()}
    text = yaml.safe_dump(content, allow_unicode=bool(style), default_flow_style=style)
    read = yaml.safe_load(text)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in read.items()}


def planned(values: Mapping[str, Any], style: bool | None, patch: pytest.MonkeyPatch) -> Seen:
    config = as_engine(values, style) | {"classroom:certificate_key": ISSUED["certificate_key"]}
    patch.setattr(pulumi_program, "CONFIG", type("C", (), {"get": staticmethod(lambda: config)}))
    patch.setattr(pulumi, "get_project", lambda: "classroom")
    return run(load(pulumi_program.raw_settings()), Findings("external"))


@trials(
    deadline=None,
    max_examples=6,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(stack_files(), st.sampled_from([True, False, None]))
def test_two_spellings_of_a_stack_file_give_the_same_plan(
    pair: tuple[dict[str, Any], dict[str, Any]], style: bool | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        one, other = planned(pair[0], style, patch), planned(pair[1], False, patch)
    assert one.declared.keys() == other.declared.keys()
    for resource, inputs in one.declared.items():
        assert inputs == other.declared[resource], resource
    assert one.outputs == other.outputs


def test_another_setting_gives_another_plan() -> None:
    """Prove that the comparison sees a difference."""
    values = {
        "region": "r",
        "image": "debian-13",
        "flavor_front": "small",
        "external_network": "public",
        "domain": "class.example",
        "admins": [{"name": "a", "public_key": KEYS[0]}],
        "ssh_from": ["192.0.2.7"],
        "classes": [{"name": "6ème B", "size": 30}],
        "certificate": ISSUED["certificate"],
        "endpoints": endpoint("dns", "dns.example", "192.0.2.53/32")[:1],
    }
    with pytest.MonkeyPatch.context() as patch:
        one = planned(values, None, patch)
        for name, value in (
            ("ssh_from", ["192.0.2.8"]),
            ("network_cidr", "10.21.0.0/24"),
            ("classes", [{"name": "6ème C", "size": 30}]),
        ):
            assert planned(values | {name: value}, None, patch).declared != one.declared, name
