"""Fetch one file over HTTP: resumed where it broke off, bounded in time and size, checked.

While X is fetched, ``X.part`` holds what has come and ``X.version`` which version of the file that
is. A whole file with the wrong checksum is set aside as ``X.bad``.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ruie import __version__, parquet
from ruie.cli import UserError, log

CHUNK = 1 << 18
#: A failure after so many new bytes counts as the first: the connection is poor, not dead.
PROGRESS = 1 << 20
LONGEST_PAUSE = 60.0
EVERY = 15.0  # seconds between two lines of progress
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class Limits:
    """``timeout``: seconds without a byte; ``tries``: attempts in a row that bring nothing."""

    max_bytes: int = 20 << 30
    timeout: float = 60.0
    tries: int = 6
    pause: Callable[[float], None] = time.sleep


class _Again(Exception):
    """A failure that may pass; ``wait``: seconds that the server asks for."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class _Redirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> str:
    """The URL, its odd characters quoted. ``UserError`` for another scheme than http(s)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"{_plain(url)}: not an address: {error}; mend it") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"{_plain(url)}: only http and https addresses are fetched; mend it")
    if parts.username is not None:
        raise UserError(f"{host}: the address holds a user name; fetch such a file by hand")
    return quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def fetch(
    url: str, path: Path, expected: str | None, limits: Limits, accept: str = "mend it"
) -> dict[str, Any]:
    """Fetch ``url`` into ``path`` unless it is there already; its bytes, sha256 and version.

    ``expected``: the sha256 it must have; ``accept``: how to take another all the same. Raises
    ``UserError`` for whatever goes wrong; what has come stays, and the next call goes on there.
    """
    address = check_url(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(path, ".part")
    try:
        if not path.is_file():
            _receive(address, path, expected is not None, limits)
            os.replace(part, path)
        found, size = digest(path), path.stat().st_size
        if expected not in (None, found):
            bad = next(b for n in itertools.count(1) if not (b := _bad(path, n)).exists())
            os.replace(path, bad)
            raise UserError(
                f"{url}: sha256 should be {expected}, is {found}; set aside as {bad}; look what it "
                f"is, then run again, or {accept} to take it"
            )
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    version = _version(path)
    kept = {name: version.get(name) for name in ("etag", "last_modified")}
    return {"url": url, "bytes": size, "sha256": found, **kept}


def digest(path: Path) -> str:
    """The file's sha256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _bad(path: Path, n: int) -> Path:
    return _beside(path, ".bad" if n == 1 else f".bad{n}")


def _version(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(_beside(path, ".version").read_text())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _receive(url: str, path: Path, pinned: bool, limits: Limits) -> None:
    """Attempts until ``X.part`` is whole."""
    part, failures, most = _beside(path, ".part"), 0, 0
    while True:
        try:
            return _attempt(url, path, pinned, limits)
        except _Again as error:
            size = _size(part)
            failures = 1 if size >= most + PROGRESS else failures + 1
            most = max(most, size)
            if failures >= limits.tries:
                raise UserError(
                    f"{url}: {error}, {failures} times in a row; run it again later, it goes on "
                    f"after the {size} bytes that have come"
                ) from None
            wait = min(max(error.wait, 2.0 ** (failures - 1)), LONGEST_PAUSE)
            log.info("%s: %s; again in %.0f s", url, error, wait)
            limits.pause(wait)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _attempt(url: str, path: Path, pinned: bool, limits: Limits) -> None:
    """One request for what is missing; ``_Again`` where another may bring the rest."""
    part, held = _beside(path, ".part"), _version(path)
    # a weak ETag does not promise the same bytes, so it cannot continue a file
    etag = str(held.get("etag") or "")
    validator = etag if etag.startswith('"') else str(held.get("last_modified") or "")
    # without a validator only a checksum would tell that two halves are of different files
    at = _size(part) if validator or pinned else 0
    headers = {"User-Agent": f"ruie/{__version__}", "Accept-Encoding": "identity"}
    if at:
        headers |= {"Range": f"bytes={at}-"} | ({"If-Range": validator} if validator else {})
    with _answer(url, headers, limits.timeout, part, at) as answer:
        if answer.status == 206 and at:
            total: int | None = _continued(answer, held, at, part)
        elif answer.status == 200:
            at, total = 0, answer.length
        elif answer.status == 416:
            return  # the part is whole: the last run ended just before it was renamed
        else:
            raise UserError(f"{url}: HTTP {answer.status} where a file was asked for; mend it")
        if (total or 0) > limits.max_bytes:
            raise UserError(f"{url}: {total} bytes, above --max-bytes {limits.max_bytes}; raise it")
        if not at:
            _check_kind(url, answer, pinned)
            part.write_bytes(b"")
            new = {"etag": answer.headers["ETag"], "last_modified": answer.headers["Last-Modified"]}
            with parquet.replacing(_beside(path, ".version")) as place:
                place.write_text(json.dumps(new | {"total": total}))
        _body(url, answer, part, at, total, limits)


def _answer(
    url: str, headers: dict[str, str], timeout: float, part: Path, at: int
) -> http.client.HTTPResponse | HTTPError:
    """The server's answer, its head alone read; 416 where the part is the whole file."""
    opener = OpenerDirector()  # the ready-made opener would read file: and ftp: too
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, _Redirects,
                    HTTPErrorProcessor):  # fmt: skip
        opener.add_handler(handler())
    try:
        request = Request(url, headers=headers)  # noqa: S310 the scheme has been checked
        return opener.open(request, timeout=timeout)  # type: ignore[no-any-return]
    except HTTPError as error:
        code = error.code
        if code == 416 and at:
            if error.headers.get("Content-Range", "") == f"bytes */{at}":
                return error
            part.unlink(missing_ok=True)
            raise _Again("the server has no such range: from the start") from None
        error.close()
        if code in (408, 425, 429) or code >= 500:
            wait = error.headers.get("Retry-After", "")
            raise _Again(f"HTTP {code}", float(wait[:6]) if wait.isdecimal() else 0.0) from None
        raise UserError(
            f"{url}: HTTP {code} {_plain(str(error.reason))}; mend the address, or fetch it by hand"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError | ValueError | str):
            raise UserError(f"{url}: {_plain(str(reason))}; mend the address") from None
        raise _Again(_why(reason)) from None


def _continued(answer: Any, held: dict[str, Any], at: int, part: Path) -> int:
    """The whole file's length, where the answer goes on at ``at`` with the same version."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    etag = answer.headers["ETag"]
    if (
        not found
        or int(found[1]) != at
        or held.get("total") not in (None, int(found[2]))
        or (etag and held.get("etag") not in (None, etag))
    ):
        part.unlink(missing_ok=True)
        raise _Again("the server goes on elsewhere, or in another version: from the start")
    log.info("%s: goes on after %d bytes", part.name, at)
    return int(found[2])


def _check_kind(url: str, answer: Any, pinned: bool) -> None:
    """Refuse a page or an encoding that was not asked for, instead of keeping it as the data."""
    name = urlsplit(url).path.lower()
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    # servers call a .gz file an encoding of its content; kept as it is
    if encoding not in ("identity", "") and not name.endswith(("gz", "bz2", "xz", "zip")):
        raise UserError(f"{url}: comes in the encoding {_plain(encoding)}; fetch it by hand")
    kind = answer.headers.get_content_type()
    if kind == "text/html" and not pinned and not name.endswith((".html", ".htm")):
        raise UserError(
            f"{url}: the server answers with a web page, not a file; fetch it by hand, or give its "
            "sha256 if the page is what is wanted"
        )


def _body(url: str, answer: Any, part: Path, at: int, total: int | None, limits: Limits) -> None:
    end = None if answer.length is None else at + answer.length
    start = last = time.monotonic()
    first = at
    with open(part, "r+b") as file:
        file.seek(at)
        while end is None or at < end:
            try:
                piece = answer.read1(CHUNK if end is None else min(CHUNK, end - at))
            except (OSError, http.client.HTTPException) as error:
                raise _Again(_why(error)) from None
            if not piece:
                break
            at += len(piece)
            if at > limits.max_bytes:
                raise UserError(f"{url}: more than --max-bytes {limits.max_bytes}; raise it")
            file.write(piece)
            if (now := time.monotonic()) - last >= EVERY:
                rate = (at - first) / (now - start) / 1e6
                log.info("%s: %d of %s bytes, %.2f MB/s", url, at, total or "unknown", rate)
                last = now
    if total is not None and at != total:
        if at > total:
            part.unlink()
        raise _Again(f"the connection ended at {at} of {total} bytes")


def _why(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer within the time limit"
    return _plain(str(error) or type(error).__name__)


def _plain(text: str) -> str:
    """A server's words without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)[:300]
