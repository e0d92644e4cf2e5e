"""What a browser gets before it shows anything."""

import os
import socket
import ssl

import httpx
import pytest

from classroom.verify.target import Target


@pytest.fixture(scope="session")
def context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))


def test_page_answers_with_a_valid_certificate(target: Target, context: ssl.SSLContext) -> None:
    answer = httpx.get(f"https://{target.domain}/", verify=context, timeout=10)
    assert answer.status_code == 200
    assert "content-security-policy" in answer.headers
    assert "max-age" in answer.headers["strict-transport-security"]


def test_plain_http_sends_on(target: Target) -> None:
    answer = httpx.get(f"http://{target.domain}/", timeout=10)
    assert answer.status_code in {301, 308}
    assert answer.headers["location"].startswith(f"https://{target.domain}")


def test_turn_over_tls_has_a_certificate_of_its_own_name(target: Target, context: ssl.SSLContext) -> None:
    for name in target.turn_names:
        with (
            socket.create_connection((name, 443), 10) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            names = [value for _, value in secure.getpeercert()["subjectAltName"]]
            assert name in names


def test_a_wrong_code_opens_nothing(target: Target, context: ssl.SSLContext) -> None:
    answer = httpx.post(f"https://{target.domain}/api/join", json={"code": "NOSUCHCODE", "name": "x"}, verify=context)
    assert answer.status_code == 403
    assert "token" not in answer.text


def test_a_bad_name_is_refused(target: Target, context: ssl.SSLContext, codes: list[str]) -> None:
    for name in ("", "x" * 41, "a\u202eb", None):
        answer = httpx.post(f"https://{target.domain}/api/join", json={"code": codes[1], "name": name}, verify=context)
        assert answer.status_code == 422, name
