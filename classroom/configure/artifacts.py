"""What is built once on the operator's machine, for the hosts or for `pulumi up`; kept in the cache by digest."""

from pathlib import Path

from classroom.common.errors import ClassroomError
from classroom.common.paths import CACHE, REPO, digest

ENGINE = REPO / "engine"


def _cached(kind: str, sources: list[Path]) -> Path:
    return CACHE / kind / digest(sources)


def engine_path() -> Path:
    """Return the folder, there or not, of the Pulumi engine, its language host and the OpenStack plugin."""
    return _cached("engine", [ENGINE / "cli", ENGINE / "language", ENGINE / "openstack", ENGINE / "toolchain.lock"])


def livekit_path() -> Path:
    """Return the path, there or not, of the LiveKit server."""
    return _cached("livekit", [ENGINE / "livekit", ENGINE / "toolchain.lock"]) / "livekit-server"


def page_path() -> Path:
    """Return the folder, there or not, of the built class page."""
    return _cached("page", [REPO / "web", ENGINE / "toolchain.lock"])


def portal_path() -> Path:
    """Return the folder, there or not, of the portal with its packages, for Python 3.13 on Linux, x86-64."""
    return _cached("portal", [REPO / "portal"])


def _there(path: Path, what: str) -> Path:
    if not path.exists():
        raise ClassroomError(f"{what} is not built yet ({path} is missing): run `make install`")
    return path


def engine_dir() -> Path:
    """Return the folder of the built engine; ClassroomError if it is not built."""
    return _there(engine_path(), "the Pulumi engine")


def livekit_binary() -> Path:
    """Return the built LiveKit server; ClassroomError if it is not built."""
    return _there(livekit_path(), "the LiveKit server")


def page_dir() -> Path:
    """Return the folder of the built class page; ClassroomError if it is not built."""
    return _there(page_path(), "the class page")


def portal_dir() -> Path:
    """Return the folder of the portal with its packages; ClassroomError if it is not built."""
    return _there(portal_path(), "the portal")
