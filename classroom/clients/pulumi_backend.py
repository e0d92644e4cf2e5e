"""Where Pulumi keeps a stack's state and who holds its secrets' key, read as Pulumi does, without asking anyone."""

import json
import os
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from classroom.common.errors import WrongUseError
from classroom.common.paths import REPO
from classroom.sovereignty.facts import parse_yaml
from classroom.sovereignty.operators import host_of
from classroom.sovereignty.service_policy import ServicePolicy

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
FLAG, VARIABLE = "--config-file", "PULUMI_OPTION_CONFIG_FILE="
"""How Pulumi is told to read another file than Pulumi.<stack>.yaml."""
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
    project = parse_yaml((root / "Pulumi.yaml").read_text(encoding="utf-8")) or {}
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


def refuse_backend(url: str, outside: ServicePolicy) -> str | None:
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


def stack_file(stack: str, root: Path = REPO) -> Path:
    """Return the file in which the engine that runs this program reads the stack's settings and who keeps its secrets.

    That is Pulumi.<stack>.yaml in `root`, unless --config-file names another, or the variable does that stands for it.
    WrongUseError if that engine is not to be seen among the processes above this one.
    """
    try:
        engine = Path(f"/proc/{_engine(os.getpid())}")
        words, variables = _words(engine / "cmdline"), _words(engine / "environ")
        place = (engine / "cwd").readlink()
    except OSError as error:
        raise WrongUseError(
            f"which stack file Pulumi reads cannot be seen ({error}), and it tells who keeps the secrets' key: let `pulumi` start the"
            " program, on this machine and as the same user"
        ) from None
    # The last flag counts, and any flag comes before the variable.
    named = [word.removeprefix(VARIABLE) for word in variables if word.startswith(VARIABLE)]
    for word, after in pairwise([*words, ""]):
        if word == FLAG:
            named.append(after)
        elif word.startswith(f"{FLAG}="):
            named.append(word.removeprefix(f"{FLAG}="))
    return place / named[-1] if named and named[-1] else root / f"Pulumi.{stack}.yaml"


def _engine(process: int) -> int:
    """Return the number of the process above one that has started the language host; ProcessLookupError if none has."""
    while process > 1:
        words = _words(Path(f"/proc/{process}/cmdline"))
        process = int(
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
        if words and Path(words[0]).name == "pulumi-language-python":
            return process
    raise ProcessLookupError("no engine is above this process")


def _words(path: Path) -> list[str]:
    return os.fsdecode(path.read_bytes()).split("\0")[:-1]


def secrets_provider(stack: str, root: Path = REPO) -> str:
    """Return what keeps a stack's secrets, as Pulumi.<stack>.yaml tells it; errors as of `provider_in`."""
    return provider_in(root / f"Pulumi.{stack}.yaml")


def provider_in(file: Path) -> str:
    """Return what keeps a stack's secrets, as its file tells it: `passphrase`, or the address of another's service.

    WrongUseError if the file cannot be read, as nothing else tells it.
    """
    try:
        content = parse_yaml(file.read_text(encoding="utf-8")) or {}
        found = str(content.get("secretsprovider") or "")
    except (OSError, AttributeError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongUseError(
            f"{file.name} cannot be read ({str(error).splitlines()[0]}), and it tells who keeps the stack's secrets: it has to stand in"
            f" {file.parent}"
        ) from None
    return "passphrase" if found in {"", "default"} else found


def refuse_secrets_provider(
    provider: str, backend: str, outside: ServicePolicy, environment: Mapping[str, str] = os.environ
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
