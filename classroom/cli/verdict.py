"""`classroom verdict`: look up offline the country, operator and parent of IP addresses."""

import json
from typing import Annotated

import typer

from classroom.cli.options import day
from classroom.sovereignty.verdict import Declared, Judged, Verdict, credit_lines, declared_by, judge


def _json(judged: list[Judged]) -> str:
    """Return the JSON list with one line for each address, which is fast for thousands of addresses."""
    lines = ",\n".join(json.dumps(one.as_json(), ensure_ascii=False) for one in judged)
    return f"[\n{lines}\n]" if judged else "[]"


def _line(about: str, verdict: Verdict) -> str:
    who = ", ".join(word for word in (verdict.name, verdict.country) if word)
    mark = " (declared)" if verdict.basis == "declared" else ""
    dpf = f" [Data Privacy Framework: {verdict.dpf}]" if verdict.dpf else ""
    return f"  {about:9} {verdict.verdict:9}{mark} {who}{dpf}{': ' if who else ''}{verdict.reason or ''}"


def _text(judged: list[Judged], declared: Declared) -> str:
    blocks = [
        "\n".join([one.address, _line("soil", one.soil), _line("operator", one.operator), _line("parent", one.parent)])
        for one in judged
    ]
    if declared.overlays:
        blocks.append("rehearsal: the owners of documentation addresses are fictitious")
    return "\n".join([*blocks, "", "address data:", *(f"  {line}" for line in credit_lines())])


def command(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS…", help="IPv4 or IPv6 addresses.")],
    stack: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use the clouds and operators declared in Pulumi.NAME.yaml.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="Date for which to judge; default: today.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
) -> None:
    """Judge IP addresses offline: soil, operator and parent are each eu, eea, adequate, third or unknown."""
    declared = declared_by(stack) if stack else Declared()
    judged = judge(addresses, day(as_of), declared)
    print(_json(judged) if as_json else _text(judged, declared))
