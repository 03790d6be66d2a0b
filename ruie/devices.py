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

from ruie import cli

#: Locked files of this process. They stay open until it ends, however it ends; that frees them.
_held: list[int] = []


@functools.cache
def device() -> str:
    """``cpu``, ``cuda`` (the only GPU that this process sees from now on) or, under ``accelerate
    launch``, ``cuda:N`` of its rank; the same at every call of a process."""
    rank = os.environ.get("LOCAL_RANK")
    if not rank:
        take(1)
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{rank}" if rank else "cuda"


def take(number: int) -> None:
    """Leave this process so many of the GPUs, those that no other job of this user has taken first;
    nothing where there are no more than that."""
    names = visible()
    if len(names) <= number:
        return
    files = {name: f"ruie-{os.getuid()}-gpu-{name}.lock" for name in names}
    taken: list[str] = []
    while len(taken) < number:
        left = [name for name in names if name not in taken]
        got = lease([files[name] for name in left], Path(tempfile.gettempdir()))
        if got is None:
            cli.log.warning(
                "all %d GPUs are taken by other jobs: sharing GPU %s", len(names), left[0]
            )
        taken.append(left[got or 0])
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(sorted(taken, key=names.index))


def visible() -> list[str]:
    """GPUs that this process can see, as ``CUDA_VISIBLE_DEVICES`` names them; torch is not loaded,
    for it would start CUDA."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(i) for i in range(sum(s.startswith("GPU ") for s in listed.stdout.splitlines()))]


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
