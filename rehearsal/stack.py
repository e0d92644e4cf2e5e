"""The rehearsal's stack: its settings, `pulumi up` as a plain project member, its DNS, and a look into its class."""

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
from rehearsal.outside_hosts import SIDES, US, US_AUTHORITY, seat

CLASSROOM = Path(sys.prefix) / "bin" / "classroom"
NAME = "rehearsal"
SETTINGS = STACK / f"Pulumi.{NAME}.yaml"
"""The stack's own settings file; the clone gets a copy, which git ignores."""


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
    "source": "a rehearsal on documentation addresses, made up and no fact about the world",
}
"""The rehearsal's cloud, as a private cloud is declared; the day is the rehearsal's own. Its outside stands in the overlay."""


def _declared(name: str, country: str = "FR", owner: str = "The rehearsal") -> dict[str, object]:
    """Return the declaration of an operator that no data file knows, as a stack file holds it."""
    about = {"source": DECLARED["source"], "date": datetime.date.today().isoformat()}
    return {"name": name, **seat(country), "parent": {"name": owner, **seat(country)}, **about}


def environment() -> dict[str, str]:
    """Return what a shell needs to work on the rehearsal's stack by hand."""
    return member_environment() | {
        "PULUMI_BACKEND_URL": f"file://{STACK}/state",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(STACK / "passphrase"),
        "PULUMI_HOME": str(STACK / "home"),
        "CLASSROOM_SSH_KEY": str(STACK / "id_ed25519"),
        "CLASSROOM_STACK": NAME,
    }


def _in_clone(argv: Sequence[object]) -> list[object]:
    """Return the command line that runs `argv` in this clone, where clients find Pulumi's program."""
    return ["sh", "-c", 'cd "$0" && exec "$@"', REPO, *argv]


def _client(argv: list[object]) -> int:
    return outside_network.run_as_client(_in_clone(argv), environment())


def ask(
    argv: Sequence[object], *, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command out there, as the plain member, in this clone, and return its status and what it wrote.

    `env` goes before the member's own variables.
    """
    variables = os.environ | environment() | dict(env or {})
    return subprocess.run(command(argv), input=stdin, capture_output=True, text=True, env=variables, check=False)


def command(argv: Sequence[object]) -> list[str]:
    """Return the command line that runs `argv` out there, in this clone."""
    return [str(CLASSROOM), "rehearsal", "exec", "--", *map(str, _in_clone(argv))]


def settings(shape: str) -> dict[str, object]:
    """Return the rehearsal's settings as the stack file holds them, the certificate's key apart."""
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
        "classes": [{"name": "CM2", "size": 30}],
        "endpoints": ENDPOINTS,
        "rehearsal": True,
        "overlay": [side.overlay() for side in SIDES],
        "declared_cloud": DECLARED | {"date": datetime.date.today().isoformat()},
    }
    if shape == "split":
        values["media_count"] = 1
    values["declared_operators"] = [
        *(_declared(name) for name in (OPERATOR, AUTHORITY)),
        *(_declared(name, US.country, US.owner) for name in (US.operator, US_AUTHORITY)),
    ]
    return {f"classroom:{key}": value for key, value in values.items()}


def write_settings(shape: str) -> None:
    """Write the stack's settings; what Pulumi itself keeps in the file (its salt, the secret key) stays."""
    (STACK / "state").mkdir(exist_ok=True)
    there = yaml.safe_load(SETTINGS.read_text()) if SETTINGS.exists() else {}
    kept = there.get("config", {})
    config = settings(shape)
    if "classroom:certificate_key" in kept and kept.get("classroom:certificate") == config["classroom:certificate"]:
        config["classroom:certificate_key"] = kept["classroom:certificate_key"]
    SETTINGS.write_text(yaml.safe_dump(there | {"config": config}, sort_keys=True, allow_unicode=True))
    SETTINGS.chmod(0o600)
    link()


def link() -> None:
    """Let the clone's Pulumi.rehearsal.yaml be the state's own, so that any clone works on the same stack."""
    here = REPO / SETTINGS.name
    if not here.is_symlink() or here.readlink() != SETTINGS:
        here.unlink(missing_ok=True)
        here.symlink_to(SETTINGS)


def is_there() -> bool:
    """Return whether the stack has been made."""
    return any((STACK / "state").glob(f".pulumi/stacks/*/{NAME}.json"))


def create(shape: str) -> None:
    """Make the stack if it is missing, and set its settings; the certificate's key is encrypted by the passphrase."""
    write_settings(shape)
    if not is_there() and _client(["pulumi", "--non-interactive", "stack", "init", NAME]):
        raise ClassroomError("the rehearsal's stack could not be made")
    if "classroom:certificate_key" not in yaml.safe_load(SETTINGS.read_text())["config"]:
        put = 'pulumi --non-interactive config set --stack "$1" --secret certificate_key < "$2"'
        if _client(["sh", "-c", put, "sh", NAME, STACK / "class.key"]):
            raise ClassroomError("the certificate's key could not be put into the stack's settings")


def output(name: str) -> object:
    """Return one output of the stack, in clear."""
    file = STACK / "output.json"
    ask = 'umask 077; pulumi --non-interactive stack output --stack "$1" --json --show-secrets "$2" > "$3"'
    try:
        if _client(["sh", "-c", ask, "sh", NAME, name, file]):
            raise ClassroomError(f"the stack '{NAME}' has no output '{name}': open the class with `make rehearsal`")
        found: object = json.loads(file.read_text())
        return found
    finally:
        file.unlink(missing_ok=True)


def provision(shape: str) -> None:
    """Run `pulumi up` and tell the outside's DNS where the class is."""
    create(shape)
    options = ["--yes", "--skip-preview", "--suppress-outputs", "--non-interactive", "--stack", NAME]
    status = _client(["classroom", "capture", "--stack", NAME, "--", "pulumi", "up", *options])
    if status:
        raise ClassroomError(f"`pulumi up` ended with status {status}: its message stands above")
    records = output("dns_records")
    assert isinstance(records, list)
    outside_network.publish_dns(records)


def open_class(shape: str) -> None:
    """Open the class, verify it, and say how to look in."""
    say("2/4 pulumi up")
    provision(shape)
    say("3/4 verify")
    if _client(["classroom", "verify", "--stack", NAME]):
        raise ClassroomError("the class is open but did not pass its verification: the tests that failed stand above")
    say("4/4 how to look in")
    if _client(["classroom", "classes", "--stack", NAME]):
        raise ClassroomError("the class's codes could not be shown")
    say("A participant's view:  .venv/bin/classroom rehearsal view --out class.png")
    say("A shell out there:     .venv/bin/classroom rehearsal exec -- bash")


def view(out: Path) -> None:
    """Join the first class as a pupil, in a browser out there, and save what a participant sees."""
    classes = output("classes")
    assert isinstance(classes, list)
    target = out.expanduser().absolute()
    code = "import json, sys; from classroom.verify.browsers.browser import look; look(*json.load(sys.stdin))"
    job = [classes[0]["url"], classes[0]["pupil_code"], str(target)]
    with tempfile.TemporaryFile("w+", dir=STACK) as words:
        json.dump(job, words)
        words.seek(0)
        status = outside_network.run_as_client(["python", "-c", code], environment(), stdin=words)
    if status or not target.exists():
        raise ClassroomError(
            f"the class could not be looked into (status {status}): the browser's message stands above"
        )
    say(f"{target} shows the class '{classes[0]['name']}' as a pupil sees it")


def destroy() -> None:
    """Take the class down: `pulumi destroy`."""
    status = _client(["pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive", "--stack", NAME])
    if status:
        raise ClassroomError(f"`pulumi destroy` ended with status {status}")
