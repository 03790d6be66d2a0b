"""A scripted HTTP server on loopback for the tests of fetching. Nothing here is a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """How one address answers. ``script``: what to do with the first answers, in turn (a number: an
    HTTP status; ``break``: half of what was asked for, then the connection closes; ``hang``: the
    same, then silence); afterwards the whole body comes."""

    body: bytes = b""
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    script: list[int | str] = field(default_factory=list)
    length: int | None = None  # said instead of the true length
    kind: str = "application/octet-stream"
    encoding: str | None = None
    redirect: str | None = None
    piece: int = 1 << 20
    delay: float = 0.0  # between two pieces
    on_request: Callable[[Page], None] | None = None


@dataclass
class Server:
    """``asked``: path, Range and If-Range of each request."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def add(self, path: str, page: Page | bytes) -> str:
        self.pages[path] = page if isinstance(page, Page) else Page(page)
        return self.url + path

    def ranges(self, path: str) -> list[str | None]:
        return [asked for where, asked, _ in self.asked if where == path]


@contextmanager
def serving() -> Iterator[Server]:
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked, version = self.headers["Range"], self.headers["If-Range"]
            server.asked.append((self.path, asked, version))
            self.close_connection = True
            page = server.pages.get(self.path)
            if page is None:
                return self.send_error(404)
            if page.on_request:
                page.on_request(page)
            step = page.script.pop(0) if page.script else "whole"
            if isinstance(step, int):
                return self.send_error(step)
            if page.redirect:
                self.send_response(302)
                self.send_header("Location", page.redirect)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            at, total = 0, len(page.body)
            current = version in (None, page.etag, page.modified)
            if asked and page.ranges and current:
                at = int(asked.removeprefix("bytes=").removesuffix("-"))
                if at >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {at}-{total - 1}/{total}")
            else:
                self.send_response(200)
            length = total - at if page.length is None else page.length
            headers = {
                "Content-Length": length,
                "Content-Type": page.kind,
                "Content-Encoding": page.encoding,
                "ETag": page.etag,
                "Last-Modified": page.modified,
            }
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, str(value))
            self.end_headers()
            end = total if step == "whole" else at + (total - at) // 2
            try:
                while at < end and not closing.is_set():
                    self.wfile.write(page.body[at : min(at + page.piece, end)])
                    at += page.piece
                    time.sleep(page.delay)
                if step == "hang":
                    closing.wait(15)
            except OSError:
                pass  # the client has gone, as some tests mean it to
            return None

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        closing.set()
        http.shutdown()
        http.server_close()
        thread.join(5)
