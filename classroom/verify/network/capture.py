"""Captures the destinations and DNS names of packets that leave a network; senders and contents are not stored."""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType

from classroom.common.errors import ClassroomError
from classroom.verify.controls.page_requests import Traffic

# Runs in the captured network until its standard input ends. DNS names queried over loopback count too: they do not leave the
# network, but show what its programs look up.
PROGRAM = r"""
import ctypes, json, select, socket, struct, sys
ETH_P_ALL, OUTGOING = 3, 4
watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
try: watch.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
except OSError: watch.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
# The kernel passes only outgoing packets, truncated to 512 bytes.
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
        # Most packets are media to a known destination: skip them early, by addresses and ports.
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
    """Captures traffic as a context manager. `words` is a command prefix that runs a program in the network; see `stop`."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._words = list(words)
        self.traffic: Traffic | None = None

    def __enter__(self) -> "Capture":
        """Start the capture; ClassroomError if this machine does not allow it."""
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
            lines = self._process.stderr.read().strip().splitlines() or ["no reason given"]
            raise ClassroomError(f"traffic cannot be captured here ({lines[-1]}): run as root")
        return self

    def stop(self) -> Traffic:
        """Stop the capture and return the traffic; ClassroomError if packets were lost or could not be parsed."""
        if self.traffic is None:
            output, error = self._process.communicate(timeout=20)
            if self._process.returncode:
                raise ClassroomError(f"the capture failed: {error.strip()[-200:]}")
            self.traffic = read(output)
        return self.traffic

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the capture without a result."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def read(text: str) -> Traffic:
    """Parse the JSON output of a capture; ClassroomError if packets were lost, as an incomplete capture proves nothing."""
    found = json.loads(text)
    if found["lost"] or found["broken"]:
        raise ClassroomError(
            f"the capture lost {found['lost']} packets and could not parse {found['broken']}: run it on a less busy machine"
        )
    return Traffic(names=frozenset(found["names"]), places=frozenset(_places(found["places"])))


def _places(rows: Iterable[Sequence[str | int]]) -> Iterable[tuple[str, str, int]]:
    """Yield the destinations without link-local ones, which no router forwards."""
    for protocol, address, port in rows:
        if not str(address).lower().startswith(("ff02:", "fe80:", "224.0.0.")):
            yield str(protocol), str(address), int(port)
