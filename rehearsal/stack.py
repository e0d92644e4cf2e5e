"""The rehearsal's stack: its settings, `pulumi up` as an ordinary project member, its DNS, and a view of its class."""

import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from classroom.common.errors import ClassroomError
from classroom.common.paths import REPO
from classroom.common.progress import say
from rehearsal import outside_network
from rehearsal.authority import NAME as AUTHORITY
from rehearsal.cloud_config import API, AUTH_URL, DOMAIN, ENDPOINTS, OPERATOR, REGION, member_environment
from rehearsal.folders import STACK
from rehearsal.outside_hosts import JURISDICTIONS, US, US_AUTHORITY, seat
from rehearsal.rootfs import image_files

CLASSROOM = Path(sys.prefix) / "bin" / "classroom"
NAME = "rehearsal"
SETTINGS = STACK / f"Pulumi.{NAME}.yaml"
"""The stack's settings file; the clone has a symbolic link to it, which git ignores."""


DECLARED: dict[str, object] = {
    "name": "Rehearsal cloud",
    "operator": {"name": "The rehearsal", "country": "FR"},
    "parent": {"name": "The rehearsal", "country": "FR"},
    "keystone": [AUTH_URL],
    "regions": [{"name": REGION, "city": "This machine", "country": "FR"}],
    "prefixes": [
        f"{API}/32",
        "198.51.100.0/24",
        "203.0.113.0/24",
        *(f"2001:db8:{part}::/64" for part in ("30", "c", "f")),
    ],
    "source": "invented for a rehearsal on documentation addresses",
}
"""The rehearsal's cloud, declared as a private cloud; the date is that of the rehearsal. The overlay labels its outside network."""


def _declared(name: str, country: str = "FR", owner: str = "The rehearsal") -> dict[str, object]:
    """Return the declaration of an operator that is not in the catalogue, in the format of a stack file."""
    about = {"source": DECLARED["source"], "date": datetime.date.today().isoformat()}
    return {"name": name, **seat(country), "parent": {"name": owner, **seat(country)}, **about}


def environment() -> dict[str, str]:
    """Return the variables that a shell needs to work on the rehearsal's stack by hand."""
    return member_environment() | {
        "PULUMI_BACKEND_URL": f"file://{STACK}/state",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(STACK / "passphrase"),
        "PULUMI_HOME": str(STACK / "home"),
        "CLASSROOM_SSH_KEY": str(STACK / "id_ed25519"),
        "CLASSROOM_STACK": NAME,
    }


def _in_clone(argv: Sequence[object]) -> list[object]:
    """Return the command line that runs `argv` in this clone, which contains Pulumi's program."""
    return ["sh", "-c", 'cd "$0" && exec "$@"', REPO, *argv]


def _run_as_client(argv: list[object]) -> int:
    return outside_network.run_as_client(_in_clone(argv), environment())


def run_as_member(
    argv: Sequence[object], *, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command in this clone, as a client of the outside network and project member; return its status and output.

    `env` overrides the member's variables.
    """
    variables = os.environ | environment() | dict(env or {})
    return subprocess.run(command(argv), input=stdin, capture_output=True, text=True, env=variables, check=False)


def command(argv: Sequence[object]) -> list[str]:
    """Return the command line that runs `argv` in this clone, as a client of the outside network."""
    return [str(CLASSROOM), "rehearsal", "exec", "--", *map(str, _in_clone(argv))]


def settings(shape: str, classes: int = 1) -> dict[str, object]:
    """Return the rehearsal's settings in the format of the stack file, without the certificate's key.

    All `classes` but the first are large.
    """
    values: dict[str, object] = {
        "region": REGION,
        "image": "debian-13",
        "flavor_front": "small",
        "flavor_media": "small",
        "external_network": "public",
        "network_cidr": "10.30.0.0/24",
        "ipv6": "2001:db8:30::/64",
        "shape": shape,
        "domain": DOMAIN,
        "certificate": (STACK / "class.pem").read_text(),
        "admins": [{"name": "rehearsal", "public_key": (STACK / "id_ed25519.pub").read_text().strip()}],
        "ssh_from": ["0.0.0.0/0", "::/0"],
        "classes": [
            {"name": "CM2", "size": 30},
            *({"name": f"Large {number}", "size": 500} for number in range(2, classes + 1)),
        ],
        "endpoints": ENDPOINTS,
        "image_files": [*image_files(), {"path": "/.oldroot", "mode": "0755", "reason": "mount point of libvirt"}],
        "rehearsal": True,
        "overlay": [jurisdiction.overlay() for jurisdiction in JURISDICTIONS],
        "declared_cloud": DECLARED | {"date": datetime.date.today().isoformat()},
    }
    if shape == "split":
        values["media_count"] = 1
    values["declared_operators"] = [
        *(_declared(name) for name in (OPERATOR, AUTHORITY)),
        *(_declared(name, US.country, US.owner) for name in (US.operator, US_AUTHORITY)),
    ]
    return {f"classroom:{key}": value for key, value in values.items()}


def write_settings(shape: str, classes: int = 1) -> None:
    """Write the stack's settings; preserve what Pulumi stores in the file (its salt, the encrypted key)."""
    (STACK / "state").mkdir(exist_ok=True)
    content = yaml.safe_load(SETTINGS.read_text()) if SETTINGS.exists() else {}
    previous = content.get("config", {})
    config = settings(shape, classes)
    if (
        "classroom:certificate_key" in previous
        and previous.get("classroom:certificate") == config["classroom:certificate"]
    ):
        config["classroom:certificate_key"] = previous["classroom:certificate_key"]
    SETTINGS.write_text(yaml.safe_dump(content | {"config": config}, sort_keys=True, allow_unicode=True))
    SETTINGS.chmod(0o600)
    link_settings()


def link_settings() -> None:
    """Link the clone's Pulumi.rehearsal.yaml to the state's, so that every clone works on the same stack."""
    file = REPO / SETTINGS.name
    if not file.is_symlink() or file.readlink() != SETTINGS:
        file.unlink(missing_ok=True)
        file.symlink_to(SETTINGS)


def exists() -> bool:
    """Return whether the stack has been created."""
    return any((STACK / "state").glob(f".pulumi/stacks/*/{NAME}.json"))


def create(shape: str) -> None:
    """Create the stack if it is missing, and write its settings; the passphrase encrypts the certificate's key."""
    write_settings(shape)
    if not exists() and _run_as_client(["pulumi", "--non-interactive", "stack", "init", NAME]):
        raise ClassroomError(f"`pulumi stack init {NAME}` failed: read its message above")
    if "classroom:certificate_key" not in yaml.safe_load(SETTINGS.read_text())["config"]:
        set_key = 'pulumi --non-interactive config set --stack "$1" --secret certificate_key < "$2"'
        if _run_as_client(["sh", "-c", set_key, "sh", NAME, STACK / "class.key"]):
            raise ClassroomError("certificate_key: `pulumi config set` failed: read its message above")


def output(name: str) -> object:
    """Return one output of the stack, decrypted; ClassroomError if the stack has no such output."""
    file = STACK / "output.json"
    script = 'umask 077; pulumi --non-interactive stack output --stack "$1" --json --show-secrets "$2" > "$3"'
    try:
        if _run_as_client(["sh", "-c", script, "sh", NAME, name, file]):
            raise ClassroomError(f"the stack '{NAME}' has no output '{name}': open the class with `make rehearsal`")
        found: object = json.loads(file.read_text())
        return found
    finally:
        file.unlink(missing_ok=True)


def provision(shape: str) -> None:
    """Run `pulumi up` and publish the class's addresses in the outside network's DNS; ClassroomError if it fails."""
    create(shape)
    options = ["--yes", "--skip-preview", "--suppress-outputs", "--non-interactive", "--stack", NAME]
    status = _run_as_client(["classroom", "capture", "--stack", NAME, "--", "pulumi", "up", *options])
    if status:
        raise ClassroomError(f"`pulumi up` ended with status {status}: read its message above")
    records = output("dns_records")
    assert isinstance(records, list)
    outside_network.publish_dns(records)


def open_class(shape: str) -> None:
    """Open the class, verify it, and show how to join; ClassroomError if a step fails."""
    say("2/4 pulumi up")
    provision(shape)
    say("3/4 verify")
    if _run_as_client(["classroom", "verify", "--stack", NAME]):
        raise ClassroomError("the class is open but its verification failed: the failed tests are listed above")
    say("4/4 how to join")
    if _run_as_client(["classroom", "classes", "--stack", NAME]):
        raise ClassroomError("`classroom classes` failed: read its message above")
    say("View as a participant:        .venv/bin/classroom rehearsal view --out class.png")
    say("Shell on the outside network: .venv/bin/classroom rehearsal exec -- bash")


def view(out: Path) -> None:
    """Join the first class as its teacher, in a browser of the outside network, and save a picture to `out` (PNG)."""
    classes = output("classes")
    assert isinstance(classes, list)
    target = out.expanduser().absolute()
    code = "import json, sys; from classroom.verify.browsers.browser import save_screenshot; save_screenshot(*json.load(sys.stdin))"
    job = [classes[0]["url"], classes[0]["teacher_code"], str(target)]
    with tempfile.TemporaryFile("w+", dir=STACK) as arguments:
        json.dump(job, arguments)
        arguments.seek(0)
        status = outside_network.run_as_client(["python", "-c", code], environment(), stdin=arguments)
    if status or not target.exists():
        raise ClassroomError(f"the browser could not join the class (status {status}): read its message above")
    say(f"{target} shows the class '{classes[0]['name']}' as its teacher sees it")


def destroy() -> None:
    """Run `pulumi destroy`; ClassroomError if it fails."""
    status = _run_as_client(["pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive", "--stack", NAME])
    if status:
        raise ClassroomError(f"`pulumi destroy` ended with status {status}: read its message above")
