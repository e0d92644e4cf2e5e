"""Where plants are put: on a machine of the class, into the cloud, the stack's file, the operator's environment, an `up`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from classroom.verify.deployment import Group, Target
from rehearsal import stack
from tests.planted.control_runner import ControlRunner
from tests.rehearsal.command import as_client, in_cloud


@dataclass
class Injector:
    """What plants are put with: the class's inventory, an administrator's login, and the environment of the next look."""

    target: Target
    eyes: ControlRunner
    values: Mapping[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Return a text with `{domain}` and the other values in it; other braces stay."""
        for name, value in {"domain": self.target.domain, **self.values}.items():
            text = text.replace("{" + name + "}", value)
        return text

    def in_cloud(self, code: str) -> str:
        """Run Python as the cloud's administrator, with its connection `c` and `servers`, the first server of each group."""
        hosts = self.target.inventory["_meta"]["hostvars"]
        groups: tuple[Group, ...] = ("front", "media")
        servers = {group: hosts[self.target.group(group)[0].name]["classroom_server_id"] for group in groups}
        return in_cloud(f"servers = {servers!r}\n{code}")


class Action(Protocol):
    """One part of a plant: it is put there and taken back."""

    @property
    def where(self) -> str:
        """Where it is put, in a word."""

    def do(self, hands: Injector) -> None:
        """Put it there."""

    def undo(self, hands: Injector) -> None:
        """Take it back, all of it, however far `do` came."""


@dataclass(frozen=True)
class OnHost:
    """Shell scripts that run as root on the first machine of a group."""

    group: Group
    script: str
    back: str
    where: str = "host"

    def do(self, hands: Injector) -> None:
        """Run the script."""
        self._run(hands, self.script)

    def undo(self, hands: Injector) -> None:
        """Run the one that takes it back."""
        self._run(hands, self.back)

    def _run(self, hands: Injector, script: str) -> None:
        hands.eyes.administer(hands.target.group(self.group)[0].name, hands.fill(script))


@dataclass(frozen=True)
class InCloud:
    """Python that the cloud's administrator runs inside the lab."""

    code: str
    back: str
    where: str = "cloud"

    def do(self, hands: Injector) -> None:
        """Run it."""
        hands.in_cloud(self.code)

    def undo(self, hands: Injector) -> None:
        """Run the part that takes it back."""
        hands.in_cloud(self.back)


@dataclass(frozen=True)
class InStackFile:
    """A change of the stack's file, after `up`."""

    change: Callable[[dict[str, Any]], Mapping[str, Any]]
    """From the file's settings, without their prefix, to those that change."""
    where: str = "plan"

    def do(self, hands: Injector) -> None:
        """Keep the file beside itself, and change it in place."""
        self._kept.write_bytes(stack.SETTINGS.read_bytes())
        self._kept.chmod(0o600)
        there = yaml.safe_load(stack.SETTINGS.read_text())
        values = {key.removeprefix("classroom:"): value for key, value in there["config"].items()}
        there["config"] |= {f"classroom:{key}": value for key, value in self.change(values).items()}
        stack.SETTINGS.write_text(yaml.safe_dump(there, sort_keys=True, allow_unicode=True))

    def undo(self, hands: Injector) -> None:
        """Give the file back, byte for byte."""
        if self._kept.exists():
            stack.SETTINGS.write_bytes(self._kept.read_bytes())
            self._kept.unlink()

    @property
    def _kept(self) -> Path:
        return stack.SETTINGS.with_suffix(".kept")


@dataclass(frozen=True)
class InEnvironment:
    """Variables of the shell in which the operator works."""

    values: Mapping[str, str]
    where: str = "operator's machine"

    def do(self, hands: Injector) -> None:
        """Set them."""
        hands.environment.update(self.values)

    def undo(self, hands: Injector) -> None:
        """Unset them."""
        for name in self.values:
            hands.environment.pop(name, None)


@dataclass(frozen=True)
class OnOperatorsMachine:
    """Shell commands that the operator runs, out there, in the clone."""

    script: str
    back: str
    where: str = "operator's machine"

    def do(self, hands: Injector) -> None:
        """Run it."""
        self._run(self.script)

    def undo(self, hands: Injector) -> None:
        """Run the one that takes it back."""
        self._run(self.back)

    def _run(self, script: str) -> None:
        answer = as_client("sh", "-ec", script)
        assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
