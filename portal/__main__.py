"""`python3 -m portal`: run the join service on the loopback address, port PORTAL_PORT."""

import os
import sys

from aiohttp import web

from portal import journal
from portal.config import ConfigError, load
from portal.service import Portal
from portal.times import Times

SHUTDOWN_SECONDS = 2.0


def main(times: Times) -> None:
    """Run the service until it is stopped."""
    try:
        portal = Portal(load(), times)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    journal.keep()
    port = os.environ.get("PORTAL_PORT", "")
    if not port.isdecimal():
        print(f"error: PORTAL_PORT: '{port}' is not a port number; set it in the unit portal.service", file=sys.stderr)
        sys.exit(1)
    web.run_app(
        portal.application(),
        host="127.0.0.1",
        port=int(port),
        access_log=None,  # it would contain the IP addresses of pupils
        print=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        auto_decompress=False,  # the page sends no compressed bodies, and others may be decompression bombs
    )


if __name__ == "__main__":
    main(Times())
