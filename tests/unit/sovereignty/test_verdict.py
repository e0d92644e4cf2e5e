"""The three verdicts on an address: special space, disagreement, age, what a stack file declares, and the command."""

import datetime
import ipaddress
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.sovereignty import addresses, owners
from classroom.sovereignty.catalogue import load_catalogue
from classroom.sovereignty.countries import classify
from classroom.sovereignty.endpoint_record import Endpoint
from classroom.sovereignty.facts import Ages
from classroom.sovereignty.policy import DeclaredCloud, Policy
from classroom.sovereignty.policy import judge as judge_cloud
from classroom.sovereignty.verdict import Declared, Judge, Overlay, declared_by, judge, public
from tests.unit.command import classroom

DAY = datetime.date(2026, 11, 24)
LATEST = datetime.date(2026, 11, 29)
CLASSROOM = Path(sys.executable).parent / "classroom"
VERDICTS = {"eu", "eea", "adequate", "third", "unknown"}
KEYS = ["verdict", "basis", "name", "country", "dpf", "source", "date", "hash", "reason"]

CLOUD = {
    "name": "Academy cloud",
    "operator": {"name": "Academy", "country": "FR"},
    "parent": {"name": "The French State", "country": "FR"},
    "keystone": ["https://cloud.academy.example:5000/v3"],
    "regions": [{"name": "one", "city": "Lyon", "country": "FR"}],
    "prefixes": ["203.0.113.0/24", "2001:db8:30::/64"],
    "source": "contract of the academy",
    "date": DAY,
}
OVERLAY = {
    "prefixes": ["192.0.2.64/28"],
    "country": "DE",
    "operator": {"name": "Leaky Inc.", "country": "US", "dpf": "yes"},
    "parent": {"name": "Leaky Inc.", "country": "US", "dpf": "yes"},
}


@pytest.fixture(scope="module", autouse=True)
def _tables():
    addresses.ensure()


@pytest.fixture(scope="module")
def judged():
    return Judge(DAY)


def three(found):
    return found.soil.verdict, found.operator.verdict, found.parent.verdict


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.7",
        "198.18.0.1",
        "192.0.0.9",
        "192.88.99.1",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "::1",
        "::ffff:51.91.10.1",
        "::ffff:0:51.91.10.1",
        "::51.91.10.1",
        "64:ff9b::51.91.10.1",
        "64:ff9b:1::51.91.10.1",
        "2002:335b:a01::1",
        "2001:0:335b:a01::1",
        "2001:db8::1",
        "3fff::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "4000::1",
    ],
)
def test_special_addresses_are_unknown_in_all_three(judged, address):
    found = judged.judge(address)
    assert three(found) == ("unknown", "unknown", "unknown")
    assert found.soil.reason


@given(st.sampled_from(["::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "2001::/32"]), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_no_translated_address_is_ever_in_the_union(prefix, four):
    net = ipaddress.ip_network(prefix)
    shift = 0 if net.prefixlen == 96 else 128 - net.prefixlen - 32
    found = Judge(DAY).judge(str(net[0] + (four << shift)))
    assert three(found) == ("unknown",) * 3


def test_the_known_traps(judged):
    assert three(judged.judge("51.91.10.1")) == ("eu", "eu", "eu")
    assert judged.judge("51.89.200.1").soil.verdict == "unknown"  # OVHcloud in London; the tables disagree
    assert judged.judge("158.69.10.1").soil.verdict == "adequate"  # OVHcloud in Canada
    assert three(judged.judge("3.120.10.1")) == ("eu", "third", "third")  # Amazon in Frankfurt
    assert judged.judge("5.161.10.1").soil.verdict == "third"  # Hetzner in the United States
    assert judged.judge("3.120.10.1").operator.dpf in ("yes", "no", "unknown")
    assert judged.judge("51.91.10.1").operator.dpf is None


@pytest.mark.parametrize(
    "address", ["2001:668:1f:1c::9", "2001:2030:0:3b::9", "2001:1498:1:965::9", "2001:41a8:405:1::9"]
)
def test_networks_of_international_carriers_are_not_placed(judged, address):
    """Both tables place servers in Atlanta, Denver, Bogotá and London in the Union, at the carrier's seat."""
    soil = judged.judge(address).soil
    assert (soil.verdict, soil.country) == ("unknown", None)
    assert soil.reason and soil.reason.startswith("disputed: ") and "carrier" in soil.reason
    assert soil.source and "M-Lab" in soil.source


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "9.9.9.9", "193.0.14.129", "46.105.198.1"])
def test_what_answers_everywhere_is_not_placed(judged, address):
    soil = judged.judge(address).soil
    assert soil.verdict == "unknown" and soil.country is None
    assert "anycast" in soil.reason


def test_further_tables_that_disagree_give_unknown(judged):
    group = next(group for group in owners.load().disputed if group.prefixes)
    for prefix in group.prefixes:
        soil = judged.judge(str(ipaddress.ip_network(prefix)[9])).soil
        assert soil.verdict == "unknown", prefix


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        (("FR", "FR"), "eu"),
        (("FR", "DE"), "eu"),
        (("RE", "RE"), "eu"),
        (("GP", "FR"), "eu"),
        (("MQ", "MQ"), "eu"),
        (("GF", "GF"), "eu"),
        (("YT", "YT"), "eu"),
        (("MF", "MF"), "eu"),
        (("AX", "FI"), "eu"),
        (("NC", "NC"), "third"),
        (("PF", "PF"), "third"),
        (("PM", "PM"), "third"),
        (("WF", "WF"), "third"),
        (("BL", "BL"), "third"),
        (("NC", "FR"), "unknown"),
        (("FR", "US"), "unknown"),
        (("NO", "NO"), "eea"),
        (("NO", "SE"), "unknown"),
        (("CH", "CH"), "adequate"),
        (("GB", "CH"), "adequate"),
        (("US", "US"), "third"),
        (("FR", None), "unknown"),
        ((None, "FR"), "unknown"),
        ((None, None), "unknown"),
        (("ZZ", "ZZ"), "unknown"),
    ],
)
def test_tables_must_agree_and_overseas_parts_are_judged_by_themselves(judged, codes, verdict):
    soil = judged._judge_place(*codes)
    assert soil.verdict == verdict
    assert soil.reason and soil.source and soil.hash and soil.date


def test_an_overseas_part_in_the_real_data(judged):
    data = addresses.tables()
    for number, code in ((21351, "GP"), (18200, "NC")):
        found = [
            str(ipaddress.ip_address(first + 1))
            for first, found in zip(data._four[0], data._four[2], strict=True)
            if found == number
        ]
        seen = {data.country(addresses.DBIP, ipaddress.ip_address(address)) for address in found}
        assert code in seen
        for address in found:
            soil = judged.judge(address).soil
            if soil.country in ("NC", "PF"):
                assert soil.verdict == "third"
            if soil.country in ("GP", "MQ", "GF", "RE"):
                assert soil.verdict == "eu"


def test_old_data_and_old_facts_let_nothing_pass():
    later = Judge(DAY + datetime.timedelta(days=400)).judge("51.91.10.1")
    assert three(later) == ("unknown", "unknown", "unknown")
    assert "update it" in later.soil.reason and "2026-06" in later.soil.reason
    younger = Judge(DAY + datetime.timedelta(days=400), ages=Ages(36, 60)).judge("51.91.10.1")
    assert three(younger) == ("eu", "eu", "eu")


def test_a_network_that_changed_hands_is_unknown(judged):
    found = judged._judge_network(addresses.Announced(24940, "Someone Else Inc."))
    assert [verdict.verdict for verdict in found] == ["unknown", "unknown"]
    assert "may have changed" in found[0].reason


def test_every_owner_names_a_network_of_the_data_and_every_fact_its_source():
    data = addresses.tables()
    loaded = owners.load()
    for number, owner in loaded.by_number.items():
        assert owner.named(number, data._names.get(number, "")), (owner.id, number)
    for owner in loaded.owners:
        for party in (owner.operator, owner.parent):
            if party:
                assert (
                    party.source.address
                    and party.source.read <= datetime.date(2026, 11, 29)
                    and party.source.mark in ("H", "M")
                )
                assert classify(party.country).verdict != "unknown"
        assert (owner.operator and owner.parent) or owner.missing, owner.id


def test_machines_of_every_allowed_cloud_can_pass_the_control_of_addresses():
    """Each allowed cloud has networks that are operated and owned from within the Union."""
    judge_on = Judge(LATEST)
    allowed = [
        cloud
        for cloud in load_catalogue().clouds
        if any(judge_cloud(cloud, region.name, Policy(), LATEST).verdict == "allowed" for region in cloud.regions)
    ]
    assert allowed
    for cloud in allowed:
        networks = [(number, owner) for owner in owners.load().of_cloud(cloud.id) for number in owner.networks]
        assert networks, cloud.id
        for number, owner in networks:
            found = judge_on._judge_network(addresses.Announced(number, owner.networks[number]))
            assert [verdict.verdict for verdict in found] == ["eu", "eu"], (cloud.id, number)


def test_owners_file_without_source_or_with_a_network_twice_is_refused(tmp_path):
    bad = tmp_path / "owners.yaml"
    bad.write_text('owners: {a: {networks: {1: "x"}, operator: {name: Aa, country: DE, fact: the page states it}}}\n')
    with pytest.raises(ClassroomError, match="source"):
        owners.load(bad)
    bad.write_text(
        'owners: {a: {networks: {1: "x"}, missing: ["operator, parent: unread"]},'
        ' b: {networks: {1: "x"}, missing: ["operator, parent: unread"]}}\n'
    )
    with pytest.raises(ClassroomError, match="AS1 is listed under a and under b"):
        owners.load(bad)
    bad.write_text("owners: [\n")
    with pytest.raises(ClassroomError, match="cannot be read"):
        owners.load(bad)


# What a stack file says.


def stack_file(folder, **config):
    data = {"config": {f"classroom:{key}": value for key, value in config.items()}}
    (folder / "Pulumi.academy.yaml").write_text(yaml.safe_dump(data))
    return declared_by("academy", folder)


def test_a_declared_cloud_is_judged_as_declared(tmp_path):
    declared = stack_file(tmp_path, declared_cloud=CLOUD)
    found = judge(["203.0.113.9", "2001:db8:30::9", "203.0.114.1"], DAY, declared)
    assert three(found[0]) == three(found[1]) == ("eu", "eu", "eu")
    assert {found[0].soil.basis, found[0].operator.basis, found[0].parent.basis} == {"declared"}
    assert "contract of the academy" in found[0].soil.source
    assert found[0].soil.hash and found[0].soil.date == DAY
    assert found[2].soil.basis == "observed"


def test_the_furthest_region_of_a_declared_cloud_counts(tmp_path):
    regions = [*CLOUD["regions"], {"name": "two", "city": "Zurich", "country": "CH"}]
    declared = stack_file(tmp_path, declared_cloud={**CLOUD, "regions": regions})
    assert judge(["203.0.113.9"], DAY, declared)[0].soil.verdict == "adequate"


def test_an_old_declaration_lets_nothing_pass(tmp_path):
    declared = stack_file(tmp_path, declared_cloud={**CLOUD, "date": datetime.date(2025, 1, 1)})
    assert three(judge(["203.0.113.9"], DAY, declared)[0]) == ("unknown", "unknown", "unknown")


@pytest.mark.parametrize(
    ("prefix", "owner"),
    [
        ("51.91.0.0/16", "OVH"),
        ("2a01:4f8::/32", "Hetzner"),
        ("0.0.0.0/0", ""),
        ("64:ff9b::/96", "translated"),
        ("224.0.0.0/8", "multicast"),
    ],
)
def test_public_addresses_cannot_be_declared(tmp_path, prefix, owner):
    assert public(prefix) is not None
    with pytest.raises(WrongUseError, match=r"declared_cloud\.prefixes.*" + owner):
        stack_file(tmp_path, declared_cloud={**CLOUD, "prefixes": [prefix]})


@pytest.mark.parametrize("prefix", ["203.0.113.0/24", "10.30.0.0/24", "192.168.0.0/16", "2001:db8:30::/64", "fd00::/8"])
def test_private_and_documentation_space_can_be_declared(prefix):
    assert public(prefix) is None


def test_a_declaration_never_covers_translated_addresses():
    cloud = DeclaredCloud.model_validate({**CLOUD, "prefixes": ["::/0"]})
    found = Judge(DAY, Declared(clouds=(cloud,))).judge("::ffff:51.91.10.1")
    assert three(found) == ("unknown", "unknown", "unknown")


def test_an_overlay_labels_documentation_addresses_of_a_rehearsal(tmp_path):
    declared = stack_file(tmp_path, declared_cloud=CLOUD, rehearsal=True, overlay=[OVERLAY])
    found = judge(["192.0.2.65", "192.0.2.1"], DAY, declared)
    assert three(found[0]) == ("eu", "third", "third")
    assert found[0].operator.dpf == "yes"
    assert "rehearsal" in found[0].soil.source and found[0].soil.basis == "declared"
    assert three(found[1]) == ("unknown", "unknown", "unknown")


def test_an_overlay_is_refused_elsewhere(tmp_path):
    with pytest.raises(WrongUseError, match="only a rehearsal may have one"):
        stack_file(tmp_path, overlay=[OVERLAY])
    for prefix in ("8.8.8.0/24", "192.0.0.0/8", "10.0.0.0/8", "nonsense"):
        with pytest.raises(WrongUseError, match=f"'{prefix}'"):
            stack_file(tmp_path, rehearsal=True, overlay=[{**OVERLAY, "prefixes": [prefix]}])
    with pytest.raises(ValueError, match="documentation"):
        Overlay.model_validate({**OVERLAY, "prefixes": ["51.91.0.0/16"]})


@pytest.mark.parametrize("text", ["config: [", "[]", None])
def test_a_stack_that_is_not_there_or_broken(tmp_path, text):
    if text is not None:
        (tmp_path / "Pulumi.gone.yaml").write_text(text)
    with pytest.raises(WrongUseError, match="stack: 'gone'"):
        declared_by("gone", tmp_path)


def test_a_key_that_occurs_twice_is_refused(tmp_path):
    """YAML alone would keep the last one."""
    for text, words in (
        (
            "config:\n  classroom:region: a\n  classroom:region: b\n",
            "the key 'classroom:region' occurs again in line 3",
        ),
        (
            "config:\n  classroom:overlay:\n    - {country: US, country: FR}\n",
            "the key 'country' occurs again in line 3",
        ),
    ):
        (tmp_path / "Pulumi.twice.yaml").write_text(text)
        with pytest.raises(WrongUseError, match=words):
            declared_by("twice", tmp_path)
    (tmp_path / "Pulumi.twice.yaml").write_text("config:\n  a: &x {p: 1}\n  b: {<<: *x, p: 2}\n  c: {p: 1}\n")
    assert declared_by("twice", tmp_path).clouds == ()


NETWORK = {
    "name": "Academy's Network",
    "country": "FR",
    "parent": {"name": "The French State", "country": "FR"},
    "source": "decree 7 of 2024",
    "date": DAY,
}
TIME = {
    "use": "ntp",
    "name": "time.academy.example",
    "operator": "academy's network",
    "addresses": ["10.7.0.0/24", "2001:db8:7::123"],
}


def test_a_declared_operator_runs_what_its_endpoints_name(tmp_path):
    declared = stack_file(tmp_path, declared_operators=[NETWORK], endpoints=json.dumps([TIME]))
    found = judge(["10.7.0.9", "2001:db8:7::123", "10.7.1.9"], DAY, declared)
    assert three(found[0]) == three(found[1]) == ("unknown", "eu", "eu")
    assert list(found[0].as_json()["operator"]) == KEYS
    assert (found[0].operator.basis, found[0].parent.basis, found[0].soil.basis) == (
        "declared",
        "declared",
        "observed",
    )
    assert (found[0].operator.name, found[0].parent.name) == ("Academy's Network", "The French State")
    assert found[0].operator.source == "declared in the stack file: decree 7 of 2024"
    assert found[0].operator.hash.startswith("sha256:") and found[0].operator.date == DAY
    assert three(found[2]) == ("unknown", "unknown", "unknown")


def test_a_declared_operator_takes_nothing_that_a_table_knows(tmp_path):
    declared = stack_file(tmp_path, declared_operators=[NETWORK], endpoints=[{**TIME, "addresses": ["51.91.10.1"]}])
    assert judge(["51.91.10.1"], DAY, declared) == judge(["51.91.10.1"], DAY)
    # Nor what its cloud's own declaration knows.
    declared = stack_file(
        tmp_path, declared_cloud=CLOUD, declared_operators=[NETWORK], endpoints=[{**TIME, "addresses": ["203.0.113.9"]}]
    )
    assert judge(["203.0.113.9"], DAY, declared)[0].operator.name == "Academy"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "x"}, "classroom:declared_operators"),
        ({"name": "amazon"}, "declared_operators: 'amazon' is already known"),
    ],
)
def test_a_faulty_declared_operator_is_named(tmp_path, changes, words):
    with pytest.raises(WrongUseError, match=words):
        stack_file(tmp_path, declared_operators=[{**NETWORK, **changes}])


def test_an_old_declared_operator_lets_nothing_pass(tmp_path):
    old = {**NETWORK, "date": datetime.date(2025, 1, 1)}
    declared = stack_file(tmp_path, declared_operators=[old], endpoints=[TIME])
    found = judge(["10.7.0.9"], DAY, declared)[0]
    assert three(found) == ("unknown", "unknown", "unknown")
    assert "the declaration of Academy's Network is of 2025-01-01" in found.operator.reason


# The address files.


def test_damaged_or_missing_files_are_reported_and_never_pass(tmp_path, monkeypatch):
    whole = addresses.ensure()
    for name in ("dbip-country.mmdb", "asn4.bin", "names.json", "tables.json"):
        folder = tmp_path / name
        shutil.copytree(whole, folder)
        (folder / name).write_bytes((folder / name).read_bytes()[: 1001 if name.endswith("bin") else 50])
        with pytest.raises(ClassroomError, match=r"cannot be read .*(make install)"):
            addresses.Tables(folder).network(ipaddress.ip_address("51.91.10.1"))
    monkeypatch.setenv(addresses.FOLDER, str(tmp_path / "nowhere"))
    with pytest.raises(ClassroomError, match=r"has no dbip-country\.mmdb"):
        addresses.tables()


def test_newer_files_can_be_given(tmp_path, monkeypatch):
    whole = addresses.ensure()
    for name in ("dbip-country.mmdb", "geo-whois-asn-country.mmdb"):
        shutil.copyfile(whole / name, tmp_path / name)
    (tmp_path / "asn-ipv4.csv").write_text("51.91.0.0,51.91.255.255,16276,OVH SAS\n")
    (tmp_path / "asn-ipv6.csv").write_text("2001:41d0::,2001:41d0:ffff:ffff:ffff:ffff:ffff:ffff,16276,OVH SAS\n")
    (tmp_path / "package.json").write_text('{"name": "@ip-location-db/asn", "version": "2.3.2026110100"}')
    monkeypatch.setenv(addresses.FOLDER, str(tmp_path))
    monkeypatch.setattr(addresses, "CACHE", tmp_path / "cache")
    found = judge(["51.91.10.1", "2001:41d0::1", "80.158.10.1"], DAY)
    assert three(found[0]) == three(found[1]) == ("eu", "eu", "eu")
    assert "2.3.2026110100" in found[0].operator.source
    assert found[2].operator.reason == "no network announces it"
    (tmp_path / "asn-ipv4.csv").write_text("51.91.0.0,nonsense,16276,OVH SAS\n")
    with pytest.raises(ClassroomError, match=r"asn-ipv4\.csv cannot be read in line 1"):
        addresses.tables()


def test_what_two_lines_claim_belongs_to_neither():
    rows = [(0, 9, 1, "a"), (5, 20, 2, "b"), (30, 99, 3, "c"), (40, 49, 4, "d"), (100, 100, 5, "e")]
    assert list(addresses._apart(iter(rows))) == [
        (0, 4, 1, "a"),
        (10, 20, 2, "b"),
        (30, 39, 3, "c"),
        (50, 99, 3, "c"),
        (100, 100, 5, "e"),
    ]


# The command.


def run(*arguments):
    return classroom("verdict", *arguments)


def test_the_command_prints_the_contract():
    asked = ["51.91.10.1", "::ffff:51.91.10.1", "2a01:4f8::1"]
    answer = run(*asked, "--as-of", "2026-11-24", "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert [one["address"] for one in found] == asked
    for one in found:
        assert list(one) == ["address", "soil", "operator", "parent"]
        for about in ("soil", "operator", "parent"):
            assert list(one[about]) == KEYS
            assert one[about]["verdict"] in VERDICTS and one[about]["basis"] in ("observed", "declared")
    text = run(*asked, "--as-of", "2026-11-24").stdout
    assert "https://db-ip.com" in text and "nro.net" in text


@pytest.mark.parametrize("bad", ["foo", "51.91.10", "51.91.10.1:443", "51.91.10.0/24", "cloud.example", "1.2.3.256"])
def test_a_bad_address_is_named(bad):
    answer = run("51.91.10.1", bad, "--json")
    assert answer.returncode == 2
    assert f"'{bad}'" in answer.stderr and not answer.stdout


def test_a_bad_day_or_stack_is_named():
    assert run("51.91.10.1", "--as-of", "soon").returncode == 2
    answer = run("51.91.10.1", "--stack", "no-such-stack")
    assert answer.returncode == 2 and "no-such-stack" in answer.stderr


USAGE = """
import json, resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]), file=sys.stderr)
sys.exit(status)
"""
"""Program that runs a command and prints its seconds of processor time and KiB of memory. Started by a small process: the kernel
counts what the process that starts a command has in memory as the command's own."""


def test_ten_thousand_addresses_in_one_command():
    asked = [str(ipaddress.ip_address(0x0B000000 + n * 350003 % 0xD0000000)) for n in range(9000)]
    asked += [str(ipaddress.ip_address((0x2A00 << 112) + (n << 90))) for n in range(1000)]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.run(
            [sys.executable, "-c", USAGE, CLASSROOM, "verdict", "--json", *asked],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        wall = time.monotonic() - start
        out.seek(0)
        answer = out.read()
    used, memory = json.loads(process.stderr.splitlines()[-1])
    assert process.returncode == 0
    assert [one["address"] for one in json.loads(answer)] == asked
    print(f"10,000 addresses: {wall:.1f} s, of them {used:.1f} s computing, at most {memory // 1024} MB")
    assert used < 5  # the wall clock says more about what else the machine does
    assert memory < 250 * 1024


# Networks, joined facts, places that cannot be known.


@st.composite
def networks(draw):
    """A public network in which the tables know something."""
    data = addresses.tables()
    if draw(st.booleans()):
        first = data._four[0][draw(st.integers(0, len(data._four[0]) - 1))]
        return ipaddress.ip_network((first, draw(st.integers(18, 32))), strict=False)
    index = draw(st.integers(0, len(data._six[0]) - 1))
    return ipaddress.ip_network(
        ((data._six[0][index] << 64) | data._six[1][index], draw(st.integers(40, 128))), strict=False
    )


@given(net=networks(), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_address_of_a_network_has_the_verdicts_of_the_start_of_its_range(judged, net, data):
    starts = list(judged.ranges(net))
    assert starts[0] == net[0] and starts == sorted(set(starts)) and starts[-1] in net
    for _ in range(8):
        number = data.draw(st.integers(0, len(starts) - 1))
        last = int(starts[number + 1]) - 1 if number + 1 < len(starts) else int(net[-1])
        for value in {last, data.draw(st.integers(int(starts[number]), last))}:
            address = type(net[0])(value)
            if not _is_nat64(judged, address):
                assert verdicts_of(judged, address) == verdicts_of(judged, starts[number]), (net, address)


def _is_nat64(judged, address):
    return "local NAT64" in judged.judge(str(address)).soil.reason


def verdicts_of(judged, address):
    found = judged.judge(str(address))
    return found.soil, found.operator, found.parent


def test_ranges_end_where_declarations_overlays_and_listed_prefixes_do(tmp_path):
    cloud = {**CLOUD, "prefixes": ["203.0.113.64/26"]}
    endpoint = {**TIME, "addresses": ["203.0.113.200"]}
    declared = stack_file(tmp_path, declared_cloud=cloud, declared_operators=[NETWORK], endpoints=[endpoint])
    judged = Judge(DAY, declared)
    starts = {str(address) for address in judged.ranges(ipaddress.ip_network("203.0.113.0/24"))}
    assert starts == {"203.0.113.0", "203.0.113.64", "203.0.113.128", "203.0.113.200", "203.0.113.201"}
    listed = {str(address) for address in judged.ranges(ipaddress.ip_network("46.105.192.0/19"))}
    assert {"46.105.198.0", "46.105.205.0", "46.105.206.0", "46.105.208.0"} <= listed


def test_the_widest_network_that_can_be_judged(judged):
    for text in ("217.0.0.0/8", "82.64.0.0/10", "0.0.0.0/0", "2a00::/12"):
        net = ipaddress.ip_network(text)
        widest = judged.widest(net, 100)
        assert widest.network_address == net.network_address and widest.prefixlen > net.prefixlen
        assert len(list(judged.ranges(widest))) <= 100
        twice = widest.supernet()
        assert len(list(judged.ranges(twice))) > 100
    net = ipaddress.ip_network("116.202.10.0/24")
    assert judged.widest(net) == net and judged.widest(net, 1) == net


@pytest.mark.parametrize(
    ("operator", "parent"), [("eu", "unknown"), ("unknown", "eu"), ("third", "unknown"), ("unknown", "unknown")]
)
def test_observed_and_declared_facts_are_never_joined(tmp_path, operator, parent):
    """Whatever a listed network lacks is not filled from the stack file."""
    data = addresses.tables()
    fact = {"fact": "the page states it", "source": "page"}
    rows = {"a": {"networks": {24940: "Hetzner"}, "missing": ["operator and parent: not read"]}}
    for about, verdict in (("operator", operator), ("parent", parent)):
        if verdict != "unknown":
            country = {"country": "DE"} if verdict == "eu" else {"country": "US", "dpf": "unknown"}
            rows["a"][about] = {"name": "Aa", **country, **fact}
    page = {"title": "A page", "address": "https://a.example/", "kind": "own", "read": DAY, "says_of": "undated"}
    path = tmp_path / "owners.yaml"
    path.write_text(yaml.safe_dump({"sources": {"page": page}, "owners": rows}))
    declared = stack_file(tmp_path, declared_operators=[NETWORK], endpoints=[{**TIME, "addresses": ["116.202.10.1"]}])
    known = Judge(DAY, declared, data=data, owners=owners.load(path)).judge("116.202.10.1")
    assert (known.operator.verdict, known.parent.verdict) == (operator, parent)
    assert {known.operator.basis, known.parent.basis} == {"observed"}


def test_a_declaration_holds_for_a_network_that_no_file_lists(tmp_path):
    declared = stack_file(tmp_path, declared_operators=[NETWORK], endpoints=[{**TIME, "addresses": ["116.202.10.1"]}])
    path = tmp_path / "owners.yaml"
    path.write_text("owners: {a: {networks: {1: x}, missing: ['operator and parent: not read']}}")
    unlisted = Judge(DAY, declared, owners=owners.load(path)).judge("116.202.10.1")
    assert {unlisted.operator.basis, unlisted.parent.basis} == {"declared"}
    assert (unlisted.operator.verdict, unlisted.parent.verdict) == ("eu", "eu")


def test_old_data_and_a_network_that_changed_hands_cannot_be_declared_away(tmp_path):
    text = "116.202.10.1"
    young = {**NETWORK, "date": DAY + datetime.timedelta(days=400)}
    declared = stack_file(tmp_path, declared_operators=[young], endpoints=[{**TIME, "addresses": [text, "9.9.9.0/24"]}])
    later = Judge(DAY + datetime.timedelta(days=400), declared)
    for address in (text, "9.9.9.9"):
        assert three(later.judge(address)) == ("unknown",) * 3
    path = tmp_path / "owners.yaml"
    path.write_text("owners: {a: {networks: {24940: Someone Else}, missing: ['operator and parent: not read']}}")
    sold = Judge(DAY, declared, owners=owners.load(path)).judge(text)
    assert (sold.operator.verdict, sold.parent.verdict) == ("unknown", "unknown")
    assert "may have changed" in sold.operator.reason


@pytest.mark.parametrize("text", ["64:ff9b::7", "127.0.0.9", "::ffff:10.7.0.9", "2a01:4f8:0:0:64::808:808", "4000::1"])
def test_an_operator_cannot_be_declared_for_an_address_without_an_owner(tmp_path, text):
    address = ipaddress.ip_address(text)
    declared = Declared(
        operators=stack_file(tmp_path, declared_operators=[NETWORK]).operators,
        endpoints=(Endpoint.model_construct(use="ntp", name="x.example", operator=NETWORK["name"], addresses=(text,)),),
    )
    judged = Judge(DAY, declared)
    assert three(judged.judge(text)) == ("unknown",) * 3
    assert not judged.undecided(address)


@pytest.mark.parametrize(
    "address",
    [
        "2a01:4f9:c010:3f02:64::808:808",
        "2a01:4f8:c2c:123f:64:5:808:808",
        "2a01:4f8:0:6464::808:808",
        "2a01:4f8:64:ff9b::808:808",
        "2a01:4f8:0:0:0:64:808:808",
    ],
)
def test_an_address_of_a_local_nat64_is_unknown(judged, address):
    found = judged.judge(address)
    assert three(found) == ("unknown",) * 3
    assert "NAT64 for 8.8.8.8" in found.soil.reason


@pytest.mark.parametrize(
    "address",
    ["2a01:4f8:64::1", "2a01:4f8:64:64::a00:1", "2a01:4f8:64:0:5054:ff:fe12:3456", "2a01:4f8:0:64:1:2:808:808"],
)
def test_an_ordinary_address_is_not_taken_for_one_of_a_nat64(judged, address):
    assert three(judged.judge(address)) == ("eu",) * 3


@pytest.mark.parametrize("zone", ["eth0", "1", "ens3.7"])
def test_an_address_with_an_interface_is_unknown(judged, zone):
    for address in ("2a01:4f8::1", "2001:db8::1", "fd00::1", "ff02::1", "64:ff9b::1"):
        found = judged.judge(f"{address}%{zone}")
        assert three(found) == ("unknown",) * 3
        assert "names an interface" in found.soil.reason
    assert "link-local" in judged.judge(f"fe80::1%{zone}").soil.reason
    assert "names an interface" not in judged.judge(f"febf::1%{zone}").soil.reason


ANYCAST = ["2.56.220.1", "163.77.132.1", "5.83.212.1", "159.60.64.1", "2a09:8280:16::1", "2a05:8900:aa1::1"]


@pytest.mark.parametrize("address", ANYCAST)
def test_a_prefix_of_the_lists_of_anycast_is_not_placed(judged, address):
    soil = judged.judge(address).soil
    assert (soil.verdict, soil.country) == ("unknown", None)
    assert soil.reason.startswith("anycast: ")


ABROAD = [
    "15.204.0.1",
    "51.81.0.1",
    "135.148.0.1",
    "147.135.0.1",
    "2604:2dc0::1",
    "74.208.0.1",
    "5.161.0.1",
    "5.78.0.1",
]


@pytest.mark.parametrize("address", [*ABROAD, "5.223.0.1"])
def test_the_operator_of_a_place_that_another_company_runs_is_unknown(judged, address):
    found = judged.judge(address)
    assert (found.operator.verdict, found.parent.verdict) == ("unknown", "unknown")
    assert found.operator.source and found.operator.date
    assert found.soil.verdict not in ("eu", "eea")


def test_places_of_another_company_are_outside_the_class_of_the_operator_s_seat():
    listed = [(owner, fact) for owner in owners.load().owners for fact in owner.abroad]
    assert {owner.id for owner, _ in listed} == {"ovhcloud", "ionos", "hetzner"}
    for owner, fact in listed:
        seat = classify(owner.operator.country).verdict
        for code in fact.countries:
            assert classify(code).verdict not in (seat, "unknown"), (owner.id, code)
        assert fact.source.address.startswith("http")
