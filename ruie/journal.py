"""Answers kept as they come, one JSON line each, so that a killed job asks for nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruie import cli

#: Lines, or seconds, after which what was written is forced to the disk. A killed process loses
#: nothing without it, a machine that loses power the last lines.
LINES, SECONDS = 64, 5.0


def key(request: Any) -> str:
    """A digest of all that an answer depends on."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Appends to ``path``. ``kept``: what it held when it was opened, by key; ``odd``: lines that
    could not be read, as the last one that a kill tore."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self.clock = path, clock
        self.kept: dict[str, dict[str, Any]] = {}
        self.odd = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, "a+b")  # noqa: SIM115
            self.file.seek(0)
            line = b"\n"
            for line in self.file:
                self._read(line)
            if not line.endswith(b"\n"):
                self.file.write(b"\n")  # the next line must not go on with a torn one
        except OSError as error:
            raise self._fault(error) from None
        self.unsynced, self.synced = 0, clock()

    def _read(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            name, reply = found["key"], found["reply"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self.odd += bool(line.strip())
            return
        if isinstance(name, str) and isinstance(reply, dict):
            self.kept[name] = reply
        else:
            self.odd += 1

    def add(self, name: str, reply: dict[str, Any]) -> None:
        line = json.dumps({"key": name, "reply": reply})
        try:
            self.file.write(line.encode() + b"\n")
            self.file.flush()
            self.unsynced += 1
            if self.unsynced >= LINES or self.clock() - self.synced >= SECONDS:
                self._sync()
        except OSError as error:
            raise self._fault(error) from None

    def _sync(self) -> None:
        os.fsync(self.file.fileno())
        self.unsynced, self.synced = 0, self.clock()

    def close(self) -> None:
        try:
            self._sync()
            self.file.close()
        except OSError as error:
            raise self._fault(error) from None

    def _fault(self, error: OSError) -> cli.UserError:
        return cli.UserError(f"{self.path}: cannot be written or read: {error.strerror}")
