"""A minimal S3 and KMS server for Pulumi's engine: keeps objects in memory, and marks data instead of encrypting it."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

WHEN = "2026-01-01T00:00:00.000Z"


class Handler(BaseHTTPRequestHandler):
    """Serves objects by `bucket/key` from memory; records requests in `requests`."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    requests: list[tuple[str, str]]

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in (self.headers.get("Content-Encoding") or ""):
            return data
        found, rest = b"", data
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size.partition(b";")[0], 16)
            if not length:
                break
            found, rest = found + rest[:length], rest[length + 2 :]
        return found

    def do_GET(self) -> None:
        self.requests.append((self.command, self.path))
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            self.list(query)
        elif self.key in self.objects:
            data = self.objects[self.key]
            tag = f'"{hashlib.sha256(data).hexdigest()}"'
            self.answer(200, data, ETag=tag, Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def list(self, query: dict[str, list[str]]) -> None:
        bucket = self.key.rstrip("/")
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys, folders = [], set()
        for name in sorted(self.objects):
            key = name.removeprefix(f"{bucket}/")
            if not name.startswith(f"{bucket}/") or not key.startswith(prefix):
                continue
            rest = key.removeprefix(prefix)
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                keys.append(key)
        rows = [
            f"<Contents><Key>{escape(key)}</Key><LastModified>{WHEN}</LastModified><ETag>x</ETag>"
            f"<Size>{len(self.objects[f'{bucket}/{key}'])}</Size></Contents>"
            for key in keys
        ]
        rows += [f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders)]
        content = (
            f"<IsTruncated>false</IsTruncated><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>{''.join(rows)}"
        )
        self.answer(200, f"<ListBucketResult>{content}</ListBucketResult>".encode(), Content_Type="application/xml")

    def do_PUT(self) -> None:
        self.requests.append((self.command, self.path))
        source = self.headers.get("x-amz-copy-source")
        data = self.body()
        self.objects[self.key] = self.objects[unquote(source).lstrip("/")] if source else data
        copied = f"<CopyObjectResult><ETag>x</ETag><LastModified>{WHEN}</LastModified></CopyObjectResult>"
        self.answer(200, copied.encode() if source else b"", ETag='"x"')

    def do_DELETE(self) -> None:
        self.requests.append((self.command, self.path))
        self.objects.pop(self.key, None)
        self.answer(204)

    def do_POST(self) -> None:
        self.requests.append((self.command, self.headers.get("X-Amz-Target") or self.path))
        body = json.loads(self.body())
        mark = b"wrapped:"
        if "Plaintext" in body:
            sealed = base64.b64encode(mark + base64.b64decode(body["Plaintext"])).decode()
            found = {"CiphertextBlob": sealed, "KeyId": "k"}
        else:
            plain = base64.b64decode(body["CiphertextBlob"]).removeprefix(mark)
            found = {"Plaintext": base64.b64encode(plain).decode(), "KeyId": "k"}
        self.answer(200, json.dumps(found).encode(), Content_Type="application/x-amz-json-1.1")


@contextmanager
def amazon() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Run the server; yield its URL and the list of its requests (method, path or target)."""
    requests: list[tuple[str, str]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"objects": {}, "requests": requests}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()


def variables(url: str) -> dict[str, str]:
    """Return variables that make Pulumi's engine use this server instead of Amazon's."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
