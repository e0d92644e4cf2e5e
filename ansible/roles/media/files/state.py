"""Print whether a class is live on this host, and whether LiveKit's files changed after it started.

Arguments: LiveKit's URL, its key file, then the files that it was started from. Prints
{"rooms": [{"name": text, "participants": number}…], "stale": true or false} (rooms with at least one participant), or
{} if LiveKit does not run. Changes nothing.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

url, keys, *files = sys.argv[1:]


def part(data: bytes) -> bytes:
    """Return one part of a JSON Web Token: URL-safe Base64 without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def ask(method: str, question: dict[str, str], **grant: object) -> dict[str, list[dict[str, str]]]:
    """Send a request to LiveKit's room service, with a token that grants only this request."""
    name, _, secret = pathlib.Path(keys).read_text().strip().partition(": ")
    now = int(time.time())
    claims = {"iss": name, "nbf": now - 60, "exp": now + 60, "video": grant}
    body = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    token = body + b"." + part(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    request = urllib.request.Request(  # noqa: S310 -- the address comes from the role
        f"{url}/twirp/livekit.RoomService/{method}",
        data=json.dumps(question).encode(),
        headers={"Authorization": f"Bearer {token.decode()}", "Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        return json.load(answer)  # type: ignore[no-any-return]


def live() -> list[dict[str, object]]:
    """Return the rooms with at least one participant."""
    found = []
    try:
        for room in ask("ListRooms", {}, roomList=True).get("rooms", []):
            # The number of participants in the list of rooms is some seconds old.
            inside = ask("ListParticipants", {"room": room["name"]}, roomAdmin=True, room=room["name"])
            found.append({"name": room["name"], "participants": len(inside.get("participants", []))})
    except urllib.error.HTTPError as error:
        # It refuses the request (it was started with another key, or Valkey is unavailable): a class may be live.
        return [{"name": f"unknown rooms, as LiveKit does not list them (HTTP {error.code})", "participants": 0}]
    except OSError:
        return []  # no answer: it has just started, or it hangs
    return [room for room in found if room["participants"]]


command = ["systemctl", "show", "--value", "--property=MainPID", "livekit.service"]
pid = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout or 0)
if pid:
    # Field 22 of stat is the start of the process in ticks of 10 ms after boot.
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    started = time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / 100)
    stale = any(path.exists() and path.stat().st_ctime > started + 0.02 for path in map(pathlib.Path, files))
    print(json.dumps({"rooms": live(), "stale": stale}))
else:
    print("{}")
