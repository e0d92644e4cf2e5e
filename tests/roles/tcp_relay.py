"""A TURN client that asks for relayed TCP connections (RFC 6062), over UDP to the server."""

from classroom.verify.network.turn import SUCCESS, Turn, code_of

TCP = bytes([6, 0, 0, 0])
CONNECT = 0x00A


class TcpRelay(Turn):
    """A client of one TURN server with a TCP allocation."""

    transport = TCP

    def connect(self, address: str, port: int) -> str:
        """Let the server connect to a peer; return an empty string, or the error code. ClassroomError if it does not answer."""
        kind, found, _ = self.ask(CONNECT, b"", (address, port))
        return "" if kind == CONNECT | SUCCESS else code_of(found)
