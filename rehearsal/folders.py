"""Paths of the rehearsal, all of them below the cache."""

from pathlib import Path

from classroom.common.paths import CACHE

HERE = Path(__file__).resolve().parent
STATE = CACHE / "rehearsal"
"""The rehearsal's state; only root can read it."""

CLOUD = STATE / "cloud"
"""The cloud's databases, disks, logs and secrets; mounted as `/lab` inside the lab."""

STACK = STATE / "stack"
"""Pulumi's backend, passphrase, settings file and the SSH key of the rehearsal's stack."""

LOGS = CACHE / "logs"
PACKAGES = CACHE / "packages"
"""Cache of the guests' package proxy."""
