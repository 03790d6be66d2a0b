"""What goes wrong on a machine, and how the run bears it: one clear line, then the same tables."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import runs
from tiny_project import RUN, TABLES, Project

pytestmark = pytest.mark.workflow
DAY = 86_400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """``small_disk(options)`` mounts a file system in memory, or the same with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        words = f"{'remount,' if mounted else ''}{options}"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", words, "tmpfs", str(folder)], capture_output=True
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        mounted = True
        return folder

    try:
        yield mount
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def elsewhere(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


def spoil(path: Path, column: str) -> bytes:
    """Turn a bit in the last page of a column; the table's bytes before."""
    whole = path.read_bytes()
    about = pq.read_metadata(path).row_group(0)
    chunks = [about.column(i) for i in range(about.num_columns)]
    chunk = next(c for c in chunks if c.path_in_schema == column)
    starts = [chunk.dictionary_page_offset, chunk.data_page_offset]
    at = min(start for start in starts if start is not None) + chunk.total_compressed_size - 1
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    return whole


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (f"{RUN}/predictions/ruie/tiny-lm/k2/film.parquet", "prediction"),
        (f"{RUN}/metrics/ruie/tiny-lm/k2/film.parquet", "f1"),
        (f"{RUN}/demonstrations/ruie/film.parquet", "rank"),
        (f"{RUN}/vectors/ruie.parquet", "vector"),
    ],
)
def test_a_corrupt_table_is_named_and_made_again(project: Project, table: str, column: str) -> None:
    path = project.folder / table
    before = runs.tables(project.folder)
    whole = spoil(path, column)
    printed = project.snakemake(*TABLES, fails=True)
    lines = [line for line in printed.splitlines() if line.startswith(f"error: {table}: ")]
    assert lines, printed[-3000:]
    assert "not a readable Parquet file" in lines[0]
    assert "again" in lines[0] or "rerun" in lines[0]
    path.unlink()
    project.snakemake(*TABLES, table)
    assert path.read_bytes() == whole
    assert runs.differing(before, runs.tables(project.folder)) == []


def test_two_runs_in_one_folder(project: Project) -> None:
    """The second is refused while the first is there, and the first is none the worse."""
    before = runs.tables(project.folder)
    with runs.started(project, *TABLES, "--forcerun", "table") as first:
        locks = project.folder / ".snakemake/locks"
        began = time.monotonic()
        while not any(locks.glob("*")):
            assert time.monotonic() - began < 120
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGSTOP)
        try:
            printed = project.snakemake(*TABLES, "--forcerun", "table", fails=True)
        finally:
            os.killpg(first.pid, signal.SIGCONT)
        assert "Directory cannot be locked" in printed
        assert "--unlock" in printed
        assert first.wait(timeout=300) == 0
    assert runs.differing(before, runs.tables(project.folder)) == []


def test_a_clock_that_is_ahead_reruns_nothing(project: Project) -> None:
    """Inputs that another machine wrote tomorrow, then results too: nothing is to be done."""
    files = [p for top in ("data", "results") for p in (project.folder / top).rglob("*")]
    before = {path: path.stat().st_mtime for path in files if path.is_file()}
    try:
        for top in ("data", "results"):
            for path, then in before.items():
                if path.is_relative_to(project.folder / top):
                    os.utime(path, (then + DAY, then + DAY))
            assert project.planned() == {}, top
    finally:
        for path, then in before.items():
            os.utime(path, (then, then))


def test_a_folder_without_writing_is_refused(
    project: Project, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    other = elsewhere(tmp_path)
    (other.folder / "results").symlink_to(small_disk("size=1m"))
    small_disk("ro")
    printed = other.snakemake(*TABLES, fails=True)
    assert "Read-only file system" in printed
    assert "Traceback" not in printed


@pytest.mark.long
def test_a_full_disk_is_named_and_with_room_the_run_ends_the_same(
    project: Project, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    other = elsewhere(tmp_path)
    (other.folder / "results").symlink_to(small_disk("size=200k"))
    ended = False
    # room for a stage or two more each time: the disk fills up in one after another
    for size in ("200k", "300k", "400k", "600k", "800k", "1200k", "1g"):
        small_disk(f"size={size}")
        ended = not runs.full(other)
        if ended:
            break
    assert ended
    assert runs.differing(runs.tables(project.folder), runs.tables(other.folder)) == []
