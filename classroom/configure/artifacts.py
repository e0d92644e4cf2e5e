"""Describe the build artifacts, for the hosts or for `pulumi up`; they are cached by the digest of their sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, REPO, digest

ENGINE = REPO / "engine"
ANSIBLE = REPO / "ansible"


@dataclass(frozen=True)
class Artifact:
    """An artifact built from `sources` into a cache folder; `file` is the file in it that is used, or "" for the folder."""

    kind: str
    what: str
    sources: tuple[Path, ...]
    file: str = ""

    @property
    def path(self) -> Path:
        """Its path in the cache, whether or not it is built."""
        return CACHE / self.kind / digest(self.sources) / self.file

    def built(self) -> Path:
        """Return its path; ClassroomError if it is not built."""
        path = self.path
        if not path.exists():
            raise ClassroomError(f"{self.what} is not built yet ({path} is missing); run `make install`")
        return path


PULUMI_ENGINE = Artifact(
    "engine",
    "the Pulumi engine",
    (ENGINE / "cli", ENGINE / "language", ENGINE / "openstack", ENGINE / "toolchain.lock"),
)
"""Pulumi's engine, its language host and the OpenStack plugin."""
LIVEKIT = Artifact(
    "livekit", "the LiveKit server", (ENGINE / "livekit", ENGINE / "toolchain.lock"), file="livekit-server"
)
RELAY = Artifact("relay", "the TURN relay", (ENGINE / "relay", ENGINE / "toolchain.lock"), file="classroom-relay")
LOAD = Artifact(
    "load", "the load generator of `make bench`", (ENGINE / "load", ENGINE / "toolchain.lock"), file="classroom-load"
)
ACME_SERVER = Artifact(
    "acme", "the ACME server of the tests", (ENGINE / "acme", ENGINE / "toolchain.lock"), file="pebble"
)
PAGE = Artifact("page", "the class page", (REPO / "web", ENGINE / "toolchain.lock"))
PORTAL = Artifact("portal", "the portal", (REPO / "portal",))
"""The join service with its packages, for the Python of the hosts."""

SHIPPED: Mapping[str, Artifact] = {
    "classroom_livekit_binary": LIVEKIT,
    "classroom_relay_binary": RELAY,
    "classroom_page_dir": PAGE,
    "classroom_portal_dir": PORTAL,
}
"""Artifacts that Ansible copies to the hosts, by the variable that contains their path."""
ROLES = tuple(
    ANSIBLE / name for name in ("site.yml", "group_vars", "roles", "library", "filter_plugins", "lookup_plugins")
)
"""Sources of the playbook and its roles."""


def shipped() -> dict[str, str]:
    """Return the Ansible variables with the paths of the artifacts; ClassroomError if one is not built."""
    return {variable: str(artifact.built()) for variable, artifact in SHIPPED.items()}


def roles_digest() -> str:
    """Return the digest of everything that is deployed to machines: of sources and lock files, not of build results."""
    sources = dict.fromkeys(source for artifact in SHIPPED.values() for source in artifact.sources)
    return digest([*ROLES, *sources])
