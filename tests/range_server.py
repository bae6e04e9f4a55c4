"""A web server of a folder, on this machine alone, that serves byte ranges and counts what it served."""

import re
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

KINDS = ("http", "/vsicurl", "s3", "gs", "az", "/vsis3", "/vsigs", "/vsiaz")

# What S3 sends with a status of 404 and of 403.
BODIES = {
    404: b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>",
    403: b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
}

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


class RangeServer(ThreadingHTTPServer):
    """Serves a folder.

    `served` counts the bytes of each path's bodies, `requests` lists (method, path, status), `queries` what
    stood behind the paths. `ranges` off: a
    server that always sends whole files. `moved` maps paths to where they are redirected, `failing` paths
    to a status, `bodies` statuses to what is sent with them; `silent` holds paths that are never answered,
    `cut` those whose bodies end halfway.
    """

    daemon_threads = True

    def __init__(self, folder, ranges=True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.ranges = Path(folder), ranges
        self.served, self.requests = Counter(), []
        self.moved, self.failing, self.silent, self.cut = {}, {}, set(), set()
        self.bodies, self.queries = {}, []
        self.closing, self.own = threading.Event(), uuid4().hex

    def handle_error(self, request, client_address):
        """A client that hangs up is no error."""

    @property
    def host(self):
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, path):
        """Address of a path below the folder, never the same twice: GDAL remembers what it read."""
        return f"http://{self.host}/{self.own}/{path}"

    def stores(self):
        """GDAL's settings that make the folder a bucket (az: a container), which is called `own`."""
        return {
            "AWS_S3_ENDPOINT": self.host,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
            "CPL_GS_ENDPOINT": f"http://{self.host}/",
            "GS_NO_SIGN_REQUEST": "YES",
            "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=made;"
            f"BlobEndpoint=http://{self.host};SharedAccessSignature=sig=secret",
        }

    def address(self, kind, path):
        """Address of a path by one of KINDS."""
        web = self.url(path)
        return {"http": web, "/vsicurl": f"/vsicurl/{web}"}.get(
            kind, f"{kind}/{self.own}/{path}" if kind[0] == "/" else f"{kind}://{self.own}/{path}"
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Send a file or a part of it."""
        self._answer(body=True)

    def do_HEAD(self):
        """Send what stands before a file."""
        self._answer(body=False)

    def log_message(self, *args):
        """Nothing on stderr."""

    def _answer(self, body):
        server, (path, _, query) = self.server, self.path.partition("?")
        path = path.lstrip("/").removeprefix(f"{server.own}/")
        server.queries.append(query)
        if path in server.silent:
            server.closing.wait(30)
            self.close_connection = True
            return
        if path in server.moved:
            self._send(301, b"", body, path, Location=server.moved[path])
            return
        file = server.folder / path
        if path in server.failing or not file.is_file():
            status = server.failing.get(path, 404)
            self._send(status, server.bodies.get(status, b"no such thing"), body, path)
            return
        content = file.read_bytes()
        asked = _RANGE.match(self.headers.get("Range", "")) if server.ranges else None
        if asked is None:
            extra = {"Accept-Ranges": "bytes"} if server.ranges else {}
            self._send(200, content, body, path, **extra)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        span = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self._send(206 if first <= last else 416, content[first : last + 1], body, path, **span)

    def _send(self, status, content, body, path, **headers):
        self.server.requests.append((self.command, path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if path in self.server.cut:
            content, self.close_connection = content[: len(content) // 2], True
        if body:
            self.wfile.write(content)
            self.server.served[path] += len(content)


def straighten(monkeypatch, home):
    """No proxy stands before this machine, nothing is tried again, and nobody's credentials are used."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REQUEST_PAYER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
        "GDAL_HTTP_MAX_RETRY": "0",
        "HOME": str(home),
        "CPL_AWS_EC2_API_ROOT_URL": "disabled",
        "CPL_MACHINE_IS_GCE": "NO",
    }.items():
        monkeypatch.setenv(name, value)


@contextmanager
def serving(folder, ranges=True):
    """A server of a folder that runs inside the block."""
    server = RangeServer(folder, ranges)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
