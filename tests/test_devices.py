"""The choice of a device. No GPU is needed: leases are taken on files, what is visible is set."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
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
    """``gpus("0,1")`` makes these visible to a process that starts now."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("LOCAL_RANK", raising=False)

    def see(names: str) -> None:
        devices.device.cache_clear()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))

    return see


def taken() -> str:
    """What the next process would compute on, and what it sees; the leases are kept."""
    return f"{devices.device()} {os.environ['CUDA_VISIBLE_DEVICES']}"


def test_without_a_gpu_or_with_one_nothing_is_leased(gpus: Any, tmp_path: Path) -> None:
    gpus("")
    assert devices.device() == "cpu"
    for _ in range(2):
        gpus("3")
        assert taken() == "cuda 3"
    assert list(tmp_path.iterdir()) == []


def test_jobs_side_by_side_spread_over_the_gpus_then_share(
    gpus: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpus("0,1")
    assert taken() == taken() == "cuda 0"
    gpus("0,1")
    assert taken() == "cuda 1"
    assert not caplog.records
    gpus("0,1")
    with caplog.at_level(logging.WARNING):
        assert taken() == "cuda 0"
    assert "all 2 GPUs are taken" in caplog.text
    user = os.getuid()
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == [f"ruie-{user}-gpu-0.lock", f"ruie-{user}-gpu-1.lock"]


def test_a_gpu_keeps_its_name_in_any_order(gpus: Any) -> None:
    gpus("1, 3")
    assert taken() == "cuda 1"
    gpus("1,2,3")
    assert taken() == "cuda 2"
    gpus("3,1")
    assert taken() == "cuda 3"


def test_under_a_launcher_the_rank_chooses(
    gpus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus("0,1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert taken() == "cuda:1 0,1"
    gpus("")  # a launcher sets ranks on the CPU too
    assert devices.device() == "cpu"
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_gets_gpus_of_its_own_and_keeps_them(gpus: Any, tmp_path: Path) -> None:
    gpus("0,1,2,3")
    assert taken() == "cuda 0"
    program = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); input()"
    words = ["-m", "ruie.devices", "2", sys.executable, "-c", program]
    environment = tiny.environment(CUDA_VISIBLE_DEVICES="0,1,2,3", TMPDIR=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, *words], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment,
    ) as launcher:  # fmt: skip
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "1,2\n"
        gpus("0,1,2,3")
        assert taken() == "cuda 3"
        launcher.communicate("\n", timeout=60)
    gpus("0,1,2,3")
    assert taken() == "cuda 1"


@pytest.mark.parametrize("words", [[], ["2"], ["two", "true"], ["1", "no-such-program"]])
def test_a_launcher_without_a_command_is_one_line(words: list[str]) -> None:
    done = tiny.python("-m", "ruie.devices", *words)
    assert done.returncode == 2
    assert re.fullmatch("error: .*\n", done.stderr)


def test_gpus_are_counted_by_the_drivers_tool(
    gpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.visible() == []
    tool = tmp_path / "nvidia-smi"
    listed = "GPU 0: NVIDIA A (UUID: GPU-1)\n  MIG 1g (UUID: MIG-2)\nGPU 1: NVIDIA B (UUID: GPU-3)"
    tool.write_text(f"#!/bin/sh\necho '{listed}'\n")
    tool.chmod(0o755)
    assert devices.visible() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.visible() == []
