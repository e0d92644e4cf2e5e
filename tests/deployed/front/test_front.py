"""Tests for the machine that serves the page."""

import datetime

import pytest
from cryptography import x509

from classroom.verify.deployment import Deployment
from classroom.verify.ssh import RemoteHost


@pytest.mark.parametrize("name", ["nginx", "portal"])
def test_service_of_the_front_runs(front: RemoteHost, name: str) -> None:
    assert front.host.service(name).is_running, f"{name} is not running"
    assert front.host.service(name).is_enabled, f"{name} is not enabled: it would not start after a reboot"


@pytest.mark.parametrize("name", ["nginx", "libnginx-mod-stream"])
def test_package_of_the_front_is_installed(front: RemoteHost, name: str) -> None:
    assert front.host.package(name).is_installed


def test_valkey_runs_only_with_several_media_machines(front: RemoteHost, target: Deployment) -> None:
    assert front.host.service("valkey-server").is_running == (len(target.group("media")) > 1)


def test_services_of_the_front_do_not_run_as_root(front: RemoteHost) -> None:
    main = "$(systemctl show --value --property=MainPID {})"
    assert front.host.check_output(f"ps -o user= -p {main.format('portal')}") == "portal"
    # nginx's master process opens the ports below 1024 and reads the key; its workers serve requests.
    serving = front.host.check_output(f"ps -o user= --ppid {main.format('nginx')}").split()
    assert set(serving) == {"www-data"}


def test_the_certificate_is_the_configured_one_and_valid(front: RemoteHost, target: Deployment) -> None:
    pem = front.host.file("/etc/classroom/tls/fullchain.pem").content_string
    if not target.vars.get("classroom_acme"):
        assert pem.strip() == target.vars["classroom_certificate"].strip()
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    assert leaf.not_valid_before_utc < datetime.datetime.now(datetime.UTC) < leaf.not_valid_after_utc
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert set(target.names) <= set(names)


def test_certificates_are_renewed_only_if_they_are_ordered(front: RemoteHost, target: Deployment) -> None:
    timer, ordered = front.host.service("acme.timer"), bool(target.vars.get("classroom_acme"))
    assert timer.exists == ordered
    assert not ordered or (timer.is_running and timer.is_enabled)
    assert not front.host.service("certbot.timer").is_running, "it would run certbot as root"


def test_nginx_writes_no_access_log(front: RemoteHost) -> None:
    effective = front.listed("/usr/sbin/nginx", "-T")
    logs = {line.strip() for line in effective.splitlines() if line.strip().startswith("access_log")}
    assert logs == {"access_log off;"}


def test_the_page_has_a_strict_policy(front: RemoteHost) -> None:
    effective = front.listed("/usr/sbin/nginx", "-T")
    assert "default-src 'none'" in effective
    assert "unsafe-inline" not in effective
    assert "unsafe-eval" not in effective
