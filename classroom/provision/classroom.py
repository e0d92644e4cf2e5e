"""Declare the classroom: network, access, machines, secrets, and the Ansible run."""

import json
import re
from typing import Any

import pulumi
from pulumi import Output, ResourceOptions

from classroom.clients.openstack import connect
from classroom.common.errors import ClassroomError
from classroom.config.endpoints import resolvers
from classroom.config.plan import plans_for
from classroom.config.settings import Settings
from classroom.configure.inventory import dns_records, inventory, published
from classroom.configure.resources import HEXADECIMAL, LETTERS, Configure, Secret, openstack_provider, own_provider
from classroom.provision.access import Access, AccessArgs, groups_of
from classroom.provision.class_codes import links
from classroom.provision.machines import Machines, MachinesArgs
from classroom.provision.network import Network, NetworkArgs
from classroom.provision.preflight import Findings

CODES_KEY_LENGTH = 64
"""Number of hexadecimal digits of the key from which class codes are derived: 32 bytes."""


class Classroom(pulumi.ComponentResource):
    """A complete classroom; `__main__.py` exports its `outputs`."""

    outputs: dict[str, Any]

    def __init__(self, name: str, settings: Settings, found: Findings, opts: ResourceOptions | None = None) -> None:
        given = ResourceOptions(providers=[openstack_provider(settings.cloud, settings.region)])
        super().__init__("classroom:index:Classroom", name, {}, ResourceOptions.merge(given, opts))
        own = ResourceOptions(parent=self)
        stack = pulumi.get_stack()
        plans = plans_for(settings.shape, settings.media_count, settings.flavor_front, settings.flavor_media)
        network = Network(
            "network",
            NetworkArgs(
                stack=stack,
                external_network_id=found.external_network_id,
                cidr=settings.network_cidr,
                ipv6=settings.ipv6,
                dns=resolvers(settings.endpoints),
            ),
            own,
        )
        access = Access(
            "access",
            AccessArgs(
                stack=stack,
                groups=groups_of(settings),
                public_key=settings.admins[0].public_key,
            ),
            own,
        )
        machines = Machines(
            "machines",
            MachinesArgs(
                stack=stack,
                plans=plans,
                image=settings.image,
                image_id=found.image_id,
                volume=settings.volume,
                availability_zone=settings.availability_zone,
                external_network=settings.external_network,
                network=network,
                access=access,
                on_error=pulumi.ErrorHook("machine", lambda failure: explain(failure, settings)),
            ),
            own,
        ).machines
        addresses = Output.all(
            **{
                name: Output.all(server=m.server_id, private4=m.private4, public4=m.public4, public6=m.public6)
                for name, m in machines.items()
            }
        )
        listed = addresses.apply(lambda found: json.dumps(inventory(stack, settings, plans, found), sort_keys=True))
        # The engine blocks while this provider starts; the resources above are already declared by then.
        ours = ResourceOptions(parent=self, provider=own_provider())
        codes_key: Output[Any] = Secret("class-codes", length=CODES_KEY_LENGTH, alphabet=HEXADECIMAL, opts=ours).value
        livekit = Secret("livekit", length=43, alphabet=LETTERS, opts=ours).value
        configure = Configure(
            "configure",
            cloud=settings.cloud,
            region=settings.region,
            broken=found.broken,
            admins=[admin.model_dump() for admin in settings.admins],
            hosts={
                name: {"server": m.server_id, "image": m.image_id, "address": m.public4} for name, m in machines.items()
            },
            inventory=listed,
            secrets=Output.all(livekit=livekit, codes_key=codes_key).apply(
                lambda found: secret_variables(settings, found["livekit"], found["codes_key"])
            ),
            opts=ResourceOptions.merge(
                ours, ResourceOptions(depends_on=[part for m in machines.values() for part in m.parts])
            ),
        )
        self.outputs = {
            "class_url": f"https://{settings.domain}/",
            "machines": addresses,
            "dns_records": listed.apply(lambda found: dns_records(settings, json.loads(found))),
            "next_steps": next_steps(stack, settings),
            "inventory": Output.all(listed, configure.keys).apply(
                lambda found: published(json.loads(found[0]), found[1])
            ),
            "classes": Output.secret(codes_key).apply(lambda key: links(settings, str(key))),
        }
        self.register_outputs({})


def explain(failure: pulumi.ErrorHookArgs, settings: Settings) -> bool:
    """Log why the cloud failed to create a machine, and the fix; return False, so that Pulumi does not retry."""
    messages = " ".join(failure.errors)
    machine = failure.name.removeprefix("machines-")
    server = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", messages)
    if failure.failed_operation == "create" and server and "'ERROR'" in messages:
        try:
            fault = (
                connect(settings.cloud, settings.region)
                .get("compute", f"/servers/{server[0]}")["server"]
                .get("fault", {})
            )
            reason = fault.get("message", "no reason given")
        except ClassroomError as error:
            reason = str(error)
        pulumi.log.error(
            f"{machine}: the server is in status ERROR ({reason}); run `pulumi up` again, which replaces it; if that fails too, choose"
            " another flavour or availability_zone"
        )
    return False


def secret_variables(settings: Settings, livekit: str, codes_key: str) -> dict[str, Any]:
    """Return the secret variables for Ansible."""
    given = {
        "classroom_secret_certificate_key": settings.certificate_key,
        "classroom_secret_acme_eab_key": settings.acme_eab_key,
    }
    return {
        "classroom_secret_livekit": livekit,
        "classroom_secret_codes_key": codes_key,
        **{name: secret.get_secret_value() for name, secret in given.items() if secret},
    }


def next_steps(stack: str, settings: Settings) -> list[str]:
    """Return the next steps after `pulumi up`, one line each."""
    return [
        f"add the dns_records to the DNS zone of {settings.domain}",
        f"verify the classroom: classroom verify --stack {stack}",
        f"give teachers and pupils their codes: classroom classes --stack {stack}",
    ]
