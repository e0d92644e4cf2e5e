"""Probes of a class from outside, and of its hosts."""

import json
import socket
import ssl
import struct
from typing import Any

from classroom.config.ports import port_number
from tests.roles.play import Play

STUN_MAGIC = 0x2112A442


def listening(host: Any) -> set[tuple[str, str]]:
    """Return the sockets on which a host listens: `{(protocol, "address:port")}`."""
    lines = [line.split() for line in host.check_output("ss -H -l -n -t -u").splitlines()]
    return {(line[0], line[4]) for line in lines}


def served(play: Play, name: str) -> ssl.SSLSocket:
    """Connect to the port of HTTPS of the front over TLS for `name`, with certificate checks; ssl.SSLError if they fail."""
    trust = ssl.create_default_context(cafile=str(play.fleet.state / "authority.pem"))
    trust.check_hostname = True
    raw = socket.create_connection((play.fleet.hosts[play.front[0]].address4, port_number("https")), timeout=5)
    return trust.wrap_socket(raw, server_hostname=name)


def stun(message_id: bytes = b"0123456789ab") -> bytes:
    """Return a STUN binding request."""
    return struct.pack("!HHI", 1, 0, STUN_MAGIC) + message_id


def mapped_address(answer: bytes) -> str:
    """Return the mapped address of a STUN binding success response; AssertionError if there is none."""
    assert struct.unpack("!HHI", answer[:8])[0] == 0x0101 and answer[8:20] == b"0123456789ab"
    rest = answer[20:]
    while rest:
        kind, length = struct.unpack("!HH", rest[:4])
        value = rest[4 : 4 + length]
        if kind == 0x0020:  # XOR-MAPPED-ADDRESS
            mask = struct.pack("!I", STUN_MAGIC) + b"0123456789ab"
            data = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
            return socket.inet_ntop(socket.AF_INET if value[1] == 1 else socket.AF_INET6, data)
        rest = rest[4 + (length + 3) // 4 * 4 :]
    raise AssertionError("no mapped address in the answer")


def counted(host: Any, counter: str) -> int:
    """Return the number of packets in a counter of the host's firewall."""
    rules = json.loads(host.check_output(f"nft -j list counter inet classroom {counter}"))["nftables"]
    return int(next(r["counter"]["packets"] for r in rules if "counter" in r))
