"""Read an entry of clouds.yaml as Pulumi's OpenStack plugin does, so that it can be compared with openstacksdk's reading.

The plugin's library (gophercloud/utils, package clientconfig) looks for fewer files than openstacksdk, merges them by other
rules, and fills gaps from `OS_*` variables.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

AUTH_KEYS = (
    "auth_url", "token", "username", "user_id", "password", "application_credential_id", "application_credential_name",
    "application_credential_secret", "system_scope", "project_name", "project_id", "user_domain_name", "user_domain_id",
    "project_domain_name", "project_domain_id", "domain_name", "domain_id", "default_domain",
)  # fmt: skip
"""What the plugin reads below `auth`."""
OTHER_NAMES = {"token": ("AUTH_TOKEN",), "project_id": ("TENANT_ID",), "project_name": ("TENANT_NAME",)}
"""Further variables, without `OS_`, from which the plugin fills gaps."""
Reader = Callable[[list[str]], tuple[str | None, Any]]


def plugin_entry(
    name: str, region: str, read: Reader, environment: Mapping[str, str] = os.environ
) -> dict[str, Any] | None:
    """Return the entry as the plugin uses it: `auth`, `auth_type`, `verify`, `cacert`, `cert` and `key`; None if it finds none.

    `read` returns path and content of the first of some files that exists.
    """
    own = environment.get("OS_CLIENT_CONFIG_FILE")
    _, content = read([*([own] if own else []), *_files("clouds", environment)])
    entry = _entry(content, "clouds", name)
    if not entry:
        return None
    if profile := entry.get("profile") or entry.get("cloud"):
        _, public = read(_files("clouds-public", environment))
        shared = _entry(public, "public-clouds", str(profile))
        if not shared:
            return None
        entry = merged(entry, shared)
    _, secure = read(_files("secure", environment))
    entry = merged(_entry(secure, "clouds", name), entry)
    for one in entry.get("regions") or []:
        if isinstance(one, Mapping) and one.get("name") == region:
            entry = merged(one.get("values") or {}, entry)
            break
    auth = entry.get("auth") if isinstance(entry.get("auth"), Mapping) else {}
    return {
        "auth": {key: value for key in AUTH_KEYS if (value := _text(auth.get(key)) or _variable(key, environment))},
        "auth_type": entry.get("auth_type") or "password",
        "verify": {None: True, True: True, False: False}.get(entry.get("verify"), "unreadable"),
        **{key: environment.get(f"OS_{key.upper()}") or entry.get(key) or None for key in ("cacert", "cert", "key")},
    }


def merged(over: Any, under: Any) -> Any:
    """Return two values merged: what is not empty in `over` wins, lists are joined."""
    if isinstance(over, Mapping) and isinstance(under, Mapping):
        return {
            key: merged(over.get(key), under.get(key)) for key in (*under, *(key for key in over if key not in under))
        }
    if isinstance(over, list) and isinstance(under, list):
        return [*over, *under]
    return over or under


def _files(stem: str, environment: Mapping[str, str]) -> list[str]:
    home = environment.get("HOME")
    folders = [Path.cwd(), *([Path(home, ".config/openstack")] if home else []), Path("/etc/openstack")]
    return [str(folder / f"{stem}.{ending}") for ending in ("yaml", "yml") for folder in folders]


def _entry(content: Any, key: str, name: str) -> dict[str, Any]:
    entries = content.get(key) if isinstance(content, Mapping) else None
    found = entries.get(name) if isinstance(entries, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _text(value: Any) -> str:
    """Return a value as the plugin reads it; what YAML does not read as text, the plugin reads as it is written, which is not known."""
    return value if isinstance(value, str) else "" if value is None else f"unreadable {type(value).__name__}"


def _variable(key: str, environment: Mapping[str, str]) -> str:
    return next(
        (value for name in (key.upper(), *OTHER_NAMES.get(key, ())) if (value := environment.get(f"OS_{name}"))), ""
    )
