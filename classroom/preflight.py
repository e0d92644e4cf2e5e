"""What can be known about the cloud before anything is created: asked with token requests and GETs alone."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keystoneauth1.exceptions
import openstack
import openstack.exceptions

from classroom.artifacts import livekit_binary, page_dir, portal_dir
from classroom.errors import ClassroomError, WrongUseError
from classroom.machines import plans_for
from classroom.paths import CACHE
from classroom.settings import Settings

FREE_MIB = 500
"""Disk that the operator's machine must have left: for the state and for packing what goes to the hosts."""


@dataclass(frozen=True)
class Cloud:
    """What the program has to know of the cloud."""

    external_network_id: str


def check(settings: Settings, stack: str) -> Cloud:
    """Return what the program needs to know; ClassroomError with one sentence for the first thing that is in the way."""
    livekit_binary(), page_dir(), portal_dir()
    free = shutil.disk_usage(CACHE).free // 1024**2
    if free < FREE_MIB:
        raise ClassroomError(
            f"{free} MiB are free under {CACHE}, and {FREE_MIB} are needed: free some, or set CLASSROOM_CACHE"
        )
    cloud = _connect(settings)
    _one_of("image", settings.image, (image.name for image in cloud.image.images()))
    flavors = {flavor.name: flavor for flavor in cloud.compute.flavors()}
    plans = plans_for(settings.shape, settings.media_count, settings.flavor_front, settings.flavor_media)
    _one_of("flavor_front", settings.flavor_front, flavors)
    if settings.flavor_media:
        _one_of("flavor_media", settings.flavor_media, flavors)
    networks = {n.name: n.id for n in cloud.network.networks(is_router_external=True)}
    _one_of("external_network", settings.external_network, networks)
    if settings.availability_zone:
        zones = [zone.name for zone in cloud.compute.availability_zones()]
        _one_of("availability_zone", settings.availability_zone, zones)
    _quota(cloud, [(f"{stack}-{plan.name}", flavors[plan.flavor]) for plan in plans])
    return Cloud(external_network_id=networks[settings.external_network])


def _quota(cloud: Any, machines: list[tuple[str, Any]]) -> None:
    """Compare what the machines that are not there yet need with what the project has left."""
    there = {server.name for server in cloud.compute.servers()}
    new = [flavor for name, flavor in machines if name not in there]
    if not new:
        return
    limits = cloud.compute.get_limits().absolute
    wanted = (
        ("machines", len(new), limits.instances, limits.instances_used),
        ("processors", sum(f.vcpus for f in new), limits.total_cores, limits.total_cores_used),
        ("MiB of memory", sum(f.ram for f in new), limits.total_ram, limits.total_ram_used),
    )
    for what, needed, most, used in wanted:
        if most is not None and most >= 0 and needed > most - (used or 0):
            raise ClassroomError(
                f"quota: {needed} {what} are needed and {max(0, most - (used or 0))} of {most} are left in the project;"
                " ask the cloud's operator for more, or choose a smaller flavour"
            )


def _connect(settings: Settings) -> Any:
    try:
        cloud = openstack.connect(cloud=settings.cloud, region_name=settings.region)
    except openstack.exceptions.ConfigException as error:
        raise WrongUseError(
            f"cloud: '{settings.cloud}' cannot be used ({error}); see the entries of your clouds.yaml"
        ) from None
    url = cloud.config.auth.get("auth_url") or "no address"
    user = cloud.config.auth.get("username") or cloud.config.auth.get("application_credential_id") or "no user"
    try:
        cloud.authorize()
        regions = {
            endpoint["region"]
            for service in cloud.session.auth.get_access(cloud.session).service_catalog.catalog
            for endpoint in service["endpoints"]
        }
    except keystoneauth1.exceptions.Unauthorized:
        raise ClassroomError(
            f"the cloud {url} refuses '{user}': check OS_USERNAME and OS_PASSWORD (or the application credential)"
        ) from None
    except (keystoneauth1.exceptions.ConnectFailure, keystoneauth1.exceptions.DiscoveryFailure) as error:
        raise ClassroomError(
            f"the cloud {url} cannot be reached ({_first(error)}): check OS_AUTH_URL and the network"
        ) from None
    except (
        keystoneauth1.exceptions.ClientException,
        openstack.exceptions.SDKException,
    ) as error:
        raise ClassroomError(
            f"the cloud {url} gives '{user}' no token ({_first(error)}): set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD,"
            " OS_PROJECT_NAME and the domains, or `cloud`"
        ) from None
    if settings.region not in regions:
        raise WrongUseError(
            f"region: the cloud has no '{settings.region}'; choose one of: {', '.join(sorted(regions))}"
        )
    return cloud


def _first(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def _one_of(key: str, value: str, there: Iterable[str]) -> None:
    names = sorted(there)
    if value not in names:
        raise WrongUseError(
            f"{key}: the cloud has no '{value}'; choose one of: {', '.join(names) or '(there is none)'}"
        )
