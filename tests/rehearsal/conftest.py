"""Fixtures of the rehearsal's tests: a real cloud, real guests, one class. The tests need root and run in the order of `ORDER`.

With `--keep` they use the class that is open and leave it running, for work on the tests themselves.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from rehearsal import lab, stack
from rehearsal.folders import STACK
from tests.rehearsal.command import CLASSROOM, REPO, member, rehearsal
from tests.rehearsal.machine import traces

ORDER = (
    "test_cloud",
    "test_image",
    "test_class",
    "test_outside",
    "test_bad_input",
    "test_replaced",
    "test_administrators",
    "test_raid",
    "test_second_stack",
    "test_sound",
    "test_faults",
    "test_planted",
    "test_end",
)

SECONDS = 2700
"""Limit of one test, as the first one of a run starts a cloud and opens a class."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="use the rehearsal that is open, and leave it running")
    parser.addoption("--planted", type=Path, help="path of planted.json; default: beside the last verification")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem))
    for item in items:
        item.add_marker(pytest.mark.timeout(SECONDS))
    if config.getoption("--keep"):
        items[:] = [item for item in items if item.path.stem != "test_end"]


@pytest.fixture(scope="session")
def before(request: pytest.FixtureRequest) -> dict[str, set[str]]:
    """State of the machine without a rehearsal; stops a running one unless `--keep` is given."""
    if not request.config.getoption("--keep"):
        assert rehearsal("down", "--wipe").returncode == 0
    return traces()


@pytest.fixture(scope="session")
def cloud(before: dict[str, set[str]]) -> dict[str, str]:
    """Start the cloud from an empty state; return the member's variables."""
    answer = rehearsal("up", "--cloud-only")
    print(answer.stdout)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return member()


@pytest.fixture(scope="session")
def opened(cloud: dict[str, str], request: pytest.FixtureRequest) -> str:
    """Open and verify a class with `classroom rehearsal up`; return its output."""
    recorded = STACK / "test-lines.json"
    if request.config.getoption("--keep") and recorded.exists():
        return "\n".join(line for _, line in json.loads(recorded.read_text())["lines"])
    process = subprocess.Popen(
        [CLASSROOM, "rehearsal", "up"], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    start, last, silence, rest, lines = time.monotonic(), time.monotonic(), 0.0, b"", []
    # Read pieces, not lines: Pulumi shows progress as one dot per second.
    while piece := os.read(process.stdout.fileno(), 1 << 16):
        now = time.monotonic()
        silence, last = max(silence, now - last), now
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            lines.append((now - start, line.decode(errors="replace").rstrip()))
            print(f"{lines[-1][0]:6.1f} {lines[-1][1]}", flush=True)
    text = "\n".join(line for _, line in lines)
    assert process.wait() == 0, text[-4000:]
    recorded.write_text(json.dumps({"lines": lines, "silence": silence}))
    return text


@pytest.fixture(scope="session")
def opened_lines(opened: str) -> list[tuple[float, str]]:
    """The lines of `opened` with the seconds since the start."""
    return [(seconds, line) for seconds, line in json.loads((STACK / "test-lines.json").read_text())["lines"]]


@pytest.fixture(scope="session")
def silence(opened: str) -> float:
    """The longest time without output of `opened`, in seconds."""
    return float(json.loads((STACK / "test-lines.json").read_text())["silence"])


@pytest.fixture(scope="session")
def inventory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the inventory of the open class; with `--keep`, an open class is not opened and verified again."""
    if not (request.config.getoption("--keep") and lab.labs() and stack.exists()):
        request.getfixturevalue("opened")
    path = tmp_path_factory.mktemp("class") / "inventory.json"
    path.write_text(json.dumps(stack.output("inventory")))
    return path
