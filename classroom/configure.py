"""The resources of our own provider, as the program declares them."""

from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from classroom.paths import REPO, digest

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

    `hosts` maps each machine's name to its `server` id and `address`; `secrets` are encrypted in the state. After it
    `hostKeys` maps each name to the machine's SSH host keys.
    """

    def __init__(
        self,
        name: str,
        *,
        cloud: str | None,
        hosts: Input[Any],
        inventory: Input[Any],
        secrets: Input[Any],
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "cloud": cloud,
            "digest": roles_digest(),
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


def roles_digest() -> str:
    """Return the digest of all that reaches the machines: sources and locked versions, never what was built from them."""
    return digest(
        [
            REPO / "ansible" / "site.yml",
            REPO / "ansible" / "group_vars",
            REPO / "ansible" / "roles",
            REPO / "ansible" / "library",
            REPO / "ansible" / "filter_plugins",
            REPO / "ansible" / "lookup_plugins",
            REPO / "web",
            REPO / "classroom" / "portal",
            REPO / "engine" / "livekit",
        ]
    )
