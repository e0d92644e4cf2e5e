"""What a policy allows, refuses and does not know; exceptions; declared clouds; the traps of real clouds."""

import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from classroom.common.errors import WrongUseError
from classroom.sovereignty.catalogue import load_catalogue
from classroom.sovereignty.facts import Ages
from classroom.sovereignty.policy import (
    CheckResult,
    DeclaredCloud,
    Level,
    Policy,
    PolicyException,
    check,
    judge,
)

DAY = datetime.date(2026, 11, 24)
OVH = "https://auth.cloud.ovh.net/v3"
OTC = "https://iam.eu-de.otc.t-systems.com/v3"
OTC_SWISS = "https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3"
CLEURA = "https://kna1.citycloud.com:5000/v3"
OVH_US = "https://auth.cloud.ovh.us/v3"
HUAWEI = "https://iam.eu-west-101.myhuaweicloud.eu/v3"
INFOMANIAK = "https://api.pub1.infomaniak.cloud/identity/v3"
NREC = "https://api.nrec.no:5000/v3"
RACKSPACE = "https://identity.api.rackspacecloud.com/v2.0"


def verdicts(result: CheckResult) -> dict[str, str]:
    return {reason.about: reason.verdict for reason in result.reasons}


def ask(auth_url: str, region: str, level: Level = "eu", **more: Any) -> CheckResult:
    return check(auth_url, region, Policy.of(level), as_of=DAY, **more)


@pytest.mark.parametrize(
    ("auth_url", "region", "eu", "eea", "adequate"),
    [
        (OVH, "GRA11", "allowed", "allowed", "allowed"),
        (OVH, "gra11", "allowed", "allowed", "allowed"),
        (OVH, "DE1", "allowed", "allowed", "allowed"),
        (OVH, "UK1", "refused", "refused", "allowed"),
        (OVH, "BHS5", "refused", "refused", "allowed"),
        (OVH, "SGP1", "refused", "refused", "refused"),
        (OVH, "SYD1", "refused", "refused", "refused"),
        (OVH, "eu-west-eri", "refused", "refused", "allowed"),
        (OVH, "EU-WEST-LZ-MNC-A", "refused", "refused", "allowed"),
        (OVH, "EU-WEST-LZ-ZRH-A", "refused", "refused", "allowed"),
        (OVH, "EU-NORTH-LZ-OSL-A", "refused", "allowed", "allowed"),
        (OTC, "eu-de", "allowed", "allowed", "allowed"),
        (OTC_SWISS, "eu-ch2", "refused", "refused", "unknown"),  # the page on its place is of 2022
        (CLEURA, "Kna1", "refused", "refused", "allowed"),
        (INFOMANIAK, "dc3-a", "refused", "refused", "allowed"),
        (NREC, "bgo", "refused", "unknown", "unknown"),  # the page on its owner is of 2021
        (OVH_US, "US-EAST-VA-1", "refused", "refused", "refused"),
        (RACKSPACE, "LON", "refused", "refused", "refused"),
        (HUAWEI, "eu-west-101", "refused", "refused", "refused"),  # its place is not known, its operator is
    ],
)
def test_real_clouds_and_their_traps(auth_url: str, region: str, eu: str, eea: str, adequate: str) -> None:
    assert ask(auth_url, region, "eu").verdict == eu
    assert ask(auth_url, region, "eea").verdict == eea
    assert ask(auth_url, region, "adequate").verdict == adequate


def test_the_regions_of_one_keystone_are_distinguished() -> None:
    assert ask(OVH, "GRA11").country == "FR"
    assert ask(OVH, "WAW1").country == "PL"
    assert ask(OVH, "UK1").country == "GB"
    assert ask(OVH, "BHS5").country == "CA"


def test_a_region_whose_name_lies_is_refused_with_its_place() -> None:
    result = ask(OVH, "eu-west-eri")
    assert verdicts(result) == {"soil": "refused", "operator": "allowed", "parent": "allowed"}
    assert "Erith, United Kingdom" in result.message


def test_a_swedish_seat_with_a_british_parent() -> None:
    result = ask(CLEURA, "Kna1")
    assert verdicts(result) == {"soil": "allowed", "operator": "allowed", "parent": "refused"}
    assert result.country == "SE"
    mixed = check(CLEURA, "Kna1", Policy(parent="adequate"), as_of=DAY)
    assert mixed.verdict == "allowed"
    assert "classroom:policy: {soil: eu, operator: eu, parent: adequate}" in result.message


def test_a_british_owner_of_a_german_region() -> None:
    result = ask("https://prod1.api.pco.get-cloud.io:5000", "DE-WEST-1")
    assert verdicts(result) == {"soil": "allowed", "operator": "allowed", "parent": "refused"}
    assert result.country == "DE"


def test_a_chinese_operator_is_refused_in_every_location() -> None:
    result = ask(HUAWEI, "eu-west-101")
    assert verdicts(result) == {"soil": "unknown", "operator": "refused", "parent": "unknown"}
    assert "no policy and no exception can allow it" in result.message
    assert "classroom:policy:" not in result.message


@pytest.mark.parametrize(("auth_url", "region"), [(OVH_US, "US-EAST-VA-1"), (RACKSPACE, "DFW")])
def test_no_policy_admits_the_united_states(auth_url: str, region: str) -> None:
    result = ask(auth_url, region, "adequate")
    assert result.verdict == "refused"
    assert "third country" in result.message
    assert "Data Privacy Framework: unknown" in result.message
    assert "no policy" in result.message and "to allow it" not in result.message
    assert "classroom:policy:" not in result.message


def test_an_unknown_region_never_passes() -> None:
    result = ask(OVH, "eu-west-nowhere", "adequate")
    assert result.verdict == "unknown"
    assert result.country is None
    assert "region: 'eu-west-nowhere'" in result.message
    assert "has no region 'eu-west-nowhere'" in result.message
    assert "GRA (Gravelines, France)" in result.message


def test_an_unknown_cloud_never_passes() -> None:
    result = ask("https://keystone.unknown.example:5000/v3", "eu-de", "adequate")
    assert result.verdict == "unknown"
    assert result.cloud is None
    assert "is not a Keystone in the catalogue" in result.message
    assert {reason.verdict for reason in result.reasons} == {"unknown"}


def test_a_cloud_with_an_unknown_owner_never_passes() -> None:
    cloud = load_catalogue().named("SysEleven OpenStack Cloud")
    assert cloud
    assert cloud.parent is None
    result = judge(cloud, "dus2", Policy.of("adequate"), DAY)
    assert verdicts(result) == {"soil": "allowed", "operator": "allowed", "parent": "unknown"}
    assert result.verdict == "unknown"


def test_the_region_of_the_address_must_be_the_region_of_the_setting() -> None:
    result = ask("https://iam.eu-nl.otc.t-systems.com/v3", "eu-de")
    assert result.verdict == "unknown"
    assert "belongs to region eu-nl, not to eu-de" in result.message
    assert ask("https://iam.eu-ch2.otc.t-systems.com/v3", "eu-de").verdict != "allowed"
    assert ask("https://iam.mars.otc.t-systems.com/v3", "eu-de").verdict != "allowed"


def test_facts_past_their_limit_let_nothing_pass_and_say_so() -> None:
    last, after = datetime.date(2027, 11, 24), datetime.date(2027, 11, 25)
    assert check(OVH, "GRA11", as_of=last).verdict == "allowed"
    result = check(OVH, "GRA11", as_of=after)
    assert result.verdict == "unknown"
    assert "more than 12 months before 2027-11-25: read it again" in result.message
    assert check(OVH, "GRA11", as_of=after, ages=Ages(24)).verdict == "allowed"
    assert check(OVH_US, "US-EAST-VA-1", as_of=after).verdict == "refused"  # age makes nothing better


def test_statements_past_their_limit_let_nothing_pass_however_recently_they_were_read() -> None:
    result = check(OTC, "eu-de", as_of=DAY, ages=Ages(12, 12))
    assert verdicts(result)["parent"] == "unknown"  # of the end of 2024
    assert "describes 2024-12-31, more than 12 months before 2026-11-24" in result.message
    assert check(OTC, "eu-de", as_of=DAY, ages=Ages(12, 24)).verdict == "allowed"


def test_an_old_fact_is_not_saved_by_an_exception() -> None:
    exception = PolicyException(name="OVHcloud", reason="a contract until then", until=datetime.date(2030, 1, 1))
    assert check(OVH, "GRA11", as_of=datetime.date(2029, 1, 1), exceptions=[exception]).verdict == "unknown"


def test_an_exception_admits_by_name_until_its_end() -> None:
    exception = PolicyException(name="ovhcloud us", reason="the migration runs", until=datetime.date(2026, 12, 31))
    result = ask(OVH_US, "US-EAST-VA-1", exceptions=[exception])
    assert result.verdict == "allowed"
    assert result.exceptions == (exception,)
    assert "allowed by the exception for OVHcloud US" in result.message
    assert "is valid until 2026-12-31: the migration runs" in result.message
    last = check(OVH_US, "US-EAST-VA-1", as_of=datetime.date(2026, 12, 31), exceptions=[exception])
    assert last.verdict == "allowed"


def test_an_exception_past_its_end_admits_nothing() -> None:
    exception = PolicyException(name="OVHcloud US", reason="the migration runs", until=datetime.date(2026, 11, 23))
    result = ask(OVH_US, "US-EAST-VA-1", exceptions=[exception])
    assert result.verdict == "refused"
    assert result.exceptions == ()
    assert "the exception for OVHcloud US ended on 2026-11-23" in result.message


def test_an_exception_for_another_cloud_or_for_what_is_unknown_admits_nothing() -> None:
    other = PolicyException(name="OVHcloud", reason="another cloud is meant", until=datetime.date(2027, 1, 1))
    assert ask(OVH_US, "US-EAST-VA-1", exceptions=[other]).verdict == "refused"
    assert ask(OVH, "eu-west-nowhere", exceptions=[other]).verdict == "unknown"
    assert ask(OVH, "GRA11", exceptions=[other]).exceptions == ()  # it was not needed


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "OVHcloud", "until": "2027-01-01"},
        {"name": "OVHcloud", "reason": "", "until": "2027-01-01"},
        {"name": "OVHcloud", "reason": "          ", "until": "2027-01-01"},
        {"name": "OVHcloud", "reason": "a long enough reason"},
        {"name": "OVHcloud", "reason": "a long enough reason", "until": "forever"},
        {"reason": "a long enough reason", "until": "2027-01-01"},
        {"name": "OVHcloud", "reason": "a long enough reason", "until": "2027-01-01", "country": "US"},
    ],
)
def test_an_exception_needs_name_reason_and_end(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        PolicyException.model_validate(fields)


@pytest.mark.parametrize("value", ["third", "us", "EU", "", None])
def test_a_policy_has_three_levels(value: str | None) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({"soil": value})
    assert Policy() == Policy(soil="eu", operator="eu", parent="eu")


def test_a_message_names_key_value_fact_source_and_the_allowed() -> None:
    message = ask(INFOMANIAK, "dc3-a").message
    for part in (
        f"auth-url: '{INFOMANIAK}': its operator is not allowed under policy operator: eu",
        "region: 'dc3-a': its soil is not allowed under policy soil: eu",
        "source: ",
        "read 2026-11-24",
        "allowed regions of Infomaniak Public Cloud",
        "classroom:policy: {soil: adequate, operator: adequate, parent: adequate}",
    ):
        assert part in message


def test_the_line_of_a_message_really_admits() -> None:
    for auth_url, region in ((INFOMANIAK, "dc3-a"), (CLEURA, "Kna1"), (OVH, "EU-NORTH-LZ-OSL-A"), (OVH, "eu-west-eri")):
        line = next(line for line in ask(auth_url, region).message.splitlines() if "classroom:policy: {" in line)
        words = line.rpartition("{")[2].rstrip("}")
        policy = Policy.model_validate(dict(pair.split(": ") for pair in words.split(", ")))
        assert check(auth_url, region, policy, as_of=DAY).verdict == "allowed"


DECLARED: dict[str, Any] = {
    "name": "Cloud of the Academy",
    "operator": {"name": "Academy of Example", "country": "FR"},
    "parent": {"name": "The French state", "country": "FR"},
    "keystone": ["https://cloud.academy.example:5000/v3"],
    "regions": [{"name": "one", "city": "Creteil", "country": "FR"}],
    "prefixes": ["203.0.113.0/24", "2001:db8:30::/48"],
    "source": "contract 12 of 2026",
    "date": "2026-10-01",
}


def declared(**changes: Any) -> DeclaredCloud:
    return DeclaredCloud.model_validate({**DECLARED, **changes})


def test_a_declared_cloud_is_judged_like_any_other() -> None:
    url = "https://cloud.academy.example:5000/v3"
    result = check(url, "ONE", as_of=DAY, declared_cloud=declared())
    assert result.verdict == "allowed"
    assert result.basis == "declared"
    assert "declared in the stack file: contract 12 of 2026" in result.message
    american = declared(parent={"name": "Example Inc.", "country": "US", "dpf": "yes"})
    assert verdicts(check(url, "one", as_of=DAY, declared_cloud=american))["parent"] == "refused"
    foreign_law = declared(operator={"name": "Academy", "country": "FR", "jurisdiction": "CN"})
    assert verdicts(check(url, "one", as_of=DAY, declared_cloud=foreign_law))["operator"] == "refused"
    assert check(url, "two", as_of=DAY, declared_cloud=declared()).verdict == "unknown"
    assert check(url, "one", as_of=datetime.date(2027, 10, 2), declared_cloud=declared()).verdict == "unknown"


def test_a_declared_cloud_cannot_take_a_cloud_of_the_catalogue() -> None:
    mine = declared(keystone=[OVH_US])
    with pytest.raises(WrongUseError, match="belongs to OVHcloud US in the catalogue"):
        check(OVH_US, "US-EAST-VA-1", as_of=DAY, declared_cloud=mine)


def test_a_declared_cloud_leaves_the_catalogue_alone() -> None:
    assert check(OVH, "GRA11", as_of=DAY, declared_cloud=declared()).basis == "catalogue"


def test_addresses_of_the_public_tables_cannot_be_declared() -> None:
    tables = {"198.51.100.0/24": "Example Carrier"}
    declared().check(tables.get)
    with pytest.raises(WrongUseError, match=r"declared_cloud.prefixes: '198.51.100.0/24' is in the public"):
        declared(prefixes=["203.0.113.0/24", "198.51.100.0/24"]).check(tables.get)


@pytest.mark.parametrize(
    "changes",
    [
        {"prefixes": []},
        {"prefixes": ["203.0.113.7/24"]},
        {"prefixes": ["academy"]},
        {"keystone": ["academy"]},
        {"keystone": []},
        {"regions": []},
        {"regions": [{"name": "one", "city": "Paris", "country": "Europe"}]},
        {"parent": {"name": "Example Inc.", "country": "US"}},
        {"source": ""},
        {"date": "soon"},
        {"operator": {"name": "Academy"}},
        {"parent": None},
    ],
)
def test_a_declaration_that_lacks_something_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        declared(**changes)


@pytest.mark.parametrize("region", ["", "  "])
def test_an_empty_region_is_wrong_use(region: str) -> None:
    with pytest.raises(WrongUseError, match="region: it is empty"):
        ask(OVH, region)
