"""URNs of resources: they must not change, or existing stacks would lose their resources."""

from classroom.clients.pulumi_cli import configure_urn, replace_command, stack_of


def test_urns_of_resources() -> None:
    assert configure_urn("academy") == (
        "urn:pulumi:academy::classroom::classroom:index:Classroom$classroom:index:Configure::configure"
    )
    assert (
        "'urn:pulumi:academy::classroom::classroom:index:Classroom$classroom:machines:Machines"
        "$openstack:compute/instance:Instance::machines-media1'"
    ) in replace_command("academy", "media1")
    assert stack_of(configure_urn("academy")) == "academy"
