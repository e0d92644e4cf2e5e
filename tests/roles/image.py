"""The files of a fleet's hosts that no package and no role brings: those of the guest image, and of the fleet."""

import hashlib

from classroom.config.image_files import ImageFile
from classroom.configure.role_files import RoleFile
from classroom.verify.hosts.accounting import as_role_files
from rehearsal.rootfs import image_files
from tests.roles.fleet import Host, network_text


def files_of(host: Host) -> dict[str, RoleFile]:
    """Return the image's files on a host of a fleet."""
    found = as_role_files([ImageFile.model_validate(row) for row in image_files()])
    network = hashlib.sha256(network_text(host).encode()).hexdigest()
    found["/etc/systemd/network/00-fleet.network"] = RoleFile("f", 0o644, "root", "root", network)
    empty = hashlib.sha256(b"").hexdigest()
    found["/etc/cloud/cloud-init.disabled"] = RoleFile("f", 0o644, "root", "root", empty)
    # The fleet starts systemd itself.
    return found
