"""The network outside the cloud: a client's view of it (DNS, trusted authorities) and the guests' package proxy."""

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
from rehearsal.outside_hosts import JURISDICTIONS, US_AUTHORITY, HostKind
from rehearsal.rootfs import mirrors

OUTSIDE = CLOUD / "outside"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

AUTHORITIES = {authority.NAME: "root", US_AUTHORITY: "us-root"}
"""The certificate authorities of the outside network, each with the stem of its files."""


class DnsRecord(TypedDict):
    """One record for the domain's DNS: `type` is A or AAAA, `value` an address."""

    name: str
    type: str
    value: str


def write_client_files() -> None:
    """Write a client's resolv.conf and its trusted authorities: the machine's and the rehearsal's."""
    OUTSIDE.mkdir(parents=True, exist_ok=True)
    (OUTSIDE / "resolv.conf").write_text(f"nameserver {DNS}\n")
    files = {name: authority.ensure_authority(name, stem) for name, stem in AUTHORITIES.items()}
    roots = "".join(file.read_text() for file in files.values())
    bundle = OUTSIDE / "bundle.pem"
    bundle.write_text((BUNDLE.read_text() if BUNDLE.exists() else "") + roots)
    (OUTSIDE / "roots.pem").write_text(roots)
    write_host_certificates(files)


def write_host_certificates(authorities: Mapping[str, Path]) -> None:
    """Write the certificates of the outside network's web hosts, signed by the authority of their jurisdiction.

    `authorities` are the paths of the authorities' certificates by name.
    """
    folder = OUTSIDE / "hosts.d"
    folder.mkdir(mode=0o700, exist_ok=True)
    kinds: tuple[HostKind, ...] = ("cdn", "ca")
    for jurisdiction in JURISDICTIONS:
        for kind in kinds:
            name = jurisdiction.name(kind)
            chain, key = authority.signed(AUTHORITIES[jurisdiction.authority], name, [name])
            (folder / f"{name}.pem").write_bytes(chain + key)
            (folder / f"{name}.root").write_bytes(authority.der(authorities[jurisdiction.authority]))


def client_environment() -> dict[str, str]:
    """Return a client's environment: the caller's, with variables that make usual clients trust the rehearsal's authority."""
    bundle = str(OUTSIDE / "bundle.pem")
    trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle)
    inherited = {k: v for k, v in os.environ.items() if k not in {"SSL_CERT_DIR"} and not k.lower().endswith("_proxy")}
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    return inherited | trust | {"CLASSROOM_EXTRA_CA": str(OUTSIDE / "roots.pem"), "PATH": path}


def publish_dns(records: Sequence[DnsRecord]) -> None:
    """Replace the records of the class in the outside network's DNS."""
    lines = [f"{record['value']} {record['name']}\n" for record in records]
    (OUTSIDE / "hosts").write_text("".join(lines))
    reload = 'kill -HUP "$(cat /run/dnsmasq-outside.pid)"'
    subprocess.run(**lab.inside(["sh", "-c", reload], {}), check=True)  # type: ignore[call-overload]


def start_package_proxy() -> None:
    """Start the guests' package proxy, which also acts as a mirror.

    It is the only process with the machine's network, and fetches only from Debian's mirrors. If they cannot be reached,
    it serves its cache, package lists included.
    """
    archive, security = mirrors()
    offline = not all(_is_reachable(mirror) for mirror in (archive, security))
    if offline:
        _restore_package_lists()
    hosts = sorted({urllib.parse.urlsplit(m).hostname or "" for m in (archive, security)})
    pattern = "|".join(hosts).replace(".", r"\.")
    script = (
        "mount --bind /etc/resolv.conf.machine /etc/resolv.conf; mount --bind /etc/hosts.machine /etc/hosts;"
        "exec 9>/run/lock/package-proxy; flock -n 9 || exit 0;"
        # apt-cacher-ng accepts no port above 32767
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


def _is_reachable(mirror: str) -> bool:
    """Return whether a mirror accepts TCP connections within 3 s."""
    about = urllib.parse.urlsplit(mirror)
    port = about.port or {"https": 443}.get(about.scheme, 80)
    try:
        socket.create_connection((about.hostname or "", port), 3).close()
    except OSError:
        return False
    return True


def _restore_package_lists() -> None:
    """Restore the newest package list wherever the proxy renamed it before a download that failed."""
    renamed: dict[Path, Path] = {}
    for path in sorted(PACKAGES.glob("*/dists/*/InRelease.[0-9]*")):  # their names end with the time
        if path.suffix[1:].isdigit():
            renamed[path.with_suffix("")] = path
    for path, newest in renamed.items():
        if not path.exists():
            newest.rename(path)


def run_as_client(
    argv: Sequence[object], env: Mapping[str, str] | None = None, client: str = "client", stdin: IO[str] | None = None
) -> int:
    """Run a command as a client of the outside network, on this terminal, and return its status.

    The status is 128 + n if signal n ended the command. Signals to this process are forwarded to the command.
    """
    arguments = lab.outside(argv, client_environment() | dict(env or {}), client)
    process = subprocess.Popen(**arguments, stdin=stdin)  # type: ignore[call-overload]

    def forward(number: int) -> None:
        # nsenter does not forward signals to its child, the command
        for pid in lab.children(process.pid) or [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return wait(process, forward)
