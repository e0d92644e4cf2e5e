"""URNs of resources, which must not change, or existing stacks would lose their resources; reading a stack's state."""

import json
import os
import re
from pathlib import Path

import pytest

from classroom.clients import pulumi_cli
from classroom.clients.pulumi_cli import configure_urn, replace_command, stack_of
from classroom.common.errors import ClassroomError


def test_urns_of_resources() -> None:
    assert configure_urn("academy") == (
        "urn:pulumi:academy::classroom::classroom:index:Classroom$classroom:index:Configure::configure"
    )
    assert (
        "'urn:pulumi:academy::classroom::classroom:index:Classroom$classroom:machines:Machines"
        "$openstack:compute/instance:Instance::machines-media1'"
    ) in replace_command("academy", "media1")
    assert stack_of(configure_urn("academy")) == "academy"


STATE = {
    "deployment": {
        "resources": [
            {"type": "pulumi:pulumi:Stack", "urn": "a"},
            {"type": "classroom:index:Configure", "urn": "b", "inputs": {"inventory": '{"all": {"vars": {"x": 1}}}'}},
        ]
    }
}


def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, status: int = 0) -> None:
    """Let `pulumi` be a program that writes its arguments to the file `words` and prints a text."""
    program = tmp_path / "pulumi"
    (tmp_path / "out").write_text(printed)
    program.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/words; cat {tmp_path}/out; echo "error: no stack named \'academy\' found" >&2; exit {status}\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(pulumi_cli, "environment", lambda: {"PATH": f"{tmp_path}:{os.defpath}"})


@pytest.mark.parametrize(
    ("status", "printed", "found"),
    [
        (0, json.dumps(STATE), {"all": {"vars": {"x": 1}}}),
        (0, '{"deployment": {"resources": null}}', "complete a `pulumi up`"),
        (1, "", "check PULUMI_BACKEND_URL"),
    ],
)
def test_inventory_in_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, printed: str, found: object
) -> None:
    stub(tmp_path, monkeypatch, printed, status)
    if isinstance(found, str):
        with pytest.raises(ClassroomError, match=re.escape(found)):
            pulumi_cli.applied_inventory("academy")
    else:
        assert pulumi_cli.applied_inventory("academy") == found
    assert (tmp_path / "words").read_text() == "--non-interactive stack export --stack academy\n"


def test_outputs_without_secrets_need_no_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = [{"type": "pulumi:pulumi:Stack", "urn": "a", "outputs": {"class_url": "https://x", "none": None}}]
    stub(tmp_path, monkeypatch, json.dumps({"deployment": {"resources": resources}}))
    assert pulumi_cli.output("academy", "class_url") == "https://x"
    assert (tmp_path / "words").read_text() == "--non-interactive stack export --stack academy\n"
    assert pulumi_cli.output("academy", "none") is None
    with pytest.raises(ClassroomError, match=r"the output 'other' is not available .*; complete a `pulumi up`"):
        pulumi_cli.output("academy", "other")


def test_secret_outputs_are_decrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path, monkeypatch, '["x"]')
    assert pulumi_cli.output("academy", "classes", secret=True) == ["x"]
    assert (tmp_path / "words").read_text().endswith("output --stack academy --json classes --show-secrets\n")


@pytest.mark.parametrize("secrets", [{"a": "x", "b": None}, {"plaintext": '{"a": "x", "b": null}'}])
def test_secrets_in_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: object) -> None:
    resource = {"type": "classroom:index:Configure", "urn": "b", "inputs": {"secrets": secrets}}
    stub(tmp_path, monkeypatch, json.dumps({"deployment": {"resources": [resource]}}))
    assert pulumi_cli.configure_secrets("academy") == {"a": "x"}
    assert (tmp_path / "words").read_text() == "--non-interactive stack export --stack academy --show-secrets\n"
