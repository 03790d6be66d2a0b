"""Runs of Snakemake that something happens to, and what they leave."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tiny_project import RUN, Project


def tables(folder: Path) -> dict[str, bytes]:
    """Every table of the run but those that hold seconds, and its trained weights."""
    found = [*folder.glob(f"{RUN}/**/*.parquet"), *folder.glob(f"{RUN}/**/*.safetensors")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if path.name != "pace.parquet"
    }


def differing(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    return sorted(path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path))


@contextlib.contextmanager
def started(project: Project, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake in a session of its own, which is killed with all its jobs when the block ends."""
    running = subprocess.Popen(
        project.command(*arguments), cwd=project.folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def full(project: Project) -> bool:
    """Whether a run ends for want of room; it must say so in one line, or end well."""
    done = subprocess.run(
        project.command(), cwd=project.folder, text=True, capture_output=True, timeout=900
    )
    printed = done.stdout + done.stderr
    if done.returncode:
        assert "No space left on device" in printed, printed[-4000:]
    return done.returncode != 0
