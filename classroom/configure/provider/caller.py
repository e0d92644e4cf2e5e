"""Refuse calls of other users of this machine: Pulumi connects to its providers by a port on the loopback address, without a secret."""

import ipaddress
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""The kernel's tables of connections; a library may open an IPv6 socket for an IPv4 address, which it maps (RFC 4291)."""
ESTABLISHED = "01"
"""State of a connection in these tables; others no longer have an owner."""


class OwnCaller(grpc.ServerInterceptor):  # type: ignore[misc]
    """Serves only calls over connections that a process of this user has opened."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """Return the handler of a call, preceded by the check of its caller."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return None  # the provider serves no streams

        def checked(request: Any, context: Any) -> Any:
            if fault := refused_caller(context.peer()):
                context.abort(grpc.StatusCode.PERMISSION_DENIED, fault)
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(checked, handler.request_deserializer, handler.response_serializer)


def refused_caller(peer: str, tables: Sequence[Path] = TABLES, own: int | None = None) -> str | None:
    """Return why a call from `peer`, such as `ipv4:127.0.0.1:40000`, is refused; None if it is from a process of this user.

    `own` is the number of this user, if not that of this process.
    """
    _, _, place = peer.partition(":")
    host, _, port = place.rpartition(":")
    try:
        address = ipaddress.IPv4Address(host)
        wanted = {
            f"{_spelled(one)}:{int(port):04X}" for one in (address.packed, bytes(10) + b"\xff\xff" + address.packed)
        }
        rows = [row.split() for table in tables for row in table.read_text(encoding="ascii").splitlines()[1:]]
    except (ValueError, OSError) as error:
        return f"the caller '{peer}' cannot be identified ({error}); use Pulumi on this machine"
    owners = {int(row[7]) for row in rows if row[1] in wanted and row[3] == ESTABLISHED}
    if owners == {os.getuid() if own is None else own}:
        return None
    return f"the caller '{peer}' is not a process of this user; only the Pulumi engine that started this provider may call it"


def _spelled(address: bytes) -> str:
    """Return an address as in the tables: each four bytes as a number of this machine's byte order."""
    return "".join(f"{number:08X}" for (number,) in struct.iter_unpack("=I", address))
