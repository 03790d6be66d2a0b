"""Keep one language model in memory for many short jobs of one machine.

An engine takes a minute to start, an answer a fraction of a second, and the workflow has one
inference job for each dataset. The first job starts this server, the following find it, and it
ends by itself when nobody has asked for a while (or by `python -m ruie.engine --stop`). It listens
on a Unix socket in a folder that only its user may enter, and serves one job after another, each
as one batch with an empty prefix cache: answers do not depend on which job came before.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruie import backends, cli
from ruie.backends import Answer, Request, Settings

IDLE_SECONDS = 600.0
#: Until the socket is there; loading the model comes after.
START_SECONDS = 120.0


def folder() -> Path:
    """The user's own folder for sockets; refused where others could enter it."""
    path = Path(tempfile.gettempdir(), f"ruie-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise cli.UserError(f"{path}: must be your own folder, closed to others (chmod 700)")
    return path


def socket_path(settings: Settings) -> Path:
    """One socket for each model and its settings; a model folder that changed is another model."""
    key: list[Any] = [asdict(settings), sys.executable, os.environ.get("CUDA_VISIBLE_DEVICES")]
    key += [[f.name, f.stat().st_size, f.stat().st_mtime_ns]
            for f in sorted(Path(settings.model).glob("*")) if f.is_file()]  # fmt: skip
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return folder() / f"{_owner()}-{name}.sock"


def _owner() -> str:
    """The project folder that an engine belongs to: runs elsewhere must not end it."""
    return hashlib.sha256(os.getcwd().encode()).hexdigest()[:8]


def ask(settings: Settings, requests: Sequence[Request]) -> list[Answer]:
    """Answers from the shared engine, which is started where it does not run yet."""
    path = socket_path(settings)
    message = {"requests": [asdict(r) for r in requests]}
    for _ in range(2):
        with contextlib.closing(_connect(path, settings)) as connection:
            replies = _exchange(connection, message)
        # without a reply it was ended while this job waited in its queue: ask a new one, once
        if replies is not None:
            break
    else:
        replies = {"error": "it ended without an answer, twice"}
    if "error" in replies:
        raise cli.UserError(f"the shared engine failed: {replies['error']}; see {_log(path)}")
    return [Answer(**a) for a in replies["answers"]]


def _log(path: Path) -> Path:
    return path.with_suffix(".log")


def _exchange(connection: socket.socket, message: dict[str, Any]) -> dict[str, Any] | None:
    """The engine's reply; None where it ended without one."""
    reply = ""
    with contextlib.suppress(OSError), connection.makefile("rw", encoding="utf-8") as lines:
        lines.write(json.dumps(message) + "\n")
        lines.flush()
        reply = lines.readline()
    out: dict[str, Any] | None = json.loads(reply) if reply else None
    return out


def _try_connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _connect(path: Path, settings: Settings) -> socket.socket:
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of jobs that come together, one starts the engine
        connection = _try_connect(path)
        if connection:
            return connection
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ruie.engine", "--socket", str(path)]
        # the job that happens to come first may be allowed one thread; the engine serves them all
        free = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        with open(_log(path), "wb") as log:
            server = subprocess.Popen(
                command + backends.as_arguments(settings), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, env=free,
            )  # fmt: skip
        cli.log.info("starting the engine; its log is %s", _log(path))
        limit = time.monotonic() + START_SECONDS
        while time.monotonic() < limit and server.poll() is None:
            time.sleep(0.2)
            connection = _try_connect(path)
            if connection:
                return connection
        server.kill()
        last = (_log(path).read_text(errors="replace").strip().split("\n") or [""])[-1]
        raise cli.UserError(f"the engine did not start ({last}); its log is {_log(path)}")


def serve(path: Path, settings: Settings, idle: float) -> None:
    """Load the model, then answer one connection after another until ``idle`` seconds pass.

    The socket is there before the model: who comes meanwhile waits in its queue, and none of them
    can be killed while it is the only one that knows of the engine. Where the model cannot be
    loaded, those who wait are told.
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)
        try:
            try:
                backend = backends.load(settings)
            except Exception as error:
                _refuse(server, str(error) or type(error).__name__)
                raise
            server.settimeout(idle)
            for connection in _connections(server):
                connection.settimeout(60)
                more = True
                # closing flushes again what could not be sent to a client that went away
                with (
                    connection,
                    contextlib.suppress(OSError),
                    connection.makefile("rw", encoding="utf-8") as lines,
                ):
                    more = _serve_one(backend, settings, lines)
                if not more:
                    return
        finally:
            path.unlink(missing_ok=True)


def _refuse(server: socket.socket, why: str) -> None:
    """Tell those who wait; one second without another ends it."""
    server.settimeout(1)
    for connection in _connections(server):
        with connection, contextlib.suppress(OSError):
            connection.sendall((json.dumps({"error": " ".join(why.split())}) + "\n").encode())


def _connections(server: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            yield server.accept()[0]
        except TimeoutError:
            cli.log.info("nobody asks: ending")
            return


def _serve_one(backend: backends.Backend, settings: Settings, lines: Any) -> bool:
    """Answer one job; false when it asks to stop. A client that went away harms nobody."""
    try:
        message = json.loads(lines.readline() or "{}")
        if message.get("stop"):
            lines.write("{}\n")
            return False
        requests = [Request(**r) for r in message.get("requests", [])]
        try:
            answers = backends.answer(backend, settings, requests)
            reply: dict[str, Any] = {"answers": [asdict(a) for a in answers]}
        except Exception as error:  # the job must hear of it, whatever it is
            cli.log.exception("the job failed")
            reply = {"error": f"{type(error).__name__}: {error}"}
        lines.write(json.dumps(reply) + "\n")
        lines.flush()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        cli.log.warning("a connection was dropped: %s", error)
    return True


def stop() -> int:
    """End the engines that were started from this folder; how many there were."""
    ended = 0
    for path in folder().glob(f"{_owner()}-*.sock"):
        connection = _try_connect(path)
        if connection:
            with contextlib.closing(connection):
                _exchange(connection, {"stop": True})
            ended += 1
    return ended


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--socket", required=True, type=Path, help="Unix socket to listen on")
    p.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds until it ends")
    backends.add_arguments(p)
    return p


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--stop"]:
        cli.log.info("%d engines ended", stop())
        return
    args = parser().parse_args(argv)
    serve(args.socket, backends.settings(args), args.idle)


if __name__ == "__main__":
    cli.run(main)
