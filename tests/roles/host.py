"""Runs roles on a persistent host: `python -m tests.roles.host run ROLE | shell | down`."""

import subprocess
import sys
import time

from classroom.common.errors import ClassroomError, WrongUseError
from tests.roles.fleet import STATES, Fleet
from tests.roles.play import ANSIBLE, Play

PERSISTENT = "persistent"
USE = "python -m tests.roles.host run ROLE [check] | shell [COMMAND…] | down"


def run(role: str, check: bool = False) -> int:
    """Run `role` on the persistent host, start the host if needed, and return Ansible's status."""
    roles = sorted(p.name for p in (ANSIBLE / "roles").iterdir())
    if role not in [*roles, "site"]:
        raise WrongUseError(f"ROLE: {role!r} is unknown; choose one of {', '.join(roles)}, or site for all")
    start = time.monotonic()
    fleet = Fleet(PERSISTENT)
    if not fleet.pid():
        fleet.start(["class"])
        print(f"host: started in {time.monotonic() - start:.1f} s", flush=True)
    done = Play(fleet).run(*([] if role == "site" else [role]), check=check, show=True)
    print(f"role {role}: {time.monotonic() - start:.0f} s; the host runs until `make role-down`; log in with")
    print(f"  {sys.executable} -m tests.roles.host shell")
    return done.status


def shell(command: list[str]) -> int:
    """Log in to the persistent host, or run `command` there, and return its status."""
    fleet = Fleet(PERSISTENT)
    if not fleet.pid():
        raise ClassroomError("the persistent host is not running: start it with `make role ROLE=base`")
    with fleet.network():
        return subprocess.run(
            ["ssh", "-F", str(fleet.ssh_config), "-l", fleet.account("class"), "class", *command]
        ).returncode


def down() -> int:
    """Remove the persistent host, and hosts of test runs that were killed."""
    for state in sorted(STATES.iterdir()) if STATES.exists() else []:
        Fleet(state.name).stop()
    return 0


def main(arguments: list[str]) -> int:
    """Run the subcommand in `arguments`; WrongUseError if it is unknown."""
    match arguments:
        case ["run", role]:
            return run(role)
        case ["run", role, "check"]:
            return run(role, check=True)
        case ["shell", *command]:
            return shell(command)
        case ["down"]:
            return down()
    raise WrongUseError(f"unknown arguments; use: {USE}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ClassroomError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
