"""Requirements of a verification on the machine that runs it, and the parts that can be left out."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classroom.common.paths import CACHE
from classroom.config.ports import port_number
from classroom.verify.deployment import Deployment
from classroom.verify.hosts.debian_archive import KEYRINGS

PARTS = ("ipv6", "udp-drop", "inside", "cloud", "capture", "pulumi", "up")
"""Values of `--without`; the phrase `part-NAME` describes what is then not proven."""

SECONDS = 60.0
"""Minimum duration of the background class, in seconds."""


@dataclass(frozen=True)
class Requirement:
    """A requirement, unless all `parts` that need it are left out (no parts: it is always required)."""

    what: str
    there: Callable[[Deployment], bool]
    fix: str
    parts: frozenset[str] = frozenset()


def _reaches(target: Deployment, family: socket.AddressFamily) -> bool:
    machine = target.group("front")[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((machine.public6 if family == socket.AF_INET6 else machine.public4, port_number("https")))
        except OSError:
            return False
    return True


def _resolves(target: Deployment) -> bool:
    try:
        return all(socket.getaddrinfo(name, port_number("https")) for name in target.names)
    except OSError:
        return False


def _makes_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _knows_cloud(target: Deployment) -> bool:
    return bool(target.declarations.cloud or os.environ.get("OS_AUTH_URL") or os.environ.get("OS_CLOUD"))


def capture_path(stack: str) -> Path:
    """Return the path of the traffic capture of a stack's last `pulumi up`, which may not exist."""
    return CACHE / "captured" / f"{stack}.json"


def _program(name: str, package: str, parts: frozenset[str] = frozenset()) -> Requirement:
    return Requirement(name, lambda _: shutil.which(name) is not None, f"apt-get install {package}", parts)


def needs(target: Deployment) -> list[Requirement]:
    """Return the requirements of the verification of this deployment on this machine."""
    clients = frozenset({"ipv6", "udp-drop", "capture"})
    found = [
        Requirement("root (raw packets, network namespaces)", lambda _: os.geteuid() == 0, "run as root"),
        _program("ssh", "openssh-client"),
        _program("nmap", "nmap"),
        _program("gpgv", "gpgv"),
        Requirement(
            "Debian's public keys",
            lambda _: any(path.exists() for path in KEYRINGS),
            "apt-get install debian-archive-keyring",
        ),
        _program("chromium", "chromium chromium-sandbox"),
        _program("firefox-esr", "firefox-esr"),
        _program("certutil", "libnss3-tools"),
        _program("setpriv", "util-linux"),
        Requirement(
            "a route to the class over IPv4", lambda t: _reaches(t, socket.AF_INET), "configure IPv4 on this machine"
        ),
        Requirement(
            f"DNS records of {', '.join(target.names)}",
            _resolves,
            "create the records that `classroom status` shows",
        ),
        _program("ip", "iproute2", clients),
        _program("nft", "nftables", clients),
        Requirement(
            "network namespaces", lambda _: _makes_namespaces(), "use a kernel with network namespaces", clients
        ),
    ]
    if target.ipv6:
        route6 = "a route to the class over IPv6"
        found.append(
            Requirement(
                route6,
                lambda t: _reaches(t, socket.AF_INET6),
                "configure IPv6 on this machine",
                frozenset({"ipv6"}),
            )
        )
    account = "OpenStack credentials (variables of an openrc file, or an entry of clouds.yaml)"
    found.append(Requirement(account, _knows_cloud, "source your project's openrc file", frozenset({"cloud"})))
    file = f"the stack's settings file {target.stack_file.name}"
    here = f"create it in {target.stack_file.parent}, and verify with --stack"
    found.append(Requirement(file, lambda t: t.stack_file.exists(), here, frozenset({"pulumi"})))
    run = f"run `classroom capture --stack {target.stack} -- pulumi up --stack {target.stack}`"
    found.append(
        Requirement("a capture of `pulumi up`", lambda t: capture_path(t.stack).exists(), run, frozenset({"up"}))
    )
    if target.rehearsal:
        member = "the cloud's member account (OS_… variables)"
        fix = 'eval "$(classroom rehearsal env)"'
        found.append(Requirement(member, lambda _: bool(os.environ.get("OS_AUTH_URL")), fix, frozenset({"inside"})))
    return found
