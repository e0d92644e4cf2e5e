"""Serve Pulumi's provider protocol for `classroom:index:Secret` and `classroom:index:Configure`."""

import contextlib
import glob
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

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

from classroom.clients.pulumi_cli import stack_of
from classroom.common.errors import ClassroomError
from classroom.configure.provider.ansible_process import Ansible, FailedError, installed, unchanged
from classroom.configure.provider.caller import OwnCaller
from classroom.configure.provider.login import replaced_at_once

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's markers in property values: of a secret, and of a value that is unknown in a preview."""

CONFIGURE, RANDOM = "classroom:index:Configure", "classroom:index:Secret"
PASSING = {"cloud", "region", "broken"}
"""Inputs of Configure whose change alone causes no run: they do not affect the machines."""
END_SECONDS = 15.0
"""Timeout for Ansible to end after the engine has ended, in seconds."""


def plain(value: Any) -> Any:
    """Return a property value with decrypted secrets, and integral floats as integers (protobuf only has floats)."""
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


def _write(values: Mapping[str, Any]) -> Any:
    struct = struct_pb2.Struct()
    json_format.ParseDict(dict(values), struct)
    return struct


def _kind(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def changes(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], *, forced: bool) -> list[str]:
    """Return the names of the inputs whose change requires an update.

    A machine in status ERROR requires one too, as the run reports the fix; so does CLASSROOM_FORCE. Neither changes the state.
    """
    keys = sorted(k for k in {*old, *new} if plain(old.get(k)) != plain(new.get(k)))
    if kind != CONFIGURE:
        return keys
    found = [key for key in keys if key not in PASSING]
    if plain(new.get("broken")):
        found.append("broken")
    return found or (["forced"] if forced else [])


def wrong(kind: str, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the name and the fault of each invalid input of a Secret."""
    if kind != RANDOM:
        return []
    length, alphabet = plain(inputs.get("length")), plain(inputs.get("alphabet"))
    faults = []
    if length != UNKNOWN and (not isinstance(length, int) or not 1 <= length <= 1024):
        faults.append(("length", f"length: {length!r} is invalid; set a number of characters from 1 to 1024"))
    if alphabet != UNKNOWN and (
        not isinstance(alphabet, str) or len(set(alphabet)) < 2 or len(set(alphabet)) != len(alphabet)
    ):
        faults.append(
            ("alphabet", f"alphabet: {alphabet!r} is invalid; set at least two different characters, each once")
        )
    return faults


def refused(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Return why the administrators cannot be changed like this on existing machines; None if they can."""
    before, now = plain(dict(old)), plain(dict(new))
    hosts = now.get("hosts", {})
    if UNKNOWN in (now["admins"], hosts) or (hosts and not unchanged(before, hosts)):
        return None
    return replaced_at_once(installed(before), now["admins"])


def notice(stack: str, old: Mapping[str, Any]) -> str | None:
    """Return what people have to know of an update from the inputs `old`; None if there is nothing.

    Inputs of former versions contain the digests of class codes that were stored; codes are derived now.
    """
    if "classroom_secret_codes" not in (plain(dict(old)).get("secrets") or {}):
        return None
    return (
        "all class codes change once, as they are now derived from a key: after this `up`, give teachers and pupils the codes"
        f" that `classroom classes --stack {stack}` shows"
    )


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The gRPC service that the engine calls to create, update and delete both kinds of resource."""

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

    def Check(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Report invalid inputs of a Secret."""
        faults = wrong(_kind(request.urn), _read(request.news))
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in faults]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        """Return the inputs that differ; a change of length or alphabet replaces the secret."""
        kind, forced = _kind(request.urn), bool(os.environ.get("CLASSROOM_FORCE"))
        if kind == CONFIGURE:
            _refuse(_read(request.olds), _read(request.news), context)
        changed = changes(kind, _read(request.old_inputs), _read(request.news), forced=forced)
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        replaces = changed if kind == RANDOM else []
        return provider_pb2.DiffResponse(changes=some, diffs=changed, replaces=replaces)

    def Create(self, request: Any, context: Any) -> Any:
        """Generate a secret, or configure the machines for the first time; a preview does neither."""
        inputs = _read(request.properties)
        if _kind(request.urn) == RANDOM:
            if request.preview:
                return provider_pb2.CreateResponse(properties=_write(inputs | {"value": secret(UNKNOWN)}))
            made = "".join(secrets.choice(inputs["alphabet"]) for _ in range(int(inputs["length"])))
            return provider_pb2.CreateResponse(id="made", properties=_write(inputs | {"value": secret(made)}))
        if request.preview:
            return provider_pb2.CreateResponse(properties=_write(inputs | {"hostKeys": UNKNOWN}))
        outputs = self._configure(request.urn, inputs, {}, "configured", context)
        return provider_pb2.CreateResponse(id="configured", properties=_write(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        """Configure the machines again, except in a preview."""
        inputs, old = _read(request.news), _read(request.olds)
        _refuse(old, inputs, context)
        if text := notice(stack_of(request.urn), old):
            self._log(request.urn, text, severity=engine_pb2.WARNING)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_write(inputs | {"hostKeys": old.get("hostKeys", UNKNOWN)}))
        outputs = self._configure(request.urn, inputs, old, request.id, context)
        return provider_pb2.UpdateResponse(properties=_write(outputs))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Return the state unchanged, as these resources do not exist on the cloud."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Do nothing: the machines are deleted with their own resources."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        """Stop all Ansible runs."""
        self._cancelled = True
        for ansible in list(self._running):
            ansible.stop()
        return empty_pb2.Empty()

    def _log(self, urn: str, text: str, severity: Any = engine_pb2.INFO, *, ephemeral: bool = False) -> None:
        self._engine.Log(engine_pb2.LogRequest(severity=severity, message=text, urn=urn, ephemeral=ephemeral))

    def _configure(
        self, urn: str, inputs: dict[str, Any], old: dict[str, Any], identity: str, context: Any
    ) -> dict[str, Any]:
        def report(text: str, ephemeral: bool) -> None:
            try:
                self._log(urn, text, ephemeral=ephemeral)
            except grpc.RpcError:
                ansible.stop()  # the engine has ended

        stack = stack_of(urn)
        ansible = Ansible(stack, plain(inputs), plain(old), report)
        self._running.add(ansible)
        try:
            if self._cancelled:
                raise FailedError(["cancelled before Ansible ran"], ansible.known())
            return inputs | {"hostKeys": ansible.run(), "installedAdmins": inputs["admins"]}
        except FailedError as failure:
            left = {"hostKeys": failure.host_keys, "installedAdmins": installed(plain(old))}
            _failed(identity, inputs | left, failure.reasons, context)
        except ClassroomError as error:
            left = {"hostKeys": ansible.known(), "installedAdmins": installed(plain(old))}
            _failed(identity, inputs | left, [str(error)], context)
        finally:
            self._running.discard(ansible)

    def stop(self) -> None:
        """Stop all Ansible runs and wait up to END_SECONDS for them."""
        end = time.monotonic() + END_SECONDS
        while self._running and time.monotonic() < end:
            for ansible in list(self._running):
                ansible.stop()
            time.sleep(0.1)


def _refuse(old: Mapping[str, Any], new: Mapping[str, Any], context: Any) -> None:
    """Abort the request before any change if the administrators cannot be changed like this."""
    reason = refused(old, new)
    if reason:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)


def _failed(identity: str, properties: Mapping[str, Any], reasons: list[str], context: Any) -> NoReturn:
    """Fail a create or update in a way that the engine keeps the resource and tries it again in the next `up`."""
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="the machines are not configured")
    status.details.add().Pack(
        provider_pb2.ErrorResourceInitFailed(id=identity, properties=_write(properties), reasons=reasons)
    )
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, status.message)
    raise AssertionError("abort raises")


def language_hosts(engine: int) -> dict[int, str]:
    """Return process ID and start time of the engine's language hosts, which outlive a killed engine."""
    found = {}
    # Not pathlib, which raises an error if the engine ends in the meantime.
    for path in glob.glob(f"/proc/{engine}/task/*/children"):  # noqa: PTH207
        for word in _text(Path(path)).split():
            if "pulumi-language-" in _text(Path(f"/proc/{word}/cmdline")).split("\0")[0]:
                found[int(word)] = _started(int(word))
    return found


def _started(process: int) -> str:
    return (_text(Path(f"/proc/{process}/stat")).rpartition(")")[2].split() + [""] * 20)[19]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # the process has ended


def main() -> None:
    """Serve until the engine ends."""
    provider = Provider(sys.argv[1])
    server = grpc.server(futures.ThreadPoolExecutor(16), interceptors=[OwnCaller()])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()

    def end(*_: object) -> None:
        provider.stop()
        os._exit(0)  # the engine waits for this process, and the server's threads end slowly

    signal.signal(signal.SIGINT, end)  # sent by the engine to end its plugins
    engine = os.getppid()
    hosts: dict[int, str] = {}
    while os.getppid() == engine:  # there is no other sign that the engine was killed
        hosts |= language_hosts(engine)
        time.sleep(0.5)
    provider.stop()
    for process, started in hosts.items():
        if started and _started(process) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
    os._exit(1)  # the server's threads may wait forever for the engine
