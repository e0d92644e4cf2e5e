"""What a verification needs on the machine where it runs, and what a native guest cannot prove."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classroom.verify.target import Target

PARTS = ("ipv6", "udp-drop", "inside")
"""What `--without` may name: tests over IPv6, tests with all but TCP 443 dropped, the probe in the private network."""

NOT_IN_CONTAINERS = (
    "the machine's own kernel and its sysctl values",
    "MemoryMax and CPUQuota of the services",
)
"""What container guests accept and read back, without effect (see rehearsal/README.md)."""


@dataclass(frozen=True)
class Need:
    """Something that has to be there; `part` is what goes without it when it may (None: nothing goes)."""

    what: str
    there: Callable[[Target], bool]
    fix: str
    part: str | None = None


def _has_ipv6(target: Target) -> bool:
    if not target.ipv6:
        return True
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target.machines[0].public6, 443))
        except OSError:
            return False
    return True


def _program(name: str, fix: str, part: str | None = None) -> Need:
    return Need(name, lambda _: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None, fix, part)


NEEDS = (
    Need("root, for raw packets and network namespaces", lambda _: os.geteuid() == 0, "run it as root"),
    _program("ssh", "apt-get install openssh-client"),
    _program("nmap", "apt-get install nmap"),
    _program("chromium", "apt-get install chromium chromium-sandbox"),
    _program("certutil", "apt-get install libnss3-tools"),
    _program("nft", "apt-get install nftables", "udp-drop"),
    _program("ip", "apt-get install iproute2"),
    Need("network namespaces", lambda _: Path("/proc/self/ns/net").exists(), "use a kernel that has them", "udp-drop"),
    Need("a way to the class over IPv6", _has_ipv6, "give this machine IPv6", "ipv6"),
)


def missing(target: Target) -> list[Need]:
    """Return what is not there."""
    return [need for need in NEEDS if not need.there(target)]
