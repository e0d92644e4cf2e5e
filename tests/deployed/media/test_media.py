"""Tests for the machines that carry video and sound."""

import re

from classroom.common.paths import REPO
from classroom.config.ports import port_number
from classroom.verify.deployment import Deployment
from classroom.verify.ssh import RemoteHost


def test_livekit_runs(media: RemoteHost) -> None:
    service = media.host.service("livekit")
    assert service.is_running
    assert service.is_enabled
    assert media.host.check_output("ps -o user= -C livekit-server") == "livekit"


def test_livekit_is_the_pinned_version(media: RemoteHost) -> None:
    pinned = re.search(r"livekit-server v(\S+)", (REPO / "engine" / "livekit" / "go.mod").read_text())
    assert pinned
    output = media.host.check_output("/usr/local/bin/livekit-server --version")
    assert output.split()[-1] == pinned.group(1)


def test_a_media_machine_has_no_web_server(media: RemoteHost, target: Deployment) -> None:
    assert media.host.package("nginx").is_installed == ("front" in media.machine.groups)


def test_livekit_names_no_third_party(media: RemoteHost) -> None:
    """Without these settings LiveKit would give browsers its vendor's servers, or contact them itself."""
    settings = media.host.file("/etc/classroom/livekit.yaml").content_string
    assert re.search(r"^  use_external_ip: false$", settings, re.M)
    assert re.search(r"^turn:\n  enabled: true$", settings, re.M)
    assert re.search(rf"^  udp_port: {port_number('turn-udp')}$", settings, re.M)
    assert "stun_servers" not in settings


def test_livekit_logs_no_participant(media: RemoteHost) -> None:
    settings = media.host.file("/etc/classroom/livekit.yaml").content_string
    assert re.search(r"^logging:\n  level: error\n  pion_level: error$", settings, re.M)
    unit = media.host.check_output("systemctl show --property=LogFilterPatterns livekit")
    assert unit.count("~") >= 2, unit
