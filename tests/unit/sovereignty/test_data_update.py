"""`classroom data update`: what is refused, what would change, what is taken. On the real tables, with the real packages."""

import datetime
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.sovereignty import addresses, data_update
from classroom.sovereignty.data_update import Change
from classroom.sovereignty.verdict import Declared
from tests.unit.command import classroom

DAY = datetime.date(2026, 11, 29)
TABLE = "1.0.0.0,1.0.0.255,13335,Cloudflare\n1.0.1.0,1.0.1.255,24940,Hetzner Online GmbH\n"


@pytest.fixture
def pins(tmp_path, monkeypatch):
    """Copies of the pins, and a place of their own for what is kept: nothing of the project's is replaced."""
    addresses.ensure()
    copy = tmp_path / "pins"
    shutil.copytree(addresses.PINS, copy)
    monkeypatch.setattr(addresses, "PINS", copy)
    monkeypatch.setattr(addresses, "kept_file", lambda one: tmp_path / "kept" / one.sha256 / one.name)
    return copy


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The pinned packages as npm installs them."""
    folder = tmp_path_factory.mktemp("packages")
    return addresses._install(folder, addresses.PINS)


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_check_says_how_old_the_data_are() -> None:
    oldest = min(table.date for table in addresses.tables().about.values())
    last = oldest + datetime.timedelta(days=addresses.OLD_DAYS)
    young = classroom("data", "update", "--check", "--as-of", str(last))
    assert young.returncode == 0 and f"90 days old on {last}" in young.stdout
    old = classroom("data", "update", "--check", "--as-of", str(last + datetime.timedelta(days=1)))
    assert old.returncode == 4
    assert "address data older than 90 days: " in old.stderr and "run `classroom data update`" in old.stderr


@pytest.mark.parametrize(
    ("name", "text", "day", "sentence"),
    [
        (
            "table.csv",
            TABLE,
            DAY,
            "'table.csv' is not the name of a file of address data; accepted names: dbip-country.mmdb, ",
        ),
        (
            "asn-ipv4.csv",
            "1.0.0.0,1.0.0.255,AU\n",
            DAY,
            "its first line has 3 columns instead of four",
        ),
        ("asn-ipv4.csv", "", DAY, "its first line has 0 columns"),
        ("asn-ipv4.csv", TABLE[:-9], DAY, "is truncated in its last line"),
        ("asn-ipv4.csv", TABLE.replace("1.0.1.0,", "0.0.1.0,"), DAY, "in line 2 (the ranges are not in order)"),
        ("asn-ipv6.csv", TABLE, DAY, "in line 1 (1.0.0.0 and 1.0.0.255 are not addresses of IPv6)"),
        (
            "asn-ipv4.csv",
            TABLE.replace("24940", "4294967296"),
            DAY,
            "4294967296 is not the number of an autonomous system",
        ),
        ("asn-ipv4.csv", TABLE.replace("24940", "-1"), DAY, "-1 is not the number of an autonomous system"),
        ("asn-ipv4.csv", TABLE.replace("24940", "DE"), DAY, "in line 2 (invalid literal"),
        ("asn-ipv4.csv", TABLE.replace("1.0.1.255", "1.0.1.256"), DAY, "in line 2 ('1.0.1.256' does not appear to be"),
        ("asn-ipv4.csv", TABLE, None, "does not contain the day of its data; add it as --of"),
        ("dbip-country.mmdb", "no database", DAY, "cannot be read"),
    ],
)
def test_a_faulty_file_is_one_sentence_and_nothing_is_replaced(pins, tmp_path, name, text, day, sentence) -> None:
    before = content(pins)
    with pytest.raises(ClassroomError) as error:
        data_update.given([written(tmp_path, name, text)], day, (), tmp_path)
    assert sentence in str(error.value) and "\n" not in str(error.value)
    assert content(pins) == before


def test_a_cut_off_or_other_database_is_refused(pins, packages, tmp_path) -> None:
    whole = packages[addresses.DBIP] / "dbip-country.mmdb"
    cut = tmp_path / "dbip-country.mmdb"
    cut.write_bytes(whole.read_bytes()[:100_000])
    with pytest.raises(ClassroomError, match="cannot be read"):
        data_update.given([cut], None, (), tmp_path)
    shutil.copyfile(whole, tmp_path / "asn.mmdb")
    with pytest.raises(ClassroomError, match="its records have no autonomous_system_number"):
        data_update.given([tmp_path / "asn.mmdb"], None, (), tmp_path / "second")


def test_a_wrong_hash_is_refused(pins, tmp_path) -> None:
    files = [written(tmp_path, "asn-ipv4.csv", TABLE)]
    before = content(pins)
    with pytest.raises(ClassroomError, match=r"its SHA-256 is [0-9a-f]{64}, not (ab){32}: fetch the file again"):
        data_update.given(files, DAY, ["ab" * 32], tmp_path)
    assert content(pins) == before and not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("names", "sha256", "sentence"),
    [
        (["asn-ipv4.csv"], ["ab" * 32, "cd" * 32], "sha256: 2 for 1 files: give one for each --from"),
        (["asn-ipv4.csv", "asn-ipv6.csv"], ["ab" * 32], "sha256: 1 for 2 files"),
        (["asn-ipv4.csv"], ["abc"], "sha256: 'abc' is not a SHA-256"),
        (["asn-ipv4.csv", "asn-ipv4.csv"], [], "from: asn-ipv4.csv is given twice"),
        (["asn-ipv4.csv"], [], "/asn-ipv4.csv does not exist"),
    ],
)
def test_files_and_hashes_that_do_not_fit_are_one_sentence(pins, tmp_path, names, sha256, sentence) -> None:
    with pytest.raises(WrongUseError) as error:
        data_update.given([tmp_path / "nowhere" / name for name in names], DAY, sha256, tmp_path)
    assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("words", "key"), [(["--of", "2026-10-01"], "of"), (["--sha256", "ab" * 32], "sha256")])
def test_what_describes_files_needs_files(words, key) -> None:
    answer = classroom("data", "update", *words)
    assert answer.returncode == 2 and f"{key}: it describes files, and none is given: add --from FILE" in answer.stderr


def test_half_a_table_of_networks_is_refused(pins, tmp_path) -> None:
    with pytest.raises(WrongUseError, match=r"both asn-ipv4\.csv and asn-ipv6\.csv, or asn\.mmdb"):
        data_update.given([written(tmp_path, "asn-ipv4.csv", TABLE)], DAY, (), tmp_path)


def test_older_or_much_smaller_data_are_refused() -> None:
    there = addresses.tables()
    day_before = there.about[addresses.DBIP].date - datetime.timedelta(days=1)

    class Other(addresses.Tables):
        def __init__(self, days: int) -> None:
            self.about = {
                key: table.model_copy(update={"date": table.date + datetime.timedelta(days=days)})
                for key, table in there.about.items()
            }
            self._four, self._six = [range(7)], [range(7)]
            self._places = there._places

    with pytest.raises(
        ClassroomError, match=rf"is of {day_before}, older than .* which is in use; nothing was replaced"
    ):
        data_update.refuse_older(there, Other(-1), DAY)
    with pytest.raises(ClassroomError, match=r"has 14 ranges, less than half of the .* nothing was replaced"):
        data_update.refuse_older(there, Other(1), DAY)
    with pytest.raises(ClassroomError, match=r"after 2026-11-29: check its day; nothing was replaced"):
        data_update.refuse_older(there, Other(400), DAY)


def test_a_table_of_places_that_lost_half_is_refused() -> None:
    there = addresses.tables()

    class Halved(addresses.Tables):
        def __init__(self) -> None:
            self.__dict__.update(there.__dict__)

        def size(self, table: str) -> int:
            return there.size(table) // (3 if table == addresses.DBIP else 1)

    with pytest.raises(ClassroomError, match=r"dbip-country.* nodes, less than half of the .* nothing was replaced"):
        data_update.refuse_older(there, Halved(), DAY)
    data_update.refuse_older(there, there, DAY)


SMALL = {
    "asn-ipv4.csv": "116.202.0.0,116.202.255.255,24940,Hetzner Online GmbH\n213.186.33.0,213.186.33.255,16276,OVH SAS\n",
    "asn-ipv6.csv": "2a01:4f8::,2a01:4f8:ffff:ffff:ffff:ffff:ffff:ffff,24940,Hetzner Online GmbH\n",
}


def test_files_are_compared_and_taken(pins, tmp_path) -> None:
    """Small tables of networks are there; newer ones, in which a network has another name, are asked for and taken."""
    made = [tmp_path / "old", tmp_path / "new"]
    for folder, name in zip(made, ("Hetzner Online GmbH", "Someone Else Inc."), strict=True):
        folder.mkdir()
        for file, text in SMALL.items():
            written(folder, file, text.replace("Hetzner Online GmbH", name))
    old, new = ([folder / file for file in SMALL] for folder in made)
    first = data_update.given(old, datetime.date(2026, 10, 1), (), tmp_path / "first")
    data_update.take(first, pins)
    there = set(addresses.tables_path().parent.iterdir())
    targets = [addresses.ensure()]
    before = content(pins)
    words = ["data", "update", *(word for file in new for word in ("--from", str(file))), "--of", "2026-11-01"]
    try:
        asked = classroom(*words, "--as-of", "2026-11-29")
        assert asked.returncode == 0, asked.stderr
        for line in ("owners: AS24940: operator eu → unknown", "owners: AS24940: parent eu → unknown"):
            assert line in asked.stdout
        assert "labelled set: " in asked.stdout and " verdicts would change with " in asked.stdout
        assert "nothing was replaced; --yes replaces the data without asking" in asked.stdout
        assert content(pins) == before
        late = classroom(*words[:-1], "2026-09-01", "--as-of", "2026-11-29", "--yes")
        assert late.returncode == 1 and "older than" in late.stderr and content(pins) == before
        taken = classroom(*words, "--as-of", "2026-11-29", "--yes")
        assert taken.returncode == 0 and "replaced; commit the files in " in taken.stdout
        targets.append(addresses.tables_path())
        kept = json.loads((pins / "files.json").read_text(encoding="utf-8"))
        assert [one["sha256"] for one in kept["asn"]] == [hashlib.sha256(file.read_bytes()).hexdigest() for file in new]
        again = classroom(*words, "--as-of", "2026-11-29", "--yes")
        assert "is already the newest; nothing was replaced" in again.stdout
        shutil.rmtree(targets[-1])
        shutil.rmtree(tmp_path / "kept")
        with pytest.raises(ClassroomError, match=r"asn-ipv4\.csv of 2026-11-01 is not on this machine: .*--from FILE"):
            addresses.ensure()
    finally:
        for target in set(targets[0].parent.iterdir()) - there:
            shutil.rmtree(target, ignore_errors=True)


def test_the_newest_packages_are_pinned_by_their_hashes(pins, tmp_path) -> None:
    made = data_update.newest(tmp_path)
    lock = json.loads((made / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for package in addresses.PACKAGES.values():
        assert lock[f"node_modules/{package}"]["integrity"].startswith("sha512-")
    data_update.take(made, pins)
    assert content(made) == content(pins)


def test_a_stacks_endpoints_are_compared_too() -> None:
    there = addresses.tables()

    class Renamed(addresses.Tables):
        def __init__(self) -> None:
            self.__dict__.update(there.__dict__)

        def network(self, address: addresses.IpAddress) -> addresses.Announced | None:
            found = there.network(address)
            return found and addresses.Announced(found.number, "Someone Else Inc.")

    endpoint = {"use": "ntp", "name": "time.example", "operator": "hetzner", "addresses": ["116.202.10.1"]}
    stacks = {"academy": Declared.model_validate({"endpoints": [endpoint]})}
    found = data_update.changes(there, Renamed(), datetime.date(2026, 11, 24), stacks)
    row = {"where": "stack academy", "subject": "116.202.10.1", "about": "operator", "before": "eu", "after": "unknown"}
    assert Change.model_validate(row) in found
