"""The tool that changes code at random makes every kind of change, each of them valid, and none of what decides nothing."""

import ast

from tests.mutants import REPO, files, mutants

TEXT = '''"""A docstring."""
import os
LIMIT: int = 3


def judge(a: "int", b: int = 2) -> bool:
    """Return a verdict."""
    if a < b and not b:
        raise ValueError(f"{a} is {b!r} wrong")
    os.close(a)
    a += 1
    return a in (b, "x", "two words")
'''
CHANGES = [
    (3, "3", "(3 + 1)"),
    (6, "2", "(2 + 1)"),
    (8, "a < b", "(a) <= (b)"),
    (8, "a < b and not b", "((a < b) or (not b))"),
    (8, "a < b and not b", "(not (a < b and not b))"),
    (8, "not b", "(b)"),
    (9, 'raise ValueError(f"{a} is {b!r} wrong")', "pass"),
    (10, "os.close(a)", "pass"),
    (11, "1", "(1 + 1)"),
    (11, "a += 1", "pass"),
    (12, '"x"', "'x~'"),
    (12, 'a in (b, "x", "two words")', '(a) not in ((b, "x", "two words"))'),
    (12, 'return a in (b, "x", "two words")', "return None"),
]


def test_every_kind_of_change() -> None:
    assert sorted((one.line, one.before, one.after) for one in mutants("x.py", TEXT)) == sorted(CHANGES)


def test_every_change_of_the_real_files_is_another_valid_program() -> None:
    for file in files():
        data = (REPO / file).read_bytes()
        tree = ast.dump(ast.parse(data))
        made = list(mutants(file, data.decode()))
        for one in made[:: max(1, len(made) // 12)]:
            assert data[one.start : one.end].decode() == one.before
            changed = data[: one.start] + one.after.encode() + data[one.end :]
            assert ast.dump(ast.parse(changed)) != tree, str(one)
