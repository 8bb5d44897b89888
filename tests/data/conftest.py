"""A mirror to download from: a web server on this machine that can misbehave on request."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Mirror:
    """What the server holds, how it shall answer, and what it was asked.

    An answer is "ok", "whole" (as if it knew no ranges), "endless" (no length, and never done), "silence",
    "nonsense", a number (that HTTP status), or ("break", n): the connection is closed after n bytes of the
    body. Without answers left, it is "ok".
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        mirror, asked = self.mirror, self.headers["Range"]
        mirror.requests.append((self.path, asked))
        answer = mirror.answers.pop(0) if mirror.answers else "ok"
        body = mirror.files.get(self.path.rpartition("/")[2])
        if isinstance(answer, int) or body is None:
            return self.send_error(answer if isinstance(answer, int) else 404)
        if answer == "silence":
            return time.sleep(0.2)
        if answer == "nonsense":
            return self.wfile.write(b"220 this is another protocol")
        if answer == "endless":
            return self.endless()
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and answer != "whole" else 0
        if start and start >= len(body):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: answer[1] if answer[0] == "break" else None])

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1 << 16))
        except OSError:  # the client has had enough
            pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
    mirror = server.RequestHandlerClass.mirror = Mirror(f"http://127.0.0.1:{server.server_port}/files/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    server.shutdown()
    thread.join()
    server.server_close()
