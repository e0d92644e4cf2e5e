"""The cloud's own interfaces, asked directly: logging in, and reading what Pulumi's resources do not tell.

The ways in are the usual ones: an entry of `clouds.yaml`, or the `OS_*` variables of an openrc file with a password or an
application credential. keystoneauth does the work; openstacksdk, which takes a second to load, only reads `clouds.yaml`.
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

# Its warning of a cloud that does not answer would stand before our own sentence.
logging.getLogger("keystoneauth.identity").setLevel(logging.ERROR)

SECONDS = 20.0
"""How long one answer of the cloud may take."""
WAYS_IN = ("OS_AUTH_URL", "OS_USERNAME", "OS_USER_ID", "OS_PASSWORD", "OS_TOKEN", "OS_APPLICATION_CREDENTIAL_ID")
VERSIONS: dict[str, dict[str, str]] = {
    "compute": {},
    "image": {"min_version": "2", "max_version": "2.latest"},
    "network": {"min_version": "2", "max_version": "2.latest"},
}
"""Services, and the versions of their interfaces that the paths below are made for."""


class CloudService(NamedTuple):
    """A row of the cloud's own catalogue that concerns one region."""

    service: str
    interface: str
    url: str


@dataclass(frozen=True)
class WayIn:
    """How a project is reached: nothing has been asked of the cloud yet.

    `how` names the place where it is told; `interfaces` are the rows of the cloud's catalogue that are used.
    """

    session: Session
    auth_url: str
    user: str
    how: str
    interfaces: frozenset[str]


class OpenStackClient:
    """A project on a cloud, in one region, with a valid token; `endpoints` are the region's rows of its catalogue."""

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
        """Every row of the catalogue that is used, with its region; an empty one where the row names none."""

    @property
    def project(self) -> str:
        """The project's id."""
        return str(self._session.get_project_id())

    def get(self, service: str, path: str, **query: str | int | bool) -> dict[str, Any]:
        """Return the answer to a GET request; ClassroomError if there is none, or another than 200."""
        return self._ask("GET", service, path, params=query)

    def find(self, service: str, path: str, **query: str | int | bool) -> dict[str, Any] | None:
        """Return the answer to a GET request, or None where the cloud does not offer it to this project."""
        try:
            return self._ask("GET", service, path, params=query)
        except _NotOffered:
            return None

    def holds(self, region: str, server: str) -> bool:
        """Return whether the compute service of a region holds a server; ClassroomError if it does not answer."""
        other = OpenStackClient(self._session, region)
        return other.find("compute", f"/servers/{server}") is not None

    def console(self, server: str) -> str:
        """Return what a server has written to its console, as far back as the cloud keeps it; nothing if it has none yet."""
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
                f"the cloud's {service} service does not answer {path} ({first_line(error)}): try again, or ask its operator"
            ) from None
        return cast(dict[str, Any], answer.json())


class RegionError(WrongUseError):
    """An entry of clouds.yaml knows no such region; `auth_url` is its cloud's address all the same."""

    def __init__(self, sentence: str, auth_url: str) -> None:
        super().__init__(sentence)
        self.auth_url = auth_url


class RedirectError(RefusedError):
    """The cloud answers with a redirect to another host, which nobody has judged, or out of TLS; it is not followed."""


class _NotOffered(ClassroomError):
    """The cloud refuses a request, or has nothing there."""


def way_in(entry: str | None, region: str) -> WayIn:
    """Return how the project is reached that `entry` of clouds.yaml names, or the `OS_*` variables; nothing is asked.

    WrongUseError if that is not told whole, RegionError if the entry names other regions only. What is asked by it later
    raises RedirectError where the cloud leads to another host.
    """
    named = entry or os.environ.get("OS_CLOUD")
    way = (
        _from_file(entry, region, f"the entry '{named}' of clouds.yaml")
        if named
        else _from_environment("the OS_* variables")
    )
    way.session.session.hooks["response"].append(_stays)
    return way


def _stays(answer: requests.Response, **_: object) -> None:
    """Raise RedirectError if an answer leads to another host, or out of TLS: keystoneauth would go there, with password and all."""
    if answer.status_code not in Session._REDIRECT_STATUSES or "location" not in answer.headers:
        return
    here, there = urlsplit(answer.url), urlsplit(urljoin(answer.url, answer.headers["location"]))
    if there.hostname != here.hostname:
        raise RedirectError(
            f"the cloud leads from '{here.scheme}://{here.netloc}{here.path}' to the host '{there.hostname}', which nobody has judged, so"
            " it was not asked: if that is where the cloud is, name its own address as auth_url, else ask its operator"
        )
    if (here.scheme, there.scheme) == ("https", "http"):
        raise RedirectError(
            f"the cloud leads from '{here.scheme}://{here.netloc}{here.path}' to plain HTTP, where password and token would go in clear,"
            " so it was not followed: ask the cloud's operator"
        )


def connect(entry: str | None, region: str) -> OpenStackClient:
    """Return the project on the cloud that `entry` of clouds.yaml names, or the `OS_*` variables.

    WrongUseError if the way in is incomplete or the region is not the cloud's; RedirectError if its Keystone leads to
    another host; ClassroomError if the cloud cannot be reached or refuses. Only a token is asked for.
    """
    way = way_in(entry, region)
    session, url, user, how = way.session, way.auth_url, way.user, way.how
    try:
        assert session.auth is not None
        # get_access exists on every plugin that asks Keystone for a token.
        access = cast(Any, session.auth).get_access(session)
    except refusals.Unauthorized:
        raise ClassroomError(
            f"the cloud {url} refuses '{user}': wrong password or credential, or no such project; check {how}"
        ) from None
    except refusals.SSLError as error:
        raise ClassroomError(
            f"the cloud {url} shows a certificate that is not trusted here ({first_line(error)}): name its authority in OS_CACERT"
        ) from None
    except (refusals.connection.ConnectionError, refusals.DiscoveryFailure, refusals.NotFound) as error:
        raise ClassroomError(
            f"the cloud {url} cannot be reached ({first_line(error)}): check its address in {how}, and the network"
        ) from None
    except refusals.ClientException as error:
        raise ClassroomError(f"the cloud {url} gives '{user}' no token ({first_line(error)}): check {how}") from None
    catalog = access.service_catalog.catalog
    if not catalog:
        raise WrongUseError(
            f"the cloud {url} gives '{user}' a token for no project: name the project (OS_PROJECT_NAME, OS_PROJECT_DOMAIN_NAME)"
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
        if endpoint["interface"] in way.interfaces
    ]
    return OpenStackClient(session, region, url, [row for place, row in rows if place in {region, ""}], rows)


def _from_environment(how: str) -> WayIn:
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
            f"the way into the cloud is not told: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; source your"
            " project's openrc file, or name an entry of clouds.yaml as `cloud`"
        )
    try:
        loader: Any = loading.get_plugin_loader(kind)
        found = {option.dest: option.argparse_default for option in loader.get_options()}
        auth = loader.load_from_options(**{name: value for name, value in found.items() if value not in (None, "")})
    except (refusals.NoMatchingPlugin, refusals.MissingRequiredOptions, refusals.ClientException) as error:
        raise WrongUseError(
            f"the OS_* variables are not complete ({first_line(error)}): source the openrc file"
        ) from None
    insecure = environment.get("OS_INSECURE", "").lower() in {"1", "true", "yes"}
    pair = (
        (environment["OS_CERT"], environment["OS_KEY"])
        if environment.get("OS_CERT") and environment.get("OS_KEY")
        else None
    )
    session = Session(auth, verify=False if insecure else environment.get("OS_CACERT") or True, cert=pair)
    return WayIn(session, environment["OS_AUTH_URL"], _user(found), how, _interfaces())


def _from_file(entry: str | None, region: str, how: str) -> WayIn:
    both = [name for name in WAYS_IN if os.environ.get(name)]
    if entry and both:
        # The plugin fills what the entry leaves out from these, and would log in as a mixture of the two.
        raise WrongUseError(
            f"cloud: '{entry}' names an entry of clouds.yaml, but {', '.join(both)} {'is' if len(both) == 1 else 'are'} set too: unset"
            " these, or leave out `cloud`"
        )
    import openstack.config
    import openstack.exceptions

    try:
        entries = openstack.config.OpenStackConfig()
    except openstack.exceptions.ConfigException as error:
        raise WrongUseError(f"cloud: {how} cannot be read ({first_line(error)}): correct your clouds.yaml") from None
    try:
        raw = entries.cloud_config["clouds"].get(entry or os.environ["OS_CLOUD"]) or {}
        profile = str(raw.get("profile") or raw.get("cloud") or "")
        if "://" in profile:
            # It would be fetched from there before anything is judged.
            raise WrongUseError(
                f"cloud: {how} takes its profile from '{profile}'; write auth_url and the rest into the entry itself"
            )
        config = entries.get_one(cloud=entry, region_name=region)
    except openstack.exceptions.ConfigException as error:
        sentence = f"cloud: '{entry or os.environ['OS_CLOUD']}' cannot be used ({first_line(error)}): see the entries of your clouds.yaml"
        with contextlib.suppress(openstack.exceptions.ConfigException):
            other = entries.get_one(cloud=entry)
            raise RegionError(sentence, str(other.config.get("auth", {}).get("auth_url") or "")) from None
        raise WrongUseError(sentence) from None
    auth = config.config.get("auth", {})
    interfaces = _interfaces(config.config.get("interface"), raw.get("endpoint_type"))
    return WayIn(config.get_session(), str(auth.get("auth_url") or ""), _user(auth), how, interfaces)


def _interfaces(*named: object) -> frozenset[str]:
    """Return the interfaces that are used: the public one here, and the one that OpenStack's own settings name."""
    names = [*named, os.environ.get("OS_INTERFACE"), os.environ.get("OS_ENDPOINT_TYPE")]
    return frozenset({"public", *(str(name).removesuffix("URL") for name in names if name)})


def _user(values: dict[str, Any]) -> str:
    keys = ("username", "user_id", "application_credential_name", "application_credential_id")
    return next((str(values[key]) for key in keys if values.get(key)), "this user")


def first_line(error: BaseException) -> str:
    """Return why, short enough for a sentence: what the system said at the bottom of it, or the error's first line."""
    bottom: BaseException | None = error
    while bottom:
        if isinstance(bottom, OSError) and bottom.strerror:
            return bottom.strerror
        reason = bottom.args[-1] if bottom.args else None
        inner = getattr(reason, "reason", reason)  # urllib3 hands its cause on as an argument
        bottom = bottom.__cause__ or bottom.__context__ or (inner if isinstance(inner, BaseException) else None)
    return (str(error).splitlines() or [type(error).__name__])[0].strip().rstrip(".")[:200]
