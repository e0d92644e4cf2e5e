"""Where the rehearsal's things stand, all of them below the cache."""

from pathlib import Path

from classroom.common.paths import CACHE

HERE = Path(__file__).resolve().parent
STATE = CACHE / "rehearsal"
"""The rehearsal's state; root's alone."""

CLOUD = STATE / "cloud"
"""The cloud's databases, disks, logs and secrets. Inside the lab this is `/lab`."""

STACK = STATE / "stack"
"""Pulumi's backend, passphrase, settings file and the SSH key of the rehearsal's stack."""

LOGS = CACHE / "logs"
PACKAGES = CACHE / "packages"
"""What the guests' package proxy has fetched."""
