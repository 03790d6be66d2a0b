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

from ruie import cli, devices

NAMES = ["gpu-a.lock", "gpu-b.lock"]
CHILD = """
import sys
from pathlib import Path
from ruie import cli, devices
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
    """``gpus(*uuids)`` makes nvidia-smi list such GPUs and torch find one where there are any;
    ``None`` for uuids: there is no nvidia-smi."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    (tmp_path / "locks").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "locks"))
    for name in ("LOCAL_RANK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)

    def see(*uuids: str) -> None:
        lines = "".join(f"echo {u}; " for u in uuids)
        (tools / "nvidia-smi").write_text(f"#!/bin/sh\n{lines or 'exit 9'}\n")
        (tools / "nvidia-smi").chmod(0o700)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(uuids))

    return see


def locks(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "locks").iterdir())


def another_job(visible: str | None = None) -> tuple[str, str | None]:
    """Device and visible GPUs of the next process, the leases kept."""
    devices.device.cache_clear()
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    return devices.device(), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_without_a_gpu_or_with_one_nothing_is_leased(gpus: Any, tmp_path: Path) -> None:
    gpus()
    assert another_job() == ("cpu", None)
    gpus("GPU-a")
    assert another_job() == another_job() == ("cuda", None)
    gpus("GPU-a", "GPU-b")
    assert another_job("1") == ("cuda", "1")  # one is visible
    assert another_job("") == ("cuda", "")
    (tmp_path / "tools" / "nvidia-smi").unlink()
    assert another_job() == ("cuda", None)  # whatever torch found, it is not NVIDIA's
    assert locks(tmp_path) == []


def test_jobs_side_by_side_spread_over_the_gpus_then_share(
    gpus: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpus("GPU-a", "GPU-b")
    assert another_job() == ("cuda", "GPU-a")
    assert devices.device() == "cuda"  # asked again, nothing else is taken
    assert another_job() == ("cuda", "GPU-b")
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert another_job() == ("cuda", "GPU-a")
    assert "all 2 GPUs are taken" in caplog.text
    user = os.getuid()
    assert locks(tmp_path) == [f"ruie-{user}-gpu-GPU-{name}.lock" for name in "ab"]


def test_a_gpu_is_taken_among_those_that_are_visible(gpus: Any) -> None:
    gpus("GPU-a0", "GPU-a1", "GPU-b0")
    assert another_job("2, 0") == ("cuda", "GPU-b0")
    assert another_job("2,1") == ("cuda", "GPU-a1")  # number 2 is taken
    assert another_job("GPU-b,GPU-a0") == ("cuda", "GPU-a0")  # the beginnings of names do
    # a part of a GPU, a name that two have, a number that none has: left as it is
    for odd in ("MIG-1,MIG-2", "GPU-a,GPU-b0", "0,7", "0,-1"):
        assert another_job(odd) == ("cuda", odd)


def test_under_a_launcher_the_rank_chooses(
    gpus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus("GPU-a", "GPU-b")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert another_job() == ("cuda:1", None)
    gpus()  # a launcher sets ranks on the CPU too
    assert another_job() == ("cpu", None)
    assert locks(tmp_path) == []


def test_a_launcher_gets_gpus_of_its_own_and_keeps_them(gpus: Any, tmp_path: Path) -> None:
    gpus("GPU-a", "GPU-b", "GPU-c", "GPU-d")
    assert another_job() == ("cuda", "GPU-a")
    program = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); input()"
    words = ["-m", "ruie.devices", "2", sys.executable, "-c", program]
    del os.environ["CUDA_VISIBLE_DEVICES"]
    environment = tiny.environment(TMPDIR=str(tmp_path / "locks"))
    with subprocess.Popen(
        [sys.executable, *words], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment,
    ) as launcher:  # fmt: skip
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "GPU-b,GPU-c\n"
        assert another_job() == ("cuda", "GPU-d")
        launcher.communicate("\n", timeout=60)
    assert another_job() == ("cuda", "GPU-b")  # freed


def test_a_launcher_shares_where_too_few_are_free(
    gpus: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gpus("GPU-a", "GPU-b", "GPU-c")
    assert another_job("1") == ("cuda", "1")  # nothing is taken where one is visible
    assert [another_job()[1], another_job()[1]] == ["GPU-a", "GPU-b"]
    del os.environ["CUDA_VISIBLE_DEVICES"]
    with caplog.at_level(logging.WARNING):
        devices.take(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-c"
    assert caplog.text.count("all 3 GPUs are taken") == 1


@pytest.mark.parametrize("words", [[], ["2"], ["two", "true"], ["1", "no-such-program"]])
def test_a_launcher_without_a_command_is_one_line(words: list[str]) -> None:
    done = tiny.python("-m", "ruie.devices", *words)
    assert done.returncode == 2
    assert re.fullmatch("error: .*\n", done.stderr)


def test_tokens_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device", lambda: "cuda")
    assert devices.batch_tokens(None) == devices.batch_tokens(None, "cuda:3") == 16384
    assert devices.batch_tokens(None, "mps") == 16384
    assert devices.batch_tokens(None, "cpu") == 2048
    assert devices.batch_tokens(7) == devices.batch_tokens(7, "cpu") == 7
    parser = cli.parser("Try.")
    devices.add_batch_tokens(parser)
    assert parser.parse_args([]).batch_tokens is None
    assert parser.parse_args(["--batch-tokens", "5"]).batch_tokens == 5
    with pytest.raises(SystemExit):
        parser.parse_args(["--batch-tokens", "0"])


@pytest.mark.parametrize("has", [True, False])
def test_arithmetic_that_is_not_emulated(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, has: bool
) -> None:
    monkeypatch.setattr(devices, "_has_bfloat16", lambda: has)
    monkeypatch.setattr(devices, "device", lambda: "cpu")
    devices._say.cache_clear()
    with caplog.at_level(logging.INFO):
        found = [
            devices.arithmetic(d) for d in ("float32", "bfloat16", "bfloat16", "float16", "tf32")
        ]
    exact = "bfloat16" if has else "float32"
    assert found == ["float32", exact, exact, "float32", "float32"]
    # each dtype that is not there is named once
    said = [r.getMessage() for r in caplog.records]
    lacking = [*([] if has else ["bfloat16"]), "float16", "tf32"]
    assert said == [f"this processor has no fast instructions for {d}: computing in float32"
                    for d in lacking]  # fmt: skip
    assert devices.arithmetic("bfloat16", "cuda:1") == "bfloat16"
    assert devices.arithmetic("tf32", "cuda") == "tf32"


@pytest.mark.parametrize(
    ("amx", "avx512", "maker", "faster"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
    ],
)
def test_bfloat16_is_computed_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, amx: bool, avx512: bool, maker: str,
    faster: bool,
) -> None:  # fmt: skip
    import torch

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nvendor_id\t: {maker}\n")
    assert devices._has_bfloat16(cpuinfo) is faster
    # elsewhere than on Linux nobody says who made it
    assert devices._has_bfloat16(tmp_path / "none") is (amx or avx512)
