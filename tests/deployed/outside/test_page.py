"""What browsers get before a class: DNS, certificate, page, redirects and the join service."""

import os
import re
import socket
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from classroom.config.ports import port_number
from classroom.configure.artifacts import PAGE
from classroom.verify.deployment import Deployment
from classroom.verify.hosts.accounting import Accounting

FAMILIES = [4, pytest.param(6, marks=pytest.mark.part("ipv6"))]


@pytest.fixture(scope="session")
def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))


def _front(target: Deployment, family: int) -> str:
    machine = target.group("front")[0]
    return machine.public6 if family == 6 else machine.public4


def test_dns_names_resolve_to_the_front(target: Deployment, with_ipv6: bool) -> None:
    machine = target.group("front")[0]
    for name in target.names:
        found = {
            str(answer[4][0]) for answer in socket.getaddrinfo(name, port_number("https"), type=socket.SOCK_STREAM)
        }
        wanted = {machine.public4, machine.public6} - {""}
        assert (found if with_ipv6 else found - {machine.public6}) == (wanted if with_ipv6 else {machine.public4}), name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_served_certificate_is_the_configured_one(target: Deployment, trust: ssl.SSLContext, family: int) -> None:
    """Connect for the page and for TURN, with all checks: authority, name, date. An ordered one is the same for all names."""
    text = target.vars["classroom_certificate"]
    expected = {x509.load_pem_x509_certificates(text.encode())[0].public_bytes(Encoding.DER)} if text else set()
    for name in target.names:
        with (
            socket.create_connection((_front(target, family), port_number("https")), 10) as plain,
            trust.wrap_socket(plain, server_hostname=name) as secure,
        ):
            served = secure.getpeercert(binary_form=True)
            assert served is not None
            expected = expected or {served}
            assert served in expected, name
            assert secure.version() in {"TLSv1.2", "TLSv1.3"}


def test_the_page_is_served_with_a_strict_policy(target: Deployment, trust: ssl.SSLContext) -> None:
    answer = httpx.get(f"https://{target.domain}/", verify=trust, timeout=10)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "max-age" in answer.headers["strict-transport-security"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_every_file_of_the_page_is_what_was_built(target: Deployment, trust: ssl.SSLContext) -> None:
    """Fetch each file as a browser does, compressed; it is byte for byte the file that was built on this machine."""
    built = PAGE.built()
    files = {path.relative_to(built).as_posix(): path for path in built.rglob("*") if path.is_file()}
    assert "index.html" in files
    different = []
    with httpx.Client(verify=trust, timeout=10, headers={"accept-encoding": "gzip"}) as client:
        for name, path in sorted({**files, "": built / "index.html"}.items()):
            answer = client.get(f"https://{target.domain}/{name}")
            if answer.status_code != 200 or answer.content != path.read_bytes():
                different.append(f"/{name}: HTTP status {answer.status_code}, {len(answer.content)} bytes")
    assert different == []


def test_the_pages_headers_are_those_of_the_roles(
    target: Deployment, trust: ssl.SSLContext, accounting: Accounting
) -> None:
    """Compare each header that the roles' settings of nginx add; of those with a variable only the name."""
    settings = accounting.roles(target.group("front")[0].name).texts["/etc/nginx/nginx.conf"]
    end = settings.index("root /srv/classroom;")
    page = settings[settings.rindex("server {", 0, end) : end]
    wanted = dict(re.findall(r"^\s*add_header (\S+) \"?(.*?)\"? always;$", page, re.M))
    assert len(wanted) >= 7
    answer = httpx.get(f"https://{target.domain}/", verify=trust, timeout=10)
    found = {name: answer.headers.get(name) for name in wanted}
    assert all(found.values()), found
    plain = {name: value for name, value in wanted.items() if "$" not in value}
    assert {name: found[name] for name in plain} == plain


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_http_redirects_to_https(target: Deployment, family: int) -> None:
    address = _front(target, family)
    host = f"[{address}]" if family == 6 else address
    answer = httpx.get(f"http://{host}/", headers={"host": target.domain}, timeout=10)
    assert answer.status_code in {301, 308}
    assert answer.headers["location"] == f"https://{target.domain}/"


def test_an_unknown_name_gets_no_certificate(target: Deployment, trust: ssl.SSLContext) -> None:
    with (
        socket.create_connection((_front(target, 4), port_number("https")), 10) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        trust.wrap_socket(plain, server_hostname=f"other.{target.domain}")


def test_the_portal_answers(target: Deployment, trust: ssl.SSLContext) -> None:
    assert httpx.get(f"https://{target.domain}/api/health", verify=trust, timeout=10).status_code == 200


def test_a_wrong_code_is_refused(target: Deployment, trust: ssl.SSLContext) -> None:
    answer = httpx.post(f"https://{target.domain}/api/join", json={"code": "NOSUCHCODE", "name": "x"}, verify=trust)
    assert answer.status_code == 403
    assert "token" not in answer.text


def test_a_bad_name_is_refused(target: Deployment, trust: ssl.SSLContext, codes: dict[str, str]) -> None:
    for name in ("", "x" * 41, "a\u202eb", None):
        job = {"code": codes["pupil_code"], "name": name}
        answer = httpx.post(f"https://{target.domain}/api/join", json=job, verify=trust)
        assert answer.status_code == 422, name
