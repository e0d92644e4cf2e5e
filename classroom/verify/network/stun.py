"""A STUN client for Binding requests (RFC 8489)."""

import secrets
import socket
import struct

from classroom.common.errors import ClassroomError
from classroom.config.ports import port_number

STUN_MAGIC = 0x2112A442
STUN = port_number("turn-udp")
"""UDP port of STUN and TURN."""


def stun_binding(address: str, port: int = STUN) -> tuple[str, int]:
    """Send a Binding request, up to three times, and return this machine's public address and port.

    ClassroomError if no answer arrives within six seconds, or if the answer is invalid.
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
    raise ClassroomError(f"{address} port {port} (UDP) does not answer a STUN Binding request")


def mapped_address(answer: bytes, transaction: bytes) -> tuple[str, int]:
    """Return address and port of a Binding response; ClassroomError if it does not belong to `transaction`."""
    if len(answer) < 20 or struct.unpack("!H2xI", answer[:8]) != (0x0101, STUN_MAGIC) or answer[8:20] != transaction:
        raise ClassroomError(f"not a STUN answer: {answer[:20].hex()}")
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
    raise ClassroomError("the STUN answer contains no XOR-MAPPED-ADDRESS")
