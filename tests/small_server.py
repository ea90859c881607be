"""A web server on this machine, which behaves as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PIECE = 10_000


class Server(ThreadingHTTPServer):
    """Its attributes say what it has and how it behaves; ``paths`` and ``asked`` what it was asked for."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.ranges, self.length, self.pause = True, True, 0.0
        self.tag: str | None = '"one"'
        self.cut: int | None = None
        self.paths: list[str] = []
        self.asked: list[str | None] = []  # the Range of every request
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers with the files of its server, and writes no log."""

    server: Server

    def do_GET(self) -> None:
        server, content = self.server, self.server.files.get(self.path)
        wanted = self.headers["Range"]
        server.paths.append(self.path)
        server.asked.append(wanted)
        if content is None:
            return self.send_error(404)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if server.cut is None else server.cut
        for first in range(start, end, PIECE):
            self.wfile.write(content[first : min(first + PIECE, end)])
            time.sleep(server.pause)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Server]:
    """A server that has these files, content by path, while the block runs."""
    with pytest.MonkeyPatch.context() as patch, Server(files) as server:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
