"""Collects the observations for controls on machines and from outside, without evaluation."""

import contextlib
import datetime
import ipaddress
import json
import os
import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

from classroom.clients.openstack import cloud_credentials, connect
from classroom.clients.pulumi_backend import backend_url, secrets_provider
from classroom.clients.pulumi_cli import environment, pulumi
from classroom.common.errors import ClassroomError, UnknownError, WrongUseError
from classroom.config.ports import port_number
from classroom.sovereignty.operators import host_of
from classroom.verify.browsers.background_class import between, clock
from classroom.verify.controls.cloud_region import CloudView
from classroom.verify.controls.egress_drop import Barrier, EgressAttempt
from classroom.verify.controls.evidence import Evaluator
from classroom.verify.controls.ice import Relay
from classroom.verify.controls.issuers import Served
from classroom.verify.controls.packages import Archives
from classroom.verify.controls.pulumi import Captured, Engine
from classroom.verify.controls.resolver import Resolver, servers
from classroom.verify.controls.telemetry import Reporting
from classroom.verify.controls.time import Clock
from classroom.verify.deployment import Deployment
from classroom.verify.network.nftables import Drop, drops, read
from classroom.verify.network.turn import relay_to_outside_host
from classroom.verify.requirements import capture_path
from classroom.verify.ssh import RemoteHost

T = TypeVar("T")
OTHER_CLOCKS = ("systemd-timesyncd", "ntp", "ntpsec", "openntpd")
OTHER_PACKAGES = ("docker", "podman", "nerdctl", "snap", "flatpak", "npm", "pipx", "brew", "nix")
NOWHERE4 = ("192.0.2.213", "198.51.100.213", "203.0.113.213")
NOWHERE6 = ("2001:db8:dead::213", "3fff::213")
"""Documentation addresses (RFC 5737, RFC 3849, RFC 9637): packets to them reach no host, even if the firewall fails."""
PORT = 9
"""The port of `discard`."""


def _read(remote: RemoteHost, *globs: str) -> str:
    """Return the concatenated content of all world-readable files that match."""
    return str(remote.host.run(f"cat -- {' '.join(globs)} 2>/dev/null").stdout)


def _runs(remote: RemoteHost, unit: str) -> bool:
    return str(remote.host.run(f"systemctl is-active {unit}").stdout).strip() in {"active", "activating", "reloading"}


def each(remotes: Mapping[str, RemoteHost], look: Callable[[RemoteHost], T]) -> dict[str, T]:
    """Call `look` for all machines in parallel, and return the results by name."""
    with ThreadPoolExecutor(len(remotes)) as pool:
        return dict(zip(remotes, pool.map(look, remotes.values()), strict=True))


def resolver(remote: RemoteHost, target: Deployment) -> Resolver:
    """Return the resolver settings of a host, and the result of DNS queries for names that are in no table."""
    listening = frozenset(program for _, _, port, program in remote.listening() if port == port_number("resolver"))
    needed = sorted({one.name for one in target.declarations.endpoints if one.use in {"ntp", "packages", "ca"}})
    answered, asked = _query_unknown_names(remote, needed)
    config = "/etc/unbound/unbound.conf"
    unbound = _read(remote, config)
    more = re.findall(r"^\s*include(?:-toplevel)?:\s*\"?([^\s\"]+)", unbound, re.M)
    return Resolver(
        resolv_conf=_read(remote, "/etc/resolv.conf"),
        resolved=str(remote.host.run("systemd-analyze cat-config systemd/resolved.conf").stdout),
        resolved_runs=_runs(remote, "systemd-resolved"),
        unbound=unbound + (_read(remote, *more) if more else ""),
        unbound_runs=_runs(remote, "unbound"),
        listening=listening,
        answered=tuple(answered),
        asked=asked,
    )


def _query_unknown_names(remote: RemoteHost, needed: Sequence[str]) -> tuple[list[str], int | None]:
    """Resolve random names on a host; return those that were answered, and the number of DNS queries that left the host."""
    grown: int | None = None
    answered: list[str] = []
    for _ in range(3):  # another program's query may be counted meanwhile
        word = secrets.token_hex(8)
        names = [f"{word}.classroom-verify.example", *(f"{word}.{name}" for name in needed[:1])]
        before = remote.counters()
        for name in names:
            if remote.host.run(f"timeout 4 getent ahosts {name}").rc == 0:
                answered.append(name)
        after = remote.counters()
        if "out_dns" not in after:
            return answered, None
        grown = after["out_dns"] - before.get("out_dns", 0)
        if not grown:
            break
    return answered, grown


def clock_of(remote: RemoteHost) -> Clock:
    """Return the time settings and sources of a host."""
    runs = _runs(remote, "chrony")
    return Clock(
        chrony=_read(
            remote, "/etc/chrony/chrony.conf", "/etc/chrony/conf.d/*", "/etc/chrony/sources.d/*", "/run/chrony-dhcp/*"
        ),
        chrony_runs=runs,
        sources=remote.listed("/usr/bin/chronyc", "-n", "-c", "sources") if runs else "",
        others=tuple(name for name in OTHER_CLOCKS if _runs(remote, name)),
    )


def archives(remote: RemoteHost) -> Archives:
    """Return the URLs that apt on a host would fetch, its settings, and other installed package managers."""
    found = remote.host.run(f"command -v {' '.join(OTHER_PACKAGES)}").stdout.split()
    return Archives(
        targets=remote.host.check_output("apt-get update --print-uris"),
        settings=remote.host.check_output("apt-config dump"),
        others=tuple(sorted(Path(path).name for path in found)),
    )


def reporting(remote: RemoteHost) -> Reporting:
    """Return the packages, units and settings of a host that may send data to a vendor."""
    packages = remote.host.check_output("dpkg-query -W -f '${Package} ${db:Status-Status}\\n'").splitlines()
    units = remote.host.check_output("systemctl list-unit-files --no-legend --plain").splitlines()
    motd = _read(remote, "/etc/default/motd-news")
    livekit = (
        remote.host.file("/etc/classroom/livekit.yaml").content_string if "media" in remote.machine.groups else None
    )
    return Reporting(
        packages=frozenset(line.split()[0] for line in packages if line.endswith(" installed")),
        units=frozenset(line.split()[0] for line in units if line.split()),
        motd_news=bool(re.search(r"^ENABLED=1", motd, re.M)),
        livekit=livekit,
    )


def relays(
    target: Deployment, remotes: Mapping[str, RemoteHost], credentials: Sequence[Mapping[str, str]]
) -> list[Relay]:
    """Try to relay to this machine through the TURN server of each media machine, over each IP version that works here."""
    if not credentials:
        return []
    found = []
    for machine in target.group("media"):
        for address in target.addresses(machine, ipv6=target.ipv6):
            remote = remotes[machine.name]
            before = remote.counters().get("media_dropped", 0)
            try:
                arrived, refused = relay_to_outside_host(address, credentials[0])
            except OSError:
                continue  # no route over this IP version
            except ClassroomError:
                arrived, refused = 0, ""  # no answer, which is not a refusal
            dropped = remote.counters().get("media_dropped", 0) - before
            found.append(Relay(f"{machine.name}, IPv{6 if ':' in address else 4}", arrived, refused, dropped))
    return found


def own_addresses(remote: RemoteHost) -> list[str]:
    """Return the addresses configured on a machine, without loopback and link-local ones."""
    found = json.loads(remote.host.check_output("ip -j address"))
    return [
        one["local"]
        for link in found
        for one in link["addr_info"]
        if one["scope"] == "global" and not one.get("temporary")
    ]


def resolve(name: str, *, ipv6: bool) -> list[str]:
    """Return the addresses to which a name resolves on this machine; none if it does not."""
    try:
        answers = socket.getaddrinfo(name, port_number("https"), type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(answer[4][0]) for answer in answers if ipv6 or answer[0] == socket.AF_INET})


def barrier(remote: RemoteHost, evaluator: Evaluator, *, ipv6: bool) -> Barrier:
    """Return a host's egress rules and the result of attempts to reach addresses that are in no table."""
    rules = read(remote.nft())
    places = [_unlisted_address(evaluator, family) for family in ((4, 6) if ipv6 else (4,))]
    return Barrier(rules, _attempt(remote, places))


def _unlisted_address(evaluator: Evaluator, family: int) -> str:
    for address in NOWHERE4 if family == 4 else NOWHERE6:
        own = any(
            ipaddress.ip_address(address) in ipaddress.ip_network(o)
            for one in evaluator.declarations.endpoints
            for o in one.addresses
        )
        if not own:
            return address
    raise ClassroomError("endpoints: they cover every documentation address; list only the addresses that are used")


def _attempt(remote: RemoteHost, places: Sequence[str]) -> tuple[EgressAttempt, ...]:
    """Send a few datagrams to each address; return for each how many the firewall dropped by its counter and by its log."""
    first, counted = clock(remote), []
    for address in places:
        before = remote.counters().get("out_dropped", 0)
        remote.host.run(f"for n in 1 2 3; do timeout 2 bash -c 'echo verify > /dev/udp/{address}/{PORT}'; done")
        counted.append(remote.counters().get("out_dropped", 0) - before)
    logged: list[Drop] = []
    for _ in range(8):  # drops are logged with a delay
        logged = drops(between(remote.journal(), first, clock(remote)))
        if {drop.address for drop in logged} >= set(places):
            break
        time.sleep(0.4)
    return tuple(
        EgressAttempt(address, number, sum(drop.address == address for drop in logged))
        for address, number in zip(places, counted, strict=True)
    )


def served(names: Sequence[str], addresses: Sequence[str], bundle: str | None) -> list[Served]:
    """Return the certificates that are served for each name at each address; empty if a handshake or check fails."""
    context = ssl.create_default_context(cafile=bundle)
    found = []
    for name in names:
        for address in addresses:
            chain: tuple[x509.Certificate, ...] = ()
            with (
                contextlib.suppress(OSError),
                socket.create_connection((address, port_number("https")), 10) as plain,
                context.wrap_socket(plain, server_hostname=name) as secure,
            ):
                leaf = secure.getpeercert(binary_form=True)
                assert leaf
                chain = (x509.load_der_x509_certificate(leaf),)
            found.append(Served(name, address, chain))
    return found


def cloud_view(target: Deployment) -> CloudView:
    """Query the cloud, read-only: its service catalogue, and the regions that list each machine."""
    settings = target.declarations
    cloud = connect(settings.cloud, settings.region)
    regions = sorted({region for region, row in cloud.rows if row.service == "compute" and region})
    hostvars = target.inventory["_meta"]["hostvars"]
    holders = {}
    for machine in target.machines:
        server = hostvars[machine.name]["classroom_server_id"]
        holders[machine.name] = tuple(region for region in regions if cloud.holds(region, server))
    return CloudView(cloud.auth_url, cloud.rows, holders)


def security_groups(target: Deployment) -> dict[str, list[dict[str, Any]]]:
    """Return the rules of all security groups of each machine, from the cloud's API."""
    settings = target.declarations
    cloud = connect(settings.cloud, settings.region)
    groups = {g["id"]: g for g in cloud.get("network", "/security-groups")["security_groups"]}
    hostvars = target.inventory["_meta"]["hostvars"]
    found: dict[str, list[dict[str, Any]]] = {}
    for machine in target.machines:
        server = hostvars[machine.name]["classroom_server_id"]
        ports = cloud.get("network", "/ports", device_id=server)["ports"]
        if not ports:
            raise ClassroomError(
                f"the cloud has no network port of machine '{machine.name}' (server {server}): run `pulumi up` again"
            )
        for port in ports:
            if not port.get("port_security_enabled", True):
                # Without port security no group applies, and all egress is allowed.
                found.setdefault(machine.name, []).append({"direction": "egress", "ethertype": "IPv4"})
        rules = [
            rule
            for port in ports
            for group in port["security_groups"]
            for rule in groups[group]["security_group_rules"]
        ]
        found.setdefault(machine.name, []).extend(rules)
    return found


def engine(stack: str) -> Engine:
    """Return the local settings of Pulumi for a stack; makes no network request."""
    home = os.environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    folder = Path(home) / "plugins"
    plugins = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return Engine(
        backend=backend_url(),
        provider=secrets_provider(stack),
        plugins=tuple(plugins),
        asks_for_updates=_set_for_pulumi("PULUMI_SKIP_UPDATE_CHECK") != "true",
        fetches_plugins=_set_for_pulumi("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION") != "true",
    )


def _set_for_pulumi(variable: str) -> str:
    """Return a variable as the `pulumi` wrapper script sets it, or else as in this environment."""
    program = pulumi()[0]
    path = next(
        (
            Path(folder) / program
            for folder in environment()["PATH"].split(os.pathsep)
            if (Path(folder) / program).exists()
        ),
        None,
    )
    text = path.read_bytes()[:2000].decode(errors="replace") if path else ""
    found = re.findall(rf"\b{variable}=(\S+)", text) if text.startswith("#!") else []
    return found[-1] if found else environment().get(variable, "")


def operators_resolvers() -> list[str]:
    """Return the resolvers of this machine."""
    try:
        return servers(Path("/etc/resolv.conf").read_text())
    except OSError:
        return []


def captured_up(stack: str) -> Captured:
    """Return the destinations of the last captured `pulumi up`; UnknownError if the capture cannot be read."""
    path = capture_path(stack)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        places = frozenset((str(protocol), str(address), int(port)) for protocol, address, port in found["places"])
        began = datetime.datetime.fromisoformat(found["began"])
        return Captured(began, int(found["status"]), places, frozenset(found["names"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownError(
            f"{path} cannot be read ({error!r}): run `classroom capture --stack {stack} -- pulumi up --stack {stack}` again"
        ) from None


def cloud_addresses(target: Deployment, engine: Engine, *, asked: bool) -> list[str]:
    """Return the addresses of the cloud's services and Pulumi's backend; without `asked` only of Keystone and the backend."""
    settings = target.declarations
    if asked:
        cloud = connect(settings.cloud, settings.region)
        urls = [cloud.auth_url, *(row.url for region, row in cloud.rows if region in {settings.region, ""})]
    else:
        urls = []
        with contextlib.suppress(WrongUseError):
            urls = [cloud_credentials(settings.cloud, settings.region).auth_url]
    query = parse_qs(urlsplit(engine.backend).query)
    urls += [*query.get("endpoint", []), *([engine.backend] if engine.backend.startswith("http") else [])]
    found: set[str] = set()
    for host in {host_of(url) for url in urls} - {""}:
        with contextlib.suppress(OSError):
            found |= {str(answer[4][0]) for answer in socket.getaddrinfo(host, None)}
    return sorted(found)
