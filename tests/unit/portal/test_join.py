"""The join service without a media server: codes, names, limits, and what it does not log."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portal import codes as codes_module
from portal.codes import ALPHABET, Codes, normal
from portal.config import ConfigError, load
from portal.names import clean_name
from portal.rate_limit import network
from portal.tickets import Tickets
from tests.page.server import CODES, Settings, codes, environment, post


@pytest.fixture
def address() -> str:
    """A new client address."""
    return f"2001:db8:c:{secrets.randbelow(65536):x}::1"


@pytest.mark.parametrize("written", ["PVP11C0D", "pvp1-1c0d", " PVPI LCOD ", "PVP1\u20131C0D"])
def test_spellings_of_a_code_are_accepted(at: Settings, written: str) -> None:
    status, answer = post(at, "join", {"code": written, "name": "Ada"})
    assert (status, answer["role"]) == (200, "pupil")
    assert set(answer) == {"ticket", "role"}


@pytest.mark.parametrize(
    "body", [{"code": "NOSUCH", "name": "A"}, {"code": 7, "name": "A"}, {}, [], b"no json", b"\xff"]
)
def test_a_wrong_code_is_refused(at: Settings, body: object, address: str) -> None:
    assert post(at, "join", body, address) == (403, {"error": "wrong_code"})


@pytest.mark.parametrize(
    "name",
    ["", "  ", None, 7, "x" * 41, "a\u202eb", "a\u0000b", "\u200b", "\u3164", "a" + "\u0301" * 9, "\u0301", "x" * 5000],
)
def test_an_invalid_name_is_refused(at: Settings, name: object) -> None:
    assert post(at, "join", {"code": CODES["pupil"], "name": name})[0] in {422, 413}
    assert clean_name(name) is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [(" Léa  B ", "Léa B"), ("e\u0301", "é"), ("山田", "山田"), ("👩‍🏫", "👩‍🏫"), ("نور", "نور"), ("3", "3")],
)
def test_names_in_all_scripts_are_accepted(written: str, shown: str) -> None:
    assert clean_name(written) == shown


def test_wrong_codes_are_limited_but_the_class_behind_the_same_address_can_join(at: Settings, address: str) -> None:
    right = {"code": CODES["pupil"], "name": "Ada"}
    assert all(post(at, "join", right, address)[0] == 200 for _ in range(40))
    statuses = [post(at, "join", {"code": f"WRONG{n}", "name": "x"}, address)[0] for n in range(40)]
    assert statuses == [403] * 30 + [429] * 10
    assert post(at, "join", right, address)[0] == 200
    teacher = {"code": CODES["teacher"], "name": "x"}
    assert post(at, "join", teacher, address)[0] == 200  # the address is known for this room
    elsewhere = address.replace(":c:", ":d:")
    assert post(at, "join", {"code": "WRONG", "name": "x"}, elsewhere)[0] == 403


def test_over_the_limit_a_correct_code_gets_the_same_answer(at: Settings, address: str) -> None:
    for n in range(30):
        post(at, "join", {"code": f"WRONG{n}", "name": "x"}, address)
    assert post(at, "join", {"code": CODES["pupil"], "name": "x"}, address)[0] == 429


def test_limits_apply_to_an_ipv4_address_or_an_ipv6_network() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2::9") != network("2001:db8:1:3::9")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") != network("192.0.2.2")
    assert network("unix:") == ""


def test_verification_codes_are_valid_for_their_own_room_and_expire(
    at: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "portal.verification"]
    found = json.loads(
        subprocess.run(command, env=os.environ | environment(at), check=True, capture_output=True).stdout
    )
    assert set(found) == {"room", "teacher_code", "pupil_code", "expires"}
    assert 840 < found["expires"] - time.time() <= 900
    for role in ("teacher", "pupil"):
        status, answer = post(at, "join", {"code": found[f"{role}_code"], "name": "verif"})
        assert (status, answer["role"]) == (200, role)
        ticket = Tickets(at.secret).read(answer["ticket"])
        assert ticket and (ticket.room, ticket.role) == (found["room"], role)
        assert abs((ticket.ends or 0) - found["expires"]) < 60
    known = Codes(codes(), at.secret)
    admission = known.admit(found["pupil_code"])
    assert admission and admission.room == found["room"] != "cm2"
    # Another role, another expiry, another server's secret: all are refused.
    assert known.admit(found["pupil_code"].replace("VP", "VT", 1)) is None
    longer = found["teacher_code"][:10] + "ZZZZZZ" + found["teacher_code"][16:]
    assert known.admit(longer) is None
    assert Codes([], "another").admit(found["teacher_code"]) is None
    monkeypatch.setattr(codes_module.time, "time", lambda: found["expires"] + 61)
    assert known.admit(found["teacher_code"]) is None


OWN = "https://class.example"
ELSEWHERE = [
    "https://evil.example",
    "http://class.example",
    "https://class.example:444",
    "null",
    "",
    "https://class.example.evil.example",
]


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_requests_of_other_sites_are_refused_and_not_counted(at: Settings, address: str, origin: str) -> None:
    wrong, right = ({"code": code, "name": "Ada"} for code in ("NOSUCH", CODES["pupil"]))
    for body in [wrong] * 31 + [right]:
        assert post(at, "join", body, address, Origin=origin) == (403, {"error": "other_site"})
    assert post(at, "join", wrong, address, Origin=OWN) == (403, {"error": "wrong_code"})
    assert post(at, "join", right, address, Origin=OWN)[0] == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", ""]
)
def test_other_content_types_are_refused_and_not_counted(at: Settings, address: str, kind: str) -> None:
    wrong, right = ({"code": code, "name": "Ada"} for code in ("NOSUCH", CODES["pupil"]))
    for body in [wrong] * 31 + [right]:
        assert post(at, "join", body, address, **{"Content-Type": kind}) == (415, {"error": "not_json"})
    assert post(at, "join", right, address, **{"Content-Type": "application/json; charset=utf-8"})[0] == 200


def test_the_alphabet_survives_being_normalised() -> None:
    assert normal(ALPHABET) == ALPHABET


def test_no_pseudonym_no_code_and_no_address_is_logged(at: Settings) -> None:
    """Search all files and output of the service for values that were sent before."""
    name, wrong = f"Canari{secrets.token_hex(4)}", f"CANARY{secrets.token_hex(4)}"
    place = "203.0.113.99"
    assert post(at, "join", {"code": CODES["pupil"], "name": name}, place)[0] == 200
    assert post(at, "join", {"code": wrong, "name": name}, place)[0] == 403
    assert post(at, "join", {"code": CODES["pupil"], "name": name + "\u202e"}, place)[0] == 422
    written = b"".join(p.read_bytes() for p in at.folder.rglob("*") if p.is_file())
    assert b"livekit_secret" in written  # the search does read the files
    for sought in (name, wrong, place, CODES["pupil"], CODES["teacher"]):
        assert sought.encode() not in written


def test_an_invalid_configuration_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        load()
    (tmp_path / "portal.json").write_text('{"domain": "class.example"}')
    with pytest.raises(ConfigError, match="`url` is missing or empty"):
        load()
    extra = {"PORTAL_CONFIG": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "portal"], env=os.environ | extra, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_a_large_body_is_refused(at: Settings) -> None:
    assert post(at, "join", {"code": "x" * 5000, "name": "x"})[0] == 413


def test_the_api_matches_its_description(at: Settings, address: str, tmp_path: Path) -> None:
    """Generated valid and invalid requests find no server error and no undocumented response."""
    base = f"http://127.0.0.1:{at.portal}"
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{base}/api/openapi.json", "--url", base]
    command += ["--phases", "examples,coverage,fuzzing", "-n", "8", "--seed", "1", "-H", f"X-Real-IP: {address}"]
    command += ["--exclude-checks", "ignored_auth,positive_data_acceptance", "--generation-database", ":memory:"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-3000:]
