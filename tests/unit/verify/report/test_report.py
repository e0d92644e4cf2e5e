"""The report of a recorded verification, in every format."""

import datetime
import json
import re
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classroom.cli.app import app
from classroom.common.errors import ClassroomError, UnknownError, WrongUseError
from classroom.sovereignty.addresses import CREDITS
from classroom.verify.controls import host_connections, page_requests, telemetry, time
from classroom.verify.controls.control_catalogue import load_controls
from classroom.verify.controls.evidence import Proof
from classroom.verify.controls.issuers import CertificateDates
from classroom.verify.deployment import Deployment
from classroom.verify.network.nftables import Drop
from classroom.verify.pytest_plugin import Result, Verification
from classroom.verify.record import keep, record_of, without_people
from classroom.verify.report import report
from classroom.verify.report.phrases import sentence
from tests.unit.verify.controls.test_judges import (
    CHRONY,
    MORE,
    OURS,
    OWN,
    QUIET,
    REPORTING,
    SOURCES,
    US4,
    VALUES,
    evaluator,
    window,
)
from tests.unit.verify.network.test_firewall import inventory

DAY = datetime.date(2026, 11, 24)
SUM = len(load_controls())
EXCEPTIONS = [
    {"name": "Example Inc.", "reason": "the contract <runs> on", "until": "2027-06-30"},
    {"name": "Other Ltd", "reason": "until the summer was over", "until": "2026-09-01"},
]


def proofs(bad: bool) -> list[Proof]:
    """Return proofs of some controls from real evaluation; all others pass with one absence."""
    judging = evaluator(endpoints=MORE)
    tried = {"dropped": (Drop(US4, "tcp", 443),) * 3, "grown": {"out_dropped": 3, "media_udp": 5}} if bad else {}
    real = [
        host_connections.judge({"class": window(**tried)}, OWN, {"198.51.100.2"}, judging),
        page_requests.judge([OURS], "class.example", ["class.example"], OWN, QUIET, QUIET, judging),
        telemetry.judge({"class": telemetry.Reporting(**REPORTING)}),
        time.judge({"class": time.Clock(CHRONY, True, SOURCES)}, judging),
    ]
    evaluated = {one.id for one in real}
    others = [Proof(id=c.id, absent=(sentence("no-ipv6"),)) for c in load_controls() if c.id not in evaluated]
    return [*real, *others]


def record(
    tmp_path: Path, *, bad: bool = False, without: frozenset[str] = frozenset(), left_out: tuple[str, ...] = ()
) -> dict:
    """Return the record of a verification."""
    given = inventory("single")
    given["all"]["vars"]["classroom_sovereignty"] = VALUES | {"exceptions": EXCEPTIONS}
    done = Verification(Deployment(given), tmp_path / "none", without, print, DAY)
    done._containers = {"class": "lxc"}
    done.class_seconds = 61.4
    begin = datetime.datetime(2026, 10, 1, tzinfo=datetime.UTC)
    ends = datetime.timedelta(days=90)
    done.certificates = [CertificateDates(names=("class.example",), begin=begin, end=begin + ends)]
    for proof in proofs(bad):
        outcome = "failed" if proof.state == "failed" else "passed"
        message = ""
        if proof.id in left_out:
            outcome, message = "not proven", "--without cloud"
        else:
            done.proofs[proof.id] = proof
        test = f"test_{proof.id.replace('-', '_')}"
        done.results.append(Result("sovereignty", test, outcome, message, 0.1))
    moment = datetime.datetime(2026, 11, 24, 15, 30, tzinfo=datetime.UTC).timestamp()
    return record_of(done, moment, 1 if bad else 0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "CACHE", tmp_path)
    return tmp_path


def run(*words: str) -> tuple[str, BaseException | None]:
    answer = CliRunner().invoke(app, ["report", "--stack", "s", *words])
    return answer.stdout, answer.exception


def test_all_controls_pass(cache: Path, tmp_path: Path) -> None:
    path = keep(record(tmp_path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    assert stat.S_IMODE(keep(record(tmp_path)).stat().st_mode) == 0o600
    output, error = run("--as-of", "2026-11-24")
    assert error is None
    assert f"{SUM} of {SUM} controls passed, 0 failed, 0 not proven." in output
    assert "Observed on 24 November 2026, 15:30 UTC" in output
    assert "rehearsal" in output
    for credit in CREDITS.values():
        assert re.sub(r"\s+", "", credit) in re.sub(r"\s+", "", output)


def test_failed_control_appears_in_every_format(cache: Path, tmp_path: Path) -> None:
    keep(record(tmp_path, bad=True))
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    words = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    _, error = run("--as-of", "2026-11-24", *words)
    assert isinstance(error, ClassroomError) and error.status == 1
    assert f"{SUM - 1} of {SUM} controls passed, 1 failed" in str(error)
    found = json.loads(files["json"].read_text())
    states = {one["id"]: one["state"] for one in found["controls"]}
    assert states.pop("host-connections") == "failed"
    assert set(states.values()) == {"passed"} and len(states) == SUM - 1
    assert found["outcome"] == "failed"
    dropped = next(one for one in found["controls"] if one["id"] == "host-connections")
    assert any(one["address"] == US4 and one["sides"]["operator"]["verdict"] == "third" for one in dropped["seen"])
    suite = ET.parse(files["junit"]).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (str(SUM + 1), "1", "0")
    assert [c.get("name") for c in suite.iter("testcase") if c.find("failure") is not None] == ["host-connections"]
    page = files["html"].read_text()
    assert US4 in page and "Example Inc." in page


def test_left_out_part_is_not_proven(cache: Path, tmp_path: Path) -> None:
    keep(record(tmp_path, without=frozenset({"cloud"}), left_out=("cloud-region",)))
    output, error = run("--as-of", "2026-11-24", "--junit", str(tmp_path / "j.xml"))
    assert isinstance(error, UnknownError) and error.status == 4
    assert f"{SUM - 1} of {SUM} controls passed, 0 failed, 1 not proven" in str(error)
    suite = ET.parse(tmp_path / "j.xml").getroot()
    assert [c.get("name") for c in suite.iter("testcase") if c.find("skipped") is not None] == ["cloud-region"]
    assert "what the cloud itself says" in re.sub(r"[\s│]+", " ", output)


def test_control_without_result_is_not_proven(cache: Path, tmp_path: Path) -> None:
    kept = record(tmp_path)
    kept["controls"] = [one for one in kept["controls"] if one["id"] != "ice"]
    keep(kept)
    assert isinstance(run("--as-of", "2026-11-24")[1], UnknownError)


def test_failed_test_fails_its_control(tmp_path: Path) -> None:
    kept = record(tmp_path)
    assert all(one["state"] == "passed" for one in kept["controls"])
    given = inventory("single")
    done = Verification(Deployment(given), tmp_path / "none", frozenset(), print, DAY)
    done._containers = {"class": ""}
    done.results.append(Result("sovereignty", "test_ice", "failed", "E   boom at 198.51.100.2 by verif-0a1b2c-1", 0.1))
    broken = {one["id"]: one for one in record_of(done, 0.0, 1)["controls"]}
    assert broken["ice"]["state"] == "failed"
    assert broken["ice"]["not_proven"][0]["values"] == {"reason": "boom at … by …"}
    assert broken["time"]["state"] == "not proven"


def test_recorded_state_is_never_better_than_evidence(cache: Path, tmp_path: Path) -> None:
    kept = record(tmp_path, bad=True)
    for one in kept["controls"]:
        one["state"] = "passed"
    keep(kept)
    assert "1 failed" in str(run("--as-of", "2026-11-24")[1])


def test_outdated_address_data_never_pass(cache: Path, tmp_path: Path) -> None:
    keep(record(tmp_path))
    _, error = run("--as-of", "2028-01-01", "--html", str(tmp_path / "r.html"), "--junit", str(tmp_path / "j.xml"))
    assert isinstance(error, UnknownError) and error.status == 4
    assert "renew the data and verify again" in str(error)
    assert "renew the data" in (tmp_path / "r.html").read_text()
    assert ET.parse(tmp_path / "j.xml").getroot().get("failures") == "1"


@pytest.mark.parametrize(("days", "named"), [(90, False), (91, True)])
def test_address_data_older_than_ninety_days_are_named(
    cache: Path, tmp_path: Path, days: int, named: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = record(tmp_path)
    day = (DAY - datetime.timedelta(days=days)).isoformat()
    keep(kept | {"address_data": [table | {"date": day} for table in kept["address_data"]]})
    run("--as-of", DAY.isoformat(), "--html", str(tmp_path / "r.html"))
    message = f"{days} days old on the day of evaluation, more than 90"
    assert (message in (tmp_path / "r.html").read_text()) is named
    assert f"{days} days old" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("life", "left", "expected"),
    [
        (90, 31, ""),
        (90, 30, "30 days: have it renewed"),
        (90, 15, "15 days: have it renewed"),
        (90, 14, "14 days. Renew it now"),
        (90, 4, "4 days. Renew it now"),
        (90, 3, "URGENT"),
        (90, 0, "URGENT"),
        (90, -1, "no browser opens the class until"),
        (6, 4, ""),
        (6, 2, "URGENT"),
        (0, -1, "no browser opens the class until"),
    ],
)
def test_a_certificate_that_ends_soon_is_named(
    cache: Path, tmp_path: Path, life: int, left: int, expected: str
) -> None:
    end = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC) + datetime.timedelta(days=left)
    begin = end - datetime.timedelta(days=life)
    one = {"names": ["class.example"], "begin": begin.isoformat(), "end": end.isoformat()}
    keep(record(tmp_path) | {"certificates": [one]})
    output, _ = run("--as-of", DAY.isoformat(), "--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html"))
    shown = json.loads((tmp_path / "r.json").read_text())
    assert shown["certificates"][0]["days_left"] == left
    for text in (" ".join(shown["warnings"]), output, (tmp_path / "r.html").read_text()):
        assert ("certificate of class.example" in text) is bool(expected)
        assert expected in text
    run("--as-of", DAY.isoformat(), "--lang", "fr", "--html", str(tmp_path / "f.html"))
    assert ("certificat de class.example" in (tmp_path / "f.html").read_text()) is bool(expected)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"date": "x"}', '{"controls": []}'])
def test_unreadable_record_is_unknown(cache: Path, text: str) -> None:
    path = cache / "verified" / "s" / "last.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    error = run()[1]
    assert isinstance(error, UnknownError)
    assert "cannot be read" in str(error) and "run `classroom verify --stack s` again" in str(error)


def test_stack_without_verification(cache: Path) -> None:
    error = run()[1]
    assert isinstance(error, UnknownError) and error.status == 4
    assert "'s'" in str(error) and "run `classroom verify --stack s`" in str(error)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lang", "de"], "--lang: 'de'"),
        (["--as-of", "tomorrow"], "as-of: 'tomorrow'"),
        (["--html", "/nowhere/r.html"], "/nowhere/r.html cannot be written"),
    ],
)
def test_wrong_use(cache: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    keep(record(tmp_path))
    error = run(*words)[1]
    assert isinstance(error, WrongUseError)
    assert sentence in str(error)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_html_page(cache: Path, tmp_path: Path, language: str) -> None:
    keep(record(tmp_path, bad=True))
    page = report.as_html(report.load("s"), DAY, language)
    text = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    # The page loads nothing; its only URLs are links.
    assert re.findall(r"<(?:img|script|link|iframe|object|video|audio)\b", page) == []
    assert re.findall(r"\bsrc\s*=|@import|url\(", page) == []
    assert f'<html lang="{language}">' in page
    assert {"en": "Observed on 24 November 2026", "fr": "Constaté le 24 novembre 2026"}[language] in text
    assert not re.search(r"complian|conforme à|conformité|certified", text, re.I)
    assert {"en": "This is a rehearsal", "fr": "Ceci est une simulation"}[language] in text
    assert "&lt;runs&gt;" in text
    for control in load_controls():
        assert getattr(control.claim, language) in text.replace("&#39;", "'")
    for credit in CREDITS.values():
        assert credit in text
    other = {"en": "fr", "fr": "en"}[language]
    for control in load_controls():
        assert getattr(control.claim, other) not in text
    ended = {"en": "expired, has no effect", "fr": "échue, sans effet"}[language]
    assert ended in text


def test_record_contains_no_participant(tmp_path: Path) -> None:
    kept = json.dumps(record(tmp_path, bad=True))
    assert '198.51.100.2"' not in kept
    assert "verif-" not in kept
    assert without_people("verif-0a1b2c-1 at [2001:db8:c::2]:443, ::ffff:198.51.100.2: no") == "… at […]:443, …: no"
