"""A small HTTP server with the parts of Keystone, Nova and Neutron that logging in and reading need; it holds no cloud."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSWORD, CREDENTIAL = "the-right-word-7", "cred-secret"
EXPIRES = "2099-01-01T00:00:00.000000Z"
MADE = {"network": {"id": "made", "name": "t", "status": "ACTIVE", "admin_state_up": True, "subnets": [], "tags": []}}


class Handler(BaseHTTPRequestHandler):
    """Answers for user `ada` and the application credential `cred`; `asked` lists all requests.

    `elsewhere` maps services to addresses of the test's own in the service catalogue; `moved` maps requests, by method and
    path, to their redirect; `offers` maps paths to further answers. Requests to a proxy are refused.
    """

    asked: list[tuple[str, str]]
    elsewhere: Mapping[str, str]
    moved: Mapping[tuple[str, str], str]
    offers: Mapping[str, Any]

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
        """Send one JSON answer."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    @property
    def base(self) -> str:
        return f"http://{self.headers['Host']}"

    def do_CONNECT(self) -> None:
        """Take down that something of the world was asked for, and refuse."""
        self.asked.append(("CONNECT", self.path))
        self.answer(403, {})

    def do_GET(self) -> None:
        """Answer a GET request."""
        self.asked.append(("GET", self.path))
        if to := self.moved.get(("GET", self.path)):
            self.answer(302, {}, Location=to)
            return
        path = self.path.partition("?")[0].rstrip("/")
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.base}/identity/v3/"}]}
        if path in {"/identity", "/identity/v3"}:
            one = path.endswith("/v3")
            self.answer(200 if one else 300, {"version": version} if one else {"versions": {"values": [version]}})
        elif path in {"/network", "/image"}:
            version = {"/network": "v2.0", "/image": "v2"}[path]
            link = {"rel": "self", "href": f"{self.base}{path}/{version}/"}
            self.answer(200, {"versions": [{"id": version, "status": "CURRENT", "links": [link]}]})
        elif not self.headers.get("X-Auth-Token"):
            self.answer(401, {"error": {"message": "no token"}})
        elif path in self.offers:
            named = parse_qs(urlsplit(self.path).query).get("name")
            self.answer(
                200,
                {
                    key: [one for one in found if one.get("name") in named]
                    if named and isinstance(found, list)
                    else found
                    for key, found in self.offers[path].items()
                },
            )
        elif path == "/compute/v2.1/servers/there":
            self.answer(200, {"server": {"id": "there", "status": "ACTIVE"}})
        elif path == "/network/v2.0/networks":
            self.answer(200, {"networks": [{"name": "public", "id": "n1"}]})
        elif path == "/network/v2.0/networks/made":
            self.answer(200, MADE)
        elif path == "/compute/v2.1/limits":
            self.answer(503, {"error": {"message": "away"}})
        else:
            self.answer(404, {"itemNotFound": {"message": f"{path} could not be found."}})

    def do_POST(self) -> None:
        """Give a token, or a server's console."""
        self.asked.append(("POST", self.path))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if to := self.moved.get(("POST", self.path)):
            self.answer(307, {}, Location=to)
            return
        if self.path == "/compute/v2.1/servers/there/action" and "os-getConsoleOutput" in body:
            self.answer(200, {"output": "hello"})
            return
        if self.path == "/network/v2.0/networks" and self.headers.get("X-Auth-Token"):
            self.answer(201, MADE)
            return
        if not self.path.endswith("/auth/tokens"):
            self.answer(404, {})
            return
        identity = body["auth"]["identity"]
        if identity["methods"] == ["application_credential"]:
            known = identity["application_credential"]["secret"] == CREDENTIAL
        else:
            user = identity["password"]["user"]
            if not {"id", "domain"} & user.keys():
                self.answer(400, {"error": {"code": 400, "message": "Expecting to find domain in user."}})
                return
            known = user["password"] == PASSWORD
        if not known:
            self.answer(401, {"error": {"code": 401, "message": "The request you have made requires authentication."}})
            return
        services = {"identity": "identity/v3", "compute": "compute/v2.1", "network": "network"}
        rows = {kind: self.endpoint(path) for kind, path in services.items()}
        rows |= {kind: self.endpoint(kind) | {"url": url} for kind, url in self.elsewhere.items()}
        catalog = [{"type": kind, "name": kind, "endpoints": [row]} for kind, row in rows.items()]
        project = {"id": "p1", "name": "classes", "domain": {"id": "default", "name": "Default"}}
        token = {
            "methods": identity["methods"],
            "expires_at": EXPIRES,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u1", "name": "ada", "domain": {"id": "default", "name": "Default"}},
            "project": project,
            "roles": [{"id": "r", "name": "member"}],
            "catalog": catalog,
        }
        self.answer(201, {"token": token}, X_Subject_Token="t")

    def endpoint(self, path: str) -> dict[str, str]:
        """Return one row of the catalogue."""
        url = f"{self.base}/{path}"
        return {"id": path, "interface": "public", "region": "north", "region_id": "north", "url": url}


@contextmanager
def serving(
    elsewhere: Mapping[str, str] | None = None,
    moved: Mapping[tuple[str, str], str] | None = None,
    offers: Mapping[str, Any] | None = None,
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Give the server's address and the list of what it was asked; `elsewhere` may change while it serves."""
    asked: list[tuple[str, str]] = []
    own = {
        "asked": asked,
        "elsewhere": {} if elsewhere is None else elsewhere,
        "moved": {} if moved is None else moved,
        "offers": offers or {},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), own))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/identity/v3", asked
    finally:
        server.shutdown()
        server.server_close()
