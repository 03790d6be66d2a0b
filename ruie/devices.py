"""Which device a job computes on: of several GPUs, jobs that run side by side take one each."""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ruie import cli

#: Locked files of this process. They stay open until it ends, however it ends; that frees them.
_held: list[int] = []


@functools.cache
def device() -> str:
    """``cpu``, ``cuda`` (the only GPU) or ``cuda:N``; the same at every call of a process.

    Of several visible GPUs, the one of this process's rank under ``accelerate launch``, else the
    first that no other job of this user has taken."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    if rank := os.environ.get("LOCAL_RANK"):
        return f"cuda:{rank}"
    count = torch.cuda.device_count()
    if count == 1:
        return "cuda"
    # by uuid: CUDA_VISIBLE_DEVICES can number the same GPUs differently in another job
    uuids = [getattr(torch.cuda.get_device_properties(i), "uuid", i) for i in range(count)]
    names = [f"ruie-{os.getuid()}-gpu-{uuid}.lock" for uuid in uuids]
    taken = lease(names, Path(tempfile.gettempdir()))
    if taken is None:
        cli.log.warning("all %d GPUs are taken by other jobs: sharing GPU 0", count)
        taken = 0
    # what asks for the current GPU, and not for a numbered one, must get this one too
    torch.cuda.set_device(taken)
    return f"cuda:{taken}"


def arithmetic(dtype: str) -> str:
    """The dtype that the device computes ``dtype`` in: float32 on a processor that has no
    instructions for bfloat16 or float16, where they are emulated, several times as slow."""
    import torch

    if device() != "cpu" or dtype == "float32":
        return dtype
    # torch lists them so; there is no public way to ask
    has = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return dtype if dtype == "bfloat16" and has() else "float32"


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
