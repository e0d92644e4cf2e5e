"""Serves the hosts that a class could leak to: `serve_outside.py HOSTS FOLDER`, inside the lab.

HOSTS is the JSON file of `rehearsal/outside_hosts.py`. The program answers as STUN server (UDP 3478), and as CDN and as certificate authority
over HTTP and HTTPS, with `FOLDER/<name>.pem` (chain and key) and `FOLDER/<name>.root` (the authority's certificate, DER).
It prints a line for each request, with the host and what was requested, without the client's address.
"""

import http.server
import ipaddress
import json
import selectors
import socket
import ssl
import struct
import sys
import threading
from pathlib import Path

MAGIC = 0x2112A442
PORT = 3478
STYLE = b"@font-face { font-family: Outside; src: url(/font.woff2) }\n"


def stun_answer(question: bytes, address: str, port: int) -> bytes:
    """Return the answer to a STUN binding request from `address` and `port` (RFC 8489); empty for anything else."""
    if len(question) < 20 or struct.unpack("!H2xI", question[:8]) != (0x0001, MAGIC):
        return b""
    transaction = question[8:20]
    packed = ipaddress.ip_address(address).packed
    mask = struct.pack("!I", MAGIC) + transaction
    hidden = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, port ^ (MAGIC >> 16)) + hidden
    mapped = struct.pack("!HH", 0x0020, len(value)) + value
    return struct.pack("!HHI", 0x0101, len(mapped), MAGIC) + transaction + mapped


def log_request(name: str, what: str) -> None:
    """Print which host received a request, and for what."""
    print(f"{name} {what}", flush=True)


def serve_stun(hosts: "list[tuple[str, str]]") -> None:
    """Answer STUN requests until the process ends; `hosts` are pairs of name and address."""
    with selectors.DefaultSelector() as selector:
        for name, address in hosts:
            listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            listening.bind((address, PORT))
            selector.register(listening, selectors.EVENT_READ, (name, listening))
        while True:
            for key, _ in selector.select():
                name, listening = key.data
                question, peer = listening.recvfrom(2048)
                reply = stun_answer(question, peer[0], peer[1])
                if reply:
                    log_request(name, "stun")
                    listening.sendto(reply, peer)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as a CDN with a style sheet and a font, or as a certificate authority with its certificate and directory."""

    server: "Server"

    def do_GET(self) -> None:
        """Answer any path."""
        log_request(self.server.name, f"GET {self.path}")
        kind, body = "font/woff2", b"wOF2"
        if self.path.endswith(".css"):
            kind, body = "text/css", STYLE
        elif self.path.endswith("/root.crt"):
            kind, body = "application/pkix-cert", self.server.root
        elif self.path.endswith("/directory"):
            kind, body = "application/json", json.dumps({"newOrder": f"https://{self.server.name}/order"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Log nothing: the base class would log the client's address."""


class Server(http.server.ThreadingHTTPServer):
    """One host at one address: over TLS if `chain` is a file with its certificate and key."""

    daemon_threads = True

    def __init__(self, name: str, address: str, chain: "Path | None", root: bytes) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.name, self.root = name, root
        super().__init__((address, 443 if chain else 80), Handler)
        if chain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain)
            # The thread that answers performs the handshake, so that a stalled client does not block others.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: the base class would log the client's address."""


def main(hosts: Path, folder: Path) -> None:
    """Serve all hosts until the process ends."""
    found = [
        (str(host["name"]), str(host["kind"]), str(address))
        for host in json.loads(hosts.read_text())
        for address in host["addresses"]
    ]
    for name, kind, address in found:
        if kind in {"cdn", "ca"}:
            root = (folder / f"{name}.root").read_bytes()
            for chain in (folder / f"{name}.pem", None):
                threading.Thread(target=Server(name, address, chain, root).serve_forever, daemon=True).start()
    serve_stun([(name, address) for name, kind, address in found if kind == "stun"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
