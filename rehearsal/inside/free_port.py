"""Prints a free TCP port of 127.0.0.1 between 20000 and 32767."""

import random
import socket

while True:
    port = random.randint(20000, 32767)  # noqa: S311
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
