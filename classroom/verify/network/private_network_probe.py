"""A probe server in the private network of a rehearsal, which the cloud's security groups allow to reach every port.

Only the hosts' own firewall then blocks it. All its cloud resources have the same name prefix and are removed afterwards.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from classroom.clients import ssh_options
from classroom.common.errors import ClassroomError
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import port_number
from classroom.verify.deployment import Deployment, Machine
from classroom.verify.network.port_scan import declared_udp
from classroom.verify.ssh import RemoteHost

USER_DATA = """#cloud-config
ssh_deletekeys: true
ssh_genkeytypes: []
ssh_keys:
  ed25519_private: |
{private}
  ed25519_public: {public}
"""

SCAN = """
import json, multiprocessing, select, socket, struct, sys, time
SYN, SYN_ACK, RST = 2, 18, 4
def words(data): return sum(struct.unpack(f"!{len(data) // 2}H", data))
def scan(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    reserved = socket.socket(family, socket.SOCK_STREAM); reserved.bind(("", 0))  # keeps the source port from other programs
    own = reserved.getsockname()[1]
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP); raw.connect((address, 0))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    ends = socket.inet_pton(family, raw.getsockname()[0]) + socket.inet_pton(family, address)
    found = {}
    def read(until):
        while (left := until - time.monotonic()) > 0:
            if not select.select([raw], [], [], left)[0]: return
            packet = raw.recv(2048)
            start = 0 if family == socket.AF_INET6 else (packet[0] & 15) * 4
            port, to, flags = *struct.unpack("!HH", packet[start : start + 4]), packet[start + 13]
            if to == own and (flags & RST or flags & SYN_ACK == SYN_ACK): found[port] = "closed" if flags & RST else "open"
    layout = struct.Struct("!HHIIBBHHH")
    same = words(ends + struct.pack("!HH", socket.IPPROTO_TCP, 20) + layout.pack(own, 0, 1, 0, 5 << 4, SYN, 1024, 0, 0))
    for port in range(1, 65536):
        total = same + port
        while total >> 16: total = (total & 0xFFFF) + (total >> 16)
        raw.send(layout.pack(own, port, 1, 0, 5 << 4, SYN, 1024, ~total & 0xFFFF, 0))
        if port % PACE == 0: read(time.monotonic() + 0.02)  # a faster scan would overflow queues on the path
    read(time.monotonic() + WAIT)
    return found
def send(address, ports):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        for port in ports: s.sendto(b"inside", (address, port))
job = json.loads(sys.argv[1])
PACE, WAIT = 300, 1.5
for address in job.get("send", {}): send(address, job["send"][address])
addresses = job.get("scan", [])
with multiprocessing.get_context("fork").Pool(4) as pool:
    print(json.dumps(dict(zip(addresses, pool.map(scan, addresses, 1)))))
"""
"""Runs as root on the probe. It sends each packet once, as the hosts' packet counters are compared afterwards."""


UNDECLARED_UDP = (53, 123, 5000, 40000)


@dataclass(frozen=True)
class ProbeAnswers:
    """Results of a probe: its own addresses; TCP answers by address; each host's counters before and after."""

    source4: str
    source6: str
    answers: Mapping[str, Mapping[int, str]]
    before: Mapping[str, Mapping[str, int]]
    after: Mapping[str, Mapping[str, int]]


class Probe:
    """The probe of one deployment, as a context manager: its cloud resources and local files are removed at the end."""

    def __init__(self, target: Deployment, remotes: Mapping[str, RemoteHost]) -> None:
        self.target, self._remotes = target, remotes
        self.name = f"{target.stack}-verify-probe"
        import openstack  # takes a second to import, and only the rehearsal needs it

        self._cloud: Any = openstack.connect()
        # pytest changes the environment in parallel while the library would read proxy variables from it.
        self._cloud.session.session.trust_env = False
        self._folder = Path(tempfile.mkdtemp(prefix="classroom-probe-"))
        self.address4 = self.address6 = ""
        self.left: list[str] = []
        """Cloud resources that still exist after the removal."""

    def __enter__(self) -> "Probe":
        """Boot the probe, open every machine to it by an extra security group, and log in to it; takes some 15 s.

        Resources that an interrupted verification left are removed first.
        """
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove all resources and record those that are `left`."""
        try:
            self._remove()
            self.left = self._left()
        finally:
            self._cloud.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        self._remove()
        network, compute = self._cloud.network, self._cloud.compute
        like = compute.get_server(self._server_id(self.target.machines[0]))
        net = network.find_network(self.target.stack, ignore_missing=False)
        ssh = port_number("ssh")
        own = self._group("in", [("IPv4", "0.0.0.0/0", ssh), ("IPv6", "::/0", ssh)])
        fixed = [{"subnet_id": subnet} for subnet in net.subnet_ids]
        port = network.create_port(name=self.name, network_id=net.id, security_groups=[own], fixed_ips=fixed)
        addresses = [ip["ip_address"] for ip in port.fixed_ips]
        self.address4 = next(a for a in addresses if ":" not in a)
        self.address6 = next((a for a in addresses if ":" in a), "")
        if not self.address6:
            raise ClassroomError(
                "the rehearsal has no IPv6, over which the probe is reached: set `ipv6: true` in its settings"
            )
        key = self._folder / "hostkey"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
        public = (self._folder / "hostkey.pub").read_text().strip()
        private = "\n".join(f"    {line}" for line in key.read_text().splitlines())
        (self._folder / "known_hosts").write_text(f"{self.address6} {public}\n")
        server = compute.create_server(
            name=self.name,
            image_id=like.image.id,
            flavor_id=compute.find_flavor(like.flavor.original_name, ignore_missing=False).id,
            networks=[{"port": port.id}],
            key_name=self.target.stack,
            config_drive=True,
            user_data=base64.b64encode(USER_DATA.format(private=private, public=public).encode()).decode(),
        )
        # Security groups take some seconds to apply: change them while the probe boots.
        rules = [("IPv4", f"{self.address4}/32", None), ("IPv6", f"{self.address6}/128", None)]
        opened = self._group("all", rules)
        for machine in self.target.machines:
            for port in self._ports(machine):
                network.update_port(port, security_groups=[*port.security_group_ids, opened])
        compute.wait_for_server(server, wait=90, interval=2)
        self._wait("the probe's SSH", lambda: self._ssh("true", check=False).returncode == 0, 60)

    def _server_id(self, machine: Machine) -> str:
        return str(self.target.inventory["_meta"]["hostvars"][machine.name]["classroom_server_id"])

    def _ports(self, machine: Machine) -> list[Any]:
        found = list(self._cloud.network.ports(device_id=self._server_id(machine)))
        if not found:
            raise ClassroomError(
                f"the cloud has no network port of machine '{machine.name}': use the inventory of this deployment"
            )
        return found

    def _group(self, which: str, rules: Sequence[tuple[str, str, int | None]]) -> str:
        """Create a security group with ingress rules (family, source prefix, TCP port or None for all), and return its id."""
        network = self._cloud.network
        group = network.create_security_group(name=f"{self.name}-{which}", description="removed after verification")
        for family, prefix, port in rules:
            about = {"protocol": "tcp", "port_range_min": port, "port_range_max": port} if port else {}
            network.create_security_group_rule(
                security_group_id=group.id, direction="ingress", ethertype=family, remote_ip_prefix=prefix, **about
            )
        return str(group.id)

    def try_all(self) -> ProbeAnswers:
        """Scan every TCP port of each machine and send to its UDP ports, once the security groups are in effect."""
        for machine in self.target.machines:
            self._wait(f"the security groups to open '{machine.name}'", partial(self._arrives, machine), 30)
        before = self._counters()
        inner = {address: m for m in self.target.machines for address in (m.private4, m.public6) if address}
        send = {address: [port.first for port in declared_udp(self.target, m)] for address, m in inner.items()}
        answers = self._run(send=send, scan=list(inner))
        return ProbeAnswers(self.address4, self.address6, answers, before, self._counters())

    def _counters(self) -> dict[str, dict[str, int]]:
        return {name: remote.counters() for name, remote in self._remotes.items()}

    def _arrives(self, machine: Machine) -> bool:
        """Return whether packets of the probe arrive at a machine, whose own firewall drops and counts them."""
        remote = self._remotes[machine.name]
        before = remote.counters()["dropped"]
        self._run(send={address: UNDECLARED_UDP for address in (machine.private4, machine.public6) if address})
        return remote.counters()["dropped"] >= before + 2 * len(UNDECLARED_UDP)

    def _run(self, **job: Any) -> dict[str, dict[int, str]]:
        """Run a job on the probe: `send` (address → UDP ports), then `scan` (addresses); return answers by address and port."""
        answer = self._ssh("sudo", "-n", "python3", "-", f"'{json.dumps(job)}'", stdin=SCAN)
        found = json.loads(answer.stdout)
        return {address: {int(port): state for port, state in ports.items()} for address, ports in found.items()}

    def _ssh(self, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        options = ssh_options.known_hosts_alone(self._folder / "known_hosts") | ssh_options.operators_key()
        # Short timeout while it boots, as it is polled; a job waits longer, as security groups may be changing.
        patience = {"ConnectTimeout": "10", "ConnectionAttempts": "3"} if check else {"ConnectTimeout": "2"}
        argv = ["ssh", *ssh_options.arguments({**options, "BatchMode": "yes", **patience})]
        answer = subprocess.run(
            [*argv, f"{IMAGE_ACCOUNT}@{self.address6}", *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if check and answer.returncode:
            raise ClassroomError(f"`{words[0]}` failed on the probe: {answer.stderr.strip()[-300:]}")
        return answer

    @staticmethod
    def _wait(what: str, there: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not there():
            if time.monotonic() > end:
                raise ClassroomError(f"timed out after {seconds:.0f} s while waiting for {what}")
            time.sleep(0.5)

    def _left(self) -> list[str]:
        """Return the cloud resources of a probe that exist: server, port, security groups, and ports that use the groups."""
        network = self._cloud.network
        groups = {group.id: group.name for group in self._groups()}
        at = [
            f"group at '{m.name}'"
            for m in self.target.machines
            for p in self._ports(m)
            if groups.keys() & set(p.security_group_ids)
        ]
        servers = [f"server {server.name}" for server in self._servers()]
        ports = [f"port {port.name}" for port in network.ports(name=self.name)]
        return [*at, *servers, *ports, *(f"security group {name}" for name in groups.values())]

    def _groups(self) -> list[Any]:
        return [g for g in self._cloud.network.security_groups() if g.name in (f"{self.name}-in", f"{self.name}-all")]

    def _servers(self) -> list[Any]:
        # Without details, for which Nova would query Neutron each time.
        found = self._cloud.compute.servers(details=False, name=f"^{self.name}$")
        return [server for server in found if server.name == self.name]

    def _remove(self) -> None:
        """Delete all cloud resources of a probe, and wait until its server is gone."""
        network, compute = self._cloud.network, self._cloud.compute
        groups = {group.id for group in self._groups()}
        for machine in self.target.machines if groups else ():
            for port in self._ports(machine):
                if groups & set(port.security_group_ids):
                    kept = [group for group in port.security_group_ids if group not in groups]
                    network.update_port(port, security_groups=kept)
        for server in self._servers():
            compute.delete_server(server)
        # Nova may list a deleted server for some seconds.
        self._wait("the cloud to remove the probe", lambda: not self._servers(), 60)
        for port in network.ports(name=self.name):
            network.delete_port(port)
        for group in groups:
            network.delete_security_group(group)
