"""Serves DNS and time to the hosts of a fleet, on documentation addresses."""

import concurrent.futures
import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rehearsal.inside.serve_time import answer as time_answer
from tests.roles.packages import enter_network

DNS4, DNS6 = "192.0.2.53", "2001:db8:e::53"
TIME4, TIME6 = "192.0.2.123", "2001:db8:e::123"
MIRROR4, MIRROR6, MIRROR_PORT = "192.0.2.20", "2001:db8:e::20", 3142
ACME4, ACME6 = "192.0.2.14", "2001:db8:e::14"
OPERATOR = "Example Cooperative"
NAMES = {
    "mirror.example": (MIRROR4, MIRROR6),
    "other.example": (MIRROR4, MIRROR6),
    "ntp.example": (TIME4, TIME6),
    "acme.example": (ACME4, ACME6),
    "leak.example": ("192.0.2.66", "2001:db8:e::66"),
}
ENDPOINTS: list[dict[str, Any]] = [
    {"use": "dns", "name": "dns.example", "operator": OPERATOR, "addresses": [DNS4, DNS6]},
    {"use": "ntp", "name": "ntp.example", "operator": OPERATOR, "addresses": [TIME4, TIME6]},
    {
        "use": "packages",
        "name": "mirror.example",
        "operator": OPERATOR,
        "addresses": [MIRROR4, MIRROR6],
        "url": f"http://mirror.example:{MIRROR_PORT}/debian",
    },
]


def dns_answer(
    question: bytes, record_name: Callable[[str], None], names: Mapping[str, Sequence[str]] = NAMES
) -> bytes:
    """Return the answer to a DNS query: the addresses in `names`, NXDOMAIN for other names. Call `record_name` with the name."""
    number, place, labels = question[:2], 12, []
    while question[place]:
        labels.append(question[place + 1 : place + 1 + question[place]].decode())
        place += 1 + question[place]
    name, kind = ".".join(labels).lower(), struct.unpack("!H", question[place + 1 : place + 3])[0]
    record_name(name)
    known = [ipaddress.ip_address(a) for a in names.get(name, ())]
    found = [a.packed for a in known if (kind, a.version) in {(1, 4), (28, 6)}]
    records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in found)
    status = 0x8180 if known else 0x8183
    return number + struct.pack("!HHHHH", status, 1, len(found), 0, 0) + question[12 : place + 5] + records


def serve(pid: int, record: Path) -> None:
    """Serve in the network namespace of process `pid`, in threads that end with this process.

    Each queried name is appended as a line to the file `record`.
    """

    def record_name(name: str) -> None:
        with record.open("a") as out:
            out.write(f"{name}\n")

    def listen(address: str, port: int) -> socket.socket:
        listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind((address, port))
        return listening

    def answer(listening: socket.socket, reply: Callable[[bytes], bytes]) -> None:
        while True:
            question, client = listening.recvfrom(2048)
            listening.sendto(reply(question), client)

    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(enter_network, pid).result()
        for address in (DNS4, DNS6):
            bound = executor.submit(listen, address, 53).result()
            threading.Thread(target=answer, args=(bound, lambda q: dns_answer(q, record_name)), daemon=True).start()
        for address in (TIME4, TIME6):
            bound = executor.submit(listen, address, 123).result()
            threading.Thread(target=answer, args=(bound, lambda q: time_answer(q, time.time())), daemon=True).start()
