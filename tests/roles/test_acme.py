"""Certificates of a real ACME server on one host: first order, both families, renewal by the timer, an authority that fails."""

import base64
import contextlib
import http.server
import json
import re
import secrets
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from classroom.config.ports import port_number
from engine import build
from tests.roles.accounted_host import AccountedHost
from tests.roles.fleet import CLIENT4, Fleet
from tests.roles.outside import ACME4, ACME6, ENDPOINTS, NAMES, OPERATOR, dns_answer
from tests.roles.play import DOMAIN, Authority, Play, Run

PORT, EAB_PORT, NONSENSE_PORT = 9014, 9015, 9016
DNS_PORT = 9053
SECONDS = 900
"""Lifetime of certificates. tests/unit/configure/test_acme_program.py tests when they are due; here an order is made due."""
FORGET = "rm -f /var/lib/acme/record.json"
"""Makes an order due at once, as after a change of the directory."""
TURN = f"turn.{DOMAIN}"
ROLES = ("base", "firewall", "tls", "web", "acme")
"""What concerns certificates; TURN is an echo of bytes here, behind nginx as the real one."""
ECHO = """
import socket, threading
def serve(client):
    while data := client.recv(512):
        client.sendall(data)
listening = socket.create_server((ADDRESS, PORT))
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""
KEY_ID, EAB_KEY = "kid-1", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


class Server:
    """The ACME server in the fleet's network, at one port of acme.example."""

    def __init__(self, folder: Path, port: int, *, eab: bool) -> None:
        self.folder, self.port, self.eab = folder, port, eab
        self.process: subprocess.Popen[bytes] | None = None
        self.authority = Authority()
        folder.mkdir()
        chain, key = self.authority.issue(["acme.example"])
        (folder / "chain.pem").write_text(chain)
        (folder / "key.pem").write_text(key)
        settings: dict[str, Any] = {
            "listenAddress": f"[::]:{port}",
            "managementListenAddress": "",
            "certificate": str(folder / "chain.pem"),
            "privateKey": str(folder / "key.pem"),
            "httpPort": port_number("http"),
            "tlsPort": port_number("https"),
            "externalAccountBindingRequired": eab,
            "externalAccountMACKeys": {KEY_ID: EAB_KEY} if eab else {},
            "profiles": {"default": {"description": "of the tests", "validityPeriod": SECONDS}},
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))

    def start(self) -> None:
        program = build.build_acme_server(build.toolchain())
        argv = [program, "-config", self.folder / "pebble.json", "-dnsserver", f"{CLIENT4}:{DNS_PORT}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env={"PEBBLE_VA_NOSLEEP": "1"})
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((ACME4, self.port), 1):
                return
            time.sleep(0.1)
        pytest.fail((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def settings(self, **more: str) -> dict[str, Any]:
        return {"directory": f"https://acme.example:{self.port}/dir", "root": self.authority.pem, **more}


class Case:
    """One host as front and media host, with an ACME server whose view of DNS is `records`."""

    def __init__(self, fleet: Fleet, host: Any, server: Server, records: dict[str, tuple[str, ...]]) -> None:
        self.fleet, self.host, self.server, self.records = fleet, host, server, records
        self.play = Play(fleet)
        own = fleet.hosts["class"]
        self.address4, self.address6 = own.address4, own.address6
        self.use(server.settings(), server.port)

    def run(self, tags: str = "acme", **extra: Any) -> Run:
        """Run the roles, or the tasks with these tags."""
        return self.play.run(*ROLES, tags=tags, **extra)

    def order(self) -> tuple[int, str]:
        """Order as the role does, which is faster than Ansible; return status and sentence."""
        done = self.host.run("/usr/local/sbin/classroom-acme order")
        return done.rc, done.stdout + done.stderr

    def use(self, acme: dict[str, Any], port: int) -> None:
        row = {"use": "ca", "name": "acme.example", "operator": OPERATOR, "addresses": [ACME4, ACME6]}
        self.play.vars["classroom_acme"] = acme
        self.play.vars["classroom_certificate"] = ""
        self.play.endpoints([*ENDPOINTS, row | {"url": f"https://acme.example:{port}/dir"}])

    def point(self, *addresses: str) -> None:
        """Let both names have these addresses."""
        self.records |= dict.fromkeys((DOMAIN, TURN), addresses)

    def served(self, name: str, family: int = 4) -> tuple[dict[str, Any], bytes]:
        """Return what OpenSSL knows of the certificate that is served for a name, and the certificate as DER."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        address = self.address4 if family == 4 else self.address6
        with (
            socket.create_connection((address, port_number("https")), 5) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            der = tls.getpeercert(binary_form=True) or b""
        decoded: dict[str, Any] = ssl._ssl._test_decode_cert(_pem_file(self.fleet.state, der))  # type: ignore[attr-defined]
        return decoded, der

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.host.check_output("cat /var/lib/acme/record.json"))
        return found


def serve_names(records: dict[str, tuple[str, ...]]) -> None:
    """Answer the ACME server's questions, which come over TCP, in a thread that ends with this process."""
    listening = socket.create_server((CLIENT4, DNS_PORT))

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as questions:
            while size := questions.read(2):
                answer = dns_answer(questions.read(int.from_bytes(size, "big")), lambda _: None, records)
                client.sendall(len(answer).to_bytes(2, "big") + answer)

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _pem_file(folder: Path, der: bytes) -> str:
    path = folder / "served.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(der))
    return str(path)


@pytest.fixture(scope="module")
def case(
    fleet_of: Callable[..., Fleet], login: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    fleet = fleet_of("class")
    records: dict[str, tuple[str, ...]] = {}
    serve_names(records)
    server = Server(tmp_path_factory.mktemp("acme") / "plain", PORT, eab=False)
    server.start()
    try:
        yield Case(fleet, login(fleet, "class"), server, records)
    finally:
        server.stop()


def test_without_dns_records_everything_but_the_certificate_is_done_and_the_fix_is_said(case: Case) -> None:
    run = case.run(tags="")
    assert run.status != 0
    assert "add the dns_records of `pulumi up` to the DNS zone" in run.output[-3000:], run.output[-6000:]
    assert run.recap["class"]["failed"] == 1
    for unit in ("nginx", "acme.timer"):
        assert case.host.service(unit).is_running, unit
    issuer = dict(pair for (pair,) in case.served(DOMAIN)[0]["issuer"])
    assert issuer == {"commonName": "classroom"}
    probe = f"curl -s http://{case.address4}/.well-known/acme-challenge/classroom"
    assert subprocess.run(probe.split(), capture_output=True, text=True).stdout == "classroom\n"


def test_records_that_point_elsewhere_are_named_with_what_shows_it(case: Case) -> None:
    case.point(NAMES["leak.example"][0])
    status, said = case.order()
    assert status == 1
    assert "/.well-known/acme-challenge/classroom answers 'classroom'" in said, said


def test_only_the_clients_own_account_reaches_the_authority(case: Case) -> None:
    fetch = f"curl -s --max-time 3 --cacert /etc/classroom/acme-root.pem https://acme.example:{PORT}/dir"
    assert case.host.run(fetch).rc != 0
    assert case.host.run(f"su -s /bin/sh nobody -c '{fetch}'").rc != 0
    answer = case.host.run(f"su -s /bin/sh acme -c '{fetch}'")
    assert "newOrder" in answer.stdout, answer.stderr
    assert case.host.run(f"su -s /bin/sh acme -c 'curl -s --max-time 3 http://{ACME4}:{DNS_PORT}/'").rc != 0


@pytest.mark.parametrize("family", [6, 4])
def test_challenges_are_answered_in_each_family_alone(case: Case, family: int) -> None:
    case.point(case.address4 if family == 4 else case.address6)
    case.host.check_output(FORGET)
    status, said = case.order()
    assert status == 0 and "was issued, valid until" in said, said
    for name in (DOMAIN, TURN):
        for over in (4, 6):
            found, _ = case.served(name, over)
            assert {value for kind, value in found["subjectAltName"] if kind == "DNS"} == {DOMAIN, TURN}
            issuer = dict(pair for (pair,) in found["issuer"])
            assert issuer["commonName"].startswith("Pebble Intermediate CA")
    key = case.host.file("/etc/classroom/secrets/tls.key")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o640)


def test_a_second_run_changes_nothing(case: Case) -> None:
    case.point(case.address4, case.address6)
    second = case.run().good()
    assert second.changed == 0, second.output
    judged = case.host.run("systemd-analyze security --no-pager --threshold=40 acme")
    assert judged.rc == 0, judged.stdout


def left_of_the_client(case: Case) -> list[str]:
    """Return what no test accounts for on the host, of all that is the client's or the certificate's."""
    found = AccountedHost.of(case.play).findings()
    lines = [line for kind in ("files", "units", "accounts") for line in found[kind]]
    return sorted(line for line in lines if re.search("acme|certbot|letsencrypt|/tls", line))


def test_everything_that_the_client_writes_is_accounted_for(case: Case) -> None:
    assert case.record()["directory"] and left_of_the_client(case) == []
    case.host.check_output("install -m 755 /dev/null /var/lib/acme/config/renewal-hooks/deploy/more")
    case.host.check_output("chmod 0644 /etc/classroom/secrets/tls.key")
    try:
        found = [line.partition(":")[0] for line in left_of_the_client(case)]
        assert found == ["/etc/classroom/secrets/tls.key", "/var/lib/acme/config/renewal-hooks/deploy/more"]
    finally:
        case.host.check_output("rm /var/lib/acme/config/renewal-hooks/deploy/more")
        case.host.check_output("chmod 0640 /etc/classroom/secrets/tls.key")


def test_the_timer_renews_without_ending_a_connection(case: Case) -> None:
    case.run(acme_minutes=1).good()
    echo = ECHO.replace("ADDRESS", repr(case.address4)).replace("PORT", str(port_number("turn-tls")))
    case.host.check_output("systemd-run --unit=echo /usr/bin/python3 -c %s", echo)
    before = case.served(TURN)[1]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((case.address4, port_number("https")), 5) as plain,
        context.wrap_socket(plain, server_hostname=TURN) as tls,
    ):
        case.host.check_output(FORGET)
        deadline, number, renewed = time.monotonic() + 300, 0, 0.0
        while time.monotonic() < deadline and (not renewed or time.monotonic() < renewed + 5):
            number += 1
            tls.sendall(f"{number:9}".encode())
            assert tls.recv(9) == f"{number:9}".encode(), "the connection was lost"
            time.sleep(1)
            if not renewed and case.served(TURN)[1] != before:
                renewed = time.monotonic()
    assert renewed, case.host.check_output("journalctl -u acme --no-pager -n 40")
    assert case.served(DOMAIN)[1] == case.served(TURN, 6)[1] != before


def test_an_authority_that_is_down_costs_nothing_while_a_certificate_lasts(case: Case) -> None:
    case.host.check_output("systemctl stop acme.timer")
    before = case.served(DOMAIN)[1]
    case.server.stop()
    case.host.check_output(FORGET)
    case.host.check_output("systemctl start acme.service")
    assert case.host.check_output("systemctl --failed --plain --no-legend") == ""
    assert case.served(DOMAIN)[1] == before
    assert case.record()["failures"] == 1 and "issues no certificate" in case.record()["reason"]
    # The next attempt waits; an `up` does not, and warns only.
    case.host.check_output("systemctl start acme.service")
    assert case.record()["failures"] == 1
    status, said = case.order()
    assert status == 0 and said.startswith("WARNING: is valid until"), said
    # It comes back without its accounts, and the next attempt registers again.
    case.server.start()
    status, said = case.order()
    assert status == 0 and "was issued" in said, said
    assert case.served(DOMAIN)[1] != before


def test_external_account_binding(case: Case, tmp_path: Path) -> None:
    server = Server(tmp_path / "eab", EAB_PORT, eab=True)
    server.start()
    try:
        case.use(server.settings(), EAB_PORT)
        run = case.run(tags="acme,firewall")
        assert "set acme.eab and acme_eab_key" in run.output, run.output[-4000:]
        assert case.served(DOMAIN)[1], "the old certificate stays"
        case.use(server.settings(eab=KEY_ID), EAB_PORT)
        run = case.run(classroom_secret_acme_eab_key=EAB_KEY).good()
        assert "was issued" in run.output and EAB_KEY not in run.output
        settings = case.host.file("/etc/classroom/secrets/acme.ini")
        assert (settings.user, settings.group, settings.mode) == ("root", "acme", 0o640)
        assert EAB_KEY in settings.content_string
        assert EAB_KEY not in case.host.check_output("journalctl --no-pager; cat /etc/classroom/acme.json")
    finally:
        server.stop()


def test_an_authority_that_sends_nonsense_is_named(case: Case, tmp_path: Path) -> None:
    class Nonsense(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>maintenance</html>")

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(case.server.folder / "chain.pem", case.server.folder / "key.pem")
    server = http.server.ThreadingHTTPServer((ACME4, NONSENSE_PORT), Nonsense)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        acme = case.server.settings() | {"directory": f"https://acme.example:{NONSENSE_PORT}/dir"}
        case.use(acme, NONSENSE_PORT)
        run = case.run(tags="acme,firewall")
        assert f"acme.example:{NONSENSE_PORT}/dir issues no certificate" in run.output, run.output[-4000:]
        assert "Traceback" not in run.output
    finally:
        server.shutdown()
        server.server_close()


def test_a_given_certificate_replaces_the_client(case: Case) -> None:
    chain, key = Authority().issue([DOMAIN, TURN])
    case.play.vars |= {"classroom_acme": {}, "classroom_certificate": chain}
    case.play.extra["classroom_secret_certificate_key"] = key
    case.run(tags="tls,web,acme").good()
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    assert case.served(DOMAIN)[1] == leaf.public_bytes(Encoding.DER)
    assert not case.host.service("acme.timer").is_running
    assert left_of_the_client(case) == []
    assert case.run(tags="tls,web,acme").good().changed == 0
    assert case.host.check_output("systemctl --failed --plain --no-legend") == ""
