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
from portal.codes import Codes
from portal.config import ConfigError, load
from portal.names import clean_name
from portal.rate_limit import network
from portal.tickets import Tickets
from tests.page.server import CODES, KEY, Settings, classes, environment, post


@pytest.fixture
def address() -> str:
    """A new client address."""
    return f"2001:db8:c:{secrets.randbelow(65536):x}::1"


PASTED = [
    "{code}",
    "{small}",
    " {four}-{rest} ",
    "{four}\u2013{rest}",
    "{four} {rest}",
    "«\u00a0{code}\u00a0»",
    '"{code}".',
    "\u2018{code}\u2019",
    "{code}.",
    "\ufeff\u2066{four}\u200b{rest}\u2069\u00ad",
    "`{code}`",
    "https://class.example/#{four}-{rest}",
    "<https://class.example/#{four}%2D{rest}>.",
    "HTTPS://CLASS.EXAMPLE/#{small}",
    "\uff23\uff4f\uff44\uff45#{code}",
]
"""What is pasted or typed for a code; `four` are its first characters, `rest` the others, `small` has small letters."""


@pytest.mark.parametrize("pattern", PASTED)
@pytest.mark.parametrize("role", CODES)
def test_a_code_is_found_in_what_is_pasted(at: Settings, pattern: str, role: str) -> None:
    code = CODES[role]
    written = pattern.format(code=code, four=code[:4], rest=code[4:], small=code.lower())
    status, answer = post(at, "join", {"code": written, "name": "Ada"})
    assert (status, answer.get("role")) == (200, role)
    assert set(answer) == {"ticket", "role"}


@pytest.mark.parametrize(
    "body", [{"code": "NOSUCH", "name": "A"}, {"code": 7, "name": "A"}, {}, [], b"no json", b"\xff"]
)
def test_a_wrong_code_is_refused(at: Settings, body: object, address: str) -> None:
    assert post(at, "join", body, address) == (403, {"error": "wrong_code"})


@pytest.mark.parametrize(
    "name",
    ["", "  ", None, 7, "x" * 41, "a\u202eb", "a\u0000b", "\u200b", "\u3164", "\u0301", "x" * 5000],
)
def test_an_invalid_name_is_refused(at: Settings, name: object) -> None:
    assert post(at, "join", {"code": CODES["pupil"], "name": name})[0] in {422, 413}
    assert clean_name(name) is None


def test_wrong_codes_are_limited_and_correct_ones_admitted(at: Settings, address: str) -> None:
    statuses = [post(at, "join", {"code": f"WRONG{n}", "name": "x"}, address=address)[0] for n in range(40)]
    assert statuses == [403] * 30 + [429] * 10
    for role in CODES:
        assert post(at, "join", {"code": CODES[role], "name": "Ada"}, address=address)[0] == 200
    assert post(at, "join", {"code": "WRONG", "name": "x"}, address=address) == (429, {"error": "too_many"})
    elsewhere = address.replace(":c:", ":d:")
    assert post(at, "join", {"code": "WRONG", "name": "x"}, elsewhere)[0] == 403


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
    known = Codes(classes(), KEY, at.secret)
    admission = known.admit(found["pupil_code"])
    assert admission and admission.room == found["room"] != "cm2"
    # Another role, another expiry, another server's secret: all are refused.
    assert known.admit(found["pupil_code"].replace("VP", "VT", 1)) is None
    longer = found["teacher_code"][:10] + "ZZZZZZ" + found["teacher_code"][16:]
    assert known.admit(longer) is None
    assert Codes([], KEY, "another").admit(found["teacher_code"]) is None
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
    whole = {"domain": "class.example", "url": "u", "livekit": ["u"], "livekit_key": "k", "classes": classes()}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "portal.json").write_text('{"livekit_secret": "s"}')
    for faulty in (
        [{"room": "cm2"}],
        [{"room": "cm2", "versions": {"teacher": 1}}],
        ["cm2"],
        [{"room": 1, "versions": {}}],
    ):
        (tmp_path / "portal.json").write_text(json.dumps(whole | {"classes": faulty}))
        with pytest.raises(ConfigError, match="`classes` needs room"):
            load()
    (tmp_path / "portal.json").write_text(json.dumps(whole))
    with pytest.raises(ConfigError, match=r"class-codes\.key cannot be read"):
        load()
    for faulty in ("", "xyz", "00" * 31, "00" * 33):
        (tmp_path / "secrets" / "class-codes.key").write_text(faulty)
        with pytest.raises(ConfigError, match="64 hexadecimal digits"):
            load()
    (tmp_path / "secrets" / "class-codes.key").write_text("00" * 32 + "\n")
    assert load().codes_key == bytes(32)
    (tmp_path / "portal.json").write_text("{}")
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
