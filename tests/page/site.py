"""Serves the built page as nginx does: same paths, same content security policy."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from aiohttp import web

from classroom.common.paths import REPO
from tests.page.server import DOMAIN, Settings

WebSocket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
NGINX = REPO / "ansible" / "roles" / "web" / "templates" / "nginx.conf.j2"


def policy(port: int) -> str:
    """Return the content security policy of the role `web`, for this address."""
    found = re.search(r'Content-Security-Policy "([^"]+)"', NGINX.read_text())
    assert found, f"{NGINX}: no Content-Security-Policy found"
    return found[1].replace("wss://{{ web_domain }}", f"ws://127.0.0.1:{port}")


class Site:
    """Serves a folder, and forwards /api to the join service and /rtc to LiveKit; `reachable = False` simulates an outage."""

    def __init__(self, folder: Path, at: Settings, port: int) -> None:
        self.folder, self.at, self.port = folder, at, port
        self.base = f"http://127.0.0.1:{port}"
        self.reachable = True

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/api/{rest:.*}", self._api)
        app.router.add_get("/rtc{rest:.*}", self._signal)
        app.router.add_get("/{path:.*}", self._file)
        app.cleanup_ctx.append(self._client)
        return app

    async def _client(self, app: web.Application):
        async with aiohttp.ClientSession() as self._session:
            yield

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self.folder / (request.match_info["path"] or "index.html")
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Content-Security-Policy": policy(self.port)})

    def _headers(self, request: web.Request) -> dict[str, str]:
        """Return the headers for the join service, with the origin under which it knows this site."""
        headers = {k: v for k, v in request.headers.items() if k in {"Content-Type", "Origin"}}
        return headers | ({"Origin": f"https://{DOMAIN}"} if headers.get("Origin") == self.base else {})

    async def _api(self, request: web.Request) -> web.StreamResponse:
        if not self.reachable:
            raise web.HTTPBadGateway
        url, headers = f"http://127.0.0.1:{self.at.portal}{request.path}", self._headers(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._forward(request, url, headers)
        sent = self._session.request(request.method, url, data=await request.read(), headers=headers)
        async with sent as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    async def _signal(self, request: web.Request) -> web.StreamResponse:
        url = f"http://127.0.0.1:{self.at.livekit}{request.path_qs}"
        if not self.reachable:
            raise web.HTTPBadGateway
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._forward(request, url, {})
        async with self._session.get(url) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    async def _forward(self, request: web.Request, url: str, headers: dict[str, str]) -> web.StreamResponse:
        """Forward the messages of a WebSocket in both directions, and the code with which the server closes it."""
        inside = web.WebSocketResponse()
        async with self._session.ws_connect(url, headers=headers) as outside:
            await inside.prepare(request)
            directions = [asyncio.ensure_future(self._pump(a, b)) for a, b in ((inside, outside), (outside, inside))]
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            await inside.close(code=outside.close_code or aiohttp.WSCloseCode.GOING_AWAY)
        return inside

    async def _pump(self, source: WebSocket, target: WebSocket) -> None:
        async for message in source:
            if not self.reachable:
                return
            binary = message.type == aiohttp.WSMsgType.BINARY
            await (target.send_bytes if binary else target.send_str)(message.data)


@contextlib.contextmanager
def serve(site: Site) -> Iterator[Site]:
    """Serve in a separate thread, so that tests may block."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> None:
        runner = web.AppRunner(site.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", site.port).start()
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    stopped = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield site
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
