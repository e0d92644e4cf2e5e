"""The machine that serves the page."""

import datetime

from cryptography import x509

from classroom.verify.target import Target

SHARED_443 = {"tcp"}


def test_services_run(front) -> None:
    for name in ("nginx", "portal"):
        service = front.host.service(name)
        assert service.is_running, f"{name} does not run"
        assert service.is_enabled, f"{name} would not come back after a restart"


def test_only_declared_ports_listen_to_the_world(front, target: Target) -> None:
    world = {(protocol, port) for protocol, address, port in front.listening() if not _local(address)}
    single = target.vars["classroom_shape"] == "single"
    wanted = {("tcp", 22), ("tcp", 80), ("tcp", 443)}
    if single:
        wanted |= {("udp", 3478), ("tcp", 7881), ("udp", 7882)}
    # The addresses themselves come by DHCP; TURN's own port is behind the host's firewall.
    tolerated = {("udp", 68), ("udp", 546), ("tcp", 5349)}
    assert world - tolerated == wanted


def _local(address: str) -> bool:
    return address.startswith("127.") or address in {"::1", "localhost"} or address.startswith("fe80:")


def test_certificate_is_the_given_one_and_in_date(front, target: Target) -> None:
    pem = front.host.file("/etc/classroom/tls/fullchain.pem").content_string
    assert pem.strip() == target.vars["classroom_certificate"].strip()
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    assert leaf.not_valid_after_utc > datetime.datetime.now(datetime.UTC)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert {target.domain, *target.turn_names} <= set(names)


def test_nginx_keeps_no_access_log(front) -> None:
    effective = front.sudo("/usr/sbin/nginx", "-T")
    logs = {line.strip() for line in effective.splitlines() if line.strip().startswith("access_log")}
    assert logs == {"access_log off;"}


def test_the_page_has_a_strict_policy(front) -> None:
    effective = front.sudo("/usr/sbin/nginx", "-T")
    assert "default-src 'none'" in effective or "default-src 'self'" in effective
    assert "unsafe-inline" not in effective
    assert "unsafe-eval" not in effective
