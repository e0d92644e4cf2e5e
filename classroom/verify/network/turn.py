"""Asks a TURN server to relay to a stranger: to this machine, which is no host of the class (RFC 8656, RFC 8489)."""

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
UDP = bytes([17, 0, 0, 0])
WORD = b"classroom verify: a stranger's word"
TIMES = 4
PATIENCE = 1.5
"""Seconds to wait for what a relay would pass on."""


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute of a STUN message, padded."""
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def xor_address(address: str, port: int, transaction: bytes) -> bytes:
    """Return an address and port as XOR-PEER-ADDRESS holds them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    mask = struct.pack("!I", STUN_MAGIC) + transaction
    plain = socket.inet_pton(family, address)
    hidden = bytes(a ^ b for a, b in zip(plain, mask, strict=False))
    return struct.pack("!BBH", 0, 2 if family == socket.AF_INET6 else 1, port ^ (STUN_MAGIC >> 16)) + hidden


def message(kind: int, transaction: bytes, attributes: bytes, key: bytes = b"") -> bytes:
    """Return a STUN message; with `key` it carries MESSAGE-INTEGRITY."""
    length = len(attributes) + (24 if key else 0)
    text = struct.pack("!HHI", kind, length, STUN_MAGIC) + transaction + attributes
    return text + attribute(INTEGRITY, hmac.digest(key, text, "sha1")) if key else text


def attributes_of(answer: bytes) -> dict[int, bytes]:
    """Return the attributes of a STUN message by kind, the first of each."""
    found: dict[int, bytes] = {}
    rest = answer[20:]
    while len(rest) >= 4:
        kind, length = struct.unpack("!HH", rest[:4])
        found.setdefault(kind, rest[4 : 4 + length])
        rest = rest[4 + length + (-length % 4) :]
    return found


class Turn:
    """A client of one TURN server, over UDP. `credential` has `username` and `credential`, as browsers are given them."""

    transport = UDP

    def __init__(self, server: str, port: int, credential: Mapping[str, str]) -> None:
        self._name, self._word = credential["username"], credential["credential"]
        self._socket = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((server, port))
        self._socket.settimeout(1.0)
        self.server = server
        self._realm = self._nonce = self._key = b""

    def ask(
        self, kind: int, attributes: bytes, peer: tuple[str, int] | None = None
    ) -> tuple[int, dict[int, bytes], bytes]:
        """Send a request, about a peer if one is given, up to three times: return the answer's kind, attributes and bytes."""
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
        """Return the address and port that the server relays from; ClassroomError if it gives none."""
        _, first, _ = self.ask(ALLOCATE, attribute(TRANSPORT, self.transport))
        self._realm, self._nonce = first.get(REALM, b""), first.get(NONCE, b"")
        secret = b":".join((self._name.encode(), self._realm, self._word.encode()))
        self._key = hashlib.md5(secret).digest()  # noqa: S324 - what the protocol asks for
        kind, found, answer = self.ask(ALLOCATE, attribute(TRANSPORT, self.transport))
        if kind != ALLOCATE | SUCCESS or RELAYED not in found:
            raise ClassroomError(f"TURN at {self.server} allocates nothing ({code_of(found)})")
        # XOR-RELAYED-ADDRESS has the form of XOR-MAPPED-ADDRESS.
        rest = attribute(0x0020, found[RELAYED])
        head = struct.pack("!HHI", 0x0101, len(rest), STUN_MAGIC) + answer[8:20]
        return mapped_address(head + rest, answer[8:20])

    def permit(self, address: str, port: int) -> str:
        """Ask for the right to send to a peer; return an empty string, or why the server refuses."""
        kind, found, _ = self.ask(PERMISSION, b"", (address, port))
        return "" if kind == PERMISSION | SUCCESS else code_of(found)

    def send(self, address: str, port: int, data: bytes) -> None:
        """Let the server relay a datagram to a peer; whether it does is not told."""
        transaction = secrets.token_bytes(12)
        attributes = attribute(PEER, xor_address(address, port, transaction)) + attribute(DATA, data)
        self._socket.send(message(SEND | INDICATION, transaction, attributes))

    def close(self) -> None:
        """Give the allocation back."""
        with contextlib.suppress(ClassroomError, OSError):
            self.ask(REFRESH, attribute(LIFETIME, bytes(4)))
        self._socket.close()


def code_of(found: Mapping[int, bytes]) -> str:
    """Return the error code of an answer's attributes as text."""
    value = found.get(CODE, b"")
    return f"error {value[2] * 100 + value[3]}" if len(value) >= 4 else "no reason"


def relay_to_stranger(server: str, credential: Mapping[str, str], port: int = STUN) -> tuple[int, str]:
    """Ask a TURN server to relay to a socket of this machine: return how many packets arrived, and why it refused.

    ClassroomError if the server does not answer, or gives no allocation.
    """
    stranger = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    turn = Turn(server, port, credential)
    try:
        stranger.settimeout(2.0)
        transaction = secrets.token_bytes(12)
        stranger.sendto(message(BINDING, transaction, b""), (server, port))
        try:
            own = mapped_address(stranger.recv(2048), transaction)
        except TimeoutError:
            raise ClassroomError(f"TURN at {server} (UDP) does not answer a STUN binding") from None
        relayed = turn.allocate()
        # A translator on the way lets in what was spoken to before.
        stranger.sendto(b"a word first", relayed)
        if refused := turn.permit(*own):
            return 0, refused
        for _ in range(TIMES):
            turn.send(*own, WORD)
        arrived, end = 0, time.monotonic() + PATIENCE
        while (left := end - time.monotonic()) > 0:
            stranger.settimeout(left)
            with contextlib.suppress(TimeoutError):
                arrived += stranger.recv(2048) == WORD
        return arrived, ""
    finally:
        turn.close()
        stranger.close()
