"""What is built once on the operator's machine, for the hosts or for `pulumi up`; kept in the cache by digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, REPO, digest

ENGINE = REPO / "engine"
ANSIBLE = REPO / "ansible"


@dataclass(frozen=True)
class Artifact:
    """Something that is built from `sources`, in a folder of the cache; `file` is the file in it that is used, if one alone is."""

    kind: str
    what: str
    sources: tuple[Path, ...]
    file: str = ""

    @property
    def path(self) -> Path:
        """Where it is, there or not."""
        return CACHE / self.kind / digest(self.sources) / self.file

    def built(self) -> Path:
        """Return where it is; ClassroomError if it is not built."""
        path = self.path
        if not path.exists():
            raise ClassroomError(f"{self.what} is not built yet ({path} is missing): run `make install`")
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
PAGE = Artifact("page", "the class page", (REPO / "web", ENGINE / "toolchain.lock"))
PORTAL = Artifact("portal", "the portal", (REPO / "portal",))
"""The join service with its packages, for the Python of the hosts."""

SHIPPED: Mapping[str, Artifact] = {
    "classroom_livekit_binary": LIVEKIT,
    "classroom_page_dir": PAGE,
    "classroom_portal_dir": PORTAL,
}
"""What Ansible brings to the hosts, by the variable that names it to the roles."""
ROLES = tuple(
    ANSIBLE / name for name in ("site.yml", "group_vars", "roles", "library", "filter_plugins", "lookup_plugins")
)
"""What Ansible runs on the hosts."""


def shipped() -> dict[str, str]:
    """Return the variables that name to the roles what is brought to the hosts; ClassroomError if one is not built."""
    return {variable: str(artifact.built()) for variable, artifact in SHIPPED.items()}


def roles_digest() -> str:
    """Return the digest of all that reaches the machines: sources and locked versions, never what was built from them."""
    sources = dict.fromkeys(source for artifact in SHIPPED.values() for source in artifact.sources)
    return digest([*ROLES, *sources])
