"""The choice of a device. No GPU is needed: leases are taken on files, torch's answers are set."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

from ruie import devices

NAMES = ["gpu-a.lock", "gpu-b.lock"]
CHILD = """
import sys
from pathlib import Path
from ruie import devices
print(devices.lease(sys.argv[2:], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    """Each test starts and ends without a lease, as a process does."""
    devices.device.cache_clear()
    yield
    devices.device.cache_clear()
    while devices._held:
        os.close(devices._held.pop())


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Any]:
    """``jobs()`` starts a process that takes a lease and keeps it; gives it and what it got."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), *NAMES],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=tiny.environment(),
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def test_processes_get_different_devices_and_a_killed_one_frees_its_own(jobs: Any) -> None:
    first, got_first = jobs()
    second, got_second = jobs()
    assert (got_first, got_second) == ("0", "1")
    assert jobs()[1] == "None"  # two names, both taken
    first.kill()
    first.wait(60)
    assert jobs()[1] == "0"
    second.communicate("", timeout=60)  # ends by itself
    assert second.returncode == 0
    assert jobs()[1] == "1"


def test_a_lease_is_not_handed_to_the_programs_that_a_job_starts(tmp_path: Path) -> None:
    assert devices.lease(NAMES, tmp_path) == 0
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:  # outlives the lease
        os.close(devices._held.pop())
        assert devices.lease(NAMES, tmp_path) == 0
        child.kill()


def test_a_lock_file_left_behind_or_not_ours(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_text("left by a job that was killed")
    assert devices.lease(NAMES, tmp_path) == 0
    (tmp_path / "folder.lock").mkdir()
    target = tmp_path / "precious"
    (tmp_path / "link.lock").symlink_to(target)
    assert devices.lease(["folder.lock", "link.lock", NAMES[1]], tmp_path) == 2
    assert not target.exists()
    free = os.dup(0)  # the lowest free number
    os.close(free)
    assert devices.lease(NAMES, tmp_path) is None  # this process itself holds both
    again = os.dup(0)
    os.close(again)
    assert again == free  # no file is left open
    assert devices.lease(NAMES, tmp_path / "missing") is None
    assert devices.lease([], tmp_path) is None


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``gpus(*uuids)`` makes torch see such GPUs (None: it gives no uuid); the list that it
    returns gets what becomes the current one."""
    current: list[int] = []

    def see(*uuids: str | None) -> list[int]:
        found = [SimpleNamespace(uuid=u) if u else SimpleNamespace() for u in uuids]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(found))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(found))
        monkeypatch.setattr(torch.cuda, "get_device_properties", found.__getitem__)
        monkeypatch.setattr(torch.cuda, "set_device", current.append)
        return current

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return see


def another_job() -> str:
    """What the next process would get: the cache forgotten, the leases kept."""
    devices.device.cache_clear()
    return devices.device()


def test_without_a_gpu_or_with_one_nothing_is_leased(gpus: Any, tmp_path: Path) -> None:
    gpus()
    assert devices.device() == "cpu"
    gpus("a")
    assert another_job() == another_job() == "cuda"
    assert list(tmp_path.iterdir()) == []


def test_jobs_side_by_side_spread_over_the_gpus_then_share(
    gpus: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    current = gpus("a", "b")
    assert devices.device() == devices.device() == "cuda:0"
    assert another_job() == "cuda:1"
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert another_job() == "cuda:0"
    assert "all 2 GPUs are taken" in caplog.text
    assert current == [0, 1, 0]
    user = os.getuid()
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == [f"ruie-{user}-gpu-a.lock", f"ruie-{user}-gpu-b.lock"]


def test_a_gpu_is_known_by_its_uuid_and_else_by_its_number(gpus: Any) -> None:
    gpus("a", "b")
    assert devices.device() == "cuda:0"
    gpus("b", "a")  # the other order: a is taken, b is this job's number 0
    assert another_job() == "cuda:0"
    gpus(None, None)
    assert [another_job(), another_job()] == ["cuda:0", "cuda:1"]


def test_under_a_launcher_the_rank_chooses(
    gpus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus("a", "b")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert devices.device() == "cuda:1"
    gpus()  # a launcher sets ranks on the CPU too
    assert another_job() == "cpu"
    assert list(tmp_path.iterdir()) == []
