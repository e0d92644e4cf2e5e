"""`classroom rehearsal …`: manages the one-machine OpenStack and the class on it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from classroom.common.errors import ClassroomError, WrongUseError
from classroom.common.progress import say
from rehearsal import authority, lab, outside_network, rootfs, stack
from rehearsal.cloud_config import API, DOMAIN, admin_environment, write_configuration
from rehearsal.folders import CLOUD, STACK, STATE

app = typer.Typer(
    no_args_is_help=True, help="Run a real OpenStack and a class on this machine, to test a deployment end to end."
)


def _cloud_environment() -> dict[str, str]:
    return admin_environment() | {"LAB_API": API, "LAB_IMAGE": rootfs.guest_root().parent.name}


def start_cloud() -> float:
    """Build what is missing, start OpenStack and wait until it is ready; return how many seconds the start took."""
    tools = rootfs.build_tools()
    image = rootfs.build_guest()
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    STACK.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_configuration()
    authority.ensure(DOMAIN)
    key = STACK / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f", key], check=True)
    passphrase = STACK / "passphrase"
    if not passphrase.exists():
        descriptor = os.open(passphrase, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    copy = CLOUD / "guest.qcow2"
    if not copy.exists() or copy.stat().st_ino != image.stat().st_ino:
        copy.unlink(missing_ok=True)
        try:
            copy.hardlink_to(image)
        except OSError:  # the state is on another file system
            shutil.copyfile(image, copy)
    begin = time.monotonic()
    lab.start(tools)
    outside_network.write_client_files()
    outside_network.start_package_proxy()
    command = ["/opt/openstack/bin/python3", "/opt/rehearsal/inside/daemons.py", "start"]
    status = subprocess.run(**lab.inside(command, _cloud_environment()), check=False).returncode  # type: ignore[call-overload]
    if status:
        raise ClassroomError(
            f"the cloud did not start (status {status}): read its logs with `classroom rehearsal logs`"
        )
    return time.monotonic() - begin


@app.command()
def up(
    cloud_only: Annotated[bool, typer.Option("--cloud-only", help="Start the cloud without opening a class.")] = False,
    shape: Annotated[
        str, typer.Option("--shape", help="single: one machine; split: separate front and media machines.")
    ] = "split",
) -> None:
    """Build what is missing, start the cloud, open the class with `pulumi up`, verify it, and show how to join."""
    if shape not in ("single", "split"):
        raise WrongUseError(f"--shape: '{shape}' is unknown; choose single or split")
    lab.check_root()
    if lab.running() is None:
        lab.check_machine()
    with lab.RehearsalLock():
        begin = time.monotonic()
        say("1/4 cloud")
        seconds = start_cloud()
        say(f"1/4 cloud: ready ({seconds:.0f} s)")
        if cloud_only:
            return
        stack.open_class(shape)
        say(f"rehearsal: open after {time.monotonic() - begin:.0f} s")


@app.command()
def down(wipe: Annotated[bool, typer.Option("--wipe", help="Delete the cloud and the stack too.")] = False) -> None:
    """Stop all processes of the rehearsal; keep machines and state unless `--wipe` is given."""
    with lab.RehearsalLock():
        lab.stop()
        if wipe:
            for folder in (CLOUD, STACK):
                shutil.rmtree(folder, ignore_errors=True)
    say(
        "the rehearsal is stopped"
        + (", its cloud and stack are deleted" if wipe else "; `classroom rehearsal up` starts it again")
    )


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show which daemons of the cloud run, with their process IDs."""
    pid = lab.running()
    daemons: dict[str, int | None] = {}
    if pid:
        command = ["/opt/openstack/bin/python3", "/opt/rehearsal/inside/daemons.py", "status"]
        answer = subprocess.run(
            **lab.inside(command, _cloud_environment()),  # type: ignore[call-overload]
            capture_output=True,
            text=True,
            check=True,
        )
        daemons = json.loads(answer.stdout)
    if as_json:
        print(json.dumps({"running": pid is not None, "pid": pid, "state": str(STATE), "daemons": daemons}))
        return
    if pid is None:
        say("no rehearsal is running")
        return
    table = Table(title=f"rehearsal (state in {STATE})")
    table.add_column("daemon")
    table.add_column("PID")
    for name, process in daemons.items():
        table.add_row(name, str(process) if process else "[red]not running")
    Console().print(table)
    if any(process is None for process in daemons.values()):
        raise ClassroomError("a daemon of the cloud is not running: read its log with `classroom rehearsal logs NAME`")


@app.command()
def logs(name: Annotated[str | None, typer.Argument(help="Name of a daemon, as in `status`.")] = None) -> None:
    """Show the last 100 lines of a daemon's log, or list the logs if no name is given."""
    folder = CLOUD / "log"
    files = sorted(p for p in folder.glob("*") if p.is_file()) if folder.is_dir() else []
    if name is None:
        for path in files:
            say(f"{path.stem:24} {path}")
        return
    found = [p for p in files if p.stem == name]
    if not found:
        raise ClassroomError(
            f"'{name}' has no log in {folder}; choose one of: {', '.join(sorted({p.stem for p in files}))}"
        )
    for path in found:
        sys.stdout.write("".join(f"{line}\n" for line in path.read_text(errors="replace").splitlines()[-100:]))


@app.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="Command to run.")],
    client: Annotated[str, typer.Option("--client", help="Name of the client of the outside network.")] = "client",
) -> None:
    """Run a command as a client on the outside network and exit with its status."""
    raise typer.Exit(outside_network.run_as_client(command, client=client))


@app.command()
def env() -> None:
    """Print the `export` lines that give a shell the credentials of the project member who runs `pulumi up`."""
    for name, value in stack.environment().items():
        print(f"export {name}='{value}'")


@app.command()
def view(out: Annotated[Path, typer.Option("--out", help="PNG file to write.")]) -> None:
    """Join the open class and save a picture of what a participant sees."""
    stack.view(out)
