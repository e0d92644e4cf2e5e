"""The gate: what the policy refuses ends a run before anything is created, and most of it before anything is asked.

First what settings, environment and clouds.yaml alone decide; then, with a token, where the cloud's own catalogue leads.
"""

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

from classroom.clients.openstack import CloudService, RegionError, way_in
from classroom.clients.pulumi_backend import backend_url, provider_in, refuse_backend, refuse_secrets_provider
from classroom.common.errors import RefusedError, WrongUseError
from classroom.common.paths import REPO
from classroom.config.settings import Settings
from classroom.sovereignty.cloud_services import astray, cloud_at, declared_at
from classroom.sovereignty.operators import Operators
from classroom.sovereignty.policy import PolicyException, check
from classroom.sovereignty.service_policy import ServicePolicy
from classroom.sovereignty.verdict import public

END = "nothing was created (status 3)"


def check_plan(settings: Settings, stack_file: Path, root: Path = REPO) -> list[str]:
    """Judge what is decided without any request; return what a report has to say of it: each exception.

    `stack_file` is what the engine reads the stack's settings from, and `root` holds Pulumi.yaml.

    RefusedError (status 3) with every refusal: cloud, region, endpoints, Pulumi's backend and secrets provider.
    WrongUseError if a declaration takes what is public, an exception names nobody, or the way into the cloud is not told.
    """
    regions: RegionError | None = None
    try:
        auth_url = way_in(settings.cloud, settings.region).auth_url
    except RegionError as error:  # the policy has the first word
        regions, auth_url = error, error.auth_url
    outside = outside_of(settings)
    made_up = [label.operator.name for label in settings.overlay]
    for exception in settings.exceptions:
        if outside.operators.named(exception.name) is None and not exception.covers(*made_up):
            raise WrongUseError(
                f"exceptions: '{exception.name}' is nobody in the catalogue and nobody declared; write the name that a refusal shows"
            )
    judged = check(
        auth_url,
        settings.region,
        settings.policy,
        exceptions=settings.exceptions,
        declared_cloud=declared_at(settings, auth_url),
        as_of=outside.as_of,
        max_age_months=settings.facts_max_age_months,
    )
    backend = backend_url(root)
    found = [
        judged.message.replace("auth-url: ", f"{_address_key(settings)}: ") if judged.verdict != "allowed" else None,
        *(outside.endpoint(one) for one in settings.endpoints),
        refuse_backend(backend, outside),
        refuse_secrets_provider(provider_in(stack_file), backend, outside),
    ]
    _end(fault for fault in found if fault)
    if regions:
        raise regions
    return _advice(settings, [*judged.exceptions, *outside.used], outside.as_of)


def check_catalogue(settings: Settings, auth_url: str, endpoints: Iterable[CloudService]) -> None:
    """Raise RefusedError (status 3) if a row of the cloud's own catalogue leads elsewhere than to that cloud.

    A row has to lead into a domain of the cloud's Keystone, and of a declared cloud also to an address of its prefixes. A
    region that a host name tells has to be one that the policy admits.
    """
    if cloud_at(settings, auth_url) is None:  # the plan was not judged before
        raise RefusedError(f"auth-url: '{auth_url}' is no Keystone of the catalogue\n{END}")
    _end(fault for row in endpoints if (fault := astray(settings, auth_url, row)))


def outside_of(settings: Settings) -> ServicePolicy:
    """Return what judges hosts and operators under these settings; WrongUseError if a declaration takes what is public."""
    for cloud in settings.declared_cloud:
        cloud.check(public)
    return ServicePolicy.of(
        settings, Operators(settings.declared_cloud, settings.declared_operators), datetime.date.today()
    )


def _address_key(settings: Settings) -> str:
    """Return where the address of the cloud's Keystone is told."""
    entry = settings.cloud or os.environ.get("OS_CLOUD")
    return f"auth_url of the entry '{entry}' of clouds.yaml" if entry else "OS_AUTH_URL"


def _end(faults: Iterable[str]) -> None:
    if found := list(faults):
        raise refusal(found)


def refusal(faults: Iterable[str]) -> RefusedError:
    """Return the error that ends a plan: every line of `faults`, and that nothing was created."""
    told: list[str] = []
    for line in "\n".join(faults).splitlines():
        # What is allowed is told once.
        if line not in told or not line.startswith("allowed"):
            told.append(line)
    return RefusedError("\n".join(["the policy refuses this plan", *told, END]))


def _advice(settings: Settings, used: Iterable[PolicyException], day: datetime.date) -> list[str]:
    """Tell of every exception, so that none is forgotten."""
    needed = list(used)
    return [
        f"exceptions: '{one.name}' "
        + (
            f"ended on {one.until}; remove it"
            if one.until < day
            else f"{'is made use of' if one in needed else 'is not needed'}, until {one.until}: {one.reason}"
        )
        for one in settings.exceptions
    ]
