"""The record of a verification: its content and its file."""

import datetime
import json
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from classroom.common.whole_files import write_whole
from classroom.sovereignty import addresses
from classroom.verify.controls.control_catalogue import load_controls
from classroom.verify.controls.evidence import Proof
from classroom.verify.pytest_plugin import Result, Verification, as_json
from classroom.verify.report.phrases import sentence
from classroom.verify.report.report import last_path
from classroom.verify.requirements import PARTS

_FOUR = r"\d{1,3}(?:\.\d{1,3}){3}"
ADDRESS = re.compile(
    rf"(?<![\d.]){_FOUR}(?![\d.]*\d)|(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_FOUR}|[0-9A-Fa-f]{{0,4}})"
)
PSEUDONYM = re.compile(r"verif-[0-9a-f]{6}[\w-]*")


def record_of(done: Verification, start: float, status: int) -> dict[str, Any]:
    """Return the record: date (UTC, ISO 8601), stack, machines, results by test, and what is not proven."""
    return {
        "date": datetime.datetime.fromtimestamp(start, datetime.UTC).isoformat(timespec="seconds"),
        "stack": done.target.stack,
        "domain": done.target.domain,
        "machines": [machine.name for machine in done.target.machines],
        "seconds": round(time.time() - start, 1),
        "passed": status == 0 and bool(done.results) and all(r.outcome != "failed" for r in done.results),
        "not_proven": [one.text() for one in done.not_proven()],
        "tests": [{**one, "message": without_people(one["message"])} for one in as_json(done.results)],
        **controls_of(done),
    }


def controls_of(done: Verification) -> dict[str, Any]:
    """Return the part of a record about sovereignty: each control and its policy, without data of participants."""
    declarations, tables = done.target.declarations, addresses.tables()
    return {
        "kit": version("sovereign-classroom"),
        "rehearsal": done.target.rehearsal or declarations.rehearsal,
        "overlay": bool(declarations.overlay),
        "as_of": done.as_of.isoformat(),
        "held_seconds": round(done.class_seconds, 1),
        "policy": declarations.policy.model_dump(),
        "max_age_months": declarations.facts_max_age_months,
        "exceptions": [
            {**one.model_dump(mode="json"), "used": one in done.evaluator.used, "ended": one.until < done.as_of}
            for one in declarations.exceptions
        ],
        "address_data": [about.model_dump(mode="json") for about in tables.about.values()],
        "certificates": [one.model_dump(mode="json") for one in done.certificates],
        "open": [one.model_dump(mode="json") for one in done.not_proven()],
        "controls": [_control(done, control.id) for control in load_controls()],
    }


def _control(done: Verification, name: str) -> dict[str, Any]:
    """Return the record of one control; its state is never better than the outcome of its test."""
    test = f"test_{name.replace('-', '_')}"
    results = [r for r in done.results if r.area == "sovereignty" and r.test.partition("[")[0] == test]
    proof = done.proofs.get(name)
    state = proof.state if proof else "not proven"
    if any(r.outcome == "failed" for r in results):
        state = "failed"
    elif not results or any(r.outcome == "not proven" for r in results):
        state = "not proven"
    proof = proof or Proof(id=name)
    open_ = list(proof.not_proven)
    if not results:
        open_.append(sentence("control-not-run"))
    elif state == "failed" and not proof.faults():
        open_.append(sentence("control-broke", reason=_reason(results)))
    elif state == "not proven" and not open_:
        parts = [part for r in results if (part := r.message.removeprefix("--without ")) in PARTS]
        open_ += [sentence(f"part-{part}") for part in parts] or [sentence("control-not-run")]
    return {**proof.model_copy(update={"not_proven": tuple(open_)}).model_dump(mode="json"), "state": state}


def _reason(results: list[Result]) -> str:
    """Return the last line of a failure, without addresses, as it may contain personal data."""
    lines = [line for r in results for line in r.message.splitlines() if line.strip()] or ["?"]
    return without_people(lines[-1].removeprefix("E").strip())[:200]


def without_people(text: str) -> str:
    """Replace every IP address and participant's name in a text by "…"."""
    return PSEUDONYM.sub("…", ADDRESS.sub("…", text))


def keep(record: dict[str, Any]) -> Path:
    """Write the record as the stack's last one, readable by this account only, and return its path."""
    path = last_path(record["stack"])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    write_whole(path, json.dumps(record, indent=2, ensure_ascii=False), private=True)
    return path
