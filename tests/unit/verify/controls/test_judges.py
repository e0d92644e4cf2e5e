"""Evaluation of each control: what passes and what fails, with input in the format of the real programs."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest

from classroom.clients.openstack import CloudService
from classroom.common.errors import WrongUseError
from classroom.config import declarations
from classroom.config.declarations import Declarations
from classroom.verify.controls import (
    addresses,
    cloud_region,
    egress_drop,
    host_connections,
    ice,
    issuers,
    packages,
    page_requests,
    pulumi,
    resolver,
    telemetry,
    time,
)
from classroom.verify.controls.evidence import Evaluator, Proof, Seen
from classroom.verify.network.nftables import AcceptRule, Drop, read
from classroom.verify.report.phrases import sentence
from rehearsal.authority import issue

DAY = datetime.date(2026, 11, 24)
RULES = read(json.loads((Path(__file__).parents[1] / "network" / "ruleset.json").read_text())["nftables"])
OWN = ["203.0.113.10", "2001:db8:30::10", "10.30.0.10"]
PARTY = {"name": "The rehearsal", "country": "FR"}
US = {"name": "Example Inc.", "country": "US", "dpf": "unknown"}
VALUES = {
    "region": "RegionOne",
    "rehearsal": True,
    "declared_cloud": {
        "name": "Rehearsal cloud",
        "operator": PARTY,
        "parent": PARTY,
        "keystone": ["http://192.0.2.10:5000/v3"],
        "regions": [{"name": "RegionOne", "city": "This machine", "country": "FR"}],
        "prefixes": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"],
        "source": "a rehearsal, made up",
        "date": "2026-11-24",
    },
    "overlay": [
        {"prefixes": ["198.51.100.192/28"], "country": "DE", "operator": US, "parent": US},
        {"prefixes": ["198.51.100.208/28", "2001:db8:bad::/48"], "country": "US", "operator": US, "parent": US},
    ],
    "declared_operators": [
        {"name": name, "country": "FR", "parent": PARTY, "source": "a rehearsal, made up", "date": "2026-11-24"}
        for name in ("Example Cooperative", "Sovereign Classroom rehearsal")
    ],
    "endpoints": [
        {"use": "dns", "name": "dns.example", "operator": "Example Cooperative", "addresses": ["192.0.2.53"]},
        {"use": "ntp", "name": "ntp.example", "operator": "Example Cooperative", "addresses": ["192.0.2.123"]},
        {
            "use": "packages",
            "name": "mirror.example",
            "operator": "Example Cooperative",
            "addresses": ["192.0.2.20"],
            "url": "http://mirror.example:3142/debian",
        },
        {"use": "dns", "name": "dns6.example", "operator": "Example Cooperative", "addresses": ["2001:db8:e::/48"]},
    ],
}
US4, US6, CNED = "198.51.100.210", "2001:db8:bad::1", "198.51.100.200"
"""Two addresses in the US, and one in Germany with a US operator."""


def evaluator(**change: object) -> Evaluator:
    return Evaluator(Declarations.model_validate(VALUES | change), DAY)


def wrong(proof: Proof) -> list[str]:
    return [one.what.key for one in proof.seen if one.outcome in {"wrong", "unknown"}]


# Destinations.


def test_location_alone_does_not_pass() -> None:
    """A location in the EU with a US operator: the location passes, operator and parent do not."""
    seen = evaluator().evaluate("class", sentence("own-address", address=CNED), CNED)
    assert (seen.outcome, seen.sides["soil"].verdict, seen.sides["operator"].verdict) == ("wrong", "eu", "third")


def test_unlisted_destination_is_always_wrong() -> None:
    judging = evaluator()
    assert judging.evaluate("class", sentence("no-ipv6"), "192.0.2.99", listed=False).outcome == "wrong"
    assert judging.evaluate("class", sentence("no-ipv6"), "192.0.2.99").outcome == "good"


def test_unknown_never_passes() -> None:
    assert Evaluator(Declarations(), DAY).evaluate("class", sentence("no-ipv6"), "192.0.2.1").outcome == "unknown"


@pytest.mark.parametrize(
    ("name", "until", "outcome"),
    [
        ("Example Inc.", "2026-11-24", "good"),
        ("Example Inc.", "2026-11-23", "wrong"),
        ("Other Ltd", "2027-01-01", "wrong"),
    ],
)
def test_exception_applies_by_name_until_its_date(name: str, until: str, outcome: str) -> None:
    judging = evaluator(exceptions=[{"name": name, "reason": "the contract runs on", "until": until}])
    seen = judging.evaluate("class", sentence("no-ipv6"), US4)
    assert seen.outcome == outcome
    assert bool(judging.used) == (outcome == "good") == (seen.exception is not None)


def test_outdated_declarations_never_pass() -> None:
    late = Evaluator(Declarations.model_validate(VALUES), DAY + datetime.timedelta(days=500))
    assert late.evaluate("class", sentence("no-ipv6"), "192.0.2.53").outcome == "unknown"


def test_proof_without_observation_is_not_proven() -> None:
    assert Proof(id="time").state == "not proven"
    assert Proof(id="time", seen=(Seen(where="x", outcome="residue", what=sentence("no-ipv6")),)).state == "not proven"
    assert Proof(id="time", absent=(sentence("no-ipv6"),)).state == "passed"


# Each control.


def test_addresses() -> None:
    machines, names = {"class": OWN}, {"class.example": [OWN[0]]}
    good = addresses.judge(machines, "10.30.0.0/24", names, evaluator(), ipv6=True)
    assert good.state == "passed"
    assert len(good.seen) == 4
    moved = addresses.judge({"class": [*OWN, US6]}, "10.30.0.0/24", names, evaluator(), ipv6=True)
    assert wrong(moved) == ["own-address"]
    elsewhere = addresses.judge(machines, "10.30.0.0/24", {"class.example": ["192.0.2.80"]}, evaluator(), ipv6=True)
    assert wrong(elsewhere) == ["name-leads"]
    assert wrong(addresses.judge(machines, "10.30.0.0/24", {"class.example": []}, evaluator(), ipv6=True)) == [
        "name-unanswered"
    ]
    # A private address outside the stack's network has no location.
    assert wrong(addresses.judge({"class": ["10.99.0.1"]}, "10.30.0.0/24", {}, evaluator(), ipv6=False)) == [
        "own-address"
    ]


RESOLVED = "# /etc/systemd/resolved.conf\n[Resolve]\n#FallbackDNS=\n\n# 10-classroom.conf\n[Resolve]\nDNS=127.0.0.1\nFallbackDNS=\n"
UNBOUND = 'forward-zone:\n    name: "."\n    forward-addr: 192.0.2.53\n    forward-first: no\n'
HOST = {
    "resolv_conf": "# own\nnameserver 127.0.0.1\n",
    "resolved": RESOLVED,
    "resolved_runs": False,
    "unbound": UNBOUND,
    "unbound_runs": True,
    "listening": frozenset({"unbound"}),
    "asked": 0,
}


@pytest.mark.parametrize(
    ("change", "reds"),
    [
        ({}, []),
        ({"resolved": RESOLVED + f"[Resolve]\nFallbackDNS={US4}#dns.example\n"}, ["resolved-names"]),
        ({"resolved": RESOLVED + f"[Resolve]\nDNS={US6}\n"}, ["resolved-names"]),
        ({"resolved_runs": True}, ["resolved-runs"]),
        ({"resolv_conf": "nameserver 127.0.0.1\nnameserver 192.0.2.53\n"}, ["asks-directly"]),
        ({"resolv_conf": ""}, ["no-name-server"]),
        ({"unbound": UNBOUND + f"    forward-addr: {US4}@853#x\n"}, ["forwards"]),
        ({"unbound": UNBOUND + "    forward-addr: 192.0.2.123\n"}, ["forwards"]),
        ({"unbound_runs": False}, ["no-own-resolver"]),
        ({"listening": frozenset({"unbound", "dnsmasq"})}, ["other-resolver"]),
        ({"answered": ("secret.mirror.example",)}, ["strange-name-answered"]),
        ({"asked": 2}, ["strange-name-left"]),
        ({"asked": None}, ["names-uncounted"]),
    ],
)
def test_resolver(change: dict, reds: list[str]) -> None:
    proof = resolver.judge({"class": resolver.Resolver(**{**HOST, **change})}, evaluator())
    assert wrong(proof) == reds
    assert (proof.state == "passed") == (reds == [])
    assert [s.values["server"] for s in proof.not_observed] == ["2001:db8:e::/48"]


CHRONY = "# table\nserver 192.0.2.123 iburst\ndriftfile /var/lib/chrony/chrony.drift\n"
SOURCES = "^,*,192.0.2.123,2,6,377,12,0.000011,0.000011,0.000345\n"


@pytest.mark.parametrize(
    ("change", "reds"),
    [
        ({}, []),
        ({"chrony": CHRONY + "pool 2.debian.pool.example iburst\n"}, ["time-named"]),
        (
            {"chrony": CHRONY + f"server {US4}\n", "sources": SOURCES + f"^,?,{US4},0,6,0,-,0,0,0\n"},
            ["time-named", "time-used"],
        ),
        ({"chrony": CHRONY + "sourcedir /run/chrony-dhcp\n"}, ["time-named"]),
        ({"sources": ""}, ["time-unused"]),
        ({"chrony_runs": False, "sources": ""}, ["no-clock"]),
        ({"others": ("systemd-timesyncd",)}, ["other-clock"]),
    ],
)
def test_time(change: dict, reds: list[str]) -> None:
    clock = time.Clock(**{"chrony": CHRONY, "chrony_runs": True, "sources": SOURCES, **change})
    assert wrong(time.judge({"class": clock}, evaluator())) == reds


TARGETS = """'http://mirror.example:3142/debian/dists/trixie/InRelease' mirror.example:3142_debian_dists_trixie_InRelease 0
'http://mirror.example:3142/debian-security/dists/trixie-security/InRelease' mirror.example_InRelease 0
"""


@pytest.mark.parametrize(
    ("change", "reds"),
    [
        ({}, []),
        ({"targets": TARGETS + "'http://packages.vendor.example/debian/./InRelease' x 0\n"}, ["archive"]),
        ({"targets": TARGETS.splitlines()[0]}, ["no-security-archive"]),
        ({"targets": ""}, ["no-archive", "no-security-archive"]),
        ({"settings": 'Acquire::http::Proxy "http://proxy.vendor.example:3128";\n'}, ["apt-proxy"]),
        ({"others": ("docker",)}, ["other-packages"]),
    ],
)
def test_packages(change: dict, reds: list[str]) -> None:
    proof = packages.judge({"class": packages.Archives(**{"targets": TARGETS, "settings": "", **change})}, evaluator())
    assert wrong(proof) == reds


TRIED = (egress_drop.EgressAttempt("198.51.100.213", 3, 3), egress_drop.EgressAttempt("2001:db8:dead::213", 3, 3))
GROUP = [
    {"direction": "ingress", "ethertype": "IPv4", "remote_ip_prefix": "0.0.0.0/0"},
    {
        "direction": "egress",
        "ethertype": "IPv4",
        "protocol": "udp",
        "port_range_min": 53,
        "port_range_max": 53,
        "remote_ip_prefix": "192.0.2.53/32",
    },
    {
        "direction": "egress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": 7880,
        "port_range_max": 7880,
        "remote_group_id": "g",
    },
]
# Endpoints of the recorded rules beyond the table above.
MORE = VALUES["endpoints"] + [
    {"use": "ntp", "name": "ntp6.example", "operator": "Example Cooperative", "addresses": ["2001:db8:e::123"]},
]


def test_egress_drop() -> None:
    def judge(rules=RULES, tried=TRIED, groups=GROUP, endpoints=MORE):
        found = {"class": egress_drop.Barrier(rules, tried)}
        return egress_drop.judge(
            found, None if groups is None else {"class": groups}, OWN, evaluator(endpoints=endpoints)
        )

    assert judge().state == "passed", judge().faults()
    assert judge(groups=None).not_proven == (sentence("groups-not-queried"),)
    # The table of endpoints has changed since the rules were generated.
    assert "rule-too-wide" in wrong(judge(endpoints=MORE[1:]))
    assert wrong(judge(tried=(TRIED[0], egress_drop.EgressAttempt("2001:db8:dead::213", 0, 0)))) == ["tried-and-lost"]
    assert wrong(judge(tried=(TRIED[0], egress_drop.EgressAttempt("2001:db8:dead::213", 3, 0)))) == ["tried-and-lost"]
    assert wrong(judge(tried=())) == ["nothing-tried"]
    assert wrong(judge(rules=read([]))) == ["host-open"]
    for rule in ({}, {"remote_ip_prefix": "0.0.0.0/0"}, {"remote_ip_prefix": "192.0.2.0/24"}):
        assert wrong(judge(groups=[*GROUP, {"direction": "egress", "ethertype": "IPv4", **rule}])) == ["group-too-wide"]


def window(**change: object) -> host_connections.Window:
    values = {
        "rules": RULES,
        "steady": True,
        "grown": {"out_ntp": 2, "media_udp": 90000, "out_dropped": 0},
        "dropped": (),
        "connections": frozenset({("udp", "192.0.2.123", 123, "chronyd")}),
        "seconds": 61.0,
    }
    return host_connections.Window(**{**values, **change})


@pytest.mark.parametrize(
    ("change", "reds"),
    [
        ({}, []),
        ({"dropped": (Drop(US4, "tcp", 443),) * 3, "grown": {"out_dropped": 3}}, ["drop"]),
        ({"dropped": (Drop(US6, "tcp", 443),), "grown": {"out_dropped": 1}}, ["drop"]),
        ({"dropped": (Drop("192.0.2.99", "udp", 53),), "grown": {"out_dropped": 1}}, ["drop"]),
        ({"grown": {"out_dropped": 2}}, ["drops-not-logged"]),
        ({"dropped": (Drop("", "?", None),), "grown": {"out_dropped": 1}}, ["drop-unreadable"]),
        ({"dropped": (Drop("198.51.100.2", "udp", 5000),), "grown": {"out_dropped": 1}}, ["drop-participant"]),
        ({"dropped": (Drop("ff02::fb", "udp", 5353),), "grown": {"out_dropped": 1}}, []),
        ({"connections": frozenset({("tcp", US4, 443, "curl")})}, ["connection"]),
        ({"connections": frozenset({("tcp", "198.51.100.2", 443, "livekit-server")})}, ["connection-participant"]),
        ({"connections": frozenset({("tcp", "10.30.0.10", 7880, "nginx")})}, []),
        ({"rules": read([])}, ["no-record"]),
        (
            {
                "rules": replace(
                    RULES, allowed=(*RULES.allowed, AcceptRule("to", "ip6 daddr 2001:db8:a::4", ("2001:db8:a::4",)))
                )
            },
            ["no-record"],
        ),
        ({"steady": False}, ["rules-changed"]),
    ],
)
def test_host_connections(change: dict, reds: list[str]) -> None:
    proof = host_connections.judge({"class": window(**change)}, OWN, {"198.51.100.2"}, evaluator(endpoints=MORE))
    assert wrong(proof) == reds
    assert "198.51.100.2" not in proof.model_dump_json().replace(US4, "").replace(CNED, "")


def test_unused_endpoints_are_reported() -> None:
    proof = host_connections.judge({"class": window()}, OWN, (), evaluator(endpoints=MORE))
    assert {s.values["name"] for s in proof.not_observed} == {"dns.example", "dns6.example", "mirror.example"}


OURS = page_requests.Request("class.example", "Document", "answered", OWN[0])
QUIET = page_requests.Traffic(frozenset({"update.vendor.example"}), frozenset())


@pytest.mark.parametrize(
    ("requests", "captured", "reds"),
    [
        ([OURS], QUIET, []),
        # The page must not send requests to the TURN name.
        ([OURS, page_requests.Request("turn.class.example", "Fetch", "answered", OWN[0])], QUIET, ["requests"]),
        ([OURS, page_requests.Request("fonts.cdn.example", "Font", "blocked")], QUIET, ["requests"]),
        ([OURS, page_requests.Request("fonts.cdn.example", "Font", "answered", US4)], QUIET, ["requests"]),
        # The class's name with an address of another host.
        ([page_requests.Request("class.example", "Document", "answered", US4)], QUIET, ["requests"]),
        ([], QUIET, ["no-request"]),
        ([OURS], page_requests.Traffic(QUIET.names, frozenset({("udp", OWN[0], 7882)})), []),
        ([OURS], None, []),
    ],
)
def test_page_requests(requests: list, captured: object, reds: list[str]) -> None:
    names = ["class.example", "turn.class.example"]
    proof = page_requests.judge(requests, names[0], names, OWN, captured, QUIET if captured else None, evaluator())
    assert wrong(proof) == reds
    assert bool(proof.not_proven) == (captured is None)
    if captured:
        assert [s.what.key for s in proof.seen if s.outcome == "residue"] == ["browser-asks"]


def test_browsers_own_traffic_is_residue() -> None:
    more = page_requests.Traffic(
        QUIET.names | {"hints.vendor.example", "class.example", "turn.class.example", "fonts.cdn.example"},
        frozenset({("udp", US4, 53), ("udp", OWN[0], 7882)}),
    )
    names = ["class.example", "turn.class.example"]
    blocked = page_requests.Request("fonts.cdn.example", "Font", "failed")
    proof = page_requests.judge([OURS, blocked], names[0], names, OWN, more, QUIET, evaluator())
    assert wrong(proof) == ["requests"]
    residue = [(s.what.key, s.what.values.get("name")) for s in proof.seen if s.outcome == "residue"]
    assert residue == [
        ("browser-asked-more", "hints.vendor.example"),
        ("browser-spoke-more", None),
        ("browser-asks", "update.vendor.example"),
    ]
    assert proof.absent == ()


PAIR = {"kind": "host", "protocol": "udp", "relay": None, "url": None, "remote": OWN[0], "port": 7882}
SERVERS = ["turn:203.0.113.10:3478?transport=udp", "turns:turn.class.example:443?transport=tcp"]


@pytest.mark.parametrize(
    ("servers", "pairs", "relays", "reds"),
    [
        (SERVERS, [PAIR], [ice.Relay("turn.class.example", 0, "403")], []),
        ([*SERVERS, "stun:stun.vendor.example:19302"], [PAIR], [], ["ice-server"]),
        ([f"stun:{US4}:3478"], [PAIR], [], ["ice-server"]),
        ([f"stun:[{US6}]:3478"], [PAIR], [], ["ice-server"]),
        ([], [PAIR], [], ["no-ice-server"]),
        (SERVERS, [], [], ["no-pair"]),
        (SERVERS, [{**PAIR, "remote": "198.51.100.2"}], [], ["pair-elsewhere"]),
        (SERVERS, [{**PAIR, "remote": None}], [], ["pair"]),
        (SERVERS, [PAIR], [ice.Relay("turn.class.example", 4)], ["relayed"]),
        (SERVERS, [PAIR], [ice.Relay("turn.class.example", 0, dropped=4)], []),
        (SERVERS, [PAIR], [ice.Relay("turn.class.example", 0)], ["relay-unclear"]),
    ],
)
def test_ice(servers: list, pairs: list, relays: list, reds: list[str]) -> None:
    people = {"participant 1": {"servers": servers, "pairs": pairs}}
    proof = ice.judge(people, ["class.example", "turn.class.example"], OWN, relays, evaluator())
    assert wrong(proof) == reds
    assert "198.51.100.2" not in proof.model_dump_json().replace(US4, "")


def test_issuers() -> None:
    root = issue("Sovereign Classroom rehearsal", [], None)
    leaf, _ = issue("class.example", ["class.example"], root)
    unknown, _ = issue("class.example", ["class.example"], issue("Example Trust", [], None))
    turn = {"turn.class.example": "TURN"}

    def judge(*chain, name="class.example", **change):
        return issuers.judge([issuers.Served(name, OWN[0], chain)], turn, evaluator(**change))

    assert judge(leaf).state == "passed"
    assert wrong(judge(unknown)) == ["page-issuer"]
    assert wrong(judge(unknown, name="turn.class.example")) == ["turn-issuer"]
    assert wrong(judge()) == ["no-certificate"]
    # A declared US authority is known, and refused.
    trust = {
        "name": "Example Trust",
        "country": "US",
        "dpf": "unknown",
        "parent": US,
        "source": "made up",
        "date": "2026-11-24",
    }
    refused = judge(unknown, declared_operators=[*VALUES["declared_operators"], trust])
    assert [s.outcome for s in refused.seen] == ["wrong"]
    row = {"use": "ca", "name": "ca.example", "operator": "Example Cooperative"}
    assert [s.key for s in judge(leaf, endpoints=[*VALUES["endpoints"], row]).not_observed] == ["ca-unused"]


REPORTING = {
    "packages": frozenset({"nginx", "chrony"}),
    "units": frozenset({"nginx.service"}),
    "motd_news": False,
    "livekit": "port: 7880\nturn:\n  enabled: true\n",
}


@pytest.mark.parametrize(
    ("change", "reds"),
    [
        ({}, []),
        ({"packages": frozenset({"popularity-contest"})}, ["telemetry-package"]),
        ({"units": frozenset({"motd-news.timer"})}, ["telemetry-unit"]),
        ({"motd_news": True}, ["motd-news"]),
        ({"livekit": "webhook:\n  urls: [x]\n"}, ["livekit-reports"]),
        ({"packages": frozenset()}, ["no-package-list"]),
    ],
)
def test_telemetry(change: dict, reds: list[str]) -> None:
    assert wrong(telemetry.judge({"class": telemetry.Reporting(**{**REPORTING, **change})})) == reds


KEYSTONE = "http://192.0.2.10:5000/v3"


@pytest.mark.parametrize(
    ("rows", "holders", "change", "reds"),
    [
        ([("RegionOne", "http://192.0.2.10:8774/v2.1")], ("RegionOne",), {}, []),
        ([("RegionOne", "http://192.0.2.10:8774/v2.1")], ("RegionTwo",), {}, ["region-differs"]),
        ([("RegionOne", "http://192.0.2.10:8774/v2.1")], ("RegionOne", "RegionTwo"), {}, ["region-differs"]),
        ([("RegionOne", "http://192.0.2.10:8774/v2.1")], (), {}, ["region-not-found"]),
        ([("RegionOne", "https://compute.vendor.example/v2.1")], ("RegionOne",), {}, ["cloud-service"]),
        ([("", "https://compute.vendor.example/v2.1")], ("RegionOne",), {}, ["cloud-service"]),
        ([("RegionTwo", "https://compute.vendor.example/v2.1")], ("RegionOne",), {}, []),
        # The stack file was changed after `up`: it declares another region than that of the server.
        ([], ("RegionOne",), {"region": "RegionNine"}, ["declared-region", "region-differs"]),
    ],
)
def test_cloud_region(rows: list, holders: tuple, change: dict, reds: list[str]) -> None:
    catalogue = tuple((region, CloudService("compute", "public", url)) for region, url in rows)
    view = cloud_region.CloudView(KEYSTONE, catalogue, {"class": holders})
    proof = cloud_region.judge(view, evaluator(**change))
    assert wrong(proof) == reds
    assert proof.not_proven == (sentence("no-place"),)
    if not change:
        sides = proof.seen[0].sides
        assert [(s.name, s.country) for s in sides.values()] == [(None, "FR"), *[("The rehearsal", "FR")] * 2]


ENGINE = {
    "backend": "file://~",
    "provider": "passphrase",
    "plugins": (),
    "asks_for_updates": False,
    "fetches_plugins": False,
}
WHEN = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("change", "places", "reds"),
    [
        ({}, {("tcp", "192.0.2.10", 5000), ("tcp", OWN[0], 22), ("udp", "192.0.2.9", 53)}, []),
        ({"backend": "https://api.pulumi.com"}, {("tcp", OWN[0], 22)}, ["backend"]),
        ({"backend": "s3://bucket"}, {("tcp", OWN[0], 22)}, ["backend"]),
        ({"provider": "awskms://alias/x"}, {("tcp", OWN[0], 22)}, ["secrets-provider"]),
        ({"plugins": ("resource-aws-v6.0.0",)}, {("tcp", OWN[0], 22)}, ["plugin-fetched"]),
        ({"asks_for_updates": True}, {("tcp", OWN[0], 22)}, ["asks-for-updates"]),
        ({"fetches_plugins": True}, {("tcp", OWN[0], 22)}, ["fetches-plugins"]),
        ({}, {("tcp", US4, 443)}, ["up-asked"]),
        ({}, {("tcp", "192.0.2.99", 443)}, ["up-asked"]),
        ({}, set(), ["up-empty"]),
    ],
)
def test_pulumi(change: dict, places: set, reds: list[str]) -> None:
    captured = pulumi.Captured(WHEN, 0, frozenset(places))
    proof = pulumi.judge(
        pulumi.Engine(**{**ENGINE, **change}), captured, OWN, ["192.0.2.10"], ["192.0.2.9"], evaluator()
    )
    assert wrong(proof) == reds


def test_capture_of_failed_up_is_unknown() -> None:
    captured = pulumi.Captured(WHEN, 1, frozenset({("tcp", "192.0.2.10", 5000)}))
    proof = pulumi.judge(pulumi.Engine(**ENGINE), captured, OWN, ["192.0.2.10"], [], evaluator())
    assert wrong(proof) == ["up-failed"]


def test_pulumi_without_capture_is_not_proven() -> None:
    proof = pulumi.judge(pulumi.Engine(**ENGINE), None, OWN, [], [], evaluator())
    assert proof.not_proven == (sentence("up-not-captured"),)


# Declarations.


def test_declarations_are_read_from_the_stack_file(tmp_path: Path) -> None:
    lines = ["config:", "  classroom:region: RegionOne", "  classroom:rehearsal: true"]
    lines += [f"  classroom:{key}: {json.dumps(VALUES[key])}" for key in ("declared_cloud", "overlay", "endpoints")]
    lines += [f"  classroom:declared_operators: {json.dumps(json.dumps(VALUES['declared_operators']))}"]
    (tmp_path / "Pulumi.x.yaml").write_text("\n".join(lines))
    assert declarations.of_stack("x", tmp_path) == Declarations.model_validate(VALUES)
    assert declarations.of_inventory({declarations.VARIABLE: VALUES}) == Declarations.model_validate(VALUES)
    assert declarations.of_inventory({}).policy.soil == "eu"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rehearsal": False}, "overlay: .*rehearsal: true"),
        ({"exceptions": [{"name": "Example Inc.", "until": "2027-01-01"}]}, "exceptions.0.reason"),
        ({"exceptions": [{"name": "Example Inc.", "reason": "short", "until": "2027-01-01"}]}, "exceptions.0.reason"),
        (
            {"declared_cloud": VALUES["declared_cloud"] | {"prefixes": ["51.91.0.0/16"]}},
            "public address tables",
        ),
    ],
)
def test_invalid_declarations_are_refused(change: dict, sentence: str) -> None:
    with pytest.raises(WrongUseError, match=sentence):
        declarations.of_inventory({declarations.VARIABLE: VALUES | change})


@pytest.mark.parametrize(
    ("backend", "outcome"),
    [
        ("nonsense://states", "unknown"),
        ("s3://states?endpoint=s3.unknown.example", "unknown"),
        ("s3://states?endpoint=https://storage.cloud.ovh.us", "wrong"),
    ],
)
def test_an_unknown_backend_is_not_taken_for_a_refused_one(backend: str, outcome: str) -> None:
    proof = pulumi.judge(pulumi.Engine(**{**ENGINE, "backend": backend}), None, OWN, [], [], evaluator())
    assert [seen.outcome for seen in proof.seen if seen.what.key == "backend"] == [outcome]
