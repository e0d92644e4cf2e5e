"""Check a cloud's own service catalogue: each address must belong to that cloud, in a region that the policy allows."""

import datetime
import ipaddress
from typing import Protocol

from classroom.common.hosts import is_address
from classroom.sovereignty.catalogue import Cloud, load_catalogue
from classroom.sovereignty.operators import domains, host_of, region_in, within
from classroom.sovereignty.policy import DeclaredCloud, judge_region
from classroom.sovereignty.service_policy import Rules


class Row(Protocol):
    """A row of the cloud's own service catalogue."""

    @property
    def service(self) -> str:
        """The kind of service."""

    @property
    def interface(self) -> str:
        """The interface: public, internal or admin."""

    @property
    def url(self) -> str:
        """Its address."""


def declared_at(rules: Rules, auth_url: str) -> DeclaredCloud | None:
    """Return the declared cloud whose Keystone answers at `auth_url`, or None."""
    return next((one for one in rules.declared_cloud if one.as_cloud().answers_at(auth_url) is not None), None)


def cloud_at(rules: Rules, auth_url: str) -> Cloud | None:
    """Return the cloud, declared or of the catalogue, whose Keystone answers at `auth_url`, or None."""
    declared = declared_at(rules, auth_url)
    return declared.as_cloud() if declared else load_catalogue().find(auth_url)


def astray(rules: Rules, auth_url: str, row: Row) -> str | None:
    """Return the fault of a row of the cloud's own service catalogue, or None."""
    cloud = cloud_at(rules, auth_url)
    if cloud is None:
        return f"auth-url: '{auth_url}' is not a Keystone in the catalogue"
    return _astray(rules, cloud, declared_at(rules, auth_url), row)


def _astray(rules: Rules, cloud: Cloud, declared: DeclaredCloud | None, row: Row) -> str | None:
    """Return the fault of a row of the cloud's service catalogue, or None."""
    host = host_of(row.url)
    subject = f"region: '{rules.region}': the cloud's own service catalogue lists '{row.url}' for {row.service} ({row.interface})"
    own = declared.networks if declared else ()
    if not within(cloud, host) and not (
        is_address(host) and any(ipaddress.ip_address(host) in network for network in own)
    ):
        source = cloud.keystone[0]
        fault = (
            f"{subject}, which does not belong to {cloud.name}: {source.fact} ({source.url})\n"
            f"  source: {source.sources}, {source.source.days}\n"
            f"allowed: hosts in {', '.join(_places(cloud, declared))}"
        )
        if declared:
            fault += "\nto allow it, add its network to classroom:declared_cloud: prefixes in the stack file"
        return fault
    region = region_in(cloud, host)
    if region is None or region == cloud.region(rules.region):
        return None
    reason = judge_region(cloud, region.name, rules.policy, datetime.date.today(), rules.ages)
    if reason.verdict == "allowed":
        return None
    return f"{subject}, which is in another region: {reason.fact}\n  source: {reason.source}, {reason.days}"


def _places(cloud: Cloud, declared: DeclaredCloud | None) -> list[str]:
    return [*sorted(domains(cloud)), *(declared.prefixes if declared else ())]
