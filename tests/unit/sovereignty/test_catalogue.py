"""The data of the catalogue: every fact with its source, the counts, the rules of names, the classes of countries."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.sovereignty.catalogue import Cloud, Fact, expired, load_candidates, load_catalogue, read_cloud
from classroom.sovereignty.countries import classify, load
from classroom.sovereignty.facts import DATA, KINDS, MIRRORS, UNDATED, Ages, Source, outdated, too_old
from classroom.sovereignty.policy import Policy, judge

FOLDER = DATA / "clouds"
FILES = sorted(FOLDER.glob("*.yaml"))
READ = datetime.date(2026, 11, 24)
LATEST = datetime.date(2026, 11, 29)
UNION = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
ADEQUATE = "AD AR BR CA CH FO GB GG IL IM JE JP KR NZ UY"


def sources_of(fact: Fact) -> Iterator[Source]:
    yield fact.source
    yield from fact.also


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fact_of_an_entry_has_source_date_and_mark(path: Path) -> None:
    cloud = read_cloud(path)
    for key, fact in cloud.facts():
        for source in sources_of(fact):
            assert source.mark == KINDS[source.kind].mark, key
            assert READ <= source.read <= LATEST, key
            assert source.title and source.address, key
            assert fact.fact, key


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_source_of_a_file_is_used_and_listed_once(path: Path) -> None:
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"]
    cloud = read_cloud(path)
    used = {source.address for _, fact in cloud.facts() for source in sources_of(fact)}
    addresses = [source["address"] for source in listed.values()]
    assert used == set(addresses)
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_not_known_is_said(path: Path) -> None:
    cloud = read_cloud(path)
    for key in ("operator", "parent", "keystone", "regions"):
        if not getattr(cloud, key):
            assert any(sentence.startswith(f"{key}:") for sentence in cloud.missing)
    for party in (cloud.operator, cloud.parent):
        assert party is None or party.jurisdiction


def test_enough_clouds_enough_complete_enough_allowed() -> None:
    clouds = load_catalogue().clouds
    allowed = [
        cloud.id
        for cloud in clouds
        if any(judge(cloud, region.name, Policy(), READ).verdict == "allowed" for region in cloud.regions)
    ]
    assert len(clouds) >= 66
    assert sum(cloud.complete for cloud in clouds) >= 23
    assert len(allowed) >= 18


def test_every_region_is_found_by_its_own_name_and_no_name_names_two() -> None:
    for cloud in load_catalogue().clouds:
        for region in cloud.regions:
            assert cloud.region(region.name) == region, region.names
            assert [other for other in cloud.regions if other.matches(region.name)] == [region], region.names


@pytest.mark.parametrize(
    ("name", "city"),
    [
        ("GRA11", "Gravelines"),
        ("gra11", "Gravelines"),
        ("Gra", "Gravelines"),
        ("GRA9", "Gravelines"),
        ("DE1", "Frankfurt"),
        ("WAW1", "Warsaw"),
        ("EU-WEST-PAR", "Paris"),
        ("eu-west-par-a", "Paris"),
        ("UK1", "London"),
        ("eu-west-eri", "Erith"),
        ("EU-WEST-LZ-MNC-A", "Manchester"),
        ("EU-WEST-LZ-ZRH-A", "Zurich"),
        ("EU-NORTH-LZ-OSL-A", "Oslo"),
        ("BHS5", "Beauharnois"),
    ],
)
def test_the_rule_of_ovhclouds_names(name: str, city: str) -> None:
    cloud = load_catalogue().named("OVHcloud")
    region = cloud.region(name) if cloud else None
    assert region
    assert region.city == city


@pytest.mark.parametrize("name", ["GRAX", "XGRA1", "GRA-11", "GRA 11", "GRA1.", "", "EU-WEST", "EU-WEST-PAR-AB"])
def test_a_name_outside_the_rule_is_no_region(name: str) -> None:
    cloud = load_catalogue().named("ovhcloud")
    assert cloud
    assert cloud.region(name) is None


@pytest.mark.parametrize(
    ("auth_url", "name"),
    [
        ("https://auth.cloud.ovh.net/v3", "OVHcloud"),
        ("https://auth.cloud.ovh.net/v3/", "OVHcloud"),
        ("https://auth.cloud.ovh.net:443", "OVHcloud"),
        ("HTTPS://AUTH.cloud.ovh.net/v3", "OVHcloud"),
        ("https://auth.cloud.ovh.us/v3", "OVHcloud US"),
        ("https://iam.eu-de.otc.t-systems.com/v3", "Open Telekom Cloud"),
        ("https://iam-pub.eu-ch2.sc.otc.t-systems.com/v3", "Open Telekom Cloud"),
        ("https://kna1.citycloud.com:5000/v3", "Cleura"),
    ],
)
def test_a_keystone_is_known_however_it_is_written(auth_url: str, name: str) -> None:
    cloud = load_catalogue().find(auth_url)
    assert cloud
    assert cloud.name == name


@pytest.mark.parametrize(
    "auth_url",
    [
        "http://auth.cloud.ovh.net/v3",  # not encrypted: another service
        "https://auth.cloud.ovh.net.example/v3",
        "https://evil.example/auth.cloud.ovh.net/v3",
        "https://auth.cloud.ovh.net:5000/v3",
        "https://auth-cloud.ovh.net/v3",
        "https://iam.eu-de.example.otc.t-systems.com/v3",
    ],
)
def test_a_look_alike_is_no_keystone_of_the_catalogue(auth_url: str) -> None:
    assert load_catalogue().find(auth_url) is None


@pytest.mark.parametrize("auth_url", ["", "nonsense", "ftp://a.example/v3", "https://", "https://u:p@a.example/v3"])
def test_what_is_no_address_is_wrong_use(auth_url: str) -> None:
    with pytest.raises(WrongUseError, match="auth-url: '"):
        load_catalogue().find(auth_url)


ENTRY = """
name: Example Cloud
sources:
  page: {title: A page, address: "https://example.example/", kind: own, read: 2026-11-24, says_of: 2026-10-01}
operator: {name: Example, country: FR, fact: a company with its seat in Paris, source: page}
parent: {name: Example, country: FR, fact: listed in Paris without a majority owner, source: page}
keystone: [{url: "https://keystone.example:5000/v3", fact: the address in its documentation, source: page}]
regions: [{names: [one], city: Paris, country: FR, fact: the region is in Paris, source: page}]
"""


def entry(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in ENTRY
    path = folder / "example.yaml"
    path.write_text(ENTRY.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_whole_entry_is_read(tmp_path: Path) -> None:
    assert read_cloud(entry(tmp_path)).complete


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (", source: page}\nparent", "}\nparent", "example.yaml: operator.source: Field required"),
        ("Paris, source: page}\nparent", "Paris, source: other}\nparent", "example.yaml: operator.source: "),
        ("kind: own, ", "", "example.yaml: kind: Field required"),
        ("kind: own", "kind: hearsay", "example.yaml: kind: Input should be"),
        ("kind: own", "mark: H, kind: own", "example.yaml: mark: Extra inputs are not permitted"),
        ("read: 2026-11-24, ", "", "example.yaml: read: Field required"),
        (", says_of: 2026-10-01", "", "example.yaml: says_of: Field required"),
        ("says_of: 2026-10-01", "says_of: lately", "example.yaml: says_of."),
        ("says_of: 2026-10-01", "says_of: 2026-12-01", "says_of: 2026-12-01 is later than the day of reading"),
        (
            "kind: own, read: 2026-11-24, says_of: 2026-10-01",
            "kind: press, read: 2026-11-24, says_of: undated",
            "says_of: 'undated' is not allowed for a source of kind press",
        ),
        (
            "https://example.example/",
            "stored index of files, id 7",
            "'stored index of files, id 7' is not a public URL",
        ),
        ("https://example.example/", "https://docslib.org/doc/1", "is a copy or a proxy of another page"),
        (
            "https://example.example/",
            "https://a.example/?q=https%3A%2F%2Fb.example",
            "is a copy or a proxy of another page",
        ),
        (
            "https://example.example/",
            "https://github.com/a/b/blob/main/c.md",
            "changes with its branch",
        ),
        ("country: FR, fact: a company", "country: France, fact: a company", "'France' is not a country code"),
        ("country: FR, fact: a company", "country: US, fact: a company", "dpf: write yes, no or unknown"),
        ("operator:", "oprator:", "example.yaml: oprator: Extra inputs are not permitted"),
        ("regions:", "missing: []\nnotes:", "example.yaml: "),
    ],
)
def test_an_entry_without_source_is_one_clear_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ClassroomError) as error:
        read_cloud(entry(tmp_path, old, new))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["one", "RegionOne", "eu-de.2", "*"])
def test_a_cloud_that_is_all_in_one_place_needs_no_names_of_regions(tmp_path: Path, name: str) -> None:
    cloud = read_cloud(entry(tmp_path, "names: [one]", 'names: ["*"]'))
    found = cloud.region(name)
    assert found and found.city == "Paris" and cloud.region(" ") is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("names: [one]", 'names: [one, "*"]', "names: '*' matches every name; remove the others"),
        (
            "regions: [{names: [one]",
            'regions: [{names: ["*"], city: Lyon, country: FR, fact: all of it is in Lyon, source: page}, {names: [one]',
            "regions: a region named '*' means all of them",
        ),
    ],
)
def test_the_name_of_every_region_is_alone(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ClassroomError, match=re.escape(sentence)):
        read_cloud(entry(tmp_path, old, new))


def test_an_entry_that_hides_what_is_missing_is_refused(tmp_path: Path) -> None:
    path = entry(tmp_path)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("parent")]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ClassroomError, match=r"missing: .* parent is not known"):
        read_cloud(path)


def test_an_unreadable_or_empty_catalogue_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClassroomError, match="is empty"):
        load_catalogue(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(ClassroomError, match=r"bad\.yaml cannot be read"):
        load_catalogue(tmp_path)
    (tmp_path / "bad.yaml").write_text("", encoding="utf-8")
    with pytest.raises(ClassroomError, match=r"bad\.yaml describes no cloud"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rows: []\n", "candidates.yaml: candidates: Field required"),
        ("candidates: [{name: Some Cloud}]\n", "candidates.yaml: candidates.0.missing: Field required"),
        ("candidates: [{name: Some Cloud, missing: no}]\n", "candidates.yaml: candidates.0.missing: "),
    ],
)
def test_an_unreadable_list_of_candidates_is_one_clear_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "candidates.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClassroomError, match=re.escape(sentence)):
        load_candidates(path)


def test_one_keystone_in_two_entries_is_refused(tmp_path: Path) -> None:
    entry(tmp_path)
    (tmp_path / "twin.yaml").write_text(ENTRY.replace("Example Cloud", "Twin"), encoding="utf-8")
    with pytest.raises(ClassroomError, match="a Keystone belongs to one cloud"):
        load_catalogue(tmp_path)


def test_facts_that_are_too_old_are_listed() -> None:
    clouds = load_catalogue().clouds
    assert expired(clouds, READ, Ages(12, 240)) == []
    assert expired(clouds, datetime.date(2027, 11, 24), Ages(12, 240)) == []
    old = expired(clouds, datetime.date(2027, 11, 30), Ages(12, 240))
    facts: list[tuple[Cloud, Fact]] = [(cloud, fact) for cloud in clouds for _, fact in cloud.facts()]
    assert len(old) == sum(1 + len(fact.also) for _, fact in facts)
    assert expired(clouds, datetime.date(2027, 2, 1), Ages(2, 240))
    assert {cloud for cloud, _, _ in expired(clouds, READ, Ages())} >= {"bwcloud"}  # its guide is of 2022


@pytest.mark.parametrize(
    ("kind", "mark", "undated"),
    [
        ("own", "H", True),
        ("register", "H", True),
        ("law", "H", True),
        ("filing", "H", False),
        ("federation", "M", False),
        ("press", "M", False),
        ("encyclopaedia", "M", False),
        ("measured", "M", False),
        ("person", "M", False),
        ("copy", "M", False),
        ("contract", "H", False),
        ("declared", "M", False),
    ],
)
def test_the_rule_for_marks(kind: str, mark: str, undated: bool) -> None:
    fields = {"title": "A page", "address": "https://a.example/", "kind": kind, "read": READ}
    assert Source.model_validate(fields | {"says_of": 2026}).mark == mark
    if undated:
        assert outdated([Source.model_validate(fields | {"says_of": UNDATED})], READ) is None
    else:
        with pytest.raises(ValidationError, match="is not allowed for a source of kind"):
            Source.model_validate(fields | {"says_of": UNDATED})
    assert set(KINDS) == set(Source.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("described", "day"),
    [("2026", "2026-01-01"), (2026, "2026-01-01"), ("2026-07", "2026-07-01"), ("2026-07-31", "2026-07-31")],
)
def test_a_month_or_a_year_alone_counts_from_its_first_day(described: str | int, day: str) -> None:
    source = Source.model_validate(
        {"title": "A page", "address": "https://a.example/", "kind": "press", "read": READ, "says_of": described}
    )
    assert source.says_of == datetime.date.fromisoformat(day)


def test_each_of_the_two_days_ages_on_its_own() -> None:
    fields = {"title": "A page", "address": "https://a.example/", "kind": "press"}
    read, described = datetime.date(2026, 1, 10), datetime.date(2024, 1, 10)
    source = Source.model_validate(fields | {"read": read, "says_of": described})
    assert outdated([source], datetime.date(2027, 1, 10), Ages(12, 36)) is None
    assert "was read on 2026-01-10, more than 12 months" in (
        outdated([source], datetime.date(2027, 1, 11), Ages(12, 37)) or ""
    )
    assert "describes 2024-01-10, more than 23 months" in (outdated([source], read, Ages(12, 23)) or "")


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_source_can_be_opened_by_a_reader(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search("stored index|, id [0-9]", text)
    for address in re.findall(r'(?m)^ *address: "?([^"\n]+)"?$', text):
        assert re.match(r"https?://[a-z0-9.-]+\.[a-z]+(:\d+)?/", address), address
        assert not re.search(MIRRORS, address.split("/")[2]), address


@pytest.mark.parametrize(
    ("read", "as_of", "months", "old"),
    [
        ("2026-11-24", "2027-11-24", 12, False),
        ("2026-11-24", "2027-11-25", 12, True),
        ("2026-01-31", "2026-02-28", 1, False),
        ("2026-01-31", "2026-03-01", 1, True),
        ("2026-11-24", "2020-01-01", 12, False),
        ("2024-02-29", "2025-03-01", 12, True),
    ],
)
def test_the_limit_of_a_facts_age(read: str, as_of: str, months: int, old: bool) -> None:
    day = datetime.date.fromisoformat
    assert too_old(day(read), day(as_of), months) is old


def test_classes_of_countries() -> None:
    assert len(UNION.split()) == 27
    assert {classify(code, READ).verdict for code in UNION.split()} == {"eu"}
    assert {classify(code, READ).verdict for code in ("IS", "LI", "NO")} == {"eea"}
    assert {classify(code, READ).verdict for code in ADEQUATE.split()} == {"adequate"}
    assert {classify(code, READ).verdict for code in ("US", "CN", "RU", "IN", "TR", "RS", "UA", "HK")} == {"third"}


@pytest.mark.parametrize("code", ["RE", "GP", "MQ", "GF", "YT", "MF", "AX"])
def test_overseas_parts_that_are_in_the_union(code: str) -> None:
    assert classify(code, READ).verdict == "eu"


@pytest.mark.parametrize("code", ["NC", "PF", "PM", "WF", "BL", "GL", "AW", "CW", "TF"])
def test_overseas_parts_that_are_not(code: str) -> None:
    assert classify(code, READ).verdict == "third"


def test_an_adequacy_decision_with_an_end_ends() -> None:
    assert classify("GB", datetime.date(2031, 12, 27)).verdict == "adequate"
    after = classify("GB", datetime.date(2031, 12, 28))
    assert after.verdict == "third"
    assert "ended on 2031-12-27" in after.fact


@pytest.mark.parametrize("code", ["XX", "ZZ", "EU", "", None, "F", "FRA", "AP", "A1"])
def test_what_is_no_country_is_unknown(code: str | None) -> None:
    assert classify(code, READ).verdict == "unknown"


def test_a_code_is_read_in_any_case_and_by_the_unions_own_aliases() -> None:
    assert classify(" fr ", READ).code == "FR"
    assert classify("uk", READ).code == "GB"
    assert classify("EL", READ).verdict == "eu"


def test_every_class_of_countries_has_source_date_and_mark_and_no_code_is_listed_twice() -> None:
    data = load()
    codes = [code for group in data.groups for code in group.codes]
    assert len(codes) == len(set(codes))
    for group in data.groups:
        assert group.source.title and group.source.address and group.fact
        assert outdated([group.source], LATEST) is None
    assert set(codes) <= set(data.names)
