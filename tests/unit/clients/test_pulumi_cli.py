"""The names under which Pulumi keeps resources: they do not change, or a stack would lose what it has."""

from classroom.clients.pulumi_cli import configure_urn, replace_command, stack_of


def test_names_of_resources() -> None:
    assert configure_urn("academy") == (
        "urn:pulumi:academy::classroom::classroom:index:Classroom$classroom:index:Configure::configure"
    )
    assert (
        "'urn:pulumi:academy::classroom::classroom:index:Classroom$classroom:machines:Machines"
        "$openstack:compute/instance:Instance::machines-media1'"
    ) in replace_command("academy", "media1")
    assert stack_of(configure_urn("academy")) == "academy"
