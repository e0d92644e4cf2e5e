"""TURN messages: attributes, integrity, and XOR addresses by the test vectors of RFC 5769."""

import hashlib
import hmac
import struct

from classroom.verify.network.stun import STUN_MAGIC
from classroom.verify.network.turn import INTEGRITY, attribute, attributes_of, message, xor_address

TRANSACTION = bytes.fromhex("78ad3433c6ad72c029da412e")


def test_attribute_is_padded_and_its_length_excludes_padding() -> None:
    assert attribute(0x0015, b"abcde") == bytes.fromhex("0015 0005") + b"abcde" + bytes(3)
    assert attributes_of(bytes(20) + attribute(1, b"abcde") + attribute(2, b"xy")) == {1: b"abcde", 2: b"xy"}


def test_integrity_covers_the_message_with_its_own_length() -> None:
    key = hashlib.md5(b"user:realm:word").digest()
    made = message(0x003, TRANSACTION, attribute(0x0019, bytes([17, 0, 0, 0])), key)
    kind, length, magic = struct.unpack("!HHI", made[:8])
    assert (kind, length, magic) == (0x003, len(made) - 20, STUN_MAGIC)
    assert attributes_of(made)[INTEGRITY] == hmac.new(key, made[:-24], hashlib.sha1).digest()
    # Another key gives another value.
    assert attributes_of(message(0x003, TRANSACTION, made[20:-24], b"x"))[INTEGRITY] != attributes_of(made)[INTEGRITY]


def test_xor_addresses_match_rfc_5769() -> None:
    # RFC 5769, 2.2 and 2.3: 192.0.2.1 port 32853, and 2001:db8:1234:5678:11:2233:4455:6677 with the same port.
    transaction = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert xor_address("192.0.2.1", 32853, transaction).hex() == "0001a147e112a643"
    six = xor_address("2001:db8:1234:5678:11:2233:4455:6677", 32853, transaction)
    assert six.hex() == "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
