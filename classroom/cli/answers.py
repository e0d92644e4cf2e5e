"""The settings of `classroom init`: those that the file has already, those that flags give, and those that are answered."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from classroom.common.errors import WrongUseError
from classroom.config import keys, pem
from classroom.config.settings import SECRETS, STRUCTURED, Settings, load
from classroom.sovereignty.facts import parse_yaml

NAMED = {
    "classes": "name",
    "admins": "name",
    "declared_operators": "name",
    "declared_cloud": "name",
    "exceptions": "name",
}
"""Lists whose entries are known by a key: an entry with the same name is changed, others are added."""


class Answers:
    """`values` are the settings so far, by key; a secret is a text, or a mapping if it is stored and cannot be read."""

    def __init__(self, there: Mapping[str, Any], said: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self._there, self._said = dict(there), set(said)
        self.values: dict[str, Any] = {
            **there,
            **{key: value for key, value in secrets.items() if said.get(key, "") is not None},
        }
        for key, value in said.items():
            self.values[key] = merged(key, there.get(key), value)
        self.values = {key: value for key, value in self.values.items() if value is not None}
        self._removed = {key for key, value in said.items() if value is None and key in there}

    def refuse(self, *, only_said: bool) -> None:
        """Raise WrongUseError with one line for each fault of a setting that is there, or only of those that are said now.

        Settings that are missing are not asked yet, and a secret that cannot be read is not judged.
        """
        readable = {
            key: value for key, value in self.values.items() if not (key in SECRETS and isinstance(value, Mapping))
        }
        judged = self._said if only_said else readable.keys()
        if own := [line for line in self.faults(readable) if _key_of(line) in judged]:
            raise WrongUseError("\n".join(own))

    def changes(self) -> dict[str, Any]:
        """Return what is to be written: without secrets, which Pulumi stores, and None for a key that is removed."""
        new = {
            key: value
            for key, value in self.values.items()
            if key not in SECRETS and (key not in self._there or self._there[key] != value)
        }
        return new | dict.fromkeys(self._removed)

    def faults(self, values: Mapping[str, Any]) -> list[str]:
        """Return one line for each fault of these settings."""
        try:
            load(dict(values))
        except WrongUseError as error:
            return str(error).splitlines()
        return []

    def check(self, key: str, value: Any) -> Any:
        """Return a value; ValueError if it is not one for this key."""
        own = [line for line in self.faults({**self.values, key: value}) if _key_of(line) == key]
        if own:
            raise ValueError("; ".join(own))
        return value


def _key_of(fault: str) -> str:
    """Return the key of the setting that the line of a fault begins with."""
    return fault.partition(":")[0].split(".")[0]


def merged(key: str, there: Any, said: Any) -> Any:
    """Return a setting with what is said: entries of a list are changed or added, anything else is replaced."""
    if not isinstance(said, list) or not isinstance(there, list):
        return said
    found = list(there)
    for entry in said:
        place = next((n for n, one in enumerate(found) if _same(key, one, entry)), None)
        if place is None:
            found.append(entry)
        else:
            old = found[place]
            found[place] = {**old, **entry} if key == "classes" and isinstance(old, Mapping) else entry
    return found


def _same(key: str, one: Any, other: Any) -> bool:
    if one == other:
        return True
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    if key == "endpoints":
        return any(
            one.get(k) is not None and (one.get("use"), one[k]) == (other.get("use"), other.get(k))
            for k in ("name", "preset")
        )
    name = NAMED.get(key)
    return name is not None and one.get(name) is not None and one[name] == other.get(name)


def flag_values(
    *,
    texts: Mapping[str, Any],
    classes: Sequence[str],
    classes_csv: Path | None,
    admins: Sequence[str],
    ssh_from: Sequence[str],
    services: Sequence[str],
    more: Sequence[str],
    certificate: Path | None,
    acme: Mapping[str, str | Path | None],
    there: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings that flags give, by key; None for one that is to be removed. WrongUseError names the flag."""
    found: dict[str, Any] = {key: value for key, value in texts.items() if value is not None}
    if str(found.get("ipv6", "")).lower() == "none":
        found["ipv6"] = None
    for text in more:
        key, value = setting(text)
        found[key] = value
    rows = [class_row(text) for text in classes] + (classes_of(classes_csv) if classes_csv else [])
    for key, values in (
        ("classes", rows),
        ("admins", [admin_row(text) for text in admins]),
        ("ssh_from", list(ssh_from)),
        ("endpoints", [service_row(text) for text in services]),
    ):
        if values:
            found[key] = merged(key, found.get(key), values) if key in found else values
    if certificate:
        found |= {"certificate": _chain(certificate, "--certificate"), "acme": None, "acme_eab_key": None}
    given = {key: value for key, value in acme.items() if value is not None}
    if given:
        if isinstance(root := given.get("root"), Path):
            given["root"] = _chain(root, "--acme-root")
        before = there.get("acme")
        found["acme"] = {**(before if isinstance(before, Mapping) else {}), **given}
    if found.get("acme"):
        found |= {"certificate": None, "certificate_key": None}
    return found


def _chain(path: Path, flag: str) -> str:
    """Return the certificates in a file in the one form."""
    try:
        return f"{pem.chain_text(read_text(path, flag))}\n"
    except ValueError as error:
        raise WrongUseError(f"{flag}: '{path}' {error}") from None


def read_text(path: Path, flag: str) -> str:
    """Return the text of a file; WrongUseError names the flag if it cannot be read."""
    try:
        data = path.expanduser().read_bytes()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WrongUseError(
            f"{flag}: the file '{path}' cannot be read ({reason}); give the path of a readable file"
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # as spreadsheets on Windows write it


def setting(text: str) -> tuple[str, Any]:
    """Return key and value of `KEY=VALUE`; an empty value, or null, removes the key."""
    key, mark, value = text.partition("=")
    key = key.strip().removeprefix("classroom:")
    if not mark or key not in Settings.model_fields:
        names = ", ".join(Settings.model_fields)
        raise WrongUseError(f"--set: '{text[:60]}' is not KEY=VALUE with a key of a stack file; use one of: {names}")
    if key in SECRETS:
        raise WrongUseError(
            f"--set: {key} is a secret, which other accounts could read in the list of processes; give its file"
        )
    if key not in STRUCTURED:
        return key, parse_yaml(value) if value.strip() in {
            "true",
            "false",
        } or value.strip().isdigit() else value.strip() or None
    return key, _yaml(value, f"--set: {key}")


def _yaml(text: str, what: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise WrongUseError(
            f"{what}: '{text[:60]}' is not valid YAML ({str(error).splitlines()[0]}); write it as in a stack file, in one line"
        ) from None


def class_row(text: str) -> dict[str, Any]:
    """Return the entry of `classes` from `NAME=SIZE`; WrongUseError if there is no size."""
    name, mark, size = text.rpartition("=")
    if not mark or not size.strip().isdigit():
        raise WrongUseError(
            f"--class: '{text}' is not NAME=SIZE; write the number of people after the name, such as 'CM2=30'"
        )
    return {"name": name.strip(), "size": int(size)}


def classes_of(path: Path) -> list[dict[str, Any]]:
    """Return the entries of `classes` from a CSV file with name and size in each line, with or without a line of titles."""
    text = read_text(path, "--classes-csv")
    comma = ";" if text.count(";") > text.count(",") else "\t" if "\t" in text and "," not in text else ","
    found: list[dict[str, Any]] = []
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=comma)
    for number, cells in enumerate(rows, 1):
        words = [cell.strip() for cell in cells]
        if not any(words):
            continue
        if len(words) > 1 and words[0] and words[1].isdigit():
            found.append({"name": words[0], "size": int(words[1])})
        elif number > 1 or (len(words) > 1 and any(sign.isdigit() for sign in words[1])) or len(words) < 2:
            raise WrongUseError(
                f"--classes-csv: line {number} of '{path}' is '{text.splitlines()[number - 1][:60]}'; write name and number of people,"
                " such as CM2,30"
            )
    if not found:
        raise WrongUseError(
            f"--classes-csv: '{path}' contains no class; write name and number of people in each line, such as CM2,30"
        )
    return found


def admin_row(text: str) -> dict[str, Any]:
    """Return the entry of `admins` from `NAME=KEY`, in which KEY is a public key or the path of its file."""
    name, mark, key = text.partition("=")
    if not mark or not key.strip():
        raise WrongUseError(f"--admin: '{text[:60]}' is not NAME=KEY; write it as in 'ada=~/.ssh/id_ed25519.pub'")
    content = key if "AAAA" in key else read_text(Path(key.strip()), "--admin")
    try:
        return {"name": name.strip(), "public_key": keys.public_key(content)}
    except ValueError as error:
        raise WrongUseError(f"--admin: '{name.strip()}': {error}") from None


def service_row(text: str) -> dict[str, Any]:
    """Return the row of `endpoints` from `USE=PRESET`, or from a row as in a stack file."""
    if not text.strip().startswith("{"):
        use, mark, preset = text.partition("=")
        if not mark or not preset.strip():
            raise WrongUseError(
                f"--service: '{text[:60]}' is neither USE=PRESET (`classroom presets` lists them) nor a row such as '{{use: ntp, name:"
                " time.academy.example, operator: NAME, addresses: [192.0.2.123]}'"
            )
        return {"use": use.strip(), "preset": preset.strip()}
    row = _yaml(text, "--service")
    if not isinstance(row, Mapping):
        raise WrongUseError(f"--service: '{text[:60]}' is not a row of `endpoints`; write it as in Pulumi.example.yaml")
    return dict(row)
