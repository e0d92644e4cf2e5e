"""`python3 -m portal` serves the join service on the loopback address."""

import os
import sys

from aiohttp import web

from portal.config import ConfigError, load
from portal.service import Portal

try:
    portal = Portal(load())
except ConfigError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)
# No access log: it would hold the addresses of pupils.
port = int(os.environ.get("PORTAL_PORT", "8090"))
web.run_app(portal.application(), host="127.0.0.1", port=port, access_log=None, print=None)
