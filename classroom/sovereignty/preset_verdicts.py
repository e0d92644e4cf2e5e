"""The three verdicts on a preset: the worst of its addresses, and of its operator and the operator's owner."""

from typing import Any

from classroom.sovereignty.facts import outdated
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.policy import Policy, judge_operator
from classroom.sovereignty.presets import Preset
from classroom.sovereignty.verdict import ORDER, Judge


def verdicts(preset: Preset, judge: Judge, operators: Operators) -> dict[str, str]:
    """Return soil, operator and parent of a preset; `unknown` for all if its source is too old.

    A preset without addresses has an unknown soil. An unknown owner of a network does not count, as the operator is named.
    """
    named = operators.named(preset.operator)
    parties = {reason.about: reason for reason in judge_operator(named, Policy(), judge.as_of)} if named else {}
    old = outdated(preset.all_sources, judge.as_of)
    judged = [judge.judge(address) for address in preset.addresses]
    found: dict[str, str] = {}
    for about in ("soil", "operator", "parent"):
        seen: list[Any] = [getattr(one, about).verdict for one in judged]
        if about != "soil":
            reason = parties.get(about)
            known = reason and (reason.verdict != "unknown")
            seen = [*(one for one in seen if one != "unknown"), reason.country_class if reason and known else "unknown"]
        found[about] = "unknown" if old or not seen else max(seen, key=ORDER.index)
    return found
