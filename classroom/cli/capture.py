"""`classroom capture`: record the network connections of a command, in a network namespace of its own."""

import datetime
import json
import os
import subprocess
from typing import Annotated

import typer

from classroom.clients.pulumi_cli import environment
from classroom.common.errors import ClassroomError, WrongUseError
from classroom.common.foreground import wait
from classroom.common.paths import find_administrators_programs
from classroom.verify.browsers.client_network import Client
from classroom.verify.network.capture import Capture
from classroom.verify.requirements import capture_path


def command(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", envvar="CLASSROOM_STACK", help="Name of the stack.")],
) -> None:
    """Run the command after `--`, such as `pulumi up`, and record its network connections for `classroom verify`."""
    if not context.args:
        raise WrongUseError(f"no command given; run: classroom capture --stack {stack} -- pulumi up --stack {stack}")
    if os.geteuid() != 0:
        raise ClassroomError("creating a network namespace requires root; run the command with `sudo -E`")
    find_administrators_programs()
    began = datetime.datetime.now(datetime.UTC)
    routes = subprocess.run(["ip", "-6", "route", "show", "default"], capture_output=True, text=True, check=False)
    with (
        Client(v4=True, v6=bool(routes.stdout.strip()), own_names=True) as client,
        Capture(client.command([])) as watch,
    ):
        process = subprocess.Popen(client.command(context.args), env=environment())
        status = wait(process, process.send_signal)
        traffic = watch.stop()
    found = {
        "began": began.isoformat(timespec="seconds"),
        "status": status,
        "names": sorted(traffic.names),
        "places": sorted(traffic.places),
    }
    path = capture_path(stack)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(json.dumps(found, indent=2))
    path.chmod(0o600)
    raise typer.Exit(status)
