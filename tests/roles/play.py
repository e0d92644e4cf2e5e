"""Builds what `pulumi up` passes to Ansible, for the hosts of a fleet: inventory, variables, artifacts; runs the roles."""

import datetime
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from classroom.common.paths import REPO
from classroom.config import guest
from classroom.config.endpoints import egress_rows, endpoints_of, host_services, rows_for
from classroom.config.guest import IMAGE_ACCOUNT
from classroom.config.ports import RELAY, Shape, port_numbers, ports_for
from classroom.configure import artifacts
from classroom.provision.class_codes import derive_code
from tests.roles.fleet import ADMINISTRATOR, Fleet
from tests.roles.outside import ENDPOINTS

ANSIBLE = REPO / "ansible"
DOMAIN = "class.example"
CODES_KEY = "c0de" * 16
VERSIONS = {"teacher": 1, "pupil": 2}
CODES = {role: derive_code(CODES_KEY, "cm2", role, version) for role, version in VERSIONS.items()}

# Roles that must run before a role when it is run alone.
NEEDS = {"web": ["tls"], "access": ["base"], "acme": ["tls", "web"]}


@dataclass
class Authority:
    """A certificate authority for the tests."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Role tests")]))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, *extensions: x509.ExtensionType
    ) -> str:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=400))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days, hours=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    @property
    def pem(self) -> str:
        """Return the authority's certificate as PEM."""
        return self._sign(self.name, self.key, 3650, x509.BasicConstraints(ca=True, path_length=None))

    def issue(self, names: Sequence[str], days: int = 90) -> tuple[str, str]:
        """Return a chain (leaf, authority) for `names` that expires in `days`, and its private key, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        leaf = self._sign(subject, key, days, x509.SubjectAlternativeName([x509.DNSName(n) for n in names]))
        return leaf + self.pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class Run:
    """One run of ansible-playbook: its status, output and duration."""

    status: int
    output: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Return the numbers of the play recap: `{host: {"ok": n, "changed": n, "failed": n, …}}`."""
        found = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.M)
        return {host: {k: int(v) for k, v in (pair.split("=") for pair in rest.split())} for host, rest in found}

    @property
    def changed(self) -> int:
        """Return the number of changed tasks over all hosts."""
        return sum(numbers["changed"] for numbers in self.recap.values())

    def good(self) -> "Run":
        """Return itself; AssertionError with the output if the run failed or reached no host."""
        assert self.status == 0 and self.recap, self.output
        return self


class Play:
    """A classroom on a fleet: shape `single` has the host `class`; `split` has the host `front`, the others are media hosts."""

    def __init__(self, fleet: Fleet, shape: Shape = "single", hosts: Sequence[str] = ("class",)) -> None:
        """Create inventory, certificate and secrets below the fleet's state."""
        self.fleet, self.shape, self.names = fleet, shape, list(hosts)
        self.user = ""  # login of the runs; if empty, the account that `Fleet.account` returns
        self.front = self.names[:1]
        self.media = self.names if shape == "single" else self.names[1:]
        # A persistent host keeps its class: reuse secret and certificate.
        stored = fleet.state / "play.json"
        if not stored.exists():
            chain, private = Authority().issue([DOMAIN, *self.turn_names.values()])
            stored.write_text(json.dumps({"secret": secrets.token_urlsafe(32), "chain": chain, "private": private}))
        given = json.loads(stored.read_text())
        key = (fleet.state / "key.pub").read_text().strip()
        self.secret: str = given["secret"]
        (fleet.state / "authority.pem").write_text(given["chain"][given["chain"].rindex("-----BEGIN") :])
        self.extra: dict[str, Any] = {
            "classroom_secret_livekit": self.secret,
            "classroom_secret_certificate_key": given["private"],
            "classroom_secret_codes_key": CODES_KEY,
            **_shipped(fleet.state),
        }
        self.vars: dict[str, Any] = {
            "classroom_stack": "roles",
            "classroom_guest": guest.variable(),
            "classroom_domain": DOMAIN,
            "classroom_shape": shape,
            "classroom_ipv6": True,
            "classroom_image_account": IMAGE_ACCOUNT,
            "classroom_ssh_from": ["0.0.0.0/0", "::/0"],
            "classroom_admins": [{"name": ADMINISTRATOR, "public_key": key}],
            "classroom_classes": [
                {"name": "CM2", "size": 30, "room": "cm2", "waiting_room": False, "versions": VERSIONS}
            ],
            "classroom_certificate": given["chain"],
            "classroom_acme": {},
            "classroom_network_cidr": "203.0.113.0/24",
            "classroom_ports": [asdict(p) for p in ports_for(["front", "media"], shape, len(self.media))],
            "classroom_port_numbers": port_numbers(),
            "classroom_relay_ports": list(RELAY),
        }
        self.endpoints(ENDPOINTS)

    def endpoints(self, rows: Sequence[dict[str, Any]]) -> None:
        """Set the table of endpoints for the following runs."""
        table = endpoints_of(rows)
        self.vars |= {
            "classroom_endpoints": rows_for(table),
            "classroom_egress": egress_rows(table),
            "classroom_services": host_services(table),
        }

    @property
    def turn_names(self) -> dict[str, str]:
        """Return the TURN name of each media host."""
        if len(self.media) == 1:
            return {self.media[0]: f"turn.{DOMAIN}"}
        return {name: f"turn{i}.{DOMAIN}" for i, name in enumerate(self.media, 1)}

    def inventory(self, user: str = "") -> dict[str, Any]:
        """Return the inventory in the format of `classroom inventory --json`, with the login `user` if it is given."""
        hosts = self.fleet.hosts
        variables = {
            name: {
                "ansible_host": hosts[name].address4,
                "ansible_user": user or self.user or self.fleet.account(name),
                "classroom_private4": hosts[name].address4,
                "classroom_public4": hosts[name].address4,
                "classroom_public6": hosts[name].address6,
                **({"classroom_turn_name": self.turn_names[name]} if name in self.media else {}),
            }
            for name in self.names
        }
        return {
            "front": {"hosts": self.front},
            "media": {"hosts": self.media},
            "all": {"vars": self.vars},
            "_meta": {"hostvars": variables},
        }

    def command(self, *roles: str, check: bool = False, tags: str = "", **extra: object) -> list[str]:
        """Write inventory and variables, and return Ansible's command line; the arguments are those of `run`."""
        state = self.fleet.state
        inventory = state / "inventory"
        inventory.write_text(f"#!/bin/sh\ncat {inventory}.json\n")
        inventory.chmod(0o755)
        (state / "inventory.json").write_text(json.dumps(self.inventory()))
        variables = state / "vars.json"
        variables.write_text(json.dumps(self.extra | extra))
        book = ANSIBLE / "site.yml"
        if roles:
            wanted = list(dict.fromkeys(r for role in roles for r in [*NEEDS.get(role, []), role]))
            group = {"media": "media", "access": "all", "base": "all", "firewall": "all"}.get(roles[0], "front")
            book = state / "role.yml"
            book.write_text(json.dumps([{"hosts": group, "become": True, "gather_facts": False, "roles": wanted}]))
            (state / "group_vars").unlink(missing_ok=True)
            (state / "group_vars").symlink_to(ANSIBLE / "group_vars")
        command = [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, "-e", f"@{variables}", book]
        options = [*(["--check", "--diff"] if check else []), *(["--tags", tags] if tags else [])]
        return [str(part) for part in (*command, *options)]

    def run(self, *roles: str, check: bool = False, tags: str = "", show: bool = False, **extra: object) -> Run:
        """Run `roles` with the roles that they need, or site.yml if none is given; return the result.

        `extra` are variables; `tags` selects tasks; `show` prints the output instead of capturing it.
        """
        start = time.monotonic()
        with self.fleet.network():
            process = subprocess.run(
                self.command(*roles, check=check, tags=tags, **extra),
                env=self.environment(),
                cwd=self.fleet.state,
                stdin=subprocess.DEVNULL,
                stdout=None if show else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return Run(process.returncode, process.stdout or "", time.monotonic() - start)

    def cut_off(self, task: str, **extra: object) -> str:
        """Start site.yml and kill Ansible as soon as `task` reports a change; return the output so far."""
        with self.fleet.network():
            process = subprocess.Popen(
                self.command(**extra),
                env=self.environment() | {"PYTHONUNBUFFERED": "1"},
                cwd=self.fleet.state,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        output, within = "", False
        assert process.stdout
        for line in process.stdout:
            output += line
            within = task in line if line.startswith("TASK") else within
            if within and line.startswith("changed:"):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return output

    def environment(self) -> dict[str, str]:
        """Return the environment for Ansible: the project's configuration and the fleet's SSH settings."""
        own = {
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
            "ANSIBLE_SSH_ARGS": f"-F {self.fleet.ssh_config}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.fleet.state / "tmp"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")} | own


def _shipped(state: Path) -> dict[str, str]:
    """Return the variables of the shipped artifacts, with placeholders for page and portal if they are not built."""
    placeholders = {"classroom_page_dir": _page, "classroom_portal_dir": _portal}
    return {
        name: str(
            placeholders[name](state) if name in placeholders and not artifact.path.exists() else artifact.built()
        )
        for name, artifact in artifacts.SHIPPED.items()
    }


def _page(state: Path) -> Path:
    """Return the folder of a placeholder for the class page, with a few files."""
    folder = state / "page"
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text("<!doctype html><title>Class</title><script src=/assets/app.js></script>\n")
    (folder / "assets" / "app.js").write_text("document.title = 'Class'\n" * 100)
    return folder


def _portal(state: Path) -> Path:
    """Return the folder of a placeholder for the portal, which only answers."""
    package = state / "portal" / "portal"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import http.server, json, os\n"
        "json.load(open('/etc/classroom/portal.json')), json.load(open('/etc/classroom/secrets/portal.json'))\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def log_message(self, *a): pass\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'{}')\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORTAL_PORT'])), Handler).serve_forever()\n"
    )
    return state / "portal"
