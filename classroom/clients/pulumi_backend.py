"""Find Pulumi's state backend and secrets provider as Pulumi does, without any request, and check them against the policy."""

import json
import os
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from classroom.common.errors import WrongUseError
from classroom.common.hosts import in_clear
from classroom.common.paths import REPO
from classroom.sovereignty.facts import parse_yaml
from classroom.sovereignty.operators import host_of
from classroom.sovereignty.policy import NEVER_ALLOWED
from classroom.sovereignty.service_policy import ServicePolicy

DEFAULT = "https://api.pulumi.com"
"""Pulumi's default backend."""
ALLOWED = (
    "allowed: a folder on this machine (PULUMI_BACKEND_URL=file://~), or an S3-compatible store of an operator within the"
    " policy (PULUMI_BACKEND_URL='s3://bucket?endpoint=https://s3.gra.io.cloud.ovh.net&region=gra')"
)
ALLOWED_KEY = (
    "allowed: a passphrase (`pulumi stack change-secrets-provider passphrase`), or a Vault whose host is listed in"
    " classroom:endpoints"
)
PARAMETERS: dict[str, tuple[str, ...]] = {
    "s3": ("endpoint", "region", "s3ForcePathStyle", "use_path_style", "awssdk", "profile"),
    "postgres": ("table", "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "application_name"),
}
PARAMETERS["postgresql"] = PARAMETERS["postgres"]
"""Parameters of a backend's URL that lead to no other host, by its scheme."""
POSTGRES_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGSSLMODE", "PGOPTIONS")
SAFE_MODES = {"require", "verify-ca", "verify-full"}
LOCAL_FILE_SYSTEMS = {
    "bcachefs", "btrfs", "ecryptfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "jfs", "ntfs3", "overlay", "ramfs",
    "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
}  # fmt: skip
"""File systems whose data is on this machine's own disks or in its memory."""
VAULT_HOSTS = ("VAULT_SERVER_URL", "VAULT_ADDR", "VAULT_AGENT_ADDR", "VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY")
"""Variables that name hosts to which Vault's client connects."""
VAULT_SWITCHES = {
    "VAULT_SKIP_VERIFY": "Vault's certificate is not checked",
    "VAULT_SRV_LOOKUP": "DNS decides which host is asked",
}
FALLBACK = "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"
OFF = {"", "0", "f", "false"}
FLAG, VARIABLE = "--config-file", "PULUMI_OPTION_CONFIG_FILE="
"""Option and variable by which Pulumi reads another file than Pulumi.<stack>.yaml."""
SERVICES = {
    "s3": "amazon",
    "awskms": "amazon",
    "gs": "google",
    "gcpkms": "google",
    "azblob": "microsoft",
    "azurekeyvault": "microsoft",
}
"""Operator of the service behind a URL scheme, if the URL has no other host."""


def backend_url(root: Path = REPO, environment: Mapping[str, str] = os.environ) -> str:
    """Return the backend URL that `pulumi whoami -v` shows: PULUMI_BACKEND_URL, else Pulumi.yaml, else the last `pulumi login`.

    WrongUseError if Pulumi's credentials.json is unreadable.
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
            f"{path} cannot be read ({error}); set PULUMI_BACKEND_URL, or run `pulumi login` again"
        ) from None
    return str(current or environment.get("PULUMI_API") or DEFAULT)


def refuse_backend(url: str, outside: ServicePolicy, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return why the policy refuses the backend, or None if it is allowed."""
    subject = f"backend: '{_without_password(url)}'"
    scheme = urlsplit(url).scheme.lower()
    if scheme == "file":
        fault = _elsewhere(folder_of(url))
        return f"{subject}: {fault}\n{ALLOWED}" if fault else None
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    hosts = [host_of(one) for one in query.get("endpoint", []) if one] if scheme == "s3" else []
    if scheme in {"http", "https", "postgres", "postgresql"}:
        hosts = [host_of(url)]
    misleading = _misleading(scheme, url, query, environment)
    if misleading:
        faults: list[str | None] = [f"{subject}: {misleading}, and {NEVER_ALLOWED}"]
    elif hosts:
        faults = [
            outside.operator(subject, "pulumi")
            if host == "pulumi.com" or host.endswith(".pulumi.com")
            else outside.host(f"{subject}, host '{host}'", host)
            for host in hosts
        ]
    elif scheme in SERVICES:
        faults = [outside.operator(subject, SERVICES[scheme])]
    else:
        faults = [f"{subject}: its operator is unknown, and {NEVER_ALLOWED}"]
    refusals = [fault for fault in faults if fault]
    return "\n".join([*refusals, ALLOWED]) if refusals else None


def folder_of(url: str) -> Path:
    """Return the folder of a `file://` backend."""
    return Path(url.partition("://")[2].partition("?")[0]).expanduser()


def _misleading(scheme: str, url: str, query: Mapping[str, list[str]], environment: Mapping[str, str]) -> str | None:
    """Return by what the connection may lead to another host than the URL's, or be in clear; None if it does not."""
    unknown = [name for name in query if name not in PARAMETERS.get(scheme, ())]
    if unknown and scheme in PARAMETERS:
        return f"its parameter '{unknown[0]}' may lead to another host or weaken the connection; remove it"
    if len(query.get("endpoint", [])) > 1:
        return "it has more than one endpoint; write one"
    if scheme in {"postgres", "postgresql"}:
        if set_ := [name for name in POSTGRES_VARIABLES if environment.get(name)]:
            return f"{set_[0]} is set, by which the connection may lead to another host; unset it"
        if "," in urlsplit(url).netloc:
            return "it names several hosts; write one"
        if not {*query.get("sslmode", ["require"])} <= SAFE_MODES:
            return f"its parameter 'sslmode' allows a connection in clear; write one of {', '.join(sorted(SAFE_MODES))}"
    if any(in_clear(one) for one in (url, *query.get("endpoint", []))):
        return "its connection is plain HTTP; use HTTPS"
    return None


def _elsewhere(folder: Path, mounts: str | None = None) -> str | None:
    """Return why a folder, or Pulumi's folders in it, may be on another machine by its file system, or None."""
    rows = Path("/proc/self/mountinfo").read_text(encoding="utf-8") if mounts is None else mounts
    kinds = {}
    for row in rows.splitlines():
        before, _, after = row.partition(" - ")
        mounted = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), before.split()[4])
        kinds[Path(mounted)] = after.split()[0]  # a later mount hides an earlier one
    for inner in ("", ".pulumi", ".pulumi/stacks", ".pulumi/backups", ".pulumi/history", ".pulumi/locks"):
        place = (folder / inner).resolve()
        kind = next((kinds[one] for one in (place, *place.parents) if one in kinds), "unknown")
        if kind not in LOCAL_FILE_SYSTEMS:
            return (
                f"{place} is on a file system of type {kind}, which may be another machine's: its operator is not known, and"
                f" {NEVER_ALLOWED}"
            )
    return None


def _without_password(url: str) -> str:
    """Return a URL without user name and password."""
    return re.sub(r"(?<=://)[^/?#]*@", "…@", url)


def stack_file(stack: str, root: Path = REPO) -> Path:
    """Return the stack file that the Pulumi engine above this process reads.

    That is Pulumi.<stack>.yaml in `root`, unless --config-file or its environment variable names another file.
    WrongUseError if the engine is not found among the ancestors of this process.
    """
    try:
        engine = Path(f"/proc/{_engine(os.getpid())}")
        words, variables = _words(engine / "cmdline"), _words(engine / "environ")
        place = (engine / "cwd").readlink()
    except OSError as error:
        raise WrongUseError(
            f"the stack file that Pulumi reads is unknown ({error}), and it names the secrets provider; start the program with"
            " `pulumi`, on this machine and as the same user"
        ) from None
    # The last option wins, and any option takes precedence over the variable.
    named = [word.removeprefix(VARIABLE) for word in variables if word.startswith(VARIABLE)]
    for word, after in pairwise([*words, ""]):
        if word == FLAG:
            named.append(after)
        elif word.startswith(f"{FLAG}="):
            named.append(word.removeprefix(f"{FLAG}="))
    return place / named[-1] if named and named[-1] else root / f"Pulumi.{stack}.yaml"


def _engine(process: int) -> int:
    """Return the ID of the process that started the language host above `process`; ProcessLookupError if there is none."""
    while process > 1:
        words = _words(Path(f"/proc/{process}/cmdline"))
        process = int(
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
        if words and Path(words[0]).name == "pulumi-language-python":
            return process
    raise ProcessLookupError("no Pulumi engine above this process")


def _words(path: Path) -> list[str]:
    return os.fsdecode(path.read_bytes()).split("\0")[:-1]


def secrets_provider(stack: str, root: Path = REPO) -> str:
    """Return the secrets provider in Pulumi.<stack>.yaml; errors as in `provider_in`."""
    return provider_in(root / f"Pulumi.{stack}.yaml")


def provider_in(file: Path) -> str:
    """Return the secrets provider in a stack file: `passphrase`, or the URL of a key service.

    WrongUseError if the file is unreadable, as the provider is recorded nowhere else.
    """
    try:
        content = parse_yaml(file.read_text(encoding="utf-8")) or {}
        found = str(content.get("secretsprovider") or "")
    except (OSError, AttributeError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongUseError(
            f"{file.name} cannot be read ({str(error).splitlines()[0]}), and it names the secrets provider; put a valid stack file in"
            f" {file.parent}"
        ) from None
    return "passphrase" if found in {"", "default"} else found


def refuse_secrets_provider(
    provider: str, backend: str, outside: ServicePolicy, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Return why the policy refuses the secrets provider, or None; with `service`, the operator of `backend` counts."""
    scheme = provider.partition("://")[0].lower()
    subject = f"secretsprovider: '{provider}'"
    fault: str | None
    if environment.get(FALLBACK, "").lower() not in OFF:
        return (
            f"{FALLBACK}: is set, so that the state's own secrets provider replaces one that the stack file lacks: it is not known, and"
            f" {NEVER_ALLOWED}; unset it\n{ALLOWED_KEY}"
        )
    if scheme == "passphrase":
        return None  # if the backend is a service, it has the secrets, and refuse_backend checks it
    if scheme == "service":
        own = host_of(backend) if backend.startswith("http") else ""
        known = own and not own.endswith("pulumi.com")
        fault = outside.host(subject, own) if known else outside.operator(subject, "pulumi")
    elif scheme in SERVICES:
        fault = outside.operator(subject, SERVICES[scheme])
    elif scheme == "hashivault":
        urls = {value for key in VAULT_HOSTS if (value := environment.get(key))}
        if urls:
            faults = [
                outside.host(f"{subject}, host '{host}'", host) for host in sorted({host_of(url) for url in urls})
            ]
            faults += [f"{subject}: '{url}' is plain HTTP; use HTTPS" for url in sorted(urls) if in_clear(url)]
            faults += [
                f"{subject}: {key} is set, so that {effect}; unset it"
                for key, effect in VAULT_SWITCHES.items()
                if environment.get(key, "").lower() not in OFF
            ]
            fault = "\n".join(one for one in faults if one) or None
        else:
            fault = f"{subject}: VAULT_SERVER_URL is not set, so the Vault's operator is unknown, and {NEVER_ALLOWED}"
    else:
        fault = f"{subject}: its operator is unknown, and {NEVER_ALLOWED}"
    return f"{fault}\n{ALLOWED_KEY}" if fault else None
