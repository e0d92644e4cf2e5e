"""The resources of our own provider, as the program declares them, and the providers themselves."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from classroom.configure.artifacts import roles_digest

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Digits and letters without those that are easily taken for each other: five bits each."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Secret(pulumi.CustomResource):
    """A random text, made once and kept encrypted in the state: `length` characters of `alphabet`."""

    value: Output[str]

    def __init__(self, name: str, *, length: int, alphabet: str, opts: ResourceOptions | None = None) -> None:
        properties = {"length": length, "alphabet": alphabet, "value": None}
        super().__init__("classroom:index:Secret", name, properties, opts)


class Configure(pulumi.CustomResource):
    """Ansible on all machines; runs when a machine, a variable, a secret or the roles' digest has changed.

    `hosts` maps each machine's name to its `server` and `image` ids and its `address`; `secrets` are encrypted in the state;
    `broken` maps each machine that the cloud holds in ERROR to the reason. `admins` are those of the inventory, known at a
    preview too: all of them cannot be replaced at once. After it `installedAdmins` are these, and `hostKeys` maps each name to the
    machine's SSH host keys. `cloud` and `region` only tell where consoles are read: they cause no run by themselves.
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
        inventory: Input[Any],
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
            # As one text: the engine looks at each value of a structure a dozen times.
            "inventory": Output.json_dumps(inventory, sort_keys=True),
            "secrets": Output.secret(secrets),
            "hostKeys": None,
        }
        super().__init__("classroom:index:Configure", name, properties, opts)

    @property
    def keys(self) -> Output[Any]:
        """The machines' SSH host keys, by name."""
        return Output.from_input(pulumi.get(self, "hostKeys"))


def openstack_provider(cloud: str | None, region: str) -> pulumi.ProviderResource:
    """Return OpenStack's provider, on the entry `cloud` of clouds.yaml or the OS_* variables.

    It gets no password through Pulumi, so that none reaches the state: it reads its way in by itself.
    """
    latest = pulumi.ResourceOptions(version=version("pulumi-openstack"))
    return pulumi.ProviderResource("openstack", "openstack", {"cloud": cloud, "region": region}, latest)


def own_provider() -> pulumi.ProviderResource:
    """Return the provider of this project, which makes secrets and runs Ansible."""
    return pulumi.ProviderResource("classroom", "classroom", {})
