"""Authenticate with OpenStack, and read what Pulumi's resources do not provide.

Credentials come from an entry of `clouds.yaml`, or from the `OS_*` variables of an openrc file, with a password or an
application credential. Requests use keystoneauth; openstacksdk, which takes a second to import, only reads `clouds.yaml`.
"""

import datetime
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urljoin, urlsplit

import keystoneauth1.exceptions as refusals
import requests
from keystoneauth1 import loading
from keystoneauth1.session import Session

from classroom.clients.cloud_settings import CloudSettings, from_environment, from_file
from classroom.common.errors import ClassroomError, RefusedError, WrongUseError

# Its warning about an unreachable cloud would repeat our own message.
logging.getLogger("keystoneauth.identity").setLevel(logging.ERROR)

SECONDS = 20.0
"""Timeout of a request until its next byte, in seconds."""
TOKEN_SECONDS, ANSWER_SECONDS = 25.0, 25.0
"""Timeout for a token with the requests that it needs, and for one whole answer, in seconds."""
OUT_OF_DATE = ("certificate is not yet valid", "certificate has expired")
"""What OpenSSL reports about certificates that are not valid today."""
Result = TypeVar("Result")
CREDENTIAL_VARIABLES = (
    "OS_AUTH_URL",
    "OS_USERNAME",
    "OS_USER_ID",
    "OS_PASSWORD",
    "OS_TOKEN",
    "OS_APPLICATION_CREDENTIAL_ID",
)
VERSIONS: dict[str, dict[str, str]] = {
    "compute": {},
    "image": {"min_version": "2", "max_version": "2.latest"},
    "network": {"min_version": "2", "max_version": "2.latest"},
    "block-storage": {"min_version": "3", "max_version": "3.latest"},
}
"""Services, and the API versions that the request paths belong to."""


class CloudService(NamedTuple):
    """An endpoint in the cloud's service catalogue."""

    service: str
    interface: str
    url: str


@dataclass(frozen=True)
class CloudCredentials:
    """Credentials of a project; no request has been sent yet.

    `how` says where the credentials come from; `interfaces` are the endpoint interfaces that are used, such as `public`.
    """

    session: Session
    auth_url: str
    user: str
    how: str
    interfaces: frozenset[str]
    without_domain: bool
    """Whether the user is named without the domain in which the name is unique."""
    unsafe: tuple[str, ...] = ()
    """Settings by which password and token are exposed to the network."""
    region: str = ""
    """The region that the credentials name, if any."""


class OpenStackClient:
    """A client for one project and region with a valid token; `endpoints` are the region's entries in the service catalogue."""

    def __init__(
        self,
        session: Session,
        region: str,
        auth_url: str = "",
        endpoints: Sequence[CloudService] = (),
        rows: Sequence[tuple[str, CloudService]] = (),
    ) -> None:
        self._session, self._region = session, region
        self.auth_url, self.endpoints = auth_url, tuple(endpoints)
        self.rows = tuple(rows)
        """Region and entry for every used entry of the service catalogue; an empty region if the entry has none."""

    @property
    def project(self) -> str:
        """The project's ID."""
        return str(self._session.get_project_id())

    def get(self, service: str, path: str, **query: str | int | bool) -> dict[str, Any]:
        """Return the JSON response to a GET request; ClassroomError if it fails."""
        return self._ask("GET", service, path, params=query)

    def find(self, service: str, path: str, **query: str | int | bool) -> dict[str, Any] | None:
        """Return the JSON response to a GET request, or None if the cloud answers 403, 404 or 409."""
        try:
            return self._ask("GET", service, path, params=query)
        except _NotOffered:
            return None

    def holds(self, region: str, server: str) -> bool:
        """Return whether the compute service of a region has a server; ClassroomError if it does not answer."""
        other = OpenStackClient(self._session, region)
        return other.find("compute", f"/servers/{server}") is not None

    def console(self, server: str) -> str:
        """Return the console log of a server, as far back as the cloud keeps it; empty if there is none yet."""
        try:
            answer = self._ask("POST", "compute", f"/servers/{server}/action", json={"os-getConsoleOutput": {}})
        except _NotOffered:
            return ""
        return str(answer.get("output") or "")

    def _ask(self, method: str, service: str, path: str, **more: Any) -> dict[str, Any]:
        where = {"service_type": service, "interface": "public", "region_name": self._region, **VERSIONS[service]}
        try:
            answer = within(
                ANSWER_SECONDS,
                lambda: self._session.request(path, method, endpoint_filter=where, timeout=SECONDS, **more),
            )
            return cast(dict[str, Any], answer.json())
        except (refusals.NotFound, refusals.Forbidden, refusals.Conflict) as error:
            raise _NotOffered(f"the cloud's {service} service refuses {path} ({first_line(error)})") from None
        except (NoAnswerError, refusals.ClientException, OSError, ValueError, TypeError) as error:
            raise ClassroomError(
                f"the cloud's {service} service does not answer {path} ({first_line(error)}); try again, or ask the cloud's operator"
            ) from None


class RedirectError(RefusedError):
    """The cloud redirects to another host, which the policy has not checked, or from HTTPS to HTTP; it is not followed."""


class NoAnswerError(Exception):
    """A request took too long."""


class _NotOffered(ClassroomError):
    """The cloud answers 403, 404 or 409."""


def cloud_credentials(entry: str | None, region: str | None) -> CloudCredentials:
    """Return the credentials in `entry` of clouds.yaml, or in the `OS_*` variables, without any request.

    Without a region, those for the entry's first one.

    WrongUseError if they are incomplete, RegionError if the entry only has other regions. Later requests with its session
    raise RedirectError if the cloud redirects to another host.
    """
    found = _settings(entry, region)
    try:
        loader: Any = loading.get_plugin_loader(found.kind)
        options = {option.dest for option in loader.get_options()}
        auth = loader.load_from_options(**{name: value for name, value in found.login.items() if name in options})
    except (refusals.ClientException, TypeError, ValueError) as error:
        raise WrongUseError(
            f"{found.how}: the credentials cannot be used ({first_line(error)}); source your project's openrc file again, or compare the"
            " entry with it"
        ) from None
    session = Session(auth, verify=found.verify, cert=found.certificate, timeout=SECONDS)
    session.session.hooks["response"].append(_stays)
    return CloudCredentials(
        session=session,
        auth_url=found.auth["auth_url"],
        user=_user(found.auth),
        how=found.how,
        interfaces=_interfaces(*found.interfaces),
        without_domain="username" in found.auth and not {"user_domain_id", "user_domain_name"} & found.auth.keys(),
        unsafe=found.unsafe,
        region=found.region,
    )


def regions(entry: str | None) -> list[str]:
    """Return the regions of the cloud that have machines, by its service catalogue; errors as in `connect`."""
    catalog = _access(cloud_credentials(entry, None)).service_catalog.catalog
    computing, every = _regions(catalog)
    return sorted(computing or every)


def _regions(catalog: Sequence[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Return the regions with machines, and all regions of a service catalogue."""
    places = {str(one["type"]): {end.get("region") for end in one["endpoints"]} - {None} for one in catalog}
    return places.get("compute", set()), set().union(*places.values())


def _check_region(region: str, catalog: Sequence[Mapping[str, Any]]) -> None:
    """Raise WrongUseError if the cloud has no such region, or one without machines, such as a region of an object store."""
    with_machines, every = _regions(catalog)
    computing = with_machines or every
    if region in computing:
        return
    why = "has no machines in" if region in every else "has no"
    raise WrongUseError(f"region: the cloud {why} '{region}'; choose one of: {', '.join(sorted(computing))}")


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """Return `call()`; NoAnswerError after `seconds`, as timeouts of requests restart with every byte that is received."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)  # the program may end while it waits
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise NoAnswerError
    return results[0]


def _settings(entry: str | None, region: str | None) -> CloudSettings:
    both = [name for name in CREDENTIAL_VARIABLES if os.environ.get(name)]
    if entry and both:
        # The plugin fills gaps in the entry from these variables, and would mix two sets of credentials.
        raise WrongUseError(
            f"cloud: set to the entry '{entry}' of clouds.yaml, but {', '.join(both)} {'is' if len(both) == 1 else 'are'} set too; unset"
            " these, or remove `cloud`"
        )
    named = entry or os.environ.get("OS_CLOUD")
    return from_file(named, region) if named else from_environment()


def _stays(answer: requests.Response, **_: object) -> None:
    """Raise RedirectError if a response redirects to another host or to HTTP: keystoneauth would send the password there."""
    if answer.status_code not in Session._REDIRECT_STATUSES or "location" not in answer.headers:
        return
    here, there = urlsplit(answer.url), urlsplit(urljoin(answer.url, answer.headers["location"]))
    if there.hostname != here.hostname:
        raise RedirectError(
            f"the cloud redirects from '{here.scheme}://{here.netloc}{here.path}' to the host '{there.hostname}', which the policy has"
            " not checked, so the redirect is not followed; if that host is the cloud's, set auth_url to it, else ask its operator"
        )
    if (here.scheme, there.scheme) == ("https", "http"):
        raise RedirectError(
            f"the cloud redirects from '{here.scheme}://{here.netloc}{here.path}' to plain HTTP, which would expose password and token,"
            " so the redirect is not followed; ask the cloud's operator"
        )


def connect(entry: str | None, region: str) -> OpenStackClient:
    """Return a client for the project in `entry` of clouds.yaml, or in the `OS_*` variables; only a token is requested.

    WrongUseError if the credentials are incomplete or the cloud has no such region; RedirectError if its Keystone
    redirects to another host; ClassroomError if the cloud is unreachable or refuses the credentials.
    """
    credentials = cloud_credentials(entry, region)
    access = _access(credentials)
    catalog = access.service_catalog.catalog
    _check_region(region, catalog)
    rows = [
        (
            str(endpoint["region_name"] or ""),
            CloudService(str(service["type"]), str(endpoint["interface"]), str(endpoint["url"])),
        )
        for service in access.service_catalog.normalize_catalog()
        for endpoint in service["endpoints"]
        if endpoint["interface"] in credentials.interfaces
    ]
    own = [row for place, row in rows if place in {region, ""}]
    return OpenStackClient(credentials.session, region, credentials.auth_url, own, rows)


def _access(credentials: CloudCredentials) -> Any:
    """Return keystoneauth's access information: a token of a project with the service catalogue; errors as in `connect`."""
    session, url, user, how = credentials.session, credentials.auth_url, credentials.user, credentials.how
    try:
        # Every plugin that requests a token from Keystone has get_access.
        access = within(TOKEN_SECONDS, lambda: cast(Any, session.auth).get_access(session))
    except NoAnswerError:
        raise ClassroomError(
            f"the cloud {url} does not answer within {TOKEN_SECONDS:.0f} s; check its URL in {how}, the network and proxies, or ask the"
            " cloud's operator"
        ) from None
    except refusals.Unauthorized:
        raise ClassroomError(
            f"the cloud {url} refuses '{user}': wrong password or credential, or unknown project; check {how}"
        ) from None
    except refusals.SSLError as error:
        if any(words in str(error) for words in OUT_OF_DATE):
            raise ClassroomError(
                f"the certificate of the cloud {url} is not valid today ({first_line(error)}), {datetime.datetime.now():%Y-%m-%d %H:%M} by"
                " the clock of this machine; check the clock of this machine, or ask the cloud's operator for a new certificate"
            ) from None
        raise ClassroomError(
            f"the certificate of the cloud {url} is not trusted on this machine ({first_line(error)}); set OS_CACERT to its CA file"
        ) from None
    except refusals.BadRequest as error:
        domains = (
            "user_domain_name and project_domain_name (OS_USER_DOMAIN_NAME, OS_PROJECT_DOMAIN_NAME), often Default"
        )
        fix = f"set {domains}" if credentials.without_domain else "check the names and IDs"
        raise WrongUseError(
            f"the cloud {url} does not accept the request for '{user}' ({first_line(error)}); {fix}, in {how}"
        ) from None
    except (refusals.connection.ConnectionError, refusals.DiscoveryFailure, refusals.NotFound) as error:
        raise ClassroomError(
            f"the cloud {url} is unreachable ({first_line(error)}); check its URL in {how}, and the network"
        ) from None
    except refusals.ClientException as error:
        raise ClassroomError(
            f"the cloud {url} issues no token for '{user}' ({first_line(error)}); check {how}"
        ) from None
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ClassroomError(
            f"the cloud {url} gives no valid answer ({first_line(error)}); check its URL and certificates in {how}"
        ) from None
    if not access.service_catalog.catalog:
        raise WrongUseError(
            f"the token of '{user}' on the cloud {url} has no project; set OS_PROJECT_NAME and OS_PROJECT_DOMAIN_NAME"
        )
    return access


def _interfaces(*named: object) -> frozenset[str]:
    """Return the endpoint interfaces in use: `public` in this module, and those that OpenStack's own settings name."""
    names = [*named, os.environ.get("OS_INTERFACE"), os.environ.get("OS_ENDPOINT_TYPE")]
    return frozenset({"public", *(str(name).removesuffix("URL") for name in names if name)})


def _user(values: Mapping[str, str]) -> str:
    keys = ("username", "user_id", "application_credential_name", "application_credential_id")
    return next((str(values[key]) for key in keys if values.get(key)), "this user")


def first_line(error: BaseException) -> str:
    """Return the cause of an error in one line: the message of the underlying OSError, or the first line of the error."""
    bottom: BaseException | None = error
    while bottom:
        if isinstance(bottom, OSError) and bottom.strerror:
            return bottom.strerror
        reason = bottom.args[-1] if bottom.args else None
        inner = getattr(reason, "reason", reason)  # urllib3 passes the cause as an argument
        bottom = bottom.__cause__ or bottom.__context__ or (inner if isinstance(inner, BaseException) else None)
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")[:200]
