"""The machines that carry picture and sound."""

import re

from classroom.paths import REPO
from classroom.verify.target import Target


def test_service_runs(media) -> None:
    service = media.host.service("livekit")
    assert service.is_running
    assert service.is_enabled


def test_livekit_is_the_pinned_version(media) -> None:
    pinned = re.search(r"livekit-server v(\S+)", (REPO / "engine" / "livekit" / "go.mod").read_text()).group(1)
    assert pinned in media.host.check_output("/usr/local/bin/livekit-server --version")


def test_only_declared_ports_listen_to_the_world(media, target: Target) -> None:
    if target.vars["classroom_shape"] == "single":
        return  # the front's test looks at the same machine
    world = {
        (protocol, port)
        for protocol, address, port in media.listening()
        if not (address.startswith(("127.", "fe80:")) or address == "::1")
    }
    wanted = {("tcp", 22), ("udp", 3478), ("tcp", 7881), ("udp", 7882), ("tcp", 7880), ("tcp", 5349)}
    assert world - {("udp", 68), ("udp", 546)} == wanted


def test_no_third_party_is_named(media) -> None:
    settings = media.host.file("/etc/classroom/livekit.yaml").content_string
    assert "use_external_ip: false" in settings
    assert "stun_servers" not in settings
