"""The outside round the cloud: what a client finds there (DNS, trusted authorities), and the guests' package proxy."""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TypedDict

from classroom.common.foreground import wait
from rehearsal import authority, lab
from rehearsal.cloud_config import DNS
from rehearsal.folders import CLOUD, LOGS, PACKAGES
from rehearsal.outside_hosts import SIDES, US_AUTHORITY, HostKind
from rehearsal.rootfs import mirrors

OUTSIDE = CLOUD / "outside"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

AUTHORITIES = {authority.NAME: "root", US_AUTHORITY: "us-root"}
"""The certificate authorities out there, each with the stem of its files."""


class DnsRecord(TypedDict):
    """One record to be entered at the domain's DNS: `type` is A or AAAA, `value` an address."""

    name: str
    type: str
    value: str


def furnish() -> None:
    """Write what a client sees: its DNS server, and the machine's authorities with the rehearsal's own among them."""
    OUTSIDE.mkdir(parents=True, exist_ok=True)
    (OUTSIDE / "resolv.conf").write_text(f"nameserver {DNS}\n")
    files = {name: authority.ensure_authority(name, stem) for name, stem in AUTHORITIES.items()}
    roots = "".join(file.read_text() for file in files.values())
    bundle = OUTSIDE / "bundle.pem"
    bundle.write_text((BUNDLE.read_text() if BUNDLE.exists() else "") + roots)
    (OUTSIDE / "roots.pem").write_text(roots)
    certify(files)


def certify(files: Mapping[str, Path]) -> None:
    """Write the certificates of the outside's web hosts, each by the authority of its side; `files` are these, by name."""
    folder = OUTSIDE / "hosts.d"
    folder.mkdir(mode=0o700, exist_ok=True)
    kinds: tuple[HostKind, ...] = ("cdn", "ca")
    for side in SIDES:
        for kind in kinds:
            name = side.name(kind)
            chain, key = authority.signed(AUTHORITIES[side.authority], name, [name])
            (folder / f"{name}.pem").write_bytes(chain + key)
            (folder / f"{name}.root").write_bytes(authority.der(files[side.authority]))


def client_environment() -> dict[str, str]:
    """Return a client's environment: the caller's, with the rehearsal's authority trusted by all usual clients."""
    bundle = str(OUTSIDE / "bundle.pem")
    trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle)
    kept = {k: v for k, v in os.environ.items() if k not in {"SSL_CERT_DIR"} and not k.lower().endswith("_proxy")}
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    return kept | trust | {"CLASSROOM_EXTRA_CA": str(OUTSIDE / "roots.pem"), "PATH": path}


def publish_dns(records: Sequence[DnsRecord]) -> None:
    """Let the outside's DNS answer with exactly these records, from now on."""
    lines = [f"{record['value']} {record['name']}\n" for record in records]
    (OUTSIDE / "hosts").write_text("".join(lines))
    reload = 'kill -HUP "$(cat /run/dnsmasq-outside.pid)"'
    subprocess.run(**lab.inside(["sh", "-c", reload], {}), check=True)  # type: ignore[call-overload]


def start_package_proxy() -> None:
    """Start the guests' package proxy, a mirror too: it alone keeps the machine's network, to reach Debian's mirrors alone.

    Where they are not reached it serves what it has kept, lists of packages included.
    """
    archive, security = mirrors()
    offline = not all(_answers(mirror) for mirror in (archive, security))
    if offline:
        _take_up_lists()
    hosts = sorted({urllib.parse.urlsplit(m).hostname or "" for m in (archive, security)})
    pattern = "|".join(hosts).replace(".", r"\.")
    script = (
        "mount --bind /etc/resolv.conf.machine /etc/resolv.conf; mount --bind /etc/hosts.machine /etc/hosts;"
        "exec 9>/run/lock/package-proxy; flock -n 9 || exit 0;"
        # apt-cacher-ng takes no port above 32767
        "port=$(python3 /opt/rehearsal/inside/free_port.py);"
        "/usr/sbin/apt-cacher-ng ForeGround=1 Port=$port BindAddress=127.0.0.1 CacheDir=/packages LogDir=/lab/log"
        ' PidFile=/run/apt-cacher-ng.pid PassThroughPattern="$1" VerboseLog=0 ReportPage='
        ' "Remap-archive=/debian ; $2" "Remap-security=/debian-security ; $3" Offlinemode="$4"'
        " SupportDir=/usr/lib/apt-cacher-ng &"
        "exec socat UNIX-LISTEN:/lab/outside/packages.sock,fork,unlink-early TCP:127.0.0.1:$port"
    )
    with (LOGS / "package-proxy.log").open("a") as log:
        subprocess.Popen(
            **lab.inside(
                ["unshare", "--mount", "sh", "-c", script, "sh", pattern, archive, security, str(int(offline))],
                {},
                machine_network=True,
            ),  # type: ignore[call-overload]
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _answers(mirror: str) -> bool:
    """Whether a mirror can be connected to."""
    about = urllib.parse.urlsplit(mirror)
    port = about.port or {"https": 443}.get(about.scheme, 80)
    try:
        socket.create_connection((about.hostname or "", port), 3).close()
    except OSError:
        return False
    return True


def _take_up_lists() -> None:
    """Put the newest list of packages back wherever the proxy laid it aside, to fetch another in vain."""
    aside: dict[Path, Path] = {}
    for path in sorted(PACKAGES.glob("*/dists/*/InRelease.[0-9]*")):  # their names end with the time
        if path.suffix[1:].isdigit():
            aside[path.with_suffix("")] = path
    for path, newest in aside.items():
        if not path.exists():
            newest.rename(path)


def run_as_client(
    argv: Sequence[object], env: Mapping[str, str] | None = None, client: str = "client", stdin: IO[str] | None = None
) -> int:
    """Run a command as a client in the outside, on this terminal, and return its status.

    The status is 128 + n if signal n ended the command. Signals that are sent to this process reach the command.
    """
    arguments = lab.outside(argv, client_environment() | dict(env or {}), client)
    process = subprocess.Popen(**arguments, stdin=stdin)  # type: ignore[call-overload]

    def tell(number: int) -> None:
        # nsenter waits for the command and would not tell it: the command is its child
        for pid in lab.children(process.pid) or [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return wait(process, tell)
