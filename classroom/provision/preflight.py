"""Check this machine and the cloud before anything is created, with token requests and GET requests only."""

import difflib
import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classroom.clients.openstack import OpenStackClient, RedirectError, connect
from classroom.clients.pulumi_backend import backend_url, folder_of
from classroom.clients.pulumi_cli import replace_command
from classroom.clients.ssh_keys import named_file, own_keys
from classroom.common.errors import ClassroomError, WrongUseError
from classroom.common.paths import CACHE
from classroom.common.tmpfs import memory_folder
from classroom.config.endpoints import faults_of
from classroom.config.plan import Plan, plans_for
from classroom.config.settings import Settings
from classroom.configure.artifacts import shipped
from classroom.provision.access import groups_of
from classroom.provision.gate import check_catalogue, refusal
from classroom.provision.network import tag

SHOWN = 30
"""Maximum number of names that a message lists."""
STATE_MIB, CACHE_MIB, MEMORY_MIB = 200, 100, 150
"""Free space that a run needs on this machine: for Pulumi's state with backups, the cache, and files in memory."""


LEAST_VOLUME = 20
"""Proposed size of a root volume in GiB."""
VOLUME_SERVICES = {"block-storage", "volume", "volumev3"}
"""Names of the volume service in service catalogues."""


@dataclass(frozen=True)
class Findings:
    """Results of the preflight.

    `broken` maps each machine in status ERROR to the reason; `advice` are warnings.
    """

    external_network_id: str
    broken: Mapping[str, str] = field(default_factory=dict)
    advice: Sequence[str] = ()
    image_id: str = ""


def check(settings: Settings, stack: str) -> Findings:
    """Return the findings; ClassroomError has one line for each fault.

    RefusedError (status 3) if the cloud points to another host in its service catalogue or by a redirect.
    """
    this_machine()
    administrators_key(settings)
    try:
        cloud = connect(settings.cloud, settings.region)
        check_catalogue(settings, cloud.auth_url, cloud.endpoints)
        with ThreadPoolExecutor(8) as pool:
            return _Check(cloud, settings, stack, pool).run()
    except RedirectError as error:
        raise refusal([str(error)]) from None


def this_machine() -> None:
    """Raise ClassroomError if this machine lacks a requirement: built artifacts, free space, an SSH client, the SSH key."""
    shipped()
    room = [(CACHE, CACHE_MIB, "or set CLASSROOM_CACHE"), (memory_folder(), MEMORY_MIB, "in memory")]
    state = state_folder()
    if state:
        room.append((state, STATE_MIB, "or move Pulumi's state (PULUMI_BACKEND_URL)"))
    for folder, needed, hint in room:
        free = shutil.disk_usage(_there(folder)).free // 1024**2
        if free < needed:
            raise ClassroomError(f"{folder}: {free} MiB free, {needed} MiB needed; free some space {hint}")
    if not shutil.which("ssh"):
        raise ClassroomError("ssh: not found on this machine, but Ansible needs it; install the package openssh-client")


def administrators_key(settings: Settings) -> None:
    """Raise ClassroomError if CLASSROOM_SSH_KEY names a file that is unusable, or the key of no administrator."""
    file = named_file()
    own = own_keys(settings.domain) if file else {}
    if own and not own.keys() & {admin.public_key for admin in settings.admins}:
        names = ", ".join(f"'{admin.name}'" for admin in settings.admins)
        raise ClassroomError(
            f"CLASSROOM_SSH_KEY: the file '{file}' is not the key of an administrator in the settings ({names}); set the private key of"
            " one of them, or unset the variable to use your agent's keys"
        )


def state_folder() -> Path | None:
    """Return the folder of Pulumi's state, or None if the backend is not a local folder."""
    url = backend_url()
    if not url.startswith("file://"):
        return None
    return folder_of(url)


def _there(folder: Path) -> Path:
    """Return the folder, or its nearest existing parent."""
    return next(place for place in (folder, *folder.parents) if place.exists())


class _Check:
    """The checks of the cloud; requests run in parallel, as each takes a while."""

    def __init__(self, cloud: OpenStackClient, settings: Settings, stack: str, pool: ThreadPoolExecutor) -> None:
        self._cloud, self._settings, self._stack, self._pool = cloud, settings, stack, pool
        plans = plans_for(settings.shape, settings.media_count, settings.flavor_front, settings.flavor_media)
        self._plans = {f"{stack}-{plan.name}": plan for plan in plans}  # by the server's name
        self._named = f"^{re.escape(stack)}-"

    def run(self) -> Findings:
        get = self._get
        images = get("image", "/images", name=self._settings.image, status="active")
        flavors = get("compute", "/flavors/detail", limit=1000)
        networks = get("network", "/networks", **{"router:external": True})
        faults = faults_of(self._settings.endpoints)
        self._zone(faults)
        image = self._image(images.result()["images"], faults)
        # Details are slow, as Nova queries Neutron for each server: they are requested only if a machine differs from the settings.
        # A machine on a volume has no image for Nova.
        of_image = {} if self._settings.volume else {"image": image["id"]} if image else None
        sound = None if of_image is None else get("compute", "/servers", name=self._named, status="ACTIVE", **of_image)
        self._flavors(flavors.result()["flavors"], image, faults)
        self._volume(image, faults)
        external = self._external(networks.result()["networks"], faults)
        if faults:
            raise WrongUseError("\n".join(faults))
        if sound and self._plans.keys() <= {server["name"] for server in sound.result()["servers"]}:
            return Findings(external, image_id=str(image["id"]))
        servers = get("compute", "/servers/detail", name=self._named)
        own = get("network", "/networks", tags=tag(self._stack))
        there = {server["name"]: server for server in servers.result()["servers"]}
        self._quota(there, {f["name"]: f for f in flavors.result()["flavors"]}, bool(own.result()["networks"]))
        mine = {self._plans[name].name: server for name, server in there.items() if name in self._plans}
        broken = {name: _fault(server) for name, server in mine.items() if server["status"] == "ERROR"}
        return Findings(external, broken, self._advice(mine, image), str(image["id"]))

    def _get(self, service: str, path: str, **query: str | int | bool) -> "Future[dict[str, Any]]":
        return self._pool.submit(self._cloud.get, service, path, **query)

    def _zone(self, faults: list[str]) -> None:
        wanted = self._settings.availability_zone
        if wanted:
            found = self._cloud.get("compute", "/os-availability-zone")["availabilityZoneInfo"]
            _one_of("availability_zone", wanted, (zone["zoneName"] for zone in found), faults)

    def _image(self, found: list[dict[str, Any]], faults: list[str]) -> dict[str, Any]:
        name = self._settings.image
        if not found:
            every = self._cloud.get("image", "/images", limit=1000, status="active")["images"]
            _one_of("image", name, (image["name"] or "" for image in every), faults)
            return {}
        if len(found) > 1:
            ids = ", ".join(image["id"] for image in found)
            faults.append(
                f"image: the cloud has {len(found)} images named '{name}' ({ids}); choose one with a unique name, or rename yours"
            )
        return found[0]

    def _flavors(self, found: list[dict[str, Any]], image: Mapping[str, Any], faults: list[str]) -> None:
        by_name = {flavor["name"]: flavor for flavor in found}
        keys = {"flavor_front": self._settings.flavor_front}
        if self._settings.shape == "split":
            keys["flavor_media"] = self._settings.flavor_media or ""
        disk, memory = image.get("min_disk") or 1, image.get("min_ram") or 0
        if self._settings.volume:
            disk = 0  # the root disk is a volume
        fit = [name for name, flavor in by_name.items() if flavor["disk"] >= disk and flavor["ram"] >= memory]
        for key, name in keys.items():
            _one_of(key, name, by_name, faults)
            if name in by_name and name not in fit:
                has = by_name[name]
                why = (
                    f"has {has['disk']} GiB of disk and {has['ram']} MiB of memory, but the image needs {disk} GiB and {memory} MiB"
                    if has["disk"]
                    else "has no disk of its own"
                )
                on_volume = not has["disk"] and has["ram"] >= memory
                fix = (
                    f"set volume: {{size: {max(LEAST_VOLUME, disk)}}}, so that its machines start from volumes"
                    + (f", or choose one of: {_names(fit, name)}" if fit else "")
                    if on_volume
                    else f"choose one of: {_names(fit, name)}"
                    if fit
                    else f"no flavour of the cloud has a disk of {disk} GiB and {memory} MiB of memory: ask the cloud's operator for one"
                )
                faults.append(f"{key}: '{name}' {why}; {fix}")

    def _volume(self, image: Mapping[str, Any], faults: list[str]) -> None:
        """Add a fault if the image does not fit on the volume, or the cloud has no volumes or none of this type."""
        volume = self._settings.volume
        if volume is None:
            return
        needed = max(image.get("min_disk") or 0, math.ceil((image.get("virtual_size") or 0) / 1024**3))
        if volume.size < needed:
            faults.append(
                f"volume.size: {volume.size} GiB are too few for the image, which needs {needed}; set {needed} or more"
            )
        if not any(service.service in VOLUME_SERVICES for service in self._cloud.endpoints):
            faults.append(
                "volume: the cloud has no volume service in this region; remove volume, and choose a flavour with a disk"
            )
        elif volume.type is not None:
            found = (self._cloud.find("block-storage", "/types") or {}).get("volume_types", [])
            names = {str(one["name"]) for one in found}
            if volume.type not in names | {str(one["id"]) for one in found}:
                faults.append(
                    f"volume.type: the cloud has no '{volume.type}'; choose one of: {_names(names, volume.type)}"
                )

    def _external(self, found: list[dict[str, Any]], faults: list[str]) -> str:
        name = self._settings.external_network
        _one_of("external_network", name, (network["name"] for network in found), faults)
        ids = [network["id"] for network in found if network["name"] == name]
        if len(ids) > 1:
            faults.append(
                f"external_network: the cloud has {len(ids)} external networks named '{name}' ({', '.join(ids)}), but the name has to be"
                " unique; ask the cloud's operator"
            )
        return str(ids[0]) if ids else ""

    def _quota(self, there: Mapping[str, Any], flavors: Mapping[str, Any], network_there: bool) -> None:
        """Raise ClassroomError if the remaining quota is too small for the machines that do not exist yet."""
        new = [plan for name, plan in self._plans.items() if name not in there]
        if not new:
            return
        limits = self._get("compute", "/limits")
        network = self._network_quota()
        faults: list[str] = []
        chosen = [flavors[plan.flavor] for plan in new]
        left = limits.result()["limits"]["absolute"]
        wanted = (
            ("machines", len(new), left["maxTotalInstances"], left["totalInstancesUsed"]),
            ("processors", sum(f["vcpus"] for f in chosen), left["maxTotalCores"], left["totalCoresUsed"]),
            ("MiB of memory", sum(f["ram"] for f in chosen), left["maxTotalRAMSize"], left["totalRAMUsed"]),
            *self._volume_quota(len(new)),
            *(
                (what, needed, *network[what])
                for what, needed in self._parts(new, network_there).items()
                if what in network
            ),
        )
        for what, needed, most, used in wanted:
            available = math.inf if most is None or most < 0 else max(0, most - used)
            if needed > available:
                faults.append(
                    f"quota: {what} needed: {needed}, left in the project: {available} of {most}; ask the cloud's operator for more, or"
                    " delete unused resources"
                )
        if faults:
            raise ClassroomError("\n".join(faults))

    def _volume_quota(self, new: int) -> list[tuple[str, int, int | None, int]]:
        """Return what volumes need, with limit and usage as far as the cloud reports them."""
        volume = self._settings.volume
        if volume is None:
            return []
        left = (self._cloud.find("block-storage", "/limits") or {}).get("limits", {}).get("absolute", {})
        wanted = (
            ("volumes", new, "maxTotalVolumes", "totalVolumesUsed"),
            ("GiB of volumes", new * volume.size, "maxTotalVolumeGigabytes", "totalGigabytesUsed"),
        )
        return [(what, needed, left.get(most), left.get(used) or 0) for what, needed, most, used in wanted]

    def _parts(self, new: Sequence[Plan], network_there: bool) -> dict[str, int]:
        """Return the number of network resources that the new machines need, with the keys of `_network_quota`."""
        needed = {"floating IPs": len(new), "ports": len(new)}
        if not network_there:
            groups = groups_of(self._settings)
            # Each media machine has one rule for TURN's relay.
            relays = sum("media" in plan.groups for plan in self._plans.values())
            families = 1 + (self._settings.ipv6 is not None)
            needed |= {
                "networks": 1,
                "routers": 1,
                "subnets": families,
                # The router (one per subnet) and the DHCP server need ports too.
                "ports": len(new) + families + 1,
                "security groups": len(groups),
                "security group rules": sum(map(len, groups.values())) + relays,
            }
        return needed

    def _network_quota(self) -> dict[str, tuple[int, int]]:
        """Return limit and usage of each kind of network resource, as far as the cloud reports them."""
        words = {
            "floatingip": "floating IPs",
            "port": "ports",
            "network": "networks",
            "router": "routers",
            "subnet": "subnets",
            "security_group": "security groups",
            "security_group_rule": "security group rules",
        }
        answer = self._cloud.find("network", f"/quotas/{self._cloud.project}/details.json")
        if answer is None:  # older Neutron: limits without usage
            answer = self._cloud.find("network", f"/quotas/{self._cloud.project}")
        found = (answer or {}).get("quota", {})
        quota = {}
        for key, word in words.items():
            value = found.get(key)
            if isinstance(value, Mapping):
                quota[word] = (int(value["limit"]), int(value["used"]) + int(value.get("reserved", 0)))
            elif value is not None:
                quota[word] = (int(value), 0)
        return quota

    def _advice(self, mine: Mapping[str, Any], image: Mapping[str, Any]) -> list[str]:
        """Return a warning for each machine with another image than in the settings, as existing machines keep their image."""
        advice = []
        for name, server in sorted(mine.items()):
            runs = server["image"]["id"] if isinstance(server["image"], dict) else image["id"]
            if runs == image["id"]:
                continue
            # A cloud that updates an image under the same name deletes the old one, or keeps it under this name.
            old = self._cloud.find("image", f"/images/{runs}")
            if old is not None and old["name"] != self._settings.image:
                advice.append(
                    f"image: {name} runs '{old['name']}', not '{self._settings.image}'; to change it, replace the machine with"
                    f" {replace_command(self._stack, name)}"
                )
        return advice


def _fault(server: Mapping[str, Any]) -> str:
    return str((server.get("fault") or {}).get("message") or "no reason given")


def _one_of(key: str, value: str, there: Iterable[str], faults: list[str]) -> None:
    names = set(there)
    if value not in names:
        faults.append(f"{key}: the cloud has no '{value}'; choose one of: {_names(names, value)}")


def _names(names: Iterable[str], near: str) -> str:
    """Return the names in alphabetical order; if there are more than SHOWN, those most similar to `near`."""
    listed = sorted(names)
    if len(listed) > SHOWN:
        listed = difflib.get_close_matches(near, listed, SHOWN, 0.3) or listed[:SHOWN]
        return f"{', '.join(listed)} and others"
    return ", ".join(listed) or "(none available)"
