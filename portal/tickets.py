"""Issue and read tickets: who joins with a code gets one, and proves with it who they are; it is no media token."""

import json
import secrets
import time
from dataclasses import asdict, dataclass

from portal.codes import Role
from portal.signing import Signer

TICKET_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Ticket:
    """One person of one class; `issued` and `ends` are Unix times, `ends` only in rooms of a verification."""

    room: str
    identity: str
    name: str
    role: Role
    issued: float
    ends: float | None = None


class Tickets:
    """Issues and reads tickets."""

    def __init__(self, secret: str) -> None:
        self._signer = Signer(secret, "ticket")

    def issue(self, room: str, name: str, role: Role, ends: float | None = None) -> str:
        """Return a ticket for a new person with a random identity."""
        identity = f"{role[0]}-{secrets.token_hex(8)}"
        ticket = Ticket(room, identity, name, role, time.time(), ends)
        return self._signer.sign(json.dumps(asdict(ticket), ensure_ascii=False).encode())

    def read(self, text: str) -> Ticket | None:
        """Return the ticket, or None if it is not signed by this service or has expired."""
        data = self._signer.read(text)
        if data is None:
            return None
        ticket = Ticket(**json.loads(data))
        expires = min(ticket.issued + TICKET_SECONDS, ticket.ends or float("inf"))
        return ticket if time.time() < expires else None
