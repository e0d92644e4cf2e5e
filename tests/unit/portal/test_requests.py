"""Malformed requests: each gets a status that the API describes, never 500, and none is logged."""

import asyncio
import contextlib
import gzip
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from portal.openapi import OPENAPI
from tests.page.server import CODES, ROOM, Settings, free_port, portal, post
from tests.unit.portal.member import Member, ticket
from tests.unit.portal.wire import ANSWERS, failing_media, send

CANARY = f"canary{secrets.token_hex(4)}"
"""Marker in every request; it must not appear in any file or output afterwards."""
HTTP_PROBLEMS = {400, 404, 405, 413, 417, 431}
"""Statuses of the HTTP server itself for requests that reach no handler."""
BODIES = {
    path.removeprefix("/api/"): way["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    for path, way in OPENAPI["paths"].items()
    if "requestBody" in way.get("post", {})
}
ENDPOINTS = sorted(path.removeprefix("/api/") for path, way in OPENAPI["paths"].items() if "post" in way)
GOOD = {"code": CODES["pupil"], "name": "Ada"}

VALUES = [
    r'"\ud83d"',
    r'"\udc00\ud83d"',
    r'"a\ud83d\u0000"',
    r'"\u0000"',
    r'"\ud83d\ude00"',
    '"\u202e"',
    '"' + "\u0301" * 500 + '"',
    '"' + "\ufdfa" * 900 + '"',
    '"' + "x" * 3500 + '"',
    '""',
    "1" + "0" * 3500,
    "-1",
    "1e999",
    "NaN",
    "-Infinity",
    "9e15",
    "null",
    "true",
    "[]",
    "{}",
    '["' + CANARY + '"]',
    '{"text": "' + CANARY + '"}',
    "[" * 1900,
    "[" * 1900 + "]" * 1900,
    '{"a":' * 600 + "1" + "}" * 600,
]
"""Valid and invalid JSON to replace one value."""

WHOLE = {
    "nothing": b"",
    "no JSON": CANARY.encode(),
    "bytes": b"\xff\xfe\x00" + CANARY.encode(),
    "surrogates as bytes": b'{"code": "\xed\xa0\xbd", "name": "\xed\xa0\xbd", "text": "\xed\xa0\xbd"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "UTF-32": json.dumps(GOOD).encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "a list": json.dumps([GOOD]).encode(),
    "a text": json.dumps(CANARY).encode(),
    "NaN alone": b"NaN",
    "a long number": b"1" * 4000,
    "the same key twice": b'{"code": "A", "code": ["%s"], "text": "a", "text": 1, "identity": 1, "identity": "x"}'
    % CANARY.encode(),
    "5 MB": b'{"code": "' + b"x" * 5_000_000 + b'"}',
    "too deep": b"[" * 100_000,
    "deep": b"[" * 4000,
}
"""Complete bodies, by their fault."""

HEADERS: dict[str, dict[bytes, bytes]] = {
    "UTF-7": {b"Content-Type": b"application/json; charset=utf-7"},
    "an unknown charset": {b"Content-Type": b"application/json; charset=" + CANARY.encode()},
    "no text encoding": {b"Content-Type": b"application/json; charset=hex"},
    "an escape as charset": {b"Content-Type": b"application/json; charset=unicode_escape"},
    "undefined": {b"Content-Type": b"application/json; charset=undefined"},
    "bytes as charset": {b"Content-Type": b'application/json; charset="\xff\xfe"'},
    "no type at all": {b"Content-Type": b"\xff"},
    "a form": {b"Content-Type": b"multipart/form-data; boundary=x"},
    "compressed, it says": {b"Content-Encoding": b"gzip"},
    "deflated, it says": {b"Content-Encoding": b"deflate"},
    "in an unknown way": {b"Content-Encoding": CANARY.encode()},
    "bytes as address": {b"X-Real-IP": b"\xff\xfe"},
    "a scoped address": {b"X-Real-IP": b"fe80::1%" + CANARY.encode()},
    "an expectation": {b"Expect": CANARY.encode()},
    "bytes in a header": {b"X-Whatever": b"\xf0\x9f\x98 " + CANARY.encode()},
    "a long header": {b"X-Whatever": b"x" * 20_000},
    "a header with a line break": {b"X-Whatever": b"a\nb " + CANARY.encode()},
    "a header without a name": {b"": CANARY.encode()},
    "two lengths": {b"content-length": b"3"},
    "a negative length": {b"Content-Length": b"-1"},
    "a length in words": {b"Content-Length": CANARY.encode()},
    "an unknown transfer": {b"Transfer-Encoding": CANARY.encode()},
    "invalid chunks": {b"Content-Length": b"0", b"Transfer-Encoding": b"chunked"},
}
"""Headers, by their fault."""

RAW = {
    "no HTTP": CANARY.encode() + b"\r\n\r\n",
    "an odd method": b"\xffPOST /api/join HTTP/1.1\r\n\r\n",
    "an odd version": b"POST /api/join HTTP/9.9\r\nHost: a\r\n\r\n",
    "a long path": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "an odd path": b"GET /api/%ff%00%f0%9f/../"
    + CANARY.encode()
    + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "a second one that is bad": b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n" + CANARY.encode() + b"\xff\r\n\r\n",
}
"""Raw requests, by their fault."""


@contextlib.contextmanager
def beside(port: int, folder: Path) -> Iterator[Settings]:
    """Run a join service that expects its media server on this port."""
    here = Settings(port, free_port(), "s" * 48, folder)
    with portal(here):
        yield here
        written(here)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A join service without a media server."""
    with beside(free_port(), tmp_path_factory.mktemp("alone")) as here:
        yield here


@pytest.fixture(params=ANSWERS)
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A join service whose media server closes the connection or sends an invalid response."""
    with failing_media(*ANSWERS[request.param]) as port, beside(port, tmp_path) as here:
        yield here


@pytest.fixture(scope="module")
def real(at: Settings) -> Iterator[Settings]:
    """The join service with a real media server."""
    yield at
    written(at)


def written(at: Settings) -> None:
    """Check that the service's journal has only types and locations of errors, and no error of a handler."""
    journal = Path(at.folder / "portal.log").read_text(errors="replace")
    assert CANARY not in journal
    assert not [line for line in journal.splitlines() if not re.fullmatch(r"\w+: \w+ at [\w/.\-]+:\d+", line)], journal


def check(at: Settings, endpoint: str, body: bytes = b"{}", headers: dict[bytes, bytes] | None = None) -> int:
    """Send a request, check that the API describes its status, and return the status."""
    status = send(at.portal, "POST", f"/api/{endpoint}", body, headers)
    named = {int(code) for code in OPENAPI["paths"][f"/api/{endpoint}"]["post"]["responses"]}
    assert status in named | HTTP_PROBLEMS, (endpoint, status, body[:80], headers)
    return status


def with_value(endpoint: str, key: str, value: str) -> bytes:
    """Return the JSON of a valid request with one value replaced by the JSON text `value`."""
    rest = {name: GOOD[name] for name in BODIES[endpoint] if name != key}
    return f'{{"{key}": {value}, "canary": "{CANARY}", {json.dumps(rest)[1:]}'.replace(", }", "}").encode()


def somewhere() -> dict[bytes, bytes]:
    """Return the header of a new client address."""
    return {b"X-Real-IP": b"2001:db8:%x:%x::1" % (secrets.randbelow(65536), secrets.randbelow(65536))}


def every_malformed_request(at: Settings, endpoint: str) -> None:
    for key in BODIES.get(endpoint, ()):
        for value in VALUES:
            check(at, endpoint, with_value(endpoint, key, value), somewhere())
    for body in WHOLE.values():
        check(at, endpoint, body, somewhere())
    for headers in HEADERS.values():
        check(at, endpoint, json.dumps(GOOD).encode(), somewhere() | headers)
    bomb = gzip.compress(b'{"code": "' + b"x" * 5_000_000 + b'"}')
    check(at, endpoint, bomb, somewhere() | {b"Content-Encoding": b"gzip"})


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_malformed_requests_are_answered(real: Settings, endpoint: str) -> None:
    every_malformed_request(real, endpoint)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_malformed_requests_without_a_media_server_are_answered(alone: Settings, endpoint: str) -> None:
    every_malformed_request(alone, endpoint)


async def test_people_are_answered_while_the_media_server_fails(failing: Settings) -> None:
    """They get a ticket and a session; the class opens when the media server answers as it should."""
    async with (
        Member(failing, await ticket(failing, ROOM, "teacher")) as teacher,
        Member(failing, await ticket(failing, ROOM)) as pupil,
    ):
        await asyncio.sleep(1.2)
        for member in (teacher, pupil):
            assert await member.ask("ping") == {"ok": True}
            assert await member.ask("token") == {"error": "not_admitted"}
            assert member.last("enter") is None


@pytest.mark.parametrize("what", RAW)
def test_invalid_http_is_answered(real: Settings, what: str) -> None:
    assert send(real.portal, "", "", raw=RAW[what]) in {200, *HTTP_PROBLEMS}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "PATCH", "PROPFIND", "FOO"])
@pytest.mark.parametrize("path", [*OPENAPI["paths"], "/", "/api/", "/api//join", "/api/join/", "*", "/api/%00"])
def test_every_method_of_every_path_is_answered(real: Settings, method: str, path: str) -> None:
    assert send(real.portal, method, path, b"{}", somewhere()) in {200, 426, *HTTP_PROBLEMS}


@pytest.mark.parametrize("value", VALUES)
def test_malformed_wrong_codes_are_counted(real: Settings, value: str) -> None:
    address = somewhere()
    body = with_value("join", "code", value)
    statuses = [check(real, "join", body, address) for _ in range(31)]
    assert statuses == [403] * 30 + [429]


@pytest.mark.parametrize("what", [name for name, body in WHOLE.items() if len(body) <= 4096])
def test_bodies_without_a_correct_code_are_counted(real: Settings, what: str) -> None:
    address = somewhere()
    assert [check(real, "join", WHOLE[what], address) for _ in range(31)] == [403] * 30 + [429]


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("endpoint", sorted(BODIES))
def test_any_json_is_answered(real: Settings, endpoint: str) -> None:
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(BODIES[endpoint], ANYTHING))

    @trials(max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(body=known | ANYTHING)
    def every(body: Any) -> None:
        check(real, endpoint, json.dumps(body).encode(), somewhere())

    every()


def test_the_service_still_runs(real: Settings) -> None:
    assert post(real, "join", {"code": CODES["pupil"], "name": "Ada"})[0] == 200
