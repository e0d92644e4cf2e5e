"""Where Pulumi keeps a stack's state and who holds its secrets' key, read as Pulumi does, without asking anyone."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from classroom.errors import WrongUseError
from classroom.paths import REPO
from classroom.sovereignty.operators import host_of
from classroom.sovereignty.outside import Outside

DEFAULT = "https://api.pulumi.com"
"""What Pulumi takes if nothing names a backend."""
ALLOWED = (
    "allowed: a folder on this machine (PULUMI_BACKEND_URL=file://~), or an S3-compatible store of an operator within the"
    " policy (PULUMI_BACKEND_URL='s3://bucket?endpoint=https://s3.gra.io.cloud.ovh.net&region=gra')"
)
ALLOWED_KEY = (
    "allowed: a passphrase (`pulumi stack change-secrets-provider passphrase`), or a Vault whose host stands under"
    " classroom:endpoints"
)
SERVICES = {
    "s3": "amazon",
    "awskms": "amazon",
    "gs": "google",
    "gcpkms": "google",
    "azblob": "microsoft",
    "azurekeyvault": "microsoft",
}
"""Whose service a kind of address belongs to if it names no other host."""


def backend_url(root: Path = REPO, environment: Mapping[str, str] = os.environ) -> str:
    """Return the backend that `pulumi whoami -v` tells: the variable, else Pulumi.yaml, else the last `pulumi login`.

    WrongUseError if the file in which Pulumi keeps the last login cannot be read.
    """
    if url := environment.get("PULUMI_BACKEND_URL"):
        return url
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8")) or {}
    if url := str((project.get("backend") or {}).get("url") or ""):
        return url
    home = environment.get("PULUMI_CREDENTIALS_PATH") or environment.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    path = Path(home) / "credentials.json"
    try:
        current = json.loads(path.read_text(encoding="utf-8")).get("current") if path.exists() else ""
    except (OSError, ValueError, AttributeError) as error:
        raise WrongUseError(
            f"{path} cannot be read ({error}): set PULUMI_BACKEND_URL, or run `pulumi login` again"
        ) from None
    return str(current or environment.get("PULUMI_API") or DEFAULT)


def refuse_backend(url: str, outside: Outside) -> str | None:
    """Return what is wrong with the place of Pulumi's state, or None."""
    subject = f"backend: '{_without_password(url)}'"
    scheme = urlsplit(url).scheme.lower()
    if scheme == "file":
        return None
    query = parse_qs(urlsplit(url).query)
    hosts = [host_of(one) for one in query.get("endpoint", [])] if scheme == "s3" else []
    if scheme in {"http", "https", "postgres", "postgresql"}:
        hosts = [host_of(url)]
    if hosts:
        faults = [
            outside.operator(subject, "pulumi")
            if host == "pulumi.com" or host.endswith(".pulumi.com")
            else outside.host(f"{subject}, host '{host}'", host)
            for host in hosts
        ]
    elif scheme in SERVICES:
        faults = [outside.operator(subject, SERVICES[scheme])]
    else:
        faults = [f"{subject}: who keeps it is not known, and unknown never passes"]
    told = [fault for fault in faults if fault]
    return "\n".join([*told, ALLOWED]) if told else None


def _without_password(url: str) -> str:
    """Return an address as a message may show it."""
    return re.sub(r"(?<=://)[^/?#]*@", "…@", url)


def secrets_provider(stack: str, root: Path = REPO) -> str:
    """Return what keeps a stack's secrets, as its file tells it: `passphrase`, or the address of another's service.

    WrongUseError if the file is not where Pulumi looks for it, as nothing else tells it.
    """
    path = root / f"Pulumi.{stack}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        found = str(content.get("secretsprovider") or "")
    except (OSError, AttributeError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongUseError(
            f"{path.name} cannot be read ({str(error).splitlines()[0]}): it has to stand in {root}, without --config-file"
        ) from None
    return "passphrase" if found in {"", "default"} else found


def refuse_secrets_provider(
    provider: str, backend: str, outside: Outside, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Return what is wrong with who keeps a stack's secrets, or None; `backend` keeps them where it is Pulumi's service."""
    scheme = provider.partition("://")[0].lower()
    subject = f"secretsprovider: '{provider}'"
    if scheme == "passphrase":
        return None  # with a service as backend it is the service that holds them, and that is judged as backend
    fault: str | None
    if scheme == "service":
        own = host_of(backend) if backend.startswith("http") else ""
        known = own and not own.endswith("pulumi.com")
        fault = outside.host(subject, own) if known else outside.operator(subject, "pulumi")
    elif scheme in SERVICES:
        fault = outside.operator(subject, SERVICES[scheme])
    elif scheme == "hashivault":
        hosts = {host_of(value) for key in ("VAULT_SERVER_URL", "VAULT_ADDR") if (value := environment.get(key))}
        if hosts:
            faults = [outside.host(f"{subject}, host '{host}'", host) for host in sorted(hosts)]
            fault = "\n".join(one for one in faults if one) or None
        else:
            fault = f"{subject}: VAULT_SERVER_URL names no Vault, so who runs it is not known, and unknown never passes"
    else:
        fault = f"{subject}: who keeps it is not known, and unknown never passes"
    return f"{fault}\n{ALLOWED_KEY}" if fault else None
