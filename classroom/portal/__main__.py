"""`python3 -m classroom.portal` serves the join service on the loopback address."""

import os

from aiohttp import web

from classroom.portal.config import load
from classroom.portal.service import Portal

# No access log: it would hold the addresses of pupils.
port = int(os.environ.get("PORTAL_PORT", "8090"))
web.run_app(Portal(load()).application(), host="127.0.0.1", port=port, access_log=None, print=None)
