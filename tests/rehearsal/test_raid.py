"""Fifty bots with a leaked code raid a class of four real browsers: a drill, as it takes four minutes."""

import json

import pytest

from rehearsal import stack
from tests.rehearsal.command import CLASSROOM

FREEZE, END = 2.0, 30.0
"""Longest allowed freeze of a picture, and time until the class is alone again, in seconds."""


@pytest.mark.drill
@pytest.mark.usefixtures("opened")
def test_a_raid_takes_nothing_from_the_class() -> None:
    classes = stack.output("classes")
    assert isinstance(classes, list)
    answer = stack.run_as_member(
        [CLASSROOM.parent / "python", "-m", "tests.rehearsal.raid"], stdin=json.dumps(classes[0])
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    print(json.dumps(found, indent=1))
    before, during = found["before"], found["during"]
    assert len(before) == len(during) == 12
    for name, one in during.items():
        assert one["frames"] > before[name]["frames"] / 2, (name, before[name], one)
        assert one["freeze"] <= FREEZE, (name, before[name], one)
    for kind in (
        "wrong code: 429",
        "join: 200",
        "join: 422",
        "entered the room",
        "chat and hands",
        "silent connection",
    ):
        assert found["attacks"].get(kind, 0) > 0, found["attacks"]
    assert found["seconds"] <= END
