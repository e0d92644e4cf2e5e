"""Rules for the source of deployed tests: sudo only through the listed commands."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom.common.paths import REPO
from classroom.verify.ssh import listed_commands

FILES = sorted([*(REPO / "tests" / "deployed").rglob("*.py"), *(REPO / "classroom" / "verify").rglob("*.py")])
REMOTE = REPO / "classroom" / "verify" / "ssh.py"


def findings(source: str, *, remote: bool = False) -> Iterator[str]:
    """Yield every use of Testinfra's sudo(), of its sudo connections, and of a literal sudo command."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "sudo":
            yield f"line {node.lineno}: `.sudo` runs a shell as root; use `listed`"
        if isinstance(node, ast.keyword) and node.arg in {"sudo", "sudo_user"}:
            yield f"line {node.value.lineno}: a connection with sudo"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "sudo=true" in node.value.lower():
            yield f"line {node.lineno}: a connection with sudo"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in RUNS
            and not remote
        ):
            words = [str(n.value) for a in node.args for n in ast.walk(a) if isinstance(n, ast.Constant)]
            if any("sudo" in word.split() for word in words) and words != ["sudo -n -l -l"]:
                yield f"line {node.lineno}: sudo outside `listed`"


RUNS = {"run", "run_test", "run_expect", "check_output", "exists"}


def used() -> set[tuple[str, str]]:
    """Return the listed commands that the deployed tests and classroom.verify use."""
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in {"listed", "listed_bytes"} and not any(isinstance(a, ast.Starred) for a in node.args):
                words = [ast.literal_eval(a) for a in node.args]
                users = [ast.literal_eval(k.value) for k in node.keywords if k.arg == "user"]
                found.add((users[0] if users else "root", " ".join(words)))
    return found


def test_files_are_found() -> None:
    assert len(FILES) > 15


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPO)))
def test_only_listed_commands_use_sudo(path: Path) -> None:
    assert list(findings(path.read_text(), remote=path == REMOTE)) == []


@pytest.mark.parametrize(
    "planted",
    [
        "with host.sudo(): pass",
        "host.sudo('portal')",
        "testinfra.get_host('ssh://a', sudo=True)",
        "testinfra.get_host('ssh://a?sudo=True')",
        "every.host.run('sudo -n cat /etc/shadow')",
        "every.host.check_output(f'sudo {x}')",
    ],
)
def test_check_finds_forbidden_sudo(planted: str) -> None:
    assert list(findings(planted))


def test_sudoers_list_equals_used_commands() -> None:
    """An unused permission is unnecessary; a command without permission fails on every machine."""
    assert used() == listed_commands()
