"""`classroom report`: show or export the last verification of a stack."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from classroom.cli.options import day
from classroom.common.errors import ClassroomError, UnknownError, WrongUseError
from classroom.verify.controls.control_catalogue import load_controls
from classroom.verify.report.phrases import LANGUAGES, Language, sentence
from classroom.verify.report.report import (
    COLON,
    Admitted,
    VerificationRecord,
    as_html,
    as_json,
    as_junit,
    date_text,
    day_text,
    load,
    outcome,
    states,
)

COLOURS = {"passed": "green", "failed": "red", "not proven": "yellow"}


def language_of(text: str) -> Language:
    """Return the language that `--lang` names; WrongUseError if it is not one of LANGUAGES."""
    found = next((one for one in LANGUAGES if one == text), None)
    if found is None:
        raise WrongUseError(f"--lang: '{text}' is not available; choose one of {', '.join(LANGUAGES)}")
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WrongUseError(f"{path} cannot be written ({error.strerror}); choose another file") from None


def _show(one: VerificationRecord, language: Language) -> None:
    console = Console(highlight=False)
    console.print(
        sentence("report-observed-on", date=date_text(one.date, language)).text(language)
        + f" · {one.stack} · {one.domain}"
    )
    if one.rehearsal:
        console.print(f"[bold]{sentence('report-rehearsal').text(language)}[/]", soft_wrap=True)
    if one.overlay:
        console.print(f"[bold]{sentence('report-overlay').text(language)}[/]", soft_wrap=True)
    table = Table("", *(sentence(f"report-{key}").text(language) for key in ("control", "verdict", "found")))
    for control in load_controls():
        result = one.result(control)
        faults = [
            f"{seen.where}{COLON[language]}{seen.what.text(language)}"
            for seen in result.seen
            if seen.outcome in {"wrong", "unknown"}
        ]
        number = {kind: sum(seen.outcome == kind for seen in result.seen) for kind in ("good", "wrong", "unknown")}
        count = sentence("report-count", **number, absent=len(result.absent)).text(language)
        state = sentence(f"state-{result.state.replace(' ', '-')}").text(language)
        lines = [
            count,
            *faults[:8],
            *(["…"] if len(faults) > 8 else []),
            *(s.text(language) for s in result.not_proven),
        ]
        table.add_row(str(control.number), control.id, f"[{COLOURS[result.state]}]{state}[/]", escape("\n".join(lines)))
    console.print(table)
    for title, lines in (
        (
            "report-idle",
            [f"{c.id}{COLON[language]}{s.text(language)}" for c in load_controls() for s in one.result(c).not_observed],
        ),
        ("report-open", [s.text(language) for s in one.open]),
        (
            "report-exceptions",
            [_exception(e, language) for e in one.exceptions] or [sentence("report-exceptions-none").text(language)],
        ),
        (
            "report-data",
            [
                f"{t.title}, {day_text(t.date, language)} ({one.age(t).text(language)}){COLON[language]}{t.credit}"
                for t in one.address_data
            ],
        ),
    ):
        console.print(f"[bold]{sentence(title).text(language)}[/]")
        for line in lines:
            console.print(f"  {escape(line)}", soft_wrap=True)


def _exception(one: Admitted, language: Language) -> str:
    values = {"name": one.name, "until": day_text(one.until, language), "reason": one.reason}
    key = "ended" if one.ended else "used" if one.used else "unused"
    return f"{sentence('report-exception', **values).text(language)} ({sentence(f'report-exception-{key}').text(language)})"


def command(
    stack: Annotated[str, typer.Option("--stack", envvar="CLASSROOM_STACK", help="Name of the stack.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report to this file as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write it to this file as JUnit XML.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write it to this file as HTML, for a data protection officer.")
    ] = None,
    lang: Annotated[str, typer.Option("--lang", metavar="en|fr", help="Language of the table and of the HTML.")] = "en",
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="Date of the report; default: today.")
    ] = None,
) -> None:
    """Show the last verification; exit status 0: every control passed, 1: one failed, 4: one is not proven."""
    language, today = language_of(lang), day(as_of)
    one = load(stack)
    _show(one, language)
    console = Console(highlight=False, soft_wrap=True)
    for warning in one.ending(today, language):
        console.print(f"[bold yellow]{escape(warning.text(language))}[/]")
    if json_file:
        _write(json_file, json.dumps(as_json(one, today), indent=2, ensure_ascii=False) + "\n")
    if junit:
        _write(junit, as_junit(one, today))
    if html:
        _write(html, as_html(one, today, language))
    if stale := one.stale(today):
        raise UnknownError("; ".join(note.text(language) for note in stale))
    count = states(one)
    number = sum(count.values())
    words = {"passed": count["passed"], "failed": count["failed"], "open": count["not proven"], "number": number}
    summary = sentence("report-sum", **words).text(language)
    state = outcome(one, today)
    if state != "passed":
        raise (ClassroomError if state == "failed" else UnknownError)(f"stack '{stack}': {summary}")
    print(summary)
