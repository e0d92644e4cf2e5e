"""Runs Firefox in a network namespace, and lets Playwright reach its WebDriver port from this namespace.

`python bidi_relay.py COUNT WORD…`: the first COUNT words enter the namespace; the others start Firefox. Each namespace has a
loopback address of its own: this program listens on that of its own namespace, and its child process, which keeps that socket,
connects to the same port in the other one.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading

PATIENCE = 60
"""Seconds to wait for Playwright's connection."""


def main() -> None:
    """Start the child process, and become Firefox."""
    count, words = int(sys.argv[1]), sys.argv[2:]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        child = [*words[:count], sys.executable, __file__, "forward", str(listener.fileno())]
        subprocess.Popen(child, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
    chosen = f"--remote-debugging-port={port}"
    words = [chosen if word.startswith("--remote-debugging-port=") else word for word in words]
    os.execvp(words[0], words)  # noqa: S606 (the words come from the launcher, without a shell)


def forward(descriptor: int) -> None:
    """Forward one connection of a listening socket to the same port of this namespace's loopback address."""
    with socket.socket(fileno=descriptor) as listener:
        listener.settimeout(PATIENCE)
        outside, _ = listener.accept()
        inside = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
    back = threading.Thread(target=_copy, args=(inside, outside))
    back.start()
    _copy(outside, inside)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    forward(int(sys.argv[2])) if sys.argv[1] == "forward" else main()
