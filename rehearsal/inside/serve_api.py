"""Serves Keystone or Placement under waitress, inside the lab: `serve_api.py keystone|placement`."""

import os
import sys

from waitress import serve  # type: ignore[import-untyped]

name = sys.argv[1]
sys.argv = sys.argv[:1]
if name == "keystone":
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = "/lab/etc/keystone.conf"
    from keystone.server import wsgi  # type: ignore[import-not-found]

    application, port = wsgi.initialize_public_application(), 5000
else:
    os.environ["OS_PLACEMENT_CONFIG_DIR"] = "/lab/etc"
    from placement.wsgi import init_application  # type: ignore[import-not-found]

    application, port = init_application(), 8778
serve(application, host=os.environ["LAB_API"], port=port, threads=8, connection_limit=400)
