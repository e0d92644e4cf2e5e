"""Only processes of this user may call the provider: others of this machine reach its port too."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc

from classroom.configure.provider.caller import OwnCaller, refused_caller
from classroom.configure.provider.server import Provider

CALL = """
import sys
import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc
with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    try:
        print(provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty()).version)
    except grpc.RpcError as error:
        print(error.code().name, error.details())
"""


@pytest.fixture
def port() -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[OwnCaller()])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider("127.0.0.1:1"), server)
    number = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield number
    server.stop(None)


def test_this_user_is_served(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty()).version


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_is_refused(port: int) -> None:
    packages = os.pathsep.join(path for path in sys.path if path)
    answer = subprocess.run(
        [sys.executable, "-c", CALL, str(port)],
        user=65534,
        group=65534,
        extra_groups=[],
        env={"PYTHONPATH": packages, "GRPC_VERBOSITY": "NONE"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.startswith("PERMISSION_DENIED the caller 'ipv4:127.0.0.1:"), answer.stdout + answer.stderr
    assert "is not a process of this user" in answer.stdout


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(port: int, owner: int, state: str = "01", host: str = "0100007F") -> str:
    return f"   1: {host}:{port:04X} 0100007F:9999 {state} 00000000:00000000 00:00000000 00000000 {owner} 0 7 1\n"


@pytest.mark.parametrize(
    ("rows", "served"),
    [
        (row(40000, 1000), True),
        (row(40001, 7) + row(40000, 1000), True),
        (row(40000, 7), False),
        (row(40001, 1000), False),
        (row(40000, 1000, "06"), False),  # TIME_WAIT has no owner
        (row(40000, 1000, host="0200007F"), False),
        (row(40000, 1000) + row(40000, 7), False),
        (row(40000, 1000, host="0000000000000000FFFF00000100007F"), True),
        (row(40000, 7, host="0000000000000000FFFF00000100007F"), False),
        ("", False),
    ],
)
def test_the_owner_of_the_connection_decides(tmp_path: Path, rows: str, served: bool) -> None:
    (tmp_path / "tcp").write_text(HEAD + rows)
    fault = refused_caller("ipv4:127.0.0.1:40000", [tmp_path / "tcp"], 1000)
    assert (fault is None) == served
    assert served or "is not a process of this user" in str(fault)


@pytest.mark.parametrize("peer", ["unix:/tmp/x", "ipv6:[::1]:40000", "", "ipv4:127.0.0.1:", "ipv4:localhost:1"])
def test_a_caller_without_an_ipv4_address_is_refused(peer: str) -> None:
    assert "cannot be identified" in str(refused_caller(peer))


def test_the_kernel_s_table_has_a_connection_of_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        host, port = client.getsockname()
        assert refused_caller(f"ipv4:{host}:{port}") is None
        assert refused_caller(f"ipv4:{host}:{port}", own=os.getuid() + 1)
    assert refused_caller(f"ipv4:{host}:{port}")
