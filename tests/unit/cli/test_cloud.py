"""`classroom cloud check`: exit status, JSON and text."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.command import Done, classroom

OVH = "https://auth.cloud.ovh.net/v3"
PROGRAM = Path(sys.executable).with_name("classroom")
WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}


def run(*args: str) -> Done:
    """Run the command with the date of the catalogue, unless `args` contain --as-of."""
    day = () if "--as-of" in args else ("--as-of", "2026-11-24")
    return classroom("cloud", "check", *args, *day, **WIDE)


def checked(*args: str) -> tuple[int, dict[str, Any]]:
    done = run(*args, "--json")
    return done.returncode, json.loads(done.stdout)


def test_allowed_is_status_0_and_the_json_has_exactly_its_keys() -> None:
    status, answer = checked("--auth-url", OVH, "--region", "GRA11")
    assert status == 0
    assert list(answer) == ["verdict", "cloud", "region", "country", "reasons"]
    assert (answer["verdict"], answer["cloud"], answer["country"]) == ("allowed", "OVHcloud", "FR")
    assert [reason["about"] for reason in answer["reasons"]] == ["soil", "operator", "parent"]
    for reason in answer["reasons"]:
        assert list(reason) == ["about", "fact", "source", "date", "says_of", "mark"]
        assert "2026-11-24" <= reason["date"] <= "2026-11-29"
        assert reason["mark"] in ("H", "M")
        assert reason["fact"] and reason["source"]


def test_refused_is_status_3_and_a_wider_policy_admits() -> None:
    status, answer = checked("--auth-url", OVH, "--region", "eu-west-eri")
    assert (status, answer["verdict"], answer["country"]) == (3, "refused", "GB")
    status, answer = checked("--auth-url", OVH, "--region", "eu-west-eri", "--policy", "adequate")
    assert (status, answer["verdict"]) == (0, "allowed")


def test_unknown_is_status_4() -> None:
    status, answer = checked("--auth-url", OVH, "--region", "eu-west-nowhere")
    assert (status, answer["verdict"], answer["country"]) == (4, "unknown", None)
    status, answer = checked("--auth-url", "https://unknown.example/v3", "--region", "one")
    assert (status, answer["verdict"], answer["cloud"]) == (4, "unknown", None)
    status, answer = checked("--auth-url", OVH, "--region", "GRA11", "--as-of", "2028-01-01")
    assert (status, answer["verdict"]) == (4, "unknown")


def test_the_text_of_a_refusal() -> None:
    """Run the console script in its own process."""
    command = [PROGRAM, "cloud", "check", "--auth-url", OVH, "--region", "eu-west-eri", "--as-of", "2026-11-24"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | WIDE, check=False)
    assert done.returncode == 3
    assert "Erith, United Kingdom" in done.stdout
    assert "region: 'eu-west-eri'" in done.stdout
    assert "classroom:policy: {soil: adequate" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--auth-url", "nonsense", "--region", "GRA11"), "auth-url: 'nonsense'"),
        (("--auth-url", "ftp://a.example", "--region", "GRA11"), "auth-url: 'ftp://a.example'"),
        (("--auth-url", OVH, "--region", "GRA11", "--as-of", "tomorrow"), "as-of: 'tomorrow'"),
        (("--auth-url", OVH, "--region", "GRA11", "--as-of", "2026-02-30"), "as-of: '2026-02-30'"),
        (("--auth-url", OVH, "--region", "GRA11", "--policy", "us"), "policy: 'us'"),
        (("--auth-url", OVH, "--region", ""), "region: it is empty"),
        (("--auth-url", OVH), "--region"),
    ],
)
def test_wrong_use_is_status_2_and_named(args: tuple[str, ...], sentence: str) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
