"""Read and check OpenStack credentials from clouds.yaml or the `OS_*` variables, without any request.

Both this project's requests and Pulumi's OpenStack plugin read the same settings, so only what both understand is accepted.
"""

import difflib
import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from classroom.clients.plugin_reading import AUTH_KEYS, OTHER_NAMES, plugin_entry
from classroom.common import hosts
from classroom.common.errors import WrongUseError
from classroom.sovereignty.catalogue import load_catalogue

PASSWORD, TOKEN, CREDENTIAL = "password", "token", "v3applicationcredential"
NEEDED = {
    PASSWORD: (("username", "user_id"), ("password",)),
    "v3password": (("username", "user_id"), ("password",)),
    TOKEN: (("token",),),
    "v3token": (("token",),),
    CREDENTIAL: (("application_credential_id", "application_credential_name"), ("application_credential_secret",)),
}
"""Accepted kinds of authentication, by their names in keystoneauth, and what each needs besides `auth_url`: one of each group."""
DOMAINS = " (the domain is often Default; your project's openrc file has its name)"
SECRETS = {"password", "token", "application_credential_secret"}
FILES = ("cacert", "cert", "key")
NO = {"", "0", "f", "F", "false", "FALSE", "False"}
"""Values of OS_INSECURE by which the plugin checks certificates."""


@dataclass(frozen=True)
class CloudSettings:
    """Checked settings of a cloud: where they come from, the kind of authentication, and the values for its plugin."""

    how: str
    kind: str
    auth: Mapping[str, str]
    verify: bool | str = True
    certificate: tuple[str, str] | str | None = None
    interfaces: tuple[object, ...] = ()
    unsafe: tuple[str, ...] = ()
    """Settings by which password and token are exposed to the network, each as key, fault and fix."""
    region: str = ""
    """The region that the credentials name, if any."""

    @property
    def login(self) -> Mapping[str, str]:
        """The values for the plugin of keystoneauth; an application credential belongs to a project, and one with an ID to a user."""
        spare: tuple[str, ...] = ()
        if self.kind == CREDENTIAL:
            spare = ("project", "user") if "application_credential_id" in self.auth else ("project",)
        kept = {name: value for name, value in self.auth.items() if not name.startswith(spare)}
        return kept | {"auth_url": self.login_url}

    @property
    def login_url(self) -> str:
        """The Keystone URL with the version, which keystoneauth's plugins of one version do not add."""
        url = self.auth["auth_url"].rstrip("/")
        return f"{url}/v3" if self.kind.startswith("v3") and not url.endswith("/v3") else self.auth["auth_url"]


class RegionError(WrongUseError):
    """The region is not in the entry of clouds.yaml; `auth_url` is still the entry's Keystone URL."""

    def __init__(self, sentence: str, auth_url: str) -> None:
        super().__init__(sentence)
        self.auth_url = auth_url


def from_environment(environment: Mapping[str, str] = os.environ) -> CloudSettings:
    """Return the settings in the `OS_*` variables of an openrc file; WrongUseError if they are incomplete or unusable."""
    how = "the OS_* variables"
    auth = {
        name.removeprefix("OS_").lower(): value
        for name, value in environment.items()
        if name.startswith("OS_") and value
    }
    if "tenant_name" in auth or "tenant_id" in auth:  # the names of Keystone's second version
        auth = {"project_name": auth.get("tenant_name", ""), "project_id": auth.get("tenant_id", "")} | auth
    for key, others in OTHER_NAMES.items():
        # The plugin prefers other names than keystoneauth.
        named = {name: value for name in (key.upper(), *others) if (value := environment.get(f"OS_{name}"))}
        if len(set(named.values())) > 1 or (key == "token" and named and "TOKEN" not in named):
            raise WrongUseError(
                f"OpenStack credentials are ambiguous: {', '.join(f'OS_{name}' for name in named)} would be read differently by Pulumi's"
                f" plugin; set OS_{key.upper()} alone"
            )
    kind = _kind(auth, auth.get("auth_type"), "OS_AUTH_TYPE", how)
    missing = [_variable(name) for name in _missing(auth, kind)]
    if missing:
        raise WrongUseError(
            f"OpenStack credentials are incomplete: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; source your"
            " project's openrc file, or set `cloud` to an entry of clouds.yaml"
        )
    _check_url(auth["auth_url"], "OS_AUTH_URL")
    files = {name: _file(auth[name], _variable(name)) for name in FILES if auth.get(name)}
    insecure = environment.get("OS_INSECURE", "") not in NO
    return CloudSettings(
        how=how,
        kind=kind,
        auth=auth,
        verify=False if insecure else files.get("cacert", True),
        certificate=(files["cert"], files["key"]) if "cert" in files and "key" in files else None,
        unsafe=_unsafe(auth["auth_url"], "OS_AUTH_URL", "OS_INSECURE: is set" if insecure else "", "OS_CACERT"),
        region=auth.get("region_name", ""),
    )


def entries() -> list[str]:
    """Return the names of the entries of clouds.yaml; WrongUseError if it cannot be read."""
    from openstack.config import loader

    own = os.environ.get("OS_CLIENT_CONFIG_FILE")
    _, content = _check_files([*([own] if own else []), *loader.CONFIG_FILES])
    clouds = content.get("clouds") if isinstance(content, Mapping) else None
    return [str(name) for name in clouds] if isinstance(clouds, Mapping) else []


def from_file(name: str, region: str | None) -> CloudSettings:
    """Return the settings of the entry `name` of clouds.yaml, with those of secure.yaml; without a region, for the entry's first.

    WrongUseError if they are incomplete or unusable, RegionError if the entry only has other regions.
    """
    how = f"the entry '{name}' of clouds.yaml"
    from openstack.config import OpenStackConfig, loader

    own = os.environ.get("OS_CLIENT_CONFIG_FILE")
    _check_entry(name, [*([own] if own else []), *loader.CONFIG_FILES], loader.VENDOR_FILES)
    own = os.environ.get("OS_CLIENT_SECURE_FILE")
    _check_files([*([own] if own else []), *loader.SECURE_FILES])
    with _readable(name):
        entries = OpenStackConfig()
    try:
        with _readable(name):
            found = entries.get_one(cloud=name, region_name=region, validate=False).config
    except _RegionUnknownError as error:
        with _readable(name):
            other = entries.get_one(cloud=name, validate=False).config
        raise RegionError(str(error), str((other.get("auth") or {}).get("auth_url") or "")) from None
    settings = _checked(name, region, how, found)
    _same(name, settings, found, plugin_entry(name, region or settings.region, _check_files))
    return settings


def _same(name: str, settings: CloudSettings, found: Mapping[str, Any], plugin: Mapping[str, Any] | None) -> None:
    """Raise WrongUseError if the plugin reads the entry in another way than openstacksdk, which names no value."""
    if plugin is None:
        raise _unusable(name, "Pulumi's plugin does not find it", f"write the entry in {_usual_file()}")
    here = {key: value for key, value in settings.auth.items() if key in AUTH_KEYS or key not in plugin["auth"]}
    differing = [f"auth: {key}" for key in sorted({*here, *plugin["auth"]}) if here.get(key) != plugin["auth"].get(key)]
    own = {
        "auth_type": found.get("auth_type") or "password",
        "verify": found.get("verify", True),
        **{key: found.get(key) or os.environ.get(f"OS_{key.upper()}") or None for key in FILES},
    }
    differing += [key for key in own if own[key] != plugin[key]]
    if differing:
        raise _unusable(
            name,
            f"Pulumi's plugin and this program read {', '.join(differing)} differently, as they read other files, variables or types",
            f"write the whole entry in {_usual_file()}, its secrets there or in secure.yaml beside it, and unset other OS_* variables",
        )


def _usual_file() -> Path:
    return Path("~/.config/openstack/clouds.yaml").expanduser()


def _unsafe(auth_url: str, key: str, insecure: str, trusted: str) -> tuple[str, ...]:
    """Return the settings by which password and token are exposed to the network."""
    found = []
    if insecure:
        found.append(
            f"{insecure}, so that the cloud's certificate is not checked; remove it, and set {trusted} to the file with the cloud's CA"
        )
    if hosts.in_clear(auth_url):
        found.append(f"{key}: '{auth_url}' is plain HTTP, by which password and token are sent in clear; use HTTPS")
    return tuple(found)


def _checked(name: str, region: str | None, how: str, found: Mapping[str, Any]) -> CloudSettings:
    """Return the settings in the merged entry `found`."""
    named_region = str(found.get("region_name") or "")
    values = found.get("auth")
    if not isinstance(values, Mapping) or not values:
        raise _unusable(name, "it has no section `auth`", "write auth_url and the credentials below `auth:`")
    auth = {str(key): str(value) for key, value in values.items() if value is not None and value != ""}
    named = found.get("auth_type")
    kind = _kind(auth, str(named) if named and named != "password" else None, f"auth_type of {how}", how)
    missing = _missing(auth, kind)
    if missing:
        raise _unusable(
            name,
            f"it lacks {', '.join(missing)}",
            f"add {'it' if len(missing) == 1 else 'them'} below `auth:`"
            + (DOMAINS if "user_domain_name" in missing else ""),
        )
    auth["auth_url"] = auth["auth_url"].replace("{region_name}", region or named_region)
    _check_url(auth["auth_url"], f"auth_url of {how}")
    files = {key: _file(str(found[key]), f"{key} of {how}") for key in FILES if found.get(key)}
    trusted = files.get("cacert") or (_file(own, "OS_CACERT") if (own := os.environ.get("OS_CACERT")) else True)
    insecure = (
        "verify" if found.get("verify") in {False, "false", "False"} else "insecure" if found.get("insecure") else ""
    )
    unsafe = f"{insecure}: is set to {found.get(insecure)} in {how}" if insecure else ""
    if os.environ.get("OS_INSECURE", "") not in NO:  # the plugin prefers it to the entry
        unsafe = "OS_INSECURE: is set"
    pair = (files["cert"], files["key"]) if "key" in files and "cert" in files else files.get("cert")
    return CloudSettings(
        how=how,
        kind=kind,
        auth=auth,
        verify=False if insecure else trusted,
        certificate=pair,
        interfaces=(found.get("interface"), found.get("endpoint_type")),
        unsafe=_unsafe(auth["auth_url"], f"auth_url of {how}", unsafe, "cacert"),
        region=named_region,
    )


class _RegionUnknownError(Exception):
    """openstacksdk finds no such region in the entry."""


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Convert what openstacksdk raises on unusual content to a WrongUseError without any value of the file."""
    import openstack.exceptions

    try:
        yield
    except openstack.exceptions.ConfigException as error:
        said = str(error).splitlines()[0].rstrip(".")
        if "region" in said.lower():
            fix = "set `region` to one that the entry has, or add it to the entry's regions"
            raise _RegionUnknownError(str(_unusable(name, said, fix))) from None
        raise _unusable(name, said, "correct the entry") from None
    except (AttributeError, TypeError, ValueError, LookupError, OSError) as error:
        raise _unusable(
            name, f"openstacksdk does not understand it, {type(error).__name__}", "compare it with the documentation"
        ) from None


def _check_entry(name: str, files: list[str], vendor_files: list[str]) -> None:
    """Raise WrongUseError if the file has no usable entry `name`, or one with a profile that would need a request."""
    where, content = _check_files(files)
    if where is None:
        raise _unusable(
            name,
            "there is no clouds.yaml",
            f"put it in {Path('~/.config/openstack').expanduser()}, or set OS_CLIENT_CONFIG_FILE",
        )
    clouds = content.get("clouds") if isinstance(content, Mapping) else None
    if not isinstance(clouds, Mapping) or not clouds:
        raise _unusable(name, f"{where} has no entries below `clouds:`", "write the entry below `clouds:`")
    names = [str(one) for one in clouds]
    if name not in clouds:
        near = difflib.get_close_matches(name, names, 1)
        raise _unusable(
            name,
            f"it is not in {where}",
            f"did you mean '{near[0]}'? Set `cloud` to it"
            if near
            else f"set `cloud` to one of: {', '.join(sorted(names)[:30])}",
        )
    entry = clouds[name]
    if not isinstance(entry, Mapping) or not entry:
        raise _unusable(
            name, f"the entry is empty or has no keys in {where}", "write auth_url and the credentials below `auth:`"
        )
    if "auth" in entry and not isinstance(entry["auth"], Mapping):
        raise _unusable(
            name, "its section `auth` is empty or has no keys", "write auth_url and the credentials below `auth:`"
        )
    for key, value in (entry.get("auth") or {}).items():
        if value is not None and not isinstance(value, str):
            # openstacksdk takes the number for the text, and 0123 would become 83.
            shown = "" if key in SECRETS else f", {value!r}"[:60]
            raise _unusable(name, f"YAML does not read {key} as text{shown}", f"write the value of {key} in quotes")
    _check_profile(name, str(entry.get("profile") or entry.get("cloud") or ""), vendor_files)


def _check_profile(name: str, profile: str, vendor_files: list[str]) -> None:
    """Raise WrongUseError if a profile would be downloaded, or is unknown to the plugin, which only reads clouds-public.yaml."""
    if not profile:
        return
    if "://" in profile:
        # It would be downloaded before the policy is checked.
        raise WrongUseError(
            f"cloud: the entry '{name}' of clouds.yaml downloads its profile from '{profile}', which is not allowed; set auth_url and the"
            " rest in the entry"
        )
    _, public = _check_files(vendor_files)
    known = public.get("public-clouds") if isinstance(public, Mapping) else None
    if isinstance(known, Mapping) and isinstance(known.get(profile), Mapping) and "profile" not in known[profile]:
        return
    url = _vendor_url(profile)
    raise WrongUseError(
        f"cloud: the entry '{name}' of clouds.yaml has `profile: {profile}`, which Pulumi's plugin does not know; remove the line, and"
        f" write auth_url{f': {url}' if url else ''} below `auth:`"
    )


def _vendor_url(profile: str) -> str:
    """Return the Keystone URL of a vendor's profile, from data on this machine; "" if it is unknown."""
    from openstack.config import vendors

    shipped = vendors._get_vendor_defaults().get(profile) or {}
    if url := (shipped.get("auth") or {}).get("auth_url"):
        return str(url)
    clouds = [cloud for cloud in load_catalogue().clouds if cloud.id.startswith(profile) and cloud.keystone]
    return min(clouds, key=lambda cloud: len(cloud.id)).keystone[0].url if clouds else ""


def _check_files(files: list[str]) -> tuple[str | None, Any]:
    """Return path and content of the first of `files` that exists; WrongUseError if it cannot be read."""
    for file in files:
        path = Path(file)
        try:
            if not path.exists():
                continue
            text = path.read_text(encoding="utf-8")
            return file, json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except OSError as error:
            raise WrongUseError(
                f"{file}: cannot be read ({error.strerror}); make it readable for this account"
            ) from None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise WrongUseError(f"{file}: line {line} is not valid YAML ({error.problem}); correct this line") from None
        except (ValueError, yaml.YAMLError) as error:
            raise WrongUseError(
                f"{file}: is not a valid text in UTF-8 ({type(error).__name__}); write it again"
            ) from None
    return None, None


def _unusable(name: str, why: str, fix: str) -> WrongUseError:
    return WrongUseError(f"cloud: the entry '{name}' of clouds.yaml cannot be used ({why}); {fix}")


def _kind(auth: Mapping[str, str], named: str | None, key: str, how: str) -> str:
    """Return the keystoneauth plugin of the kind of authentication that is named, or else that the values are for."""
    if named is None:
        if any(auth.get(name) for name in NEEDED[CREDENTIAL][0]):
            return CREDENTIAL
        return TOKEN if auth.get("token") and not auth.get("password") else PASSWORD
    if named in NEEDED:
        return named
    near = difflib.get_close_matches(named.lower(), NEEDED, 1, 0.85)  # other kinds have names that are not far away
    raise WrongUseError(
        f"{key}: '{named}' is not supported; "
        + (f"did you mean {near[0]}?" if near else f"create an application credential, and use {CREDENTIAL} in {how}")
    )


def _missing(auth: Mapping[str, str], kind: str) -> list[str]:
    """Return the names of the values that are missing; of each group of which one is needed, the first."""
    wanted = [("auth_url",), *NEEDED[kind]]
    by_id = kind == CREDENTIAL and auth.get("application_credential_id")
    if kind == CREDENTIAL and not by_id:
        wanted.append(("username", "user_id"))  # a credential's name is unique for a user only
    parts = ("user",) if kind == CREDENTIAL else ("user", "project")
    for what in parts if kind.startswith("v3") and not by_id else ():
        named = auth.get("username" if what == "user" else "project_name")
        if named and not auth.get(f"{what}_id"):
            wanted.append((f"{what}_domain_name", f"{what}_domain_id"))  # such a name is unique in a domain only
    return [names[0] for names in wanted if not any(auth.get(name) for name in names)]


def _variable(name: str) -> str:
    return f"OS_{name.upper()}"


def _check_url(url: str, key: str) -> None:
    try:
        hosts.url(url)
    except ValueError as error:
        raise WrongUseError(
            f"{key}: {str(error).replace('mirror.academy.example/debian', 'cloud.academy.example:5000/v3')}"
        ) from None


def _file(text: str, key: str) -> str:
    """Return the path of a file with certificates or a key; WrongUseError if it cannot be used."""
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib raises an error for an unknown account
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WrongUseError(
            f"{key}: the file '{text[:80]}' cannot be read ({error.strerror}); set the whole path of an existing PEM file"
        ) from None
    if key.upper().startswith(("CACERT", "OS_CACERT")):
        try:
            ssl.create_default_context(cafile=str(path))
        except (ssl.SSLError, ValueError):
            raise WrongUseError(
                f"{key}: the file '{text[:80]}' contains no readable PEM certificate; set the file with the cloud's root certificate"
            ) from None
    elif b"-----BEGIN" not in content:
        raise WrongUseError(f"{key}: the file '{text[:80]}' contains no PEM block; set the path of a PEM file")
    return str(path)
