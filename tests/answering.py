"""A scripted OpenAI-compatible server on loopback. Nothing here is a test."""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Step:
    """One response; ``ends``: half of it is sent, then the connection closes (``cut``) or nothing
    more comes (``hang``)."""

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    ends: str = ""


def said(text: str | None, reason: str = "stop", chat: bool = False, **more: Any) -> Step:
    """An answer of 7 prompt tokens, 4 of them cached, and 3 new ones."""
    choice = {"message": {"content": text}} if chat else {"text": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 3,
             "prompt_tokens_details": {"cached_tokens": 4}}  # fmt: skip
    return Step(body={"choices": [{**choice, "finish_reason": reason}], "usage": usage, **more})


def prompt_of(request: dict[str, Any]) -> str:
    return request["prompt"] if "prompt" in request else request["messages"][0]["content"]


@dataclass
class Server:
    """``asked``: path, headers and JSON of each request; ``most``: requests open at a time.
    ``script`` gets a request and how often its prompt came before."""

    url: str
    script: Callable[[dict[str, Any], int], Step]
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    open: int = 0
    most: int = 0

    @property
    def times(self) -> Counter[str]:
        """How often each prompt was asked."""
        return Counter(prompt_of(request) for _, _, request in self.asked)


@contextmanager
def serving(
    script: Callable[[dict[str, Any], int], Step], certificate: Path | None = None
) -> Iterator[Server]:
    """``certificate``: a PEM file with its key, for https."""
    closing, lock = threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                before = server.times[prompt_of(request)]
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append((self.path, headers, request))
                server.open += 1
                server.most = max(server.most, server.open)
            try:
                self.respond(server.script(request, before))
            finally:
                with lock:
                    server.open -= 1

        def respond(self, step: Step) -> None:
            body = step.body if isinstance(step.body, bytes) else json.dumps(step.body).encode()
            self.send_response(step.status)
            for name, value in {**step.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if step.ends else body)
            self.close_connection = bool(step.ends)
            if step.ends == "hang":
                self.wfile.flush()
                closing.wait(15)

    class Http(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            pass  # the client has gone, as some tests mean it to

    http = Http(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True)
    server = Server(
        f"{'https' if certificate else 'http'}://127.0.0.1:{http.server_port}/v1", script
    )
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        closing.set()
        http.shutdown()
        http.server_close()
        thread.join(5)
