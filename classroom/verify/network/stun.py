"""Questions from outside: does a STUN server answer, and with which address."""

import secrets
import socket
import struct

from classroom.common.errors import ClassroomError
from classroom.config.ports import port_number

STUN_MAGIC = 0x2112A442
STUN = port_number("turn-udp")
"""Port at which a class answers STUN and TURN over UDP."""


def stun_binding(address: str, port: int = STUN) -> tuple[str, int]:
    """Ask a STUN server, up to three times, for our own address (RFC 8489), and return it with its port.

    ClassroomError if no answer comes within six seconds, or one that is none.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    transaction = secrets.token_bytes(12)
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        for _ in range(3):
            asking.sendto(struct.pack("!HHI", 1, 0, STUN_MAGIC) + transaction, (address, port))
            try:
                return mapped_address(asking.recvfrom(1500)[0], transaction)
            except TimeoutError:
                continue
    raise ClassroomError(f"{address} port {port} (UDP) does not answer a STUN binding")


def mapped_address(answer: bytes, transaction: bytes) -> tuple[str, int]:
    """Return address and port of a STUN binding's answer; ClassroomError if it is not the answer to `transaction`."""
    if len(answer) < 20 or struct.unpack("!H2xI", answer[:8]) != (0x0101, STUN_MAGIC) or answer[8:20] != transaction:
        raise ClassroomError(f"no STUN answer: {answer[:20].hex()}")
    rest = answer[20:]
    while len(rest) >= 4:
        kind, length = struct.unpack("!HH", rest[:4])
        value = rest[4 : 4 + length]
        if kind == 0x0020:  # XOR-MAPPED-ADDRESS
            family = socket.AF_INET6 if value[1] == 2 else socket.AF_INET
            mask = struct.pack("!I", STUN_MAGIC) + transaction
            plain = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
            return socket.inet_ntop(family, plain), int(struct.unpack("!H", value[2:4])[0]) ^ (STUN_MAGIC >> 16)
        rest = rest[4 + length + (-length % 4) :]
    raise ClassroomError("a STUN answer without an address")
