"""Authenticate with OpenStack, and read what Pulumi's resources do not provide.

Credentials come from an entry of `clouds.yaml`, or from the `OS_*` variables of an openrc file, with a password or an
application credential. Requests use keystoneauth; openstacksdk, which takes a second to import, only reads `clouds.yaml`.
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import urljoin, urlsplit

import keystoneauth1.exceptions as refusals
import requests
from keystoneauth1 import loading
from keystoneauth1.session import Session

from classroom.common.errors import ClassroomError, RefusedError, WrongUseError

# Its warning about an unreachable cloud would repeat our own message.
logging.getLogger("keystoneauth.identity").setLevel(logging.ERROR)

SECONDS = 20.0
"""Timeout of a request, in seconds."""
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
            answer = self._session.request(path, method, endpoint_filter=where, timeout=SECONDS, **more)
        except (refusals.NotFound, refusals.Forbidden, refusals.Conflict) as error:
            raise _NotOffered(f"the cloud's {service} service refuses {path} ({first_line(error)})") from None
        except (refusals.ClientException, ValueError) as error:
            raise ClassroomError(
                f"the cloud's {service} service does not answer {path} ({first_line(error)}); try again, or ask the cloud's operator"
            ) from None
        return cast(dict[str, Any], answer.json())


class RegionError(WrongUseError):
    """The region is not in the entry of clouds.yaml; `auth_url` is still the entry's Keystone URL."""

    def __init__(self, sentence: str, auth_url: str) -> None:
        super().__init__(sentence)
        self.auth_url = auth_url


class RedirectError(RefusedError):
    """The cloud redirects to another host, which the policy has not checked, or from HTTPS to HTTP; it is not followed."""


class _NotOffered(ClassroomError):
    """The cloud answers 403, 404 or 409."""


def cloud_credentials(entry: str | None, region: str) -> CloudCredentials:
    """Return the credentials in `entry` of clouds.yaml, or in the `OS_*` variables, without any request.

    WrongUseError if they are incomplete, RegionError if the entry only has other regions. Later requests with its session
    raise RedirectError if the cloud redirects to another host.
    """
    named = entry or os.environ.get("OS_CLOUD")
    credentials = (
        _from_file(entry, region, f"the entry '{named}' of clouds.yaml")
        if named
        else _from_environment("the OS_* variables")
    )
    credentials.session.session.hooks["response"].append(_stays)
    return credentials


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
    session, url, user, how = credentials.session, credentials.auth_url, credentials.user, credentials.how
    try:
        assert session.auth is not None
        # Every plugin that requests a token from Keystone has get_access.
        access = cast(Any, session.auth).get_access(session)
    except refusals.Unauthorized:
        raise ClassroomError(
            f"the cloud {url} refuses '{user}': wrong password or credential, or unknown project; check {how}"
        ) from None
    except refusals.SSLError as error:
        raise ClassroomError(
            f"the certificate of the cloud {url} is not trusted on this machine ({first_line(error)}); set OS_CACERT to its CA file"
        ) from None
    except (refusals.connection.ConnectionError, refusals.DiscoveryFailure, refusals.NotFound) as error:
        raise ClassroomError(
            f"the cloud {url} is unreachable ({first_line(error)}); check its URL in {how}, and the network"
        ) from None
    except refusals.ClientException as error:
        raise ClassroomError(
            f"the cloud {url} issues no token for '{user}' ({first_line(error)}); check {how}"
        ) from None
    catalog = access.service_catalog.catalog
    if not catalog:
        raise WrongUseError(
            f"the token of '{user}' on the cloud {url} has no project; set OS_PROJECT_NAME and OS_PROJECT_DOMAIN_NAME"
        )
    regions = {endpoint.get("region") for service in catalog for endpoint in service["endpoints"]} - {None}
    if region not in regions:
        raise WrongUseError(f"region: the cloud has no '{region}'; choose one of: {', '.join(sorted(regions))}")
    rows = [
        (
            str(endpoint["region_name"] or ""),
            CloudService(str(service["type"]), str(endpoint["interface"]), str(endpoint["url"])),
        )
        for service in access.service_catalog.normalize_catalog()
        for endpoint in service["endpoints"]
        if endpoint["interface"] in credentials.interfaces
    ]
    return OpenStackClient(session, region, url, [row for place, row in rows if place in {region, ""}], rows)


def _from_environment(how: str) -> CloudCredentials:
    environment = os.environ
    credential = any(environment.get(f"OS_APPLICATION_CREDENTIAL_{part}") for part in ("ID", "NAME"))
    kind = environment.get("OS_AUTH_TYPE") or ("v3applicationcredential" if credential else "password")
    missing = [] if environment.get("OS_AUTH_URL") else ["OS_AUTH_URL"]
    if kind == "password" and not (environment.get("OS_USERNAME") or environment.get("OS_USER_ID")):
        missing.append("OS_USERNAME")
    if kind == "password" and not environment.get("OS_PASSWORD"):
        missing.append("OS_PASSWORD")
    if missing:
        raise WrongUseError(
            f"OpenStack credentials are incomplete: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; source your"
            " project's openrc file, or set `cloud` to an entry of clouds.yaml"
        )
    try:
        loader: Any = loading.get_plugin_loader(kind)
        found = {option.dest: option.argparse_default for option in loader.get_options()}
        auth = loader.load_from_options(**{name: value for name, value in found.items() if value not in (None, "")})
    except (refusals.NoMatchingPlugin, refusals.MissingRequiredOptions, refusals.ClientException) as error:
        raise WrongUseError(
            f"the OS_* variables are incomplete ({first_line(error)}); source your project's openrc file"
        ) from None
    insecure = environment.get("OS_INSECURE", "").lower() in {"1", "true", "yes"}
    pair = (
        (environment["OS_CERT"], environment["OS_KEY"])
        if environment.get("OS_CERT") and environment.get("OS_KEY")
        else None
    )
    session = Session(auth, verify=False if insecure else environment.get("OS_CACERT") or True, cert=pair)
    return CloudCredentials(session, environment["OS_AUTH_URL"], _user(found), how, _interfaces())


def _from_file(entry: str | None, region: str, how: str) -> CloudCredentials:
    both = [name for name in CREDENTIAL_VARIABLES if os.environ.get(name)]
    if entry and both:
        # The plugin fills gaps in the entry from these variables, and would mix two sets of credentials.
        raise WrongUseError(
            f"cloud: set to the entry '{entry}' of clouds.yaml, but {', '.join(both)} {'is' if len(both) == 1 else 'are'} set too; unset"
            " these, or remove `cloud`"
        )
    import openstack.config
    import openstack.exceptions

    try:
        entries = openstack.config.OpenStackConfig()
    except openstack.exceptions.ConfigException as error:
        raise WrongUseError(f"cloud: {how} cannot be read ({first_line(error)}); correct your clouds.yaml") from None
    try:
        raw = entries.cloud_config["clouds"].get(entry or os.environ["OS_CLOUD"]) or {}
        profile = str(raw.get("profile") or raw.get("cloud") or "")
        if "://" in profile:
            # It would be downloaded before the policy is checked.
            raise WrongUseError(
                f"cloud: {how} downloads its profile from '{profile}', which is not allowed; set auth_url and the rest in the entry"
            )
        config = entries.get_one(cloud=entry, region_name=region)
    except openstack.exceptions.ConfigException as error:
        sentence = f"cloud: '{entry or os.environ['OS_CLOUD']}' cannot be used ({first_line(error)}); check the entries of your clouds.yaml"
        with contextlib.suppress(openstack.exceptions.ConfigException):
            other = entries.get_one(cloud=entry)
            raise RegionError(sentence, str(other.config.get("auth", {}).get("auth_url") or "")) from None
        raise WrongUseError(sentence) from None
    auth = config.config.get("auth", {})
    interfaces = _interfaces(config.config.get("interface"), raw.get("endpoint_type"))
    return CloudCredentials(config.get_session(), str(auth.get("auth_url") or ""), _user(auth), how, interfaces)


def _interfaces(*named: object) -> frozenset[str]:
    """Return the endpoint interfaces in use: `public` in this module, and those that OpenStack's own settings name."""
    names = [*named, os.environ.get("OS_INTERFACE"), os.environ.get("OS_ENDPOINT_TYPE")]
    return frozenset({"public", *(str(name).removesuffix("URL") for name in names if name)})


def _user(values: dict[str, Any]) -> str:
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
