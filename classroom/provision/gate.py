"""Apply the policy before anything is created.

`check_plan` checks settings, environment and clouds.yaml without any request; `check_catalogue` checks the endpoints in the
cloud's service catalogue, once a token is available.
"""

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

from classroom.clients.cloud_settings import RegionError
from classroom.clients.openstack import CloudService, cloud_credentials
from classroom.clients.proxies import refuse_proxies
from classroom.clients.pulumi_backend import backend_url, provider_in, refuse_backend, refuse_secrets_provider
from classroom.common import hosts
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
    """Check everything that needs no request; return one line for each exception, to be shown as a warning.

    `stack_file` is the file that the engine reads, and `root` is the folder of Pulumi.yaml.

    RefusedError (status 3) lists every refusal: cloud, region, endpoints, Pulumi's backend and secrets provider.
    WrongUseError if a declaration contains public addresses or names, an exception names an unknown operator, or the
    OpenStack credentials are incomplete.
    """
    regions: RegionError | None = None
    unsafe: tuple[str, ...] = ()
    try:
        credentials = cloud_credentials(settings.cloud, settings.region)
        auth_url, unsafe = credentials.auth_url, credentials.unsafe
    except RegionError as error:  # a refusal by the policy is reported first
        regions, auth_url = error, error.auth_url
    outside = outside_of(settings)
    made_up = [label.operator.name for label in settings.overlay]
    for exception in settings.exceptions:
        if outside.operators.named(exception.name) is None and not exception.covers(*made_up):
            raise WrongUseError(
                f"exceptions: '{exception.name}' is neither in the catalogue nor declared; use the name that a refusal shows"
            )
    judged = check(
        auth_url,
        settings.region,
        settings.policy,
        exceptions=settings.exceptions,
        declared_cloud=declared_at(settings, auth_url),
        as_of=outside.as_of,
        ages=settings.ages,
    )
    backend = backend_url(root)
    found = [
        judged.message.replace("auth-url: ", f"{_address_key(settings)}: ") if judged.verdict != "allowed" else None,
        *(() if settings.rehearsal else unsafe),
        *refuse_proxies(outside),
        *(outside.endpoint(one) for one in settings.endpoints),
        refuse_backend(backend, outside),
        refuse_secrets_provider(provider_in(stack_file), backend, outside),
    ]
    _end(fault for fault in found if fault)
    if regions:
        raise regions
    return _advice(settings, [*judged.exceptions, *outside.used], outside.as_of)


def check_catalogue(settings: Settings, auth_url: str, endpoints: Iterable[CloudService]) -> None:
    """Raise RefusedError (status 3) if an endpoint in the cloud's service catalogue does not belong to that cloud.

    Its host has to be in a domain of the cloud's Keystone or, for a declared cloud, have an address in its prefixes. A
    region in the host name has to be allowed by the policy.
    """
    if cloud_at(settings, auth_url) is None:  # the plan was not judged before
        raise RefusedError(f"auth-url: '{auth_url}' is not a Keystone in the catalogue; check OS_AUTH_URL\n{END}")
    rows = list(endpoints)
    _end([*(fault for row in rows if (fault := astray(settings, auth_url, row))), *_in_clear(settings, rows)])


def _in_clear(settings: Settings, rows: Iterable[CloudService]) -> list[str]:
    """Return a fault for each service to which the token would be sent in clear; a rehearsal's cloud has no certificates."""
    return [
        f"region: '{settings.region}': the cloud's own service catalogue lists '{row.url}' for {row.service} ({row.interface}), which is"
        " plain HTTP, by which the token is sent in clear; ask the cloud's operator for HTTPS"
        for row in rows
        if hosts.in_clear(row.url) and not settings.rehearsal
    ]


def outside_of(settings: Settings) -> ServicePolicy:
    """Return the policy for external hosts and operators; WrongUseError if a declaration contains public addresses or names."""
    for cloud in settings.declared_cloud:
        cloud.check(public)
    return ServicePolicy.of(
        settings, Operators(settings.declared_cloud, settings.declared_operators), datetime.date.today()
    )


def _address_key(settings: Settings) -> str:
    """Return the name of the setting that contains the URL of the cloud's Keystone."""
    entry = settings.cloud or os.environ.get("OS_CLOUD")
    return f"auth_url of the entry '{entry}' of clouds.yaml" if entry else "OS_AUTH_URL"


def _end(faults: Iterable[str]) -> None:
    if found := list(faults):
        raise refusal(found)


def refusal(faults: Iterable[str]) -> RefusedError:
    """Return the error with every line of `faults`, and the note that nothing was created."""
    lines: list[str] = []
    for line in "\n".join(faults).splitlines():
        # Lists of allowed values are shown once.
        if line not in lines or not line.startswith("allowed"):
            lines.append(line)
    return RefusedError("\n".join(["the policy refuses this plan", *lines, END]))


def _advice(settings: Settings, used: Iterable[PolicyException], day: datetime.date) -> list[str]:
    """Return one line for each exception: ended, used or unused."""
    needed = list(used)
    return [
        f"exceptions: '{one.name}' "
        + (
            f"ended on {one.until}; remove it"
            if one.until < day
            else f"{'is used' if one in needed else 'is not used'}, until {one.until}: {one.reason}"
        )
        for one in settings.exceptions
    ]
