"""Raw requests on a socket, valid or not, and failing media servers."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS = 10


def send(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[bytes, bytes] | None = None, raw: bytes = b""
) -> int:
    """Send one request, `raw` if it is given, and return the status of the answer."""
    head = {b"Host": b"class.example", b"Content-Type": b"application/json", b"Content-Length": b"%d" % len(body)}
    lines = b"".join(b"%s: %s\r\n" % line for line in (head | (headers or {})).items())
    sent = raw or b"%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n%s" % (method.encode(), path.encode(), lines, body)
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        # The service may close the connection before everything is sent; its response is read all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n" not in answer and (piece := connection.recv(4096)):
                answer += piece
    assert answer[:8] in {b"HTTP/1.0", b"HTTP/1.1"}, (sent[:200], answer[:200])
    return int(answer.split(b" ", 2)[1])


ANSWERS: dict[str, tuple[int, bytes]] = {
    "hangs up": (0, b""),
    "is no protobuf": (200, b"\xff" * 40),
    "is a list of 400": (400, json.dumps(["no", "object"]).encode()),
    "is no JSON of 404": (404, b"<html>"),
    "is a text of 500": (500, json.dumps("broken").encode()),
    "has no kind": (503, b"{}"),
}
"""Responses of failing media servers, by their fault."""


@contextlib.contextmanager
def failing_media(status: int, body: bytes) -> Iterator[int]:
    """Yield a port on which every request gets this response; status 0 closes the connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if status:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)
