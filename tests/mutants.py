"""Change one place of the code that decides what is allowed, run the unit tests that execute it, and list what no test notices.

`python -m tests.mutants --count 100 --seed 1` takes the places at random. Coverage of the unit tests, recorded once, says
which tests execute a line. Each change is made in a copy of the tree.
"""

import argparse
import ast
import collections
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import coverage
import pytest

REPO = Path(__file__).resolve().parents[1]
TARGETS = {
    "gate": [
        "classroom/provision/gate.py", "classroom/clients/cloud_settings.py", "classroom/clients/plugin_reading.py",
        "classroom/clients/proxies.py", "classroom/clients/pulumi_backend.py", "classroom/sovereignty/cloud_services.py",
        "classroom/sovereignty/policy.py", "classroom/sovereignty/service_policy.py",
        "classroom/configure/provider/caller.py",
    ],
    "verdicts": ["classroom/sovereignty/verdict.py", "classroom/sovereignty/addresses.py", "classroom/sovereignty/owners.py"],
    "join service": ["portal/*.py"],
    "ports and firewall": [
        "classroom/config/ports.py", "classroom/config/endpoints.py", "classroom/provision/access.py",
        "classroom/verify/network/firewall.py", "classroom/verify/network/nftables.py",
    ],
}  # fmt: skip
"""Files that are changed, by what they are for."""
TESTS = {
    "gate": [
        "clients/test_cloud_settings.py", "configure/provider/test_caller.py", "provision/test_gate.py", "sovereignty/test_policy.py",
    ],
    "verdicts": ["sovereignty/test_verdict.py", "provision/test_gate.py"],
    "join service": ["portal"],
    "ports and firewall": [
        "config/test_endpoints.py", "config/test_ports.py", "configure/test_host_tables.py", "provision/test_classroom.py",
        "provision/test_tables.py", "verify/network",
    ],
}  # fmt: skip
"""Unit tests that execute these files."""
LOADED = ["aiohttp", "cryptography.x509", "hypothesis", "maxminddb", "openstack.config", "pulumi", "pydantic", "yaml"]
"""Packages that are imported once, before a process for each change begins."""
LIMIT = 300.0
"""Seconds after which the tests of one change count as failed, as an endless loop is noticed."""
SWAPS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.BitOr: "&", ast.BitAnd: "|", ast.LShift: ">>", ast.RShift: "<<",
}  # fmt: skip


class Mutant(NamedTuple):
    """A change: file, first line, and the file's text before and after from `start` to `end`."""

    file: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {' '.join(self.before.split())[:70]!r} → {' '.join(self.after.split())[:70]!r}"
        )


def mutants(file: str, text: str) -> Iterator[Mutant]:
    """Yield every change of a file that is made one at a time; docstrings, messages and annotations are left alone."""
    lines = [0]
    for line in text.encode().splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    data = text.encode()

    def place(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno and node.end_col_offset is not None
        return lines[node.lineno - 1] + node.col_offset, lines[node.end_lineno - 1] + node.end_col_offset

    def change(node: ast.expr | ast.stmt, after: str) -> Mutant:
        start, end = place(node)
        return Mutant(file, node.lineno, start, end, data[start:end].decode(), after)

    def source(node: ast.expr | ast.stmt) -> str:
        start, end = place(node)
        return data[start:end].decode()

    for node in _code(ast.parse(text)):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            swap = SWAPS[type(node.ops[0])]
            yield change(node, f"({source(node.left)}) {swap} ({source(node.comparators[0])})")
        elif isinstance(node, ast.BoolOp):
            word = " or " if isinstance(node.op, ast.And) else " and "
            yield change(node, "(" + word.join(f"({source(value)})" for value in node.values) + ")")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield change(node, f"({source(node.operand)})")
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            yield change(node, f"(({source(node.left)}) {ARITHMETIC[type(node.op)]} ({source(node.right)}))")
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield change(node.test, f"(not ({source(node.test)}))")
        elif isinstance(node, ast.Return) and node.value and not _is(node.value, None):
            yield change(node, "return None")
        elif (
            isinstance(node, ast.Raise | ast.AugAssign)
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
            or isinstance(node, ast.Break | ast.Continue)
        ):
            yield change(node, "pass")
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                yield change(node, str(not node.value))
            elif isinstance(node.value, int):
                yield change(node, f"({node.value} + 1)")
            elif isinstance(node.value, str) and node.value and not {" ", "\n"} & set(node.value):
                yield change(node, repr(f"{node.value}~"))


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _code(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yield the statements and expressions below a node that decide something at run time."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "format_spec", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
                continue  # the words of a message; what only narrows a type
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue  # a docstring
            if isinstance(child, ast.keyword) and child.arg in {"description", "title"}:
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            if isinstance(child, ast.AST):
                yield from _code(child)


class Contexts:
    """A plugin of pytest that records by which test each line is executed."""

    def __init__(self, recorder: coverage.Coverage) -> None:
        self._recorder = recorder

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Attribute what follows to a test."""
        self._recorder.switch_context(item.nodeid)


def files(only: str = "") -> list[str]:
    """Return the files that are changed and whose path contains `only`."""
    found = [
        str(path.relative_to(REPO)) for name in TARGETS for pattern in TARGETS[name] for path in REPO.glob(pattern)
    ]
    return sorted(file for file in found if only in file)


def record(target: Path, only: str) -> None:
    """Run the unit tests once and write, as JSON, the tests by file and line, and the seconds of each test.

    A test that fails without a change, too, is named and left out.
    """
    recorder = coverage.Coverage(data_file=None, include=[str(REPO / file) for file in files(only)], messages=False)
    seconds: dict[str, float] = collections.Counter()
    failed: set[str] = set()

    class Results:
        """Adds up the seconds of each test, and collects those that fail."""

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            """Add one phase of a test."""
            seconds[report.nodeid] += report.duration
            if report.failed:
                failed.add(report.nodeid)

    wanted = set(files(only))
    groups = [
        name
        for name in TARGETS
        if wanted & {str(path.relative_to(REPO)) for one in TARGETS[name] for path in REPO.glob(one)}
    ]
    named = dict.fromkeys(f"tests/unit/{name}" for group in groups for name in TESTS[group])
    recorder.start()
    pytest.main(["-q", "-p", "no:cacheprovider", *named], plugins=[Contexts(recorder), Results()])
    recorder.stop()
    for name in sorted(failed):
        print(f"left out, as it fails without a change, too: {name}")
    data = recorder.get_data()
    found = {
        file: {
            str(line): [name for name in names if name not in failed]
            for line, names in data.contexts_by_lineno(str(REPO / file)).items()
        }
        for file in wanted
    }
    target.write_text(json.dumps({"tests": found, "seconds": seconds}))


def tests_of(mutant: Mutant, recorded: dict[str, dict[str, dict[str, list[str]]]], text: str) -> list[str]:
    """Return the tests that execute a change's lines, or the file's if it is executed when the module is loaded."""
    tests = recorded["tests"][mutant.file]
    last = mutant.line + text.encode()[mutant.start : mutant.end].count(b"\n")
    found = {name for line in range(mutant.line, last + 1) for name in tests.get(str(line), [])}
    if "" in found or not found:
        found |= {name for names in tests.values() for name in names}
    found.discard("")
    return sorted(found, key=lambda name: recorded["seconds"].get(name, 0.0))


def noticed(mutant: Mutant, tests: list[str], tree: Path) -> bool:
    """Return whether one of the tests fails with the change, in a copy of the tree and a process of their own."""
    path = tree / mutant.file
    before = path.read_bytes()
    after = before[: mutant.start] + mutant.after.encode() + before[mutant.end :]
    try:
        compile(after, mutant.file, "exec")
        path.write_bytes(after)
        child = os.fork()
        if not child:
            run(tests, tree)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            finished, status = os.waitpid(child, os.WNOHANG)
            if finished:
                return status != 0
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except SyntaxError:
        pass
    finally:
        path.write_bytes(before)
    return True


def run(tests: list[str], tree: Path) -> NoReturn:
    """Run tests on a copy of the tree until one fails, and end this process with pytest's status."""
    try:
        os.setpgid(0, 0)
        os.chdir(tree)
        sys.path[0] = str(tree)
        os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        for name in [name for name in sys.modules if name.partition(".")[0] in {"tests", "classroom", "portal"}]:
            del sys.modules[name]
        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
    finally:
        os._exit(99)


def copied(folder: Path) -> Path:
    """Return a copy of the tree's files that git knows, without what is built."""
    listed = subprocess.check_output(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=REPO, text=True)
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (REPO / name).is_file():
            shutil.copy2(REPO / name, target)
    (folder / ".venv").symlink_to(REPO / ".venv")
    subprocess.run(["git", "init", "-q", folder], check=True)
    subprocess.run(["git", "-C", folder, "add", "-A"], check=True)
    return folder


def main() -> None:
    """Make the changes and print those that no test notices; status 1 if fewer than 95 % are noticed."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="number of changes")
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice")
    parser.add_argument("--only", default="", help="files whose path contains this text")
    parser.add_argument("--recorded", type=Path, help="file with the recorded coverage; written if it does not exist")
    given = parser.parse_args()
    every = [one for file in files(given.only) for one in mutants(file, (REPO / file).read_text())]
    chosen = random.Random(given.seed).sample(every, min(given.count, len(every)))
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        kept = given.recorded or Path(scratch) / "recorded.json"
        if not kept.exists():
            record(kept, given.only)
        recorded = json.loads(kept.read_text())
        tree = copied(Path(scratch) / "tree")
        for name in LOADED:
            importlib.import_module(name)
        survivors = []
        for number, one in enumerate(chosen, 1):
            began = time.monotonic()
            tests = tests_of(one, recorded, (REPO / one.file).read_text())
            killed = bool(tests) and noticed(one, tests, tree)
            survivors += [] if killed else [one]
            print(
                f"{number:3} {'noticed' if killed else 'MISSED '} {one} ({len(tests)} tests, {time.monotonic() - began:.0f} s)",
                flush=True,
            )
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} changes noticed, of {len(every)} possible ones")
    sys.exit(len(survivors) * 20 > len(chosen))


if __name__ == "__main__":
    main()
