"""Declare the providers, and the resources of this project's own provider."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from classroom.configure.artifacts import roles_digest

HEXADECIMAL = "0123456789abcdef"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Secret(pulumi.CustomResource):
    """A random string, generated once and encrypted in the state: `length` characters of `alphabet`."""

    value: Output[str]

    def __init__(self, name: str, *, length: int, alphabet: str, opts: ResourceOptions | None = None) -> None:
        properties = {"length": length, "alphabet": alphabet, "value": None}
        super().__init__("classroom:index:Secret", name, properties, opts)


class Configure(pulumi.CustomResource):
    """An Ansible run on all machines, whenever a machine, a variable, a secret or the roles' digest has changed.

    Inputs: `hosts` maps each machine's name to the IDs of its `server` and `image` and its `address`; `secrets` are encrypted
    in the state; `broken` maps each machine in status ERROR to the reason; `admins` equal those in the inventory, but are known
    in a preview too, which refuses to replace all of them at once; `cloud` and `region` select the consoles to read, and cause
    no run if only they change. `inventory` is JSON: SDK and engine process each value of a structure many times.
    Outputs: `installedAdmins`, and `hostKeys` with the SSH host keys of each machine.
    """

    def __init__(
        self,
        name: str,
        *,
        cloud: str | None,
        region: str,
        broken: Mapping[str, str],
        admins: Sequence[Mapping[str, str]],
        hosts: Input[Any],
        inventory: Input[str],
        secrets: Input[Any],
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "cloud": cloud,
            "region": region,
            "broken": broken,
            "digest": roles_digest(),
            "admins": admins,
            "hosts": hosts,
            "inventory": inventory,
            "secrets": Output.secret(secrets),
            "hostKeys": None,
        }
        super().__init__("classroom:index:Configure", name, properties, opts)

    @property
    def keys(self) -> Output[Any]:
        """The machines' SSH host keys, by name."""
        return Output.from_input(pulumi.get(self, "hostKeys"))


def openstack_provider(cloud: str | None, region: str) -> pulumi.ProviderResource:
    """Return the OpenStack provider, for the entry `cloud` of clouds.yaml or the OS_* variables.

    It reads the credentials itself, so that they are not in Pulumi's state.
    """
    latest = pulumi.ResourceOptions(version=version("pulumi-openstack"))
    return pulumi.ProviderResource("openstack", "openstack", {"cloud": cloud, "region": region}, latest)


def own_provider() -> pulumi.ProviderResource:
    """Return this project's provider, which generates secrets and runs Ansible."""
    return pulumi.ProviderResource("classroom", "classroom", {})
