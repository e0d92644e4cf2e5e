"""Checks types and texts of the class page with the pinned Node: `python -m engine.check_page`."""

import os
import sys

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, REPO, digest
from classroom.common.progress import run
from engine.build import toolchain

WEB = REPO / "web"


def main() -> None:
    """Install the page's locked packages if they changed, then run the page's checks."""
    tools = toolchain()
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "npm_config_cache": str(CACHE / "npm")}
    log = CACHE / "logs" / "page-check.log"
    stamp = WEB / "node_modules" / ".lock"
    wanted = digest([WEB / "package-lock.json"])
    if not stamp.exists() or stamp.read_text() != wanted:
        install = [tools / "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
        run("packages of the class page", install, log=log, env=environment, cwd=WEB)
        stamp.write_text(wanted)
    run("class page: types and texts", [tools / "npm", "run", "check"], log=log, env=environment, cwd=WEB)


if __name__ == "__main__":
    try:
        main()
    except ClassroomError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
