"""A TURN client (RFC 8656, RFC 8489) that tests what a server relays: to a host outside the class, to itself, over TCP, how often."""

import contextlib
import hashlib
import hmac
import secrets
import socket
import struct
import time
from collections.abc import Mapping

from classroom.common.errors import ClassroomError
from classroom.verify.network.stun import STUN, STUN_MAGIC, mapped_address

ALLOCATE, PERMISSION, SEND, BINDING, REFRESH = 0x003, 0x008, 0x016, 0x001, 0x004
INDICATION, SUCCESS, ERROR = 0x010, 0x100, 0x110
USERNAME, INTEGRITY, CODE, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x0014, 0x0015
LIFETIME, PEER, DATA, RELAYED, TRANSPORT = 0x000D, 0x0012, 0x0013, 0x0016, 0x0019
UDP, TCP = bytes([17, 0, 0, 0]), bytes([6, 0, 0, 0])
MOST_RELAYS = 12
"""Relays that one participant may have at once."""
OTHER_PEERS = (
    *("127.0.0.1", "0.0.0.0", "169.254.169.254"),  # noqa: S104 - requested as a peer
    *("::1", "::", "fe80::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"),
)
"""Addresses of the relay's own host, in every form, and of a cloud's metadata."""
WORD = b"classroom verify: sent through the relay"
TIMES = 4
PATIENCE = 1.5
"""Seconds to wait for relayed packets."""


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute of a STUN message, padded to four bytes."""
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def xor_address(address: str, port: int, transaction: bytes) -> bytes:
    """Encode an address and port as the value of XOR-PEER-ADDRESS."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    mask = struct.pack("!I", STUN_MAGIC) + transaction
    plain = socket.inet_pton(family, address)
    hidden = bytes(a ^ b for a, b in zip(plain, mask, strict=False))
    return struct.pack("!BBH", 0, 2 if family == socket.AF_INET6 else 1, port ^ (STUN_MAGIC >> 16)) + hidden


def message(kind: int, transaction: bytes, attributes: bytes, key: bytes = b"") -> bytes:
    """Encode a STUN message; with `key` it ends with MESSAGE-INTEGRITY."""
    length = len(attributes) + (24 if key else 0)
    text = struct.pack("!HHI", kind, length, STUN_MAGIC) + transaction + attributes
    return text + attribute(INTEGRITY, hmac.digest(key, text, "sha1")) if key else text


def attributes_of(answer: bytes) -> dict[int, bytes]:
    """Return the attributes of a STUN message by type, the first of each."""
    found: dict[int, bytes] = {}
    rest = answer[20:]
    while len(rest) >= 4:
        kind, length = struct.unpack("!HH", rest[:4])
        found.setdefault(kind, rest[4 : 4 + length])
        rest = rest[4 + length + (-length % 4) :]
    return found


class RelayRefused(ClassroomError):
    """The server answers a request with an error."""


class Turn:
    """A client of one TURN server, over UDP. `credential` has `username` and `credential`, as in an RTCIceServer.

    `transport` is that of the relay.
    """

    def __init__(self, server: str, port: int, credential: Mapping[str, str], transport: bytes = UDP) -> None:
        self.transport = transport
        self._name, self._word = credential["username"], credential["credential"]
        self._socket = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((server, port))
        self._socket.settimeout(1.0)
        self.server = server
        self._realm = self._nonce = self._key = b""
        self._allocated = False

    def ask(
        self, kind: int, attributes: bytes, peer: tuple[str, int] | None = None
    ) -> tuple[int, dict[int, bytes], bytes]:
        """Send a request, with XOR-PEER-ADDRESS if `peer` is given, up to three times; return type, attributes and bytes."""
        transaction = secrets.token_bytes(12)
        if peer:
            attributes += attribute(PEER, xor_address(*peer, transaction))
        if self._key:
            attributes += attribute(USERNAME, self._name.encode())
            attributes += attribute(REALM, self._realm) + attribute(NONCE, self._nonce)
        for _ in range(3):
            self._socket.send(message(kind, transaction, attributes, self._key))
            with contextlib.suppress(TimeoutError):
                while True:
                    answer = self._socket.recv(2048)
                    if answer[8:20] == transaction:
                        return struct.unpack("!H", answer[:2])[0], attributes_of(answer), answer
        raise ClassroomError(f"TURN at {self.server} (UDP) does not answer")

    def allocate(self) -> tuple[str, int]:
        """Allocate a relay and return its address and port; ClassroomError if the server refuses."""
        _, first, _ = self.ask(ALLOCATE, attribute(TRANSPORT, self.transport))
        self._realm, self._nonce = first.get(REALM, b""), first.get(NONCE, b"")
        secret = b":".join((self._name.encode(), self._realm, self._word.encode()))
        self._key = hashlib.md5(secret).digest()  # noqa: S324 - required by the protocol
        kind, found, answer = self.ask(ALLOCATE, attribute(TRANSPORT, self.transport))
        if kind != ALLOCATE | SUCCESS or RELAYED not in found:
            raise RelayRefused(f"TURN at {self.server} refuses an allocation ({code_of(found)})")
        self._allocated = True
        # XOR-RELAYED-ADDRESS has the same format as XOR-MAPPED-ADDRESS.
        rest = attribute(0x0020, found[RELAYED])
        head = struct.pack("!HHI", 0x0101, len(rest), STUN_MAGIC) + answer[8:20]
        return mapped_address(head + rest, answer[8:20])

    def permit(self, address: str, port: int) -> str:
        """Create a permission for a peer; return an empty string, or the error code of a refusal."""
        kind, found, _ = self.ask(PERMISSION, b"", (address, port))
        return "" if kind == PERMISSION | SUCCESS else code_of(found)

    def send(self, address: str, port: int, data: bytes) -> None:
        """Send a datagram to a peer through the relay; the server does not confirm it."""
        transaction = secrets.token_bytes(12)
        attributes = attribute(PEER, xor_address(address, port, transaction)) + attribute(DATA, data)
        self._socket.send(message(SEND | INDICATION, transaction, attributes))

    def close(self) -> None:
        """Release the allocation, if there is one."""
        if self._allocated:
            with contextlib.suppress(ClassroomError, OSError):
                self.ask(REFRESH, attribute(LIFETIME, bytes(4)))
        self._socket.close()


def code_of(found: Mapping[int, bytes]) -> str:
    """Return the error code of an answer's attributes as text."""
    value = found.get(CODE, b"")
    return f"error {value[2] * 100 + value[3]}" if len(value) >= 4 else "no error code"


def relay_to_outside_host(server: str, credential: Mapping[str, str], port: int = STUN) -> tuple[int, str]:
    """Try to relay from a TURN server to a socket of this machine; return the number of packets that arrive, and the refusal.

    ClassroomError if the server does not answer or refuses an allocation.
    """
    outside = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    turn = Turn(server, port, credential)
    try:
        outside.settimeout(2.0)
        transaction = secrets.token_bytes(12)
        outside.sendto(message(BINDING, transaction, b""), (server, port))
        try:
            own = mapped_address(outside.recv(2048), transaction)
        except TimeoutError:
            raise ClassroomError(f"TURN at {server} (UDP) does not answer a STUN Binding request") from None
        relayed = turn.allocate()
        # A NAT on the path forwards answers only from addresses to which a packet was sent before.
        outside.sendto(b"open the NAT mapping", relayed)
        if refused := turn.permit(*own):
            return 0, refused
        for _ in range(TIMES):
            turn.send(*own, WORD)
        arrived, end = 0, time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            outside.settimeout(left)
            with contextlib.suppress(TimeoutError):
                arrived += outside.recv(2048) == WORD
        return arrived, ""
    finally:
        turn.close()
        outside.close()


def exceeded_limits(server: str, credential: Mapping[str, str], port: int = STUN) -> list[str]:
    """Return which limits a TURN server does not have, of `tcp`, `peer` and `many`.

    ClassroomError if it does not answer.
    """
    tried = {"tcp": _relays_tcp, "peer": _permits_another_peer, "many": _grants_too_many}
    return [limit for limit, exceeded in tried.items() if exceeded(server, credential, port)]


def _relays_tcp(server: str, credential: Mapping[str, str], port: int) -> bool:
    """Return whether the server offers relayed TCP connections (RFC 6062)."""
    with contextlib.closing(Turn(server, port, credential, TCP)) as turn:
        try:
            turn.allocate()
        except RelayRefused:
            return False
        return True


def _permits_another_peer(server: str, credential: Mapping[str, str], port: int) -> bool:
    """Return whether a relay may send to an address that is not the server's."""
    with contextlib.closing(Turn(server, port, credential)) as turn:
        turn.allocate()
        return any(not turn.permit(peer, port) for peer in OTHER_PEERS if peer != server)


def _grants_too_many(server: str, credential: Mapping[str, str], port: int) -> bool:
    """Return whether one participant gets more than `MOST_RELAYS` relays."""
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(MOST_RELAYS + 1):
                stack.enter_context(contextlib.closing(Turn(server, port, credential))).allocate()
        except RelayRefused:
            return False
        return True
