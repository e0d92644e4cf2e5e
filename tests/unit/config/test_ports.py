"""Port numbers are written only in the port tables: roles, templates, verification and tests read them from there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from classroom.common.paths import REPO, source_files
from classroom.config.ports import LOCAL_PORTS, PORTS, RELAY, local_tls, port_number, port_numbers

ROOTS = ("ansible", "templates", "portal", "classroom/verify", "tests")
SUFFIXES = {"", ".conf", ".j2", ".json", ".py", ".sh", ".yaml", ".yml"}
METADATA = r"[ds]port 80 |, 80[,)]"
ALL = ""
ALLOWED = (
    ("ansible/roles/firewall/templates/nftables.conf.j2", METADATA, "the cloud's metadata service"),
    ("classroom/verify/network/firewall.py", METADATA, "the cloud's metadata service"),
    ("tests/planted/plants.py", r"\{cdn\}:443:", "a web server outside the class"),
    ("tests/rehearsal/ask_outside.py", "443", "web servers outside the class"),
    ("tests/roles/test_egress.py", METADATA, "the cloud's metadata service"),
    ("tests/unit/config/test_endpoints.py", METADATA, "the cloud's metadata service"),
    ("tests/unit/config/test_ports.py", ALL, "samples of this test"),
    (
        "tests/unit/configure/provider/test_login.py",
        "closed by 203.0.113.9 port 22",
        "a message as the SSH client prints it",
    ),
    ("tests/unit/provision/test_tables.py", "443.0", "a number as the engine sends it"),
    ("tests/unit/sovereignty/test_catalogue.py", "cloud.ovh.net:443", "address of a cloud"),
    ("tests/unit/sovereignty/test_verdict.py", "51.91.10.1:443", "text that is no address"),
    (
        "tests/unit/verify/controls/test_judges.py",
        ALL,
        "sockets, rules and addresses as programs and clouds print them",
    ),
    ("tests/unit/verify/network/test_firewall.py", ALL, "rules as nft prints them"),
    ("tests/unit/verify/network/test_nftables.py", ALL, "sockets and log lines as programs print them"),
    ("tests/unit/verify/network/test_port_scan.py", ALL, "answers as nmap prints them"),
    ("tests/unit/verify/report/test_report.py", "443", "addresses and packets in a report"),
    ("tests/unit/verify/test_ssh.py", ALL, "sockets as ss prints them"),
    ("tests/up/test_gate.py", "infomaniak.cloud:443", "address of a cloud"),
)
"""Where a port number may be written: file, pattern of the line, reason."""

# The local resolver's port 53 is also the port of all other resolvers.
NUMBERS = {port.first for port in PORTS} | {port.last for port in PORTS} | {*RELAY, *local_tls(9)}
NUMBERS |= {port.number for port in LOCAL_PORTS} - {port_number("resolver")}
SHORT = {number for number in NUMBERS if number < 1000}


def _either(numbers: set[int]) -> str:
    return "|".join(map(str, sorted(numbers)))


# A short number is a port only next to a word such as `port`, or after a host and a colon.
LITERAL = re.compile(
    rf"\b({_either(NUMBERS - SHORT)})\b|(?:\bport[ =]+|(?:^|[\w\]}}]):|\b[ds]port )({_either(SHORT)})\b(?!\.)",
    re.IGNORECASE,
)


def counts(tree: ast.AST) -> set[ast.expr]:
    """Return the numbers of a program that count something: bounds of slices and of comparisons, and named arguments."""
    found: set[ast.expr | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Slice):
            found |= {node.lower, node.upper}
        elif isinstance(node, ast.Compare) and not any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
            found |= {node.left, *node.comparators}
        elif isinstance(node, ast.keyword) and not re.search("port|first|last", node.arg or "port"):
            found.add(node.value)
    return {node for node in found if isinstance(node, ast.Constant) and node.value in SHORT}


def in_python(source: str) -> Iterator[int]:
    """Yield the lines of a program that contain a port's number, except docstrings, comments and counts."""
    tree = ast.parse(source)
    passed = counts(tree) | {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or node in passed:
            continue
        if isinstance(node.value, str):
            # A triple-quoted string has the same line breaks as the source.
            apart = (node.end_lineno or 0) > node.lineno
            for match in LITERAL.finditer(node.value):
                yield node.lineno + (node.value.count("\n", 0, match.start()) if apart else 0)
        elif node.value in NUMBERS and not (ast.get_source_segment(source, node) or "").startswith("0x"):
            yield node.lineno


def in_text(source: str) -> Iterator[int]:
    """Yield the numbers of the lines of another file with a port number, without comments."""
    for number, line in enumerate(source.splitlines(), 1):
        if LITERAL.search(re.sub(r"(^|\s)#.*", "", line)):
            yield number


def literals() -> Iterator[tuple[str, int, str]]:
    """Yield file, line number and text of every line with a port number."""
    for path in (path for root in ROOTS for path in source_files(REPO / root) if path.suffix in SUFFIXES):
        source = path.read_text()
        lines = source.splitlines()
        for number in sorted(set((in_python if path.suffix == ".py" else in_text)(source))):
            yield path.relative_to(REPO).as_posix(), number, lines[number - 1]


def test_no_port_is_written_outside_the_tables() -> None:
    used, new = set(), []
    for path, number, line in literals():
        allowed = {entry for entry in ALLOWED if entry[0] == path and re.search(entry[1], line)}
        used |= allowed
        new += [] if allowed else [f"{path}:{number}"]
    assert not new, f"take these from classroom.config.ports: {', '.join(new)}"
    stale = [f"{path} ({pattern})" for path, pattern, reason in ALLOWED if (path, pattern, reason) not in used]
    assert not stale, f"remove from ALLOWED, as no such line has a port's number: {', '.join(stale)}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("port: 7880\n", True),
        ("default: [30000, 30999]\n", True),
        ("address: {{ host }}:5349\n", True),
        ("listen 127.0.0.1:8444 ssl;\n", True),
        ("curl --resolve class.example:443:127.0.0.1\n", True),
        ("listen: {{ host }}:443\n", True),
        ("ssh-keyscan [2001:db8::1]:22\n", True),
        ("tcp dport 80 accept\n", True),
        ("# page behind port 443\n", False),
        ("2001:db8::22, 192.0.2.80, 80 %, in 22 s\n", False),
    ],
)
def test_port_numbers_in_a_text_file_are_found(source: str, found: bool) -> None:
    assert bool(list(in_text(source))) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("connect((address, 443))", True),
        ('url = f"http://{host}:8090/api"', True),
        ('url = f"turns:{name}:443"', True),
        ('"""Port 443."""', False),
        ("SEND = 0x016  # 22", False),
        ('DNS = "192.0.2.22"', False),
        ("rule(port=22)", True),
        ("assert port == 80", True),
        ("trials(text[:80], most=80) if len(found) > 80 else None", False),
    ],
)
def test_port_numbers_in_a_program_are_found(source: str, found: bool) -> None:
    assert bool(list(in_python(source))) == found


def test_each_port_is_in_the_tables_once() -> None:
    names = [port.name for port in PORTS] + [port.name for port in LOCAL_PORTS]
    assert len(set(names)) == len(names)
    assert list(port_numbers()) == names
    taken = [number for port in PORTS for number in range(port.first, port.last + 1)]
    taken += [number for port in LOCAL_PORTS for number in (local_tls(9) if port.name == "tls" else [port.number])]
    taken += range(RELAY[0], RELAY[1] + 1)
    assert len(set(taken)) == len(taken)


def test_roles_get_the_variables_that_they_require() -> None:
    ansible = REPO / "ansible"
    given = yaml.safe_load((ansible / "group_vars" / "all.yml").read_text())
    for path in sorted(Path(ansible).glob("roles/*/meta/argument_specs.yml")):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        lacking = {name for name, option in options.items() if option.get("required")} - set(given)
        assert not lacking, f"{path.parent.parent.name}: ansible/group_vars/all.yml does not set {sorted(lacking)}"
