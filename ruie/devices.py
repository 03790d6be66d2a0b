"""Which device a job computes on: of several GPUs, jobs that run side by side take one each.

A job takes its GPU before CUDA starts, by ``CUDA_VISIBLE_DEVICES``: whatever asks for the first GPU
then gets this one. A launcher of several processes is started with GPUs of its own:
``python -m ruie.devices 2 accelerate launch ...``.
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruie import cli

#: Padded tokens of an encoder that are computed at once, where nothing else is said. On a CPU few,
#: whose activations stay in its cache: 16,384 took twice as long there in training.
BATCH_TOKENS = {"cuda": 16384, "cpu": 2048}
#: Locked files of this process. They stay open until it ends, however it ends; that frees them.
_held: list[int] = []


@functools.cache
def device() -> str:
    """``cpu`` or ``cuda``; ``cuda:N`` for process N of ``accelerate launch``.

    Of several visible GPUs a job takes the first that no other job of this user has taken, and
    sees that one alone: so do the libraries that it calls. The same at every call of a process; the
    first one must come before anything else asks for a GPU."""
    rank = os.environ.get("LOCAL_RANK")
    if not rank:
        take(1)
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{rank}" if rank else "cuda"


def visible() -> list[str]:
    """UUIDs of the NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves to this process, in its order;
    none where nvidia-smi is missing or an entry is no whole GPU."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    found = asked.stdout.split()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    out = []
    for word in map(str.strip, chosen.split(",")):
        number = int(word) if word.isascii() and word.isdigit() else None
        named = [u for i, u in enumerate(found) if i == number or (word and u.startswith(word))]
        if len(named) != 1:
            return []
        out += named
    return out


def take(number: int) -> None:
    """Leave so many of the visible GPUs to this process and to what it starts, first those that no
    other job of this user has taken; nothing where there are no more than that."""
    uuids = visible()
    if len(uuids) <= number:
        return
    taken: list[str] = []
    while len(taken) < number:
        left = [uuid for uuid in uuids if uuid not in taken]
        # by UUID: the same GPU can have another number in another job
        names = [f"ruie-{os.getuid()}-gpu-{uuid}.lock" for uuid in left]
        got = lease(names, Path(tempfile.gettempdir()))
        if got is None:
            cli.log.warning("all %d GPUs are taken by other jobs: sharing one", len(uuids))
        taken.append(left[got or 0])
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(sorted(taken, key=uuids.index))


def add_batch_tokens(p: Any) -> None:
    p.add_argument(
        "--batch-tokens", type=cli.positive,
        help="padded tokens computed at once "
        f"({BATCH_TOKENS['cuda']} on a GPU, {BATCH_TOKENS['cpu']} on a CPU)",
    )  # fmt: skip


def batch_tokens(given: int | None, on: str | None = None) -> int:
    """The padded tokens that ``given`` flags allow at once ``on`` a device (this job's)."""
    kind = (on or device()).partition(":")[0]
    return given or BATCH_TOKENS.get(kind, BATCH_TOKENS["cuda"])


def arithmetic(dtype: str, on: str | None = None) -> str:
    """The dtype that a device (this job's) computes ``dtype`` in: float32 on a processor where
    bfloat16 or float16 are not faster (emulated, they are many times as slow), or TF32, which GPUs
    alone have."""
    if (on or device()) != "cpu" or dtype == "float32" or (dtype == "bfloat16" and _has_bfloat16()):
        return dtype
    _say(f"this processor has no fast instructions for {dtype}: computing in float32")
    return "float32"


def _has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether bfloat16 is faster than float32: with AMX, or with AVX512-BF16 unless it is Intel's,
    which multiplied matrices more slowly than float32 (docs/training.md)."""
    import torch

    # torch lists them so; there is no public way to ask
    def has(name: str) -> bool:
        return bool(getattr(torch.cpu, name, lambda: False)())

    if has("_is_amx_tile_supported"):
        return True
    intel = cpuinfo.is_file() and "GenuineIntel" in cpuinfo.read_text()
    return has("_is_avx512_bf16_supported") and not intel


@functools.cache
def _say(line: str) -> None:
    """Once a process."""
    cli.log.info(line)


def lease(names: Sequence[str], folder: Path) -> int | None:
    """The first of ``names`` that no process has taken, now taken by this one until it ends; None
    where there is none. Each name is a lock file in ``folder``; a stale file does no harm."""
    for i, name in enumerate(names):
        try:
            file = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError:
            continue  # someone else's file stands there: not ours to take
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            continue
        _held.append(file)
        return i
    return None


def main() -> None:
    if len(sys.argv) < 3 or not sys.argv[1].isdecimal():
        raise cli.UserError("give a number of GPUs and a command")
    take(int(sys.argv[1]))
    for file in _held:  # the command keeps them
        os.set_inheritable(file, True)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
    except OSError as error:
        raise cli.UserError(f"{sys.argv[2]}: {error.strerror}") from None


if __name__ == "__main__":
    cli.run(main)
