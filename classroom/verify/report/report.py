"""The report of a stack's last verification: as JSON, JUnit XML, and an HTML page for a data protection officer."""

import datetime
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from pydantic import ConfigDict, Field, ValidationError

from classroom.common.errors import UnknownError
from classroom.common.paths import CACHE, REPO
from classroom.sovereignty.addresses import OLD_DAYS, TableInfo
from classroom.sovereignty.catalogue import ASPECTS
from classroom.sovereignty.facts import Record, first_error, too_old
from classroom.sovereignty.policy import Policy
from classroom.verify.controls.control_catalogue import Control, load_controls
from classroom.verify.controls.evidence import Proof, Seen, State
from classroom.verify.controls.issuers import CertificateDates
from classroom.verify.report.phrases import Language, Sentence, sentence

MONTHS: dict[Language, str] = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}

WARNING_DAYS = (3, 14, 30)
"""Days before the end of a certificate from which a report warns, each time more urgently."""

COLON: dict[Language, str] = {"en": ": ", "fr": "\u00a0: "}


class ControlResult(Proof):
    """One control in a record: its evidence, and the state of its test."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kept: State = Field(alias="state")

    @property
    def state(self) -> State:
        """The recorded state, or `failed` if the evidence is worse."""
        return "failed" if super().state == "failed" else self.kept


class Admitted(Record):
    """An exception of the policy, whether it was used, and whether it had expired on the day of evaluation."""

    name: str
    reason: str
    until: datetime.date
    used: bool
    ended: bool


class VerificationRecord(Record):
    """A verification as recorded by `classroom verify`; keys that a report does not use are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    date: datetime.datetime
    stack: str
    domain: str
    machines: tuple[str, ...]
    kit: str
    rehearsal: bool
    overlay: bool
    as_of: datetime.date
    held_seconds: float
    policy: Policy
    max_age_months: int
    exceptions: tuple[Admitted, ...]
    address_data: tuple[TableInfo, ...] = Field(min_length=1)
    certificates: tuple[CertificateDates, ...] = ()
    open: tuple[Sentence, ...]
    controls: tuple[ControlResult, ...]

    def result(self, control: Control) -> ControlResult:
        """Return the result of a control; one that is missing in the record is not proven."""
        found = next((one for one in self.controls if one.id == control.id), None)
        if found:
            return found
        empty = {"id": control.id, "state": "not proven", "not_proven": (sentence("control-not-run"),)}
        return ControlResult.model_validate(empty)

    def age(self, table: TableInfo) -> Sentence:
        """Return the age in days of a table of address data on the day of evaluation, with advice to renew an old one."""
        days = (self.as_of - table.date).days
        return (
            sentence("report-data-old", age=days, limit=OLD_DAYS)
            if days > OLD_DAYS
            else sentence("report-data-age", age=days)
        )

    def stale(self, day: datetime.date) -> list[Sentence]:
        """Return a sentence for each table of address data that is too old on the day of evaluation or on `day`."""
        found = []
        for table in self.address_data:
            for moment in (self.as_of, day):
                if too_old(table.date, moment, self.max_age_months):
                    values = {"title": table.title, "date": table.date, "months": self.max_age_months, "day": moment}
                    found.append(sentence("report-stale", **values))
                    break
        return found

    def ending(self, day: datetime.date, language: Language = "en") -> list[Sentence]:
        """Return a warning for each certificate that has ended on `day`, or ends within the days of `WARNING_DAYS`.

        A certificate of a short life is renewed late in it: the report warns from the last third of any certificate's life.
        """
        found = []
        for one in self.certificates:
            left, life = one.days_left(day), (one.end - one.begin).days
            limit = next((days for days in WARNING_DAYS if left <= days), None)
            if limit is None or (left >= 0 and left > life / 3):
                continue
            values = {"names": ", ".join(one.names), "date": day_text(one.end.date(), language)}
            if left < 0:
                found.append(sentence("report-certificate-ended", **values))
            else:
                found.append(sentence(f"report-certificate-{limit}", days=left, **values))
        return found


def last_path(stack: str) -> Path:
    """Return the path of a stack's last verification, which may not exist."""
    return CACHE / "verified" / stack / "last.json"


def load(stack: str) -> VerificationRecord:
    """Read a stack's last verification; UnknownError (status 4) if it does not exist or cannot be read."""
    path = last_path(stack)
    fix = f"run `classroom verify --stack {stack}`"
    if not path.exists():
        raise UnknownError(f"stack '{stack}' has no verification on this machine: {fix}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "controls" not in content:
            raise ValueError("it contains no controls and was written by an older version")
        return VerificationRecord.model_validate(content)
    except ValidationError as error:
        raise UnknownError(
            f"the last verification of '{stack}' cannot be read ({first_error(path.name, error)}): {fix} again"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise UnknownError(
            f"the last verification of '{stack}' cannot be read ({path}: {error}): {fix} again"
        ) from None


def states(verification: VerificationRecord) -> dict[State, int]:
    """Return the number of controls by state."""
    found: dict[State, int] = {"passed": 0, "failed": 0, "not proven": 0}
    for control in load_controls():
        found[verification.result(control).state] += 1
    return found


def outcome(verification: VerificationRecord, day: datetime.date) -> State:
    """Return the worst state of all controls; with address data that are too old, it is never `passed`."""
    count = states(verification)
    if count["failed"]:
        return "failed"
    return "not proven" if count["not proven"] or verification.stale(day) else "passed"


def as_json(verification: VerificationRecord, day: datetime.date) -> dict[str, Any]:
    """Return the report as JSON: evidence with English sentences, and claim, clauses and remediation of each control."""
    controls = []
    for control in load_controls():
        result = verification.result(control)
        about = control.as_json()
        controls.append(
            {
                "id": control.id,
                "state": result.state,
                "claim": control.claim.en,
                "clauses": about["clauses"],
                "seen": [{**one.model_dump(mode="json"), "what": one.what.text()} for one in result.seen],
                "proven_absent": [one.text() for one in result.absent],
                "declared_not_observed": [one.text() for one in result.not_observed],
                "not_proven": [one.text() for one in result.not_proven],
                "remediation": control.remediation.en if result.state == "failed" else None,
            }
        )
    return {
        "observed_on": verification.date.isoformat(),
        **verification.model_dump(
            mode="json",
            include={"stack", "domain", "machines", "kit", "rehearsal", "overlay", "as_of", "held_seconds", "policy"},
        ),
        "outcome": outcome(verification, day),
        "controls": controls,
        "exceptions": [one.model_dump(mode="json") for one in verification.exceptions],
        "not_proven": [one.text() for one in verification.open],
        "stale": [one.text() for one in verification.stale(day)],
        "certificates": [
            {**one.model_dump(mode="json"), "days_left": one.days_left(day)} for one in verification.certificates
        ],
        "warnings": [one.text() for one in verification.ending(day)],
        "address_data": [
            {**one.model_dump(mode="json"), "age_days": (verification.as_of - one.date).days}
            for one in verification.address_data
        ],
    }


def as_junit(verification: VerificationRecord, day: datetime.date) -> str:
    """Return the report as JUnit XML: one test case for each control, and one for the age of the address data."""
    count, stale = states(verification), verification.stale(day)
    suite = ET.Element(
        "testsuite",
        name=f"sovereignty of {verification.stack}",
        tests=str(sum(count.values()) + 1),
        failures=str(count["failed"] + bool(stale)),
        skipped=str(count["not proven"]),
        errors="0",
        timestamp=verification.date.isoformat(),
    )
    properties = ET.SubElement(suite, "properties")
    for name in ("kit", "as_of", "rehearsal", "overlay"):
        ET.SubElement(properties, "property", name=name, value=str(getattr(verification, name)))
    for control in load_controls():
        result = verification.result(control)
        case = ET.SubElement(suite, "testcase", classname="sovereignty", name=control.id, time="0")
        if result.state == "failed":
            lines = [*result.faults(), *(one.text() for one in result.not_proven)]
            ET.SubElement(case, "failure", message=control.claim.en).text = "\n".join(lines)
        elif result.state == "not proven":
            ET.SubElement(case, "skipped", message="; ".join(one.text() for one in result.not_proven) or "not proven")
    case = ET.SubElement(suite, "testcase", classname="sovereignty", name="address-data", time="0")
    for one in stale:
        ET.SubElement(case, "failure", message=one.text())
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_html(verification: VerificationRecord, day: datetime.date, language: Language) -> str:
    """Return the HTML page for a data protection officer, in one language; it loads no external resource."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(REPO / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = [(control, verification.result(control)) for control in load_controls()]
    count = states(verification)
    clauses = {clause.id: clause for control, _ in rows for clause in control.clauses}
    return environment.get_template("report.html.j2").render(
        language=language,
        colon=COLON[language],
        semicolon="\u00a0; " if language == "fr" else "; ",
        day=lambda one: day_text(one, language),
        t=lambda key, **values: sentence(key, **values).text(language),
        observed=date_text(verification.date, language),
        one=verification,
        rows=rows,
        count=count,
        sum=sum(count.values()),
        outcome=outcome(verification, day),
        stale=[sentence.text(language) for sentence in verification.stale(day)],
        ending=[sentence.text(language) for sentence in verification.ending(day, language)],
        recipients=recipients(result for _, result in rows),
        residue=_residue(rows, language),
        idle=_unique(sentence.text(language) for _, result in rows for sentence in result.not_observed),
        open=_unique(
            [
                *(sentence.text(language) for sentence in verification.open),
                *(f"{c.id}{COLON[language]}{s.text(language)}" for c, result in rows for s in result.not_proven),
            ]
        ),
        clauses=list(clauses.values()),
        faults=_faults,
        ages=[(table, verification.age(table).text(language)) for table in verification.address_data],
        aspects=ASPECTS,
    )


def _unique(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _faults(result: ControlResult) -> list[Seen]:
    return [one for one in result.seen if one.outcome in {"wrong", "unknown"}]


def _residue(rows: Iterable[tuple[Control, ControlResult]], language: Language) -> list[str]:
    """Return the observations without a verdict, with control and machine, without duplicates."""
    return _unique(
        f"{control.id}, {one.where}{COLON[language]}{one.what.text(language)}"
        for control, result in rows
        for one in result.seen
        if one.outcome == "residue"
    )


def recipients(results: Iterable[ControlResult]) -> list[dict[str, Any]]:
    """Return the contacted parties, one for each combination of verdicts, with the controls that observed them."""
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    for result in results:
        for seen in result.seen:
            if not seen.sides or seen.outcome == "residue":
                continue
            key = tuple((side.verdict, side.name, side.country, side.dpf, side.basis) for side in seen.sides.values())
            entry = found.setdefault(key, {"sides": seen.sides, "controls": [], "addresses": set(), "exception": None})
            if result.id not in entry["controls"]:
                entry["controls"].append(result.id)
            if seen.address:
                entry["addresses"].add(seen.address)
            entry["exception"] = entry["exception"] or seen.exception
    order = ("third", "unknown", "adequate", "eea", "eu")
    return sorted(found.values(), key=lambda one: min(order.index(side.verdict) for side in one["sides"].values()))


def date_text(moment: datetime.datetime, language: Language) -> str:
    """Return a date and time in UTC, in the format of the language."""
    utc = moment.astimezone(datetime.UTC)
    time = f" à {utc:%H}\u00a0h\u00a0{utc:%M} UTC" if language == "fr" else f", {utc:%H:%M} UTC"
    return day_text(utc.date(), language) + time


def day_text(day: datetime.date, language: Language) -> str:
    """Return a date in the format of the language."""
    number = "1er" if language == "fr" and day.day == 1 else day.day
    return f"{number} {MONTHS[language].split()[day.month - 1]} {day.year}"
