"""Caching proxy for Debian packages: listens in the hosts' network, fetches from the mirror in the machine's network.

It answers `GET http://MIRROR/path` (as a proxy), `GET /MIRROR/path`, and as a mirror `GET /debian/path` and
`GET /debian-security/path`. Packages are served from the cache once fetched; indexes are fetched each time, and served from the
cache only if the mirror cannot be reached.
"""

import concurrent.futures
import ctypes
import http.server
import os
import shutil
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from rehearsal.rootfs import mirrors

CLONE_NEWNET = 0x40000000


def enter_network(pid: int) -> None:
    """Move the calling thread into the network namespace of process `pid`; OSError if the kernel refuses."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        enter_namespace(namespace)
    finally:
        os.close(namespace)


def enter_namespace(namespace: int) -> None:
    """Move the calling thread into the network namespace of the file descriptor `namespace`; OSError if the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


class _Handler(http.server.BaseHTTPRequestHandler):
    cache: Path
    archives: Mapping[str, str]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: apt prints what it fetches."""

    def do_GET(self) -> None:
        """Serve one file from the cache; fetch it first if it is missing or may have changed."""
        archive, _, rest = self.path.removeprefix("/").partition("/")
        if archive in self.archives:
            url = f"{self.archives[archive]}/{rest}"
        else:
            url = self.path if self.path.startswith("http://") else f"http:/{self.path}"
        stored = self.cache / quote(url.partition("://")[2], safe="/._-+~")
        immutable = url.endswith((".deb", ".udeb")) or "/by-hash/" in url
        if ".." in url or not (immutable and stored.exists()):
            error = self._fetch(url, stored) if ".." not in url else 400
            if error:
                self.send_error(error)
                return
        with stored.open("rb") as data:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(data.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(data, self.wfile)

    def _fetch(self, url: str, stored: Path) -> int:
        """Fetch `url` to `stored`; return 0, or the HTTP status of the error."""
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                stored.parent.mkdir(parents=True, exist_ok=True)
                partial = stored.with_name(f".{stored.name}.{threading.get_ident()}")
                with partial.open("wb") as out:
                    shutil.copyfileobj(answer, out)
                partial.replace(stored)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0 if stored.exists() else 502
        return 0


def serve(pid: int, addresses: Sequence[str], port: int, cache: Path) -> None:
    """Serve at `addresses` in the network namespace of process `pid`, in threads that end with this process."""
    archive, security = mirrors()
    archives = {"debian": archive, "debian-security": security}
    handler = type("Handler", (_Handler,), {"cache": cache, "archives": archives})
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        # A socket stays in the namespace in which it was created; the threads that serve it need not be there.
        executor.submit(enter_network, pid).result()
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listening = executor.submit(socket.create_server, (address, port), family=family).result()
            server = http.server.ThreadingHTTPServer((address, port), handler, bind_and_activate=False)
            server.socket.close()
            server.socket = listening
            threading.Thread(target=server.serve_forever, daemon=True).start()
