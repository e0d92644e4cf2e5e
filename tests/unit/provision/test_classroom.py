"""Resources, dependencies and outputs of the Pulumi program, with Pulumi's mocks."""

import asyncio
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest

from classroom.common.errors import WrongUseError
from classroom.common.templates import render
from classroom.config import valid_names
from classroom.config.ports import port_number
from classroom.config.settings import Settings, load
from classroom.configure.provider.server import plain
from classroom.provision import pulumi_program
from classroom.provision.classroom import Classroom, explain
from classroom.provision.preflight import Findings
from portal.codes import ROLES, Admission, Codes
from tests.unit.conftest import issued


class Recorder(pulumi.runtime.Mocks):
    """Mocks the cloud and this project's provider, and records the declared resources."""

    def __init__(self) -> None:
        self.declared: dict[tuple[str, str], dict[str, Any]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.declared[args.typ, args.name] = dict(args.inputs)
        # Derived from the name only, as resources are declared concurrently.
        number = zlib.crc32(args.name.encode()) % 200
        more: dict[str, Any] = {}
        if args.typ.endswith(":Port"):
            more = {"allFixedIps": [f"10.20.0.{number}"] + [f"2001:db8::{number}"] * (len(args.inputs["fixedIps"]) - 1)}
        if args.typ.endswith(":FloatingIp"):
            more = {"address": f"203.0.113.{number}"}
        if args.typ.endswith(":Instance"):
            more = {"imageId": "image"}
        if args.typ == "classroom:index:Secret":
            more = {"value": args.inputs["alphabet"][number % 10] * int(args.inputs["length"])}
        if args.typ == "classroom:index:Configure":
            more = {"hostKeys": {name: [f"ssh-ed25519 {name}"] for name in args.inputs["hosts"]}}
        return f"{args.name}-id", {**args.inputs, **more}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[Any, Any]:
        raise AssertionError(f"{args.token} is not served by the plugin")


@dataclass
class Seen:
    """Resources and outputs of a run of the program."""

    declared: dict[tuple[str, str], dict[str, Any]]
    outputs: dict[str, Any]
    secret: dict[str, bool] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: inputs for (typ, name), inputs in self.declared.items() if typ.endswith(f":{kind}")}


def run(settings: Settings, found: Findings | None = None) -> Seen:
    """Run the program in its own event loop; an error in an `apply` fails it."""
    recorder = Recorder()
    outputs: dict[str, Any] = {}
    secret: dict[str, bool] = {}

    async def body() -> None:
        pulumi.runtime.set_mocks(recorder, project="classroom", stack="academy")
        made = Classroom("classroom", settings, found or Findings("external"))
        for name, value in made.outputs.items():
            output = pulumi.Output.from_input(value)
            outputs[name] = await output.future()
            secret[name] = await output.is_secret()
        await pulumi.runtime.stack.wait_for_rpcs()

    asyncio.run(body())
    return Seen(recorder.declared, outputs, secret)


@pytest.fixture(scope="session")
def settings(smallest: dict[str, Any]) -> Callable[..., Settings]:
    def make(**changes: Any) -> Settings:
        values = smallest | {
            "classes": [{"name": "CM2 b", "size": 30, "code_versions": {"pupil": 3}}, {"name": "6e", "size": 25}],
            **issued("class.example", "turn.class.example", "turn1.class.example", "turn2.class.example"),
        }
        return load(values | changes)

    return make


@pytest.fixture(scope="module")
def single(settings: Callable[..., Settings]) -> Seen:
    return run(settings(availability_zone="north"))


@pytest.fixture(scope="module")
def split(settings: Callable[..., Settings]) -> Seen:
    shape = {"shape": "split", "media_count": 2, "flavor_media": "large", "ipv6": "2001:db8::/64"}
    return run(settings(**shape), Findings("external", {"media1": "no host"}))


def test_a_root_volume_is_made_from_the_image_and_deleted_with_its_machine(settings: Callable[..., Settings]) -> None:
    seen = run(settings(volume={"size": 20, "type": "ssd"}), Findings("external", image_id="image-1"))
    (server,) = seen.of("Instance").values()
    assert "imageName" not in server
    (disk,) = server["blockDevices"]
    assert disk == {
        "uuid": "image-1",
        "sourceType": "image",
        "destinationType": "volume",
        "bootIndex": 0.0,
        "volumeSize": 20.0,
        "volumeType": "ssd",
        "deleteOnTermination": True,
    }
    (configure,) = seen.of("Configure").values()
    assert [host["image"] for host in configure["hosts"].values()] == ["image-1"]


def test_shape_single(single: Seen) -> None:
    (server,) = single.of("Instance").values()
    assert (
        server["name"] == "academy-class" and server["flavorName"] == "small" and server["availabilityZone"] == "north"
    )
    assert server["imageName"] == "debian-13" and server["userData"].startswith("#cloud-config\n")
    assert [subnet["ipVersion"] for subnet in single.of("Subnet").values()] == [4]
    assert list(single.outputs["machines"]) == ["class"]
    assert single.outputs["machines"]["class"]["public6"] == ""
    assert [(r["name"], r["type"]) for r in single.outputs["dns_records"]] == [
        ("class.example", "A"),
        ("turn.class.example", "A"),
    ]


def test_shape_split(split: Seen) -> None:
    assert {name: s["flavorName"] for name, s in split.of("Instance").items()} == {
        "machines-front": "small",
        "machines-media1": "large",
        "machines-media2": "large",
    }
    (group,) = split.of("ServerGroup").values()
    assert group["policies"] == "soft-anti-affinity"
    assert all(s["schedulerHints"][0]["group"] for s in split.of("Instance").values())
    front = split.outputs["machines"]["front"]
    assert {r["value"] for r in split.outputs["dns_records"]} == {front["public4"], front["public6"]}
    assert len(split.outputs["dns_records"]) == 6
    hosts = split.outputs["inventory"]["_meta"]["hostvars"]
    assert (
        hosts["media2"]["classroom_turn_name"] == "turn2.class.example" and "classroom_turn_name" not in hosts["front"]
    )
    assert hosts["media2"]["classroom_host_keys"] == ["ssh-ed25519 media2"]


def test_resources_have_the_name_or_tag_of_the_stack(split: Seen) -> None:
    for (kind, name), inputs in split.declared.items():
        if not kind.startswith("openstack:") or kind.endswith((":RouterInterface", ":FloatingIpAssociate")):
            continue
        marks = [str(inputs.get("name", "")), str(inputs.get("description", "")), *inputs.get("tags", [])]
        assert any(re.match(r"(classroom-)?academy\b", mark) for mark in marks), (kind, name, marks)


def test_security_groups_are_assigned_by_id_and_open_only_the_ports_of_the_table(split: Seen) -> None:
    assert {name: port["securityGroupIds"] for name, port in split.of("Port").items()} == {
        "machines-front": ["access-all-id", "access-front-id"],
        "machines-media1": ["access-all-id", "access-media-id"],
        "machines-media2": ["access-all-id", "access-media-id"],
    }
    assert not any("securityGroups" in server for server in split.of("Instance").values())
    assert all(group["deleteDefaultRules"] is True for group in split.of("SecGroup").values())
    opened = {
        group: {
            (rule.get("portRangeMin"), rule.get("remoteIpPrefix") or rule.get("remoteGroupId"))
            for name, rule in split.of("SecGroupRule").items()
            if rule["direction"] == "ingress" and name.startswith(f"access-{group}-")
        }
        for group in ("all", "media")
    }
    assert opened["all"] == {(None, "0.0.0.0/0"), (None, "::/0"), (port_number("ssh"), "192.0.2.0/24")}
    assert opened["media"] == {
        *(
            (port_number(port), prefix)
            for port in ("turn-udp", "ice-tcp", "ice-udp")
            for prefix in ("0.0.0.0/0", "::/0")
        ),
        (port_number("signal"), "access-front-id"),
        (port_number("turn-tls"), "access-front-id"),
    }


def test_providers_get_no_password_and_no_other_setting(split: Seen) -> None:
    assert split.declared["pulumi:providers:openstack", "openstack"] == {"region": "r"}
    assert split.declared["pulumi:providers:classroom", "classroom"] == {}


def test_inputs_of_configure_separate_secrets_from_other_values(split: Seen) -> None:
    (inputs,) = split.of("Configure").values()
    assert set(inputs) == {"region", "broken", "digest", "admins", "hosts", "inventory", "secrets"}
    assert inputs["broken"] == {"media1": "no host"}
    assert inputs["hosts"]["front"]["server"] == "machines-front-id" and inputs["hosts"]["front"]["image"] == "image"
    assert re.fullmatch(r"[0-9a-f]{16}", inputs["digest"])
    open_text = json.dumps({k: v for k, v in inputs.items() if k != "secrets"})
    assert "PRIVATE KEY" not in open_text and "/root" not in open_text and "/home" not in open_text
    secret = plain(inputs["secrets"])
    assert set(secret) == {
        "classroom_secret_livekit",
        "classroom_secret_certificate_key",
        "classroom_secret_codes_key",
    }
    assert re.fullmatch(r"[0-9a-f]{64}", secret["classroom_secret_codes_key"])
    assert not any(value in open_text for value in secret.values())
    (versions, others) = [c["versions"] for c in json.loads(inputs["inventory"])["all"]["vars"]["classroom_classes"]]
    assert versions == {"teacher": 1, "pupil": 3} and others == {"teacher": 1, "pupil": 1}


def test_no_resource_is_declared_for_a_class(settings: Callable[..., Settings], single: Seen) -> None:
    many = run(settings(classes=[{"name": f"Class {n}", "size": 30} for n in range(1000)], availability_zone="north"))
    assert many.declared.keys() == single.declared.keys()
    assert len({entry[f"{role}_code"] for entry in many.outputs["classes"] for role in ROLES}) == 2000
    # Pulumi prints what is not secret: the number of lines is the same for two classes and for a thousand.
    lines = [
        json.dumps([seen.outputs[n] for n, secret in seen.secret.items() if not secret], indent=1).count("\n")
        for seen in (single, many)
    ]
    assert lines[0] == lines[1]


def test_codes_are_those_of_the_join_service(split: Seen) -> None:
    (inputs,) = split.of("Configure").values()
    key = bytes.fromhex(plain(inputs["secrets"])["classroom_secret_codes_key"])
    classes = json.loads(inputs["inventory"])["all"]["vars"]["classroom_classes"]
    codes = Codes(classes, key, "secret")
    for entry, wanted in zip(classes, split.outputs["classes"], strict=True):
        for role in ROLES:
            assert codes.admit(wanted[f"{role}_code"]) == Admission(entry["room"], role)


def test_codes_are_secret_and_long_enough(split: Seen) -> None:
    assert split.secret["classes"] and not split.secret["inventory"]
    for entry in split.outputs["classes"]:
        assert set(entry) == {"name", "url", "teacher_code", "pupil_code"}
        assert entry["url"] == "https://class.example/"
        assert len(entry["teacher_code"].replace("-", "")) * 5 == 65
        assert len(entry["pupil_code"].replace("-", "")) * 5 == 50
    made = split.of("Secret")
    assert set(made) == {"livekit", "class-codes"}
    assert made["class-codes"]["alphabet"] == "0123456789abcdef" and made["class-codes"]["length"] == 64


def test_the_same_settings_declare_the_same_resources(split: Seen, settings: Callable[..., Settings]) -> None:
    once, twice = (run(settings(certificate=c, certificate_key=k)) for c, k in [_pair()] * 2)
    assert once.declared == twice.declared


def _pair() -> tuple[str, str]:
    made = issued("class.example", "turn.class.example")
    return made["certificate"], made["certificate_key"]


def test_a_server_in_error_is_reported_with_reason_and_fix(
    monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Settings]
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", messages.append)

    class FakeCloud:
        def get(self, service: str, path: str) -> dict[str, Any]:
            assert path.endswith("/0b9c8c5f-9a3e-4c5e-8c57-6f0b8f1f7a11")
            return {"server": {"fault": {"message": "No valid host was found."}}}

    monkeypatch.setattr("classroom.provision.classroom.connect", lambda cloud, region: FakeCloud())
    words = (
        "Error waiting for instance (0b9c8c5f-9a3e-4c5e-8c57-6f0b8f1f7a11) to become ready: unexpected state 'ERROR',"
        " wanted target 'ACTIVE'"
    )
    failure = pulumi.ErrorHookArgs("urn", "", "machines-front", "t", failed_operation="create", errors=[words])
    assert explain(failure, settings()) is False
    assert messages and messages[0].startswith("front: ")
    assert [
        word for word in ("ERROR (No valid host was found.)", "run `pulumi up` again") if word not in messages[0]
    ] == []


def test_settings_are_read_from_the_stack_file(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "classroom:region": "r",
        "classroom:media_count": "2",
        "classroom:ssh_from": '["192.0.2.0/24"]',
        "classroom:classes": "CM2",
        "classroom:exceptions": '[{"until":"2026-01-31 00:00:00 +0000 UTC"}]',
        "other:key": "x",
    }
    monkeypatch.setattr(pulumi_program, "CONFIG", type("C", (), {"get": staticmethod(lambda: values)}))
    monkeypatch.setattr(pulumi, "get_project", lambda: "classroom")
    assert pulumi_program.raw_settings() == {
        "region": "r",
        "media_count": 2,
        "ssh_from": ["192.0.2.0/24"],
        "classes": "CM2",
        "exceptions": [{"until": "2026-01-31"}],
    }
    with pytest.raises(pulumi.RunError, match="image: missing"):
        pulumi_program.settings()


@pytest.mark.parametrize("length", [50, 51])
def test_a_stack_with_a_long_name_is_refused_with_the_command_that_renames_it(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    stack = "a" * length
    if length > 50:
        with pytest.raises(WrongUseError) as caught:
            valid_names.stack(stack)
        assert str(caught.value) == (
            f"the stack name '{stack}' has 51 characters, but the cloud allows 50 at most, as names of machines and tags begin with it;"
            " rename the stack with `pulumi stack rename NAME`"
        )
    else:
        valid_names.stack(stack)
    assert len(f"{stack}-media9") <= 63 or length > 50


def test_user_data_shows_host_keys_on_the_console_and_contains_no_secret(single: Seen) -> None:
    text = render("cloud-init.yaml.j2", hostname="academy-class")
    assert text.startswith("#cloud-config\n")
    assert "emit_keys_to_console: true" in text and "hostname: academy-class" in text
    assert "PRIVATE" not in text
