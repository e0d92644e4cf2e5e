"""Update the address data: fetch it or take files, check it, list the verdicts that change, and only then replace the pins."""

import csv
import datetime
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import maxminddb

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.common.paths import REPO
from classroom.sovereignty import addresses, presets
from classroom.sovereignty.addresses import ASN, DBIP, PACKAGES, REGISTRY, Announced, PinnedFile, Tables
from classroom.sovereignty.catalogue import ASPECTS
from classroom.sovereignty.facts import Record
from classroom.sovereignty.verdict import Declared, Judge

NAMES = {
    f"{DBIP}.mmdb": DBIP,
    f"{REGISTRY}.mmdb": REGISTRY,
    f"{ASN}.mmdb": ASN,
    f"{ASN}-ipv4.csv": ASN,
    f"{ASN}-ipv6.csv": ASN,
}
"""Accepted file names, with the table to which each belongs."""
LABELLED = ("labelled.csv", "labelled_places.csv", "labelled_sites.csv")
"""Labelled addresses of the project's tests, whose verdicts are compared."""


class Change(Record):
    """A verdict that newer data would change."""

    where: str
    subject: str
    about: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.where}: {self.subject}: {self.about} {self.before} → {self.after}"


def ages(tables: Tables, today: datetime.date) -> dict[str, int]:
    """Return how many days old each table is, by its title."""
    return {table.title: (today - table.date).days for table in tables.about.values()}


def newest(folder: Path) -> Path:
    """Return pins of the newest published packages, written into `folder`; ClassroomError if npm cannot get them."""
    pins = _copy(folder)
    addresses.npm(
        pins, "install", "--package-lock-only", "--save-exact", *(f"{name}@latest" for name in PACKAGES.values())
    )
    (pins / addresses.FILES).unlink(missing_ok=True)
    return pins


def given(files: Sequence[Path], day: datetime.date | None, sha256: Sequence[str], folder: Path) -> Path:
    """Return pins that use files instead of packages, written into `folder`; each file is stored on this machine by its hash.

    ClassroomError naming the file if it has another schema, is damaged, or its hash differs from that in `sha256`, which is in
    the order of the files.
    """
    if sha256 and len(sha256) != len(files):
        raise WrongUseError(
            f"sha256: {len(sha256)} for {len(files)} files: give one for each --from, in the same order"
        )
    if wrong := next((one for one in sha256 if not re.fullmatch("[0-9a-fA-F]{64}", one)), None):
        raise WrongUseError(f"sha256: '{wrong}' is not a SHA-256: write its 64 hexadecimal digits")
    if twice := next((path.name for path in files if [other.name for other in files].count(path.name) > 1), None):
        raise WrongUseError(f"from: {twice} is given twice: give each file once")
    pins = _copy(folder)
    pinned = {key: list(old) for key, old in addresses.pinned_files(pins).items()}
    for key in {_table(path) for path in files}:
        pinned[key] = []
    for number, path in enumerate(files):
        one = _pin(path, day)
        if sha256 and one.sha256 != sha256[number].lower():
            raise ClassroomError(f"{path}: its SHA-256 is {one.sha256}, not {sha256[number]}: fetch the file again")
        pinned[_table(path)].append(one)
        kept = addresses.kept_file(one)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
    names = {one.name for one in pinned.get(ASN, ())}
    if names and names not in ({f"{ASN}.mmdb"}, {f"{ASN}-ipv4.csv", f"{ASN}-ipv6.csv"}):
        raise WrongUseError("from: the networks need either both asn-ipv4.csv and asn-ipv6.csv, or asn.mmdb alone")
    listed = {key: [one.model_dump(mode="json") for one in ones] for key, ones in sorted(pinned.items())}
    (pins / addresses.FILES).write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    return pins


def _copy(folder: Path) -> Path:
    pins = folder / "npm"
    shutil.copytree(addresses.PINS, pins)
    return pins


def _table(path: Path) -> str:
    if path.name not in NAMES:
        raise WrongUseError(
            f"from: '{path.name}' is not the name of a file of address data; accepted names: {', '.join(NAMES)}"
        )
    return NAMES[path.name]


def _pin(path: Path, day: datetime.date | None) -> PinnedFile:
    key = _table(path)
    if not path.is_file():
        raise WrongUseError(f"from: {path} does not exist")
    if path.suffix == ".csv":
        if day is None:
            raise WrongUseError(f"from: {path.name} does not contain the day of its data; add it as --of YYYY-MM-DD")
        _whole_csv(path)
    else:
        day = _whole_mmdb(path, key)
    digest = addresses._sha256(path)
    return PinnedFile(name=path.name, sha256=digest, date=day, title=f"{path.name} of {day}")


def _whole_csv(path: Path) -> None:
    """Raise ClassroomError if a table of networks has another schema or is truncated."""
    with path.open(encoding="utf-8", newline="", errors="replace") as file:
        first = next(csv.reader(file), [])
        file.seek(max(0, path.stat().st_size - 1))
        ended = file.read(1) == "\n"
    if len(first) != 4:
        raise ClassroomError(
            f"{path}: its first line has {len(first)} columns instead of four: first, last, number and name"
        )
    if not ended:
        raise ClassroomError(f"{path} is truncated in its last line: fetch the file again")
    for _ in addresses._ranges(path, 4 if path.name == f"{ASN}-ipv4.csv" else 6):
        pass


def _whole_mmdb(path: Path, key: str) -> datetime.date:
    """Return the day of an MMDB file; ClassroomError if it has another schema or is damaged."""
    wanted = "autonomous_system_number" if key == ASN else "country_code"
    day = addresses._mmdb_day(path)
    try:
        with addresses._open_mmdb(path) as reader:
            for _, record in reader:
                if not isinstance(record, dict) or wanted not in record:
                    raise ClassroomError(
                        f"{path}: its records have no {wanted}, so it is another kind of table: check which file you need"
                    )
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ClassroomError(f"{path} is damaged or truncated ({error}): fetch the file again") from None
    return day


def refuse_older(old: Tables, new: Tables, today: datetime.date) -> None:
    """Raise ClassroomError if a new table is older than the present one, of a day to come, or less than half as large."""
    for key, table in new.about.items():
        before = old.about[key]
        if table.date < before.date:
            raise ClassroomError(
                f"{table.title} is of {table.date}, older than {before.title} of {before.date}, which is in use; nothing was replaced"
            )
        if table.date > today:
            raise ClassroomError(
                f"{table.title} is of {table.date}, after {today}: check its day; nothing was replaced"
            )
        if 2 * new.size(key) < old.size(key):
            what = "ranges" if key == ASN else "nodes"
            raise ClassroomError(
                f"{table.title} has {new.size(key)} {what}, less than half of the {old.size(key)} in use: "
                "it is probably truncated; nothing was replaced"
            )


def changes(old: Tables, new: Tables, as_of: datetime.date, stacks: dict[str, Declared]) -> list[Change]:
    """Return every verdict on catalogue, presets, labelled set and stacks that the new tables would change."""
    found: list[Change] = []
    before, after = Judge(as_of, data=old), Judge(as_of, data=new)
    for number in before.owners.by_number:
        pair = [
            judge._judge_network(Announced(number, tables.name(number)))
            for judge, tables in ((before, old), (after, new))
        ]
        for about, was, will in zip(("operator", "parent"), *pair, strict=True):
            if was.verdict != will.verdict:
                found.append(
                    Change(where="owners", subject=f"AS{number}", about=about, before=was.verdict, after=will.verdict)
                )
    for where, address, declared in _addresses(stacks):
        was_all, will_all = (
            (Judge(as_of, declared, data=tables).judge(address) for tables in (old, new))
            if declared
            else (
                before.judge(address),
                after.judge(address),
            )
        )
        for about in ASPECTS:
            was, will = getattr(was_all, about).verdict, getattr(will_all, about).verdict
            if was != will:
                found.append(Change(where=where, subject=address, about=about, before=was, after=will))
    return found


def _addresses(stacks: dict[str, Declared]) -> Iterator[tuple[str, str, Declared | None]]:
    for preset in presets.load().presets:
        yield from ((f"preset {preset.id}", address, None) for address in preset.addresses)
    for name in LABELLED:
        path = REPO / "tests" / "unit" / "sovereignty" / name
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                yield from (("labelled set", row["address"], None) for row in csv.DictReader(file))
    for stack, declared in stacks.items():
        for row in declared.endpoints:
            yield from ((f"stack {stack}", address.partition("/")[0], declared) for address in row.addresses)


def take(pins: Path, target: Path) -> None:
    """Replace the pins in `target` by those in `pins`."""
    for name in ("package.json", "package-lock.json", addresses.FILES):
        if (pins / name).exists():
            shutil.copyfile(pins / name, target / f"{name}.new")
            (target / f"{name}.new").replace(target / name)
        else:
            (target / name).unlink(missing_ok=True)
