"""The program of role acme: when an order is due, when it is tried again, and what it says of a failure."""

import datetime
import importlib.util
import json
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from classroom.common.paths import REPO
from tests.unit.config.spellings import certificate, pem

PROGRAM = REPO / "ansible" / "roles" / "acme" / "files" / "classroom-acme"
DIRECTORY = "https://acme.example/dir"
NAMES = ["class.example", "turn.class.example"]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Load the program with the settings and folders of a test."""
    settings = {"names": NAMES, "directory": DIRECTORY, "ini": "/nonexistent", "state": str(tmp_path / "state")}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", lambda _: json.dumps(settings))
        loader = SourceFileLoader("classroom_acme", str(PROGRAM))
        spec = importlib.util.spec_from_loader("classroom_acme", loader)
        assert spec
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    (tmp_path / "state/config/live/class").mkdir(parents=True)
    monkeypatch.setattr(module, "CHAIN", tmp_path / "fullchain.pem")
    return module


@pytest.fixture
def at(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs a certificate and sets the clock, in seconds since it was issued."""

    def install(lifetime: float, passed: float, names: list[str] = NAMES, **record: Any) -> None:
        days = max(1, int(lifetime // 86400) + 1)
        leaf = certificate("class.example", None, names=names, days=days)[0]
        text = pem((leaf, None))
        for path in (program.CHAIN, program.LIVE / "fullchain.pem"):
            path.write_text(text)
        start = leaf.not_valid_after_utc - datetime.timedelta(seconds=lifetime)

        class Leaf:
            """The certificate with a lifetime of the test."""

            not_valid_before_utc, not_valid_after_utc, extensions = start, leaf.not_valid_after_utc, leaf.extensions

        shown = Leaf()
        monkeypatch.setattr(program, "leaf", lambda _: shown)
        monkeypatch.setattr(program, "now", lambda: start + datetime.timedelta(seconds=passed))
        program.record(directory=DIRECTORY, **record)

    return install


@pytest.mark.parametrize(
    ("lifetime", "passed", "due"),
    [
        (900, 440, False),
        (900, 460, True),
        (6 * 86400, 3 * 86400 - 60, False),
        (6 * 86400, 3 * 86400 + 60, True),
        (90 * 86400, 60 * 86400 - 60, False),
        (90 * 86400, 60 * 86400 + 60, True),
    ],
)
def test_short_certificates_are_renewed_at_half_of_their_time_and_others_when_a_third_is_left(
    program: ModuleType, at: Callable[..., None], lifetime: float, passed: float, due: bool
) -> None:
    at(lifetime, passed)
    assert program.due() == (0 if due else 1)


def test_another_name_or_directory_or_certificate_is_due(
    program: ModuleType, at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(90 * 86400, 60, names=[*NAMES, "turn1.class.example"])
    assert program.why_due() == "the names have changed"
    at(90 * 86400, 60)
    assert program.why_due() == ""
    program.record(directory="https://other.example/dir")
    assert program.why_due() == "acme.directory has changed"
    monkeypatch.setattr(program, "leaf", lambda path: None)
    assert "no certificate of the authority" in program.why_due()


@pytest.mark.parametrize(
    ("failures", "minutes", "due"),
    [(1, 4, False), (1, 5, True), (2, 9, False), (2, 10, True), (3, 19, False), (3, 20, True), (20, 350, False), (20, 361, True)],
)  # fmt: skip
def test_attempts_after_failures_become_rarer(
    program: ModuleType, at: Callable[..., None], failures: int, minutes: int, due: bool
) -> None:
    at(90 * 86400, 61 * 86400)
    last = program.now() - datetime.timedelta(minutes=minutes)
    program.record(failures=failures, last=last.isoformat())
    assert program.due() == (0 if due else 1)


def test_the_last_minutes_of_a_certificate_are_used(program: ModuleType, at: Callable[..., None]) -> None:
    at(900, 600)
    last = program.now() - datetime.timedelta(minutes=5)
    program.record(failures=9, last=last.isoformat())
    assert program.due() == 0


OUTPUT = """
Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: class.example
  Type:   {kind}
  Detail: {detail}

Hint: The Certificate Authority failed to download the temporary challenge files.
Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile /x for more details.
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (OUTPUT.format(kind="dns", detail="no records"), ["class.example: no records", "add the dns_records"]),
        (
            OUTPUT.format(kind="connection", detail='could not resolve URL "x"'),
            ["could not resolve", "add the dns_records"],
        ),
        (
            "An unexpected error occurred:\nToo many orders\nurn:ietf:params:acme:error:rateLimited",
            ["(Too many orders)", "the next attempt comes by itself"],
        ),
        (
            OUTPUT.format(kind="connection", detail="192.0.2.1: Timeout."),
            ["192.0.2.1: Timeout)", "http://class.example/.well-known/acme-challenge/classroom answers 'classroom'"],
        ),
        (OUTPUT.format(kind="unauthorized", detail="404"), ["404", "of one of both families"]),
        (OUTPUT.format(kind="caa", detail="forbidden"), ["CAA records"]),
        (
            "An unexpected error occurred:\nurn:ietf:params:acme:error:rateLimited :: There were too many requests :: x\n",
            ["too many requests", "the next attempt comes by itself"],
        ),
        (
            "An unexpected error occurred:\nurn:ietf:params:acme:error:externalAccountRequired :: Request lacks it\n",
            ["set acme.eab and acme_eab_key"],
        ),
        (
            "Unable to register an account with ACME server. Server requires external account binding. Please use --eab-kid\n",
            ["set acme.eab and acme_eab_key"],
        ),
        ("the authority did not finish within 300 s", ["did not finish within 300 s", "read the log"]),
        ("", ["no reason given"]),
        ("An unexpected error occurred:\njson.decoder.JSONDecodeError: Expecting value\n", ["Expecting value"]),
    ],
)
def test_a_failure_is_one_sentence_with_what_was_said_and_the_fix(
    program: ModuleType, output: str, words: list[str]
) -> None:
    said = program.reason(output)
    assert "\n" not in said and said.startswith(f"the authority at {DIRECTORY} issues no certificate (")
    assert [word for word in words if word not in said] == [], said
