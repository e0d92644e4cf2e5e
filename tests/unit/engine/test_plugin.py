"""Tests that every resource property the program uses exists in SDK and built plugin, and that the plugin stays at its host."""

import asyncio
import inspect
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pulumi_openstack
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from classroom.config.endpoints import egress_for, endpoints_of
from classroom.config.plan import plans_for
from classroom.config.settings import Volume
from classroom.configure.artifacts import PULUMI_ENGINE
from classroom.provision.access import Access, AccessArgs, security_groups
from classroom.provision.machines import Machines, MachinesArgs
from classroom.provision.network import Network, NetworkArgs
from tests.unit.keystone import PASSWORD, serving

DNS = {"use": "dns", "name": "dns.example", "operator": "Example", "addresses": ["192.0.2.53"]}


class Recorder(pulumi.runtime.Mocks):
    """Records every resource that the program declares, and rejects calls to the provider."""

    def __init__(self) -> None:
        self.declared: list[tuple[str, dict[str, Any]]] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.declared.append((args.typ, dict(args.inputs)))
        return f"{args.name}-id", {**args.inputs, "address": "203.0.113.9", "allFixedIps": ["10.20.0.5", "2001:db8::5"]}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[Any, Any]:
        raise AssertionError(f"the program calls {args.token}, which the plugin does not serve")


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name)


def sdk(token: str) -> set[str]:
    """Return the inputs of the published SDK's class for a type token."""
    module, _, rest = token.split(":")[1].partition("/")
    arguments = getattr(getattr(pulumi_openstack, module), f"{token.split(':')[2]}Args")
    assert rest
    return {camel(p) for p in inspect.signature(arguments.__init__).parameters if p not in {"self", "__self__"}}


@pytest.fixture(scope="module")
def declared() -> list[tuple[str, dict[str, Any]]]:
    recorder = Recorder()

    async def program() -> None:
        pulumi.runtime.set_mocks(recorder, project="classroom", stack="unit")
        plans = plans_for("split", 2, "small", "large")
        network = Network(
            "network",
            NetworkArgs(stack="unit", external_network_id="x", cidr="10.20.0.0/24", ipv6="2001:db8::/64"),
        )
        access = Access(
            "access",
            AccessArgs(
                stack="unit",
                groups=security_groups(
                    "split", 2, ssh_from=["192.0.2.0/24"], egress=egress_for(endpoints_of([DNS])), ipv6=True
                ),
                public_key="k",
            ),
        )
        Machines(
            "machines",
            MachinesArgs(
                stack="unit",
                plans=plans,
                image="i",
                availability_zone="z",
                external_network="e",
                network=network,
                access=access,
            ),
        )
        Machines(
            "volumes",
            MachinesArgs(
                stack="volumes",
                plans=plans[:1],
                image="i",
                image_id="x",
                volume=Volume(size=20, type="ssd"),
                availability_zone="z",
                external_network="e",
                network=network,
                access=access,
            ),
        )
        await pulumi.runtime.stack.wait_for_rpcs()

    asyncio.run(program())
    return [(kind, inputs) for kind, inputs in recorder.declared if kind.startswith("openstack:")]


@pytest.fixture(scope="module")
def plugin() -> dict[str, Any]:
    binary: Path = PULUMI_ENGINE.built() / "pulumi-resource-openstack"
    found: dict[str, Any] = json.loads(subprocess.check_output([binary, "-properties"]))
    return found


def test_the_program_declares_every_kind_of_resource(declared: list[tuple[str, dict[str, Any]]]) -> None:
    kinds = {kind for kind, _ in declared}
    assert len(kinds) == 12, kinds
    assert sum(kind.endswith(":Instance") for kind, _ in declared) == 4


def test_sdk_and_plugin_know_every_argument(declared: list[tuple[str, dict[str, Any]]], plugin: dict[str, Any]) -> None:
    for kind, inputs in declared:
        served = plugin[kind]
        for name, value in inputs.items():
            assert name in sdk(kind), f"{kind}: the published SDK lacks {name}"
            assert served.get(name, {}).get("input"), f"{kind}: the built plugin lacks input {name}"
            if isinstance(value, list):
                assert served[name]["type"] in {"List", "Set"}, f"{kind}.{name}"
        required = {name for name, field in served.items() if field["required"]}
        assert required <= set(inputs), f"{kind} lacks {required - set(inputs)}"


def test_the_sdk_knows_every_argument_of_a_root_volume(declared: list[tuple[str, dict[str, Any]]]) -> None:
    (disks,) = [inputs["blockDevices"] for _, inputs in declared if inputs.get("blockDevices")]
    known = inspect.signature(pulumi_openstack.compute.InstanceBlockDeviceArgs.__init__).parameters
    assert set(disks[0]) <= {camel(name) for name in known}


def test_the_plugin_serves_every_output_that_is_read(plugin: dict[str, Any]) -> None:
    for kind, name in (
        ("openstack:networking/port:Port", "allFixedIps"),
        ("openstack:networking/floatingIp:FloatingIp", "address"),
        ("openstack:compute/keypair:Keypair", "name"),
        ("openstack:compute/instance:Instance", "imageId"),
        ("openstack:compute/instance:Instance", "blockDevices"),
    ):
        module, cls = kind.split(":")[1].split("/")[0], kind.split(":")[2]
        snake = re.sub(r"([A-Z])", lambda m: f"_{m.group(1).lower()}", name)
        assert name in plugin[kind]
        assert hasattr(getattr(getattr(pulumi_openstack, module), cls), snake)


@contextmanager
def running(**variables: str) -> Iterator[Any]:
    """Run the plugin without an engine, configured for the Keystone server in `variables`; yield its client."""
    argv = [PULUMI_ENGINE.built() / "pulumi-resource-openstack", "127.0.0.1:1"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    with subprocess.Popen(
        argv, env=kept | variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout
            with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                given = struct_pb2.Struct()
                given.update({"region": "north"})
                stub.Configure(
                    provider_pb2.ConfigureRequest(args=given, variables={"openstack:config:region": "north"})
                )
                yield stub
        finally:
            process.kill()


def create_network(stub: Any) -> str:
    """Create a network and return its ID, or the reason of the failure."""
    inputs = struct_pb2.Struct()
    inputs.update({"name": "t", "adminStateUp": True})
    urn = "urn:pulumi:t::classroom::openstack:networking/network:Network::n"
    try:
        return str(stub.Create(provider_pb2.CreateRequest(urn=urn, properties=inputs, timeout=20)).id)
    except grpc.RpcError as error:
        return str(error.details())


PASSED_ON = [
    ("POST", "/network/v2.0/networks"),
    ("POST", "/identity/v3/auth/tokens"),
    ("GET", "/network/v2.0/networks/made"),
]


@pytest.mark.parametrize("request_", [None, *PASSED_ON])
@pytest.mark.parametrize("delayed", ["true", "false"])
def test_the_plugin_follows_no_redirect_to_another_host(request_: tuple[str, str] | None, delayed: str) -> None:
    """Go's client would send password and token to the other host."""
    moved: dict[tuple[str, str], str] = {}
    with serving() as (other, elsewhere), serving(moved=moved) as (url, asked):
        if request_:
            moved[request_] = other.removesuffix("/identity/v3").replace("127.0.0.1", "localhost") + request_[1]
        variables = {f"OS_{name}": value for name, value in (
            ("AUTH_URL", url), ("USERNAME", "ada"), ("PASSWORD", PASSWORD), ("PROJECT_NAME", "classes"),
            ("USER_DOMAIN_ID", "default"), ("PROJECT_DOMAIN_ID", "default"), ("DELAYED_AUTH", delayed),
        )}  # fmt: skip
        with running(**variables) as stub:
            found = create_network(stub)
        if request_ is None:
            assert found == "made"
            return
        assert request_ in asked
        assert elsewhere == []
        assert "the cloud redirects from 'http://127.0.0.1" in found and "not followed" in found
