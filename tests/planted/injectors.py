"""Injects violations: on a machine of the class, in the cloud, the stack's file, the operator's environment, or an `up`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from classroom.verify.deployment import Deployment, Group
from rehearsal import stack
from tests.planted.control_runner import ControlRunner
from tests.rehearsal.command import as_client, in_cloud


@dataclass
class InjectionContext:
    """What injectors need: the class's inventory, the control runner, values for scripts, the environment of the next run of controls."""

    target: Deployment
    runner: ControlRunner
    values: Mapping[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """Replace `{domain}` and the names in `values` by their values; leave other braces unchanged."""
        for name, value in {"domain": self.target.domain, **self.values}.items():
            text = text.replace("{" + name + "}", value)
        return text

    def in_cloud(self, code: str) -> str:
        """Run Python as the cloud's administrator; it has the connection `c`, and `servers`, the ID of each group's first server."""
        hosts = self.target.inventory["_meta"]["hostvars"]
        groups: tuple[Group, ...] = ("front", "media")
        servers = {group: hosts[self.target.group(group)[0].name]["classroom_server_id"] for group in groups}
        return in_cloud(f"servers = {servers!r}\n{code}")


class Injector(Protocol):
    """One part of a planted violation, which can be injected and reverted."""

    @property
    def where(self) -> str:
        """Return in a word where the violation is injected."""

    def inject(self, context: InjectionContext) -> None:
        """Inject the violation."""

    def revert(self, context: InjectionContext) -> None:
        """Remove the violation completely, also after a partial `inject`."""


@dataclass(frozen=True)
class OnHost:
    """Runs shell scripts as root on the first machine of a group."""

    group: Group
    script: str
    revert_script: str
    where: str = "host"

    def inject(self, context: InjectionContext) -> None:
        """Run `script`."""
        self._run(context, self.script)

    def revert(self, context: InjectionContext) -> None:
        """Run `revert_script`."""
        self._run(context, self.revert_script)

    def _run(self, context: InjectionContext, script: str) -> None:
        context.runner.run_as_admin(context.target.group(self.group)[0].name, context.fill(script))


@dataclass(frozen=True)
class InCloud:
    """Runs Python as the cloud's administrator, inside the lab."""

    code: str
    revert_code: str
    where: str = "cloud"

    def inject(self, context: InjectionContext) -> None:
        """Run `code`."""
        context.in_cloud(self.code)

    def revert(self, context: InjectionContext) -> None:
        """Run `revert_code`."""
        context.in_cloud(self.revert_code)


@dataclass(frozen=True)
class InStackFile:
    """Changes the stack's file after `up`."""

    change: Callable[[dict[str, Any]], Mapping[str, Any]]
    """Function from the file's settings, without their prefix, to the changed ones."""
    where: str = "plan"

    def inject(self, context: InjectionContext) -> None:
        """Back up the file, and change it in place."""
        self._backup.write_bytes(stack.SETTINGS.read_bytes())
        self._backup.chmod(0o600)
        content = yaml.safe_load(stack.SETTINGS.read_text())
        values = {key.removeprefix("classroom:"): value for key, value in content["config"].items()}
        content["config"] |= {f"classroom:{key}": value for key, value in self.change(values).items()}
        stack.SETTINGS.write_text(yaml.safe_dump(content, sort_keys=True, allow_unicode=True))

    def revert(self, context: InjectionContext) -> None:
        """Restore the file from its backup."""
        if self._backup.exists():
            stack.SETTINGS.write_bytes(self._backup.read_bytes())
            self._backup.unlink()

    @property
    def _backup(self) -> Path:
        return stack.SETTINGS.with_suffix(".backup")


@dataclass(frozen=True)
class InEnvironment:
    """Sets variables in the operator's environment."""

    values: Mapping[str, str]
    where: str = "operator's machine"

    def inject(self, context: InjectionContext) -> None:
        """Set the variables."""
        context.environment.update(self.values)

    def revert(self, context: InjectionContext) -> None:
        """Unset the variables."""
        for name in self.values:
            context.environment.pop(name, None)


@dataclass(frozen=True)
class OnOperatorsMachine:
    """Runs shell commands as the operator, on the outside network, in the clone."""

    script: str
    revert_script: str
    where: str = "operator's machine"

    def inject(self, context: InjectionContext) -> None:
        """Run `script`."""
        self._run(self.script)

    def revert(self, context: InjectionContext) -> None:
        """Run `revert_script`."""
        self._run(self.revert_script)

    def _run(self, script: str) -> None:
        answer = as_client("sh", "-ec", script)
        assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
