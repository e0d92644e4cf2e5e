"""Serves Pulumi's provider protocol for `classroom:index:Secret` and `classroom:index:Configure`."""

import os
import secrets
import sys
import threading
import time
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from classroom.provider.configure import Ansible, Failed

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's own marks in property values: of a secret, and of what a preview cannot know."""

CONFIGURE, RANDOM = "classroom:index:Configure", "classroom:index:Secret"


def plain(value: Any) -> Any:
    """Return a property value with its secrets in clear, and whole numbers as such: on the wire every number is a float."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return plain(value["value"]) if value.get(SIGNATURE) == SECRET else {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def secret(value: Any) -> dict[str, Any]:
    """Return a property value marked as secret, so that the engine encrypts it in the state."""
    return {SIGNATURE: SECRET, "value": value}


def _read(struct: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(struct)
    return found


def _write(values: dict[str, Any]) -> Any:
    struct = struct_pb2.Struct()
    json_format.ParseDict(values, struct)
    return struct


def _kind(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Creates, updates and forgets the two kinds of resource; the engine calls it."""

    def __init__(self, engine: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))
        self._running: set[Ansible] = set()
        self._cancelled = False

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102
        return plugin_pb2.PluginInfo(version="0.1.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: ARG002, D102
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Tell which inputs differ; a forced run counts as a difference, and leaves none behind."""
        old, new = _read(request.old_inputs), _read(request.news)
        changed = sorted(k for k in {*old, *new} if plain(old.get(k)) != plain(new.get(k)))
        kind = _kind(request.urn)
        if kind == CONFIGURE and not changed and os.environ.get("CLASSROOM_FORCE"):
            changed = ["forced"]
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        replaces = changed if kind == RANDOM else []
        return provider_pb2.DiffResponse(changes=some, diffs=changed, replaces=replaces)

    def Create(self, request: Any, context: Any) -> Any:
        """Make a secret, or configure the machines for the first time; a preview does neither."""
        inputs = _read(request.properties)
        if _kind(request.urn) == RANDOM:
            if request.preview:
                return provider_pb2.CreateResponse(properties=request.properties)
            made = "".join(secrets.choice(inputs["alphabet"]) for _ in range(int(inputs["length"])))
            return provider_pb2.CreateResponse(id="made", properties=_write(inputs | {"value": secret(made)}))
        if request.preview:
            return provider_pb2.CreateResponse(properties=_write(inputs | {"hostKeys": UNKNOWN}))
        outputs = self._configure(request.urn, inputs, {}, "configured", context)
        return provider_pb2.CreateResponse(id="configured", properties=_write(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        """Configure the machines again; a preview does nothing."""
        inputs, old = _read(request.news), _read(request.olds)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_write(inputs | {"hostKeys": old.get("hostKeys", UNKNOWN)}))
        outputs = self._configure(request.urn, inputs, old, request.id, context)
        return provider_pb2.UpdateResponse(properties=_write(outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Return the state as it is: there is nothing on the cloud that could have changed by itself."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Forget it: the machines go with their own resources."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """End every Ansible that runs."""
        self._cancelled = True
        for ansible in list(self._running):
            ansible.stop()
        return empty_pb2.Empty()

    def _configure(
        self, urn: str, inputs: dict[str, Any], old: dict[str, Any], identity: str, context: Any
    ) -> dict[str, Any]:
        def tell(text: str, passing: bool) -> None:
            request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=passing)
            self._engine.Log(request)

        ansible = Ansible(plain(inputs), plain(old), tell)
        self._running.add(ansible)
        host_keys = old.get("hostKeys", {})
        try:
            if self._cancelled:
                raise Failed(["cancelled before Ansible ran"], host_keys)
            host_keys = ansible.run()
        except Failed as failure:
            properties = _write(inputs | {"hostKeys": failure.host_keys})
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="the machines are not configured")
            status.details.add().Pack(
                provider_pb2.ErrorResourceInitFailed(id=identity, properties=properties, reasons=failure.reasons)
            )
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNKNOWN, status.message)
        finally:
            self._running.discard(ansible)
        return inputs | {"hostKeys": host_keys}

    def stop(self) -> None:
        """End every Ansible that runs, as nobody is left who could want its result."""
        for ansible in list(self._running):
            ansible.stop()


def main() -> None:
    """Serve until the engine is gone."""
    provider = Provider(sys.argv[1])
    server = grpc.server(futures.ThreadPoolExecutor(16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    parent = os.getppid()
    while os.getppid() == parent:  # nobody else tells us when the engine was killed
        time.sleep(0.5)
    provider.stop()
    threading.Event().wait(5)  # the child ends its Ansible by itself when it loses us; this gives it a head start
    os._exit(1)
