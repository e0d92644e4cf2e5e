"""Parsing of command output and of STUN answers."""

import socket
import struct

import pytest

from classroom.common.errors import ClassroomError
from classroom.verify.network.stun import STUN_MAGIC, mapped_address
from classroom.verify.ssh import parse_files, parse_listening

TRANSACTION = b"0123456789ab"


def answer(address: str, port: int, kind: int = 0x0101) -> bytes:
    six = ":" in address
    plain = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
    mask = struct.pack("!I", STUN_MAGIC) + TRANSACTION
    value = bytes([0, 2 if six else 1]) + struct.pack("!H", port ^ 0x2112)
    value += bytes(a ^ b for a, b in zip(plain, mask, strict=False))
    before = struct.pack("!HH", 0x8022, 3) + b"abc\0"  # another attribute, padded
    body = before + struct.pack("!HH", 0x0020, len(value)) + value
    return struct.pack("!HHI", kind, len(body), STUN_MAGIC) + TRANSACTION + body


@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8:c::7"])
def test_stun_answer_is_parsed(address: str) -> None:
    assert mapped_address(answer(address, 54321), TRANSACTION) == (address, 54321)


@pytest.mark.parametrize("bad", [b"", answer("198.51.100.7", 1, kind=0x0111), answer("198.51.100.7", 1)[:20]])
def test_invalid_stun_answer_is_refused(bad: bytes) -> None:
    with pytest.raises(ClassroomError, match="STUN answer"):
        mapped_address(bad, TRANSACTION)


def test_stun_answer_of_another_transaction_is_refused() -> None:
    with pytest.raises(ClassroomError, match="not a STUN answer"):
        mapped_address(answer("198.51.100.7", 1), b"another one!")


def test_ss_output_is_parsed() -> None:
    text = (
        'udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=913,fd=15))\n'
        'tcp LISTEN 0 511 [::]:443 [::]:* users:(("nginx",pid=1361,fd=14),("nginx",pid=1360,fd=14))\n'
        "tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:*\n"
        'tcp LISTEN 0 4096 [2001:db8:30::10]:5349 [::]:* users:(("livekit-server",pid=1,fd=10))\n'
    )
    assert parse_listening(text) == {
        ("udp", "127.0.0.53", 53, "systemd-resolve"),
        ("tcp", "*", 443, "nginx"),
        ("tcp", "*", 443, "?"),
        ("tcp", "2001:db8:30::10", 5349, "livekit-server"),
    }


def test_find_output_is_parsed() -> None:
    text = (
        " 11 4 -rw-r-----   1 root  portal  335 Nov 24 13:54 /etc/classroom/secrets/portal.json\n"
        " 12 0 lrwxrwxrwx   1 root  root     22 Nov 24 13:54 /srv/classroom -> classroom-7663\n"
        " 13 4 -rw-r--r--   1 root  root     22 Nov 24  2025 /srv/a name with blanks\n"
    )
    assert parse_files(text) == {
        "/etc/classroom/secrets/portal.json": ("-rw-r-----", "root", "portal"),
        "/srv/classroom": ("lrwxrwxrwx", "root", "root"),
        "/srv/a name with blanks": ("-rw-r--r--", "root", "root"),
    }
