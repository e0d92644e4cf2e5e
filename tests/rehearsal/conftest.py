"""The rehearsal's own tests: a real cloud, real guests, one class. They need root, and run in the order of `ORDER`.

With `--keep` they use the class that is open, and leave it: for work on the tests themselves.
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
    "test_faults",
    "test_planted",
    "test_end",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help="use the rehearsal that is open, and do not end it")
    parser.addoption("--planted", type=Path, help="where planted.json goes; beside the last verification if not given")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem))
    if config.getoption("--keep"):
        items[:] = [item for item in items if item.path.stem != "test_end"]


@pytest.fixture(scope="session")
def before(request: pytest.FixtureRequest) -> dict[str, set[str]]:
    """The machine without a rehearsal; one that is there ends here."""
    if not request.config.getoption("--keep"):
        assert rehearsal("down", "--wipe").returncode == 0
    return traces()


@pytest.fixture(scope="session")
def cloud(before: dict[str, set[str]]) -> dict[str, str]:
    """A cloud that runs, started from nothing; the member's variables."""
    answer = rehearsal("up", "--cloud-only")
    print(answer.stdout)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return member()


@pytest.fixture(scope="session")
def opened(cloud: dict[str, str], request: pytest.FixtureRequest) -> str:
    """A class that `classroom rehearsal up` has opened and verified; what it said."""
    kept = STACK / "test-lines.json"
    if request.config.getoption("--keep") and kept.exists():
        return "\n".join(line for _, line in json.loads(kept.read_text())["lines"])
    process = subprocess.Popen(
        [CLASSROOM, "rehearsal", "up"], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    start, last, silence, rest, lines = time.monotonic(), time.monotonic(), 0.0, b"", []
    # By what comes and not by lines: Pulumi tells that it goes on by one dot a second.
    while piece := os.read(process.stdout.fileno(), 1 << 16):
        now = time.monotonic()
        silence, last = max(silence, now - last), now
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            lines.append((now - start, line.decode(errors="replace").rstrip()))
            print(f"{lines[-1][0]:6.1f} {lines[-1][1]}", flush=True)
    text = "\n".join(line for _, line in lines)
    assert process.wait() == 0, text[-4000:]
    kept.write_text(json.dumps({"lines": lines, "silence": silence}))
    return text


@pytest.fixture(scope="session")
def opened_lines(opened: str) -> list[tuple[float, str]]:
    """The lines of `opened` with the seconds at which each came."""
    return [(seconds, line) for seconds, line in json.loads((STACK / "test-lines.json").read_text())["lines"]]


@pytest.fixture(scope="session")
def silence(opened: str) -> float:
    """The longest time without a sign of `opened`, in seconds."""
    return float(json.loads((STACK / "test-lines.json").read_text())["silence"])


@pytest.fixture(scope="session")
def inventory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inventory of the open class, in a file. One that is kept open is not opened and verified again."""
    if not (request.config.getoption("--keep") and lab.labs() and stack.is_there()):
        request.getfixturevalue("opened")
    path = tmp_path_factory.mktemp("class") / "inventory.json"
    path.write_text(json.dumps(stack.output("inventory")))
    return path
