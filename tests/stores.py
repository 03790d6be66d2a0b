"""Stores for the tests: batches of known scores, and processes that write them. Nothing here is a
test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import tiny

from ruie.store import Store, digest

PRINT, OTHER = "0" * 31 + "1", "0" * 31 + "2"
ABOUT = {"model": "toy", "dtype": "float32"}


def batch(n: int) -> tuple[list[bytes], list[float], list[int]]:
    """Five rows whose scores follow from their keys, so that a wrong one shows."""
    keys = [digest(f"{n} {i}") for i in range(5)]
    return keys, [-k[0] / 7 for k in keys], [k[1] for k in keys]


def rows(*numbers: int) -> dict[bytes, tuple[float, int]]:
    """What ``find`` gives of such batches."""
    return {k: (s, t) for n in numbers for k, s, t in zip(*batch(n), strict=True)}


def make(root: Path, *numbers: int) -> Store:
    """A store with a segment for each batch."""
    held = Store(root, PRINT, ABOUT)
    for n in numbers:
        held.add(*batch(n))
    return held


def segments(held: Store) -> list[Path]:
    return sorted(held.folder.glob("*.parquet"))


def child(code: str, *words: Any) -> subprocess.Popen[str]:
    """A process with a store ``held`` at the root that is its first word; ``batch`` is ours."""
    head = "import os, pathlib, signal, sys\nimport stores\nfrom stores import batch, make\n"
    head += "held = make(pathlib.Path(sys.argv[1]))\n"
    path = os.pathsep.join([str(tiny.ROOT), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, words)],
        stdout=subprocess.PIPE, text=True, env=tiny.environment() | {"PYTHONPATH": path},
    )  # fmt: skip
