"""Who is asked from a network: places and names, seen at the packets that leave it. Senders and contents are not kept."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType

from classroom.common.errors import ClassroomError
from classroom.verify.controls.page_requests import Traffic

# Runs in the network that is watched, until its input ends. A name that is asked for on loopback left no network, and is
# what the programs there wanted to know all the same.
PROGRAM = r"""
import ctypes, json, select, socket, struct, sys
ETH_P_ALL, OUTGOING = 3, 4
watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
try: watch.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
except OSError: watch.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
# The kernel passes on what leaves, and of it the first 512 bytes.
code = [(0x28, 0, 0, 0xFFFFF004), (0x15, 0, 1, OUTGOING), (0x06, 0, 0, 512), (0x06, 0, 0, 0)]
filter = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
watch.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", len(code), ctypes.addressof(filter)))  # SO_ATTACH_FILTER
watch.setblocking(False)
names, places, broken, known = set(), set(), 0, set()
def name(data):
    labels, at = [], 12
    while at < len(data) and 0 < data[at] < 64:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii", "replace")); at += 1 + data[at]
    return ".".join(labels).lower()
def packet(data, loopback):
    if data[0] >> 4 == 4:
        kind, target, rest = data[9], socket.inet_ntop(socket.AF_INET, data[16:20]), data[(data[0] & 15) * 4 :]
        if struct.unpack("!H", data[6:8])[0] & 0x1FFF: return
    else:
        kind, target, rest = data[6], socket.inet_ntop(socket.AF_INET6, data[24:40]), data[40:]
    protocol = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}.get(kind, str(kind))
    port = struct.unpack("!H", rest[2:4])[0] if kind in (6, 17) else 0
    if kind == 17 and port == 53: names.add(name(rest[8:]))
    if not loopback: places.add((protocol, target, port))
print("ready", flush=True)
while True:
    ready, _, _ = select.select([watch, sys.stdin], [], [])
    if watch not in ready and sys.stdin in ready and not sys.stdin.readline():
        break
    while True:
        try: data, (interface, ethertype, sort, _, _) = watch.recvfrom(512)
        except BlockingIOError: break
        # Most packets are media: the same place again, told by addresses and ports.
        key = (data[9:10] + data[16:24]) if data[0] >> 4 == 4 else (data[6:7] + data[24:44])
        if key in known or sort != OUTGOING or ethertype not in (0x0800, 0x86DD): continue
        try: packet(data, interface == "lo")
        except (IndexError, struct.error): broken += 1
        if data[0] >> 4 == 6 and data[6] == 17 or data[0] == 0x45 and data[9] == 17:
            if struct.unpack("!H", (data[42:44] if data[0] >> 4 == 6 else data[22:24]))[0] == 53: continue
        known.add(key)
lost = struct.unpack("II", watch.getsockopt(263, 6, 8))[1]
print(json.dumps({"names": sorted(names - {""}), "places": sorted(places), "broken": broken, "lost": lost}))
"""


class Capture:
    """Watches a network. `words` is the command line that runs a program in it. Use it in a `with`; `stop` tells."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._words = list(words)
        self.traffic: Traffic | None = None

    def __enter__(self) -> "Capture":
        """Begin to watch; ClassroomError if that is not possible here."""
        self._process = subprocess.Popen(
            [*self._words, sys.executable, "-I", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout and self._process.stderr
        if self._process.stdout.readline().strip() != "ready":
            self._process.wait()
            said = self._process.stderr.read().strip().splitlines() or ["no reason given"]
            raise ClassroomError(f"traffic cannot be captured here ({said[-1]}): run it as root")
        return self

    def stop(self) -> Traffic:
        """End it, and return what left; ClassroomError if packets were lost or not understood."""
        if self.traffic is None:
            said, error = self._process.communicate(timeout=20)
            if self._process.returncode:
                raise ClassroomError(f"the capture broke off: {error.strip()[-200:]}")
            self.traffic = read(said)
        return self.traffic

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it without a result."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def read(text: str) -> Traffic:
    """Return what a capture printed; ClassroomError if it lost packets, as then it proves nothing."""
    found = json.loads(text)
    if found["lost"] or found["broken"]:
        raise ClassroomError(
            f"the capture lost {found['lost']} packets and did not understand {found['broken']}: run it on a less busy machine"
        )
    return Traffic(names=frozenset(found["names"]), places=frozenset(_places(found["places"])))


def _places(rows: Iterable[Sequence[str | int]]) -> Iterable[tuple[str, str, int]]:
    """Return places without what stays on the link: no router passes it on."""
    for protocol, address, port in rows:
        if not str(address).lower().startswith(("ff02:", "fe80:", "224.0.0.")):
            yield str(protocol), str(address), int(port)
