"""A headless Chromium that a test clicks through a page with, spoken to by the DevTools protocol.

Nothing of it outlives ``opened``: its process group is killed and its folder removed.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND", "about:blank",
)  # fmt: skip
#: Seconds for all that is done with a browser.
LIMIT = 120


class Tab:
    """A page: commands go out one after the other, events that come between are kept."""

    def __init__(self, socket: ClientConnection, deadline: float) -> None:
        self.socket, self.deadline = socket, deadline
        self.events: list[dict[str, Any]] = []
        self.sent = 0
        self.session: dict[str, str] = {}
        target = self.command("Target.createTarget", url="about:blank")
        attached = self.command("Target.attachToTarget", flatten=True, **target)
        self.session = attached
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.command(f"{domain}.enable")

    def _next(self) -> dict[str, Any]:
        return json.loads(self.socket.recv(timeout=max(self.deadline - time.monotonic(), 0)))

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        self.sent += 1
        self.socket.send(
            json.dumps({"id": self.sent, "method": method, "params": params, **self.session})
        )
        while (said := self._next()).get("id") != self.sent:
            self.events.append(said)
        assert "error" not in said, f"{method}: {said}"
        return said["result"]

    def open(self, path: Path) -> None:
        seen = len(self.events)
        self.command("Page.navigate", url=path.resolve().as_uri())
        while all(e["method"] != "Page.loadEventFired" for e in self.events[seen:]):
            self.events.append(self._next())

    def value(self, script: str) -> Any:
        """What a JavaScript expression is worth."""
        done = self.command("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse where the element is; the test fails where something else lies there."""
        place = self.value(
            f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{ block: "center", behavior: "instant" }});
            const r = e.getClientRects()[0];
            const x = r.x + Math.min(r.width / 2, 40), y = r.y + r.height / 2;
            return [x, y, e.contains(document.elementFromPoint(x, y))]; }})()"""
        )
        assert place[2], f"{selector} is covered or outside of the window"
        for kind in ("mousePressed", "mouseReleased"):
            self.command(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left",
                clickCount=1,
            )  # fmt: skip

    def look(self, width: int, height: int = 900, dark: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        return base64.b64decode(self.command("Page.captureScreenshot")["data"])


@contextmanager
def opened() -> Iterator[Tab]:
    """A tab of a browser of its own; the test is skipped where no Chromium is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is installed")
    deadline = time.monotonic() + LIMIT
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={folder}"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            port = Path(folder, "DevToolsActivePort")
            while not port.is_file() or len(lines := port.read_text().split()) < 2:
                assert process.poll() is None, f"{program} ended with status {process.returncode}"
                assert time.monotonic() < deadline, f"{program} does not answer"
                time.sleep(0.05)
            address = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            with connect(address, max_size=None, proxy=None) as socket:
                yield Tab(socket, deadline)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
