"""What dry runs of this project plan: the rules' commands, as their own parsers read them."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def snakemake(*words: str, fails: bool = False) -> str:
    """What a dry run of everything prints."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--cores", "2", *words],
        cwd=ROOT, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-4000:]
    return printed


def commands(printed: str) -> list[tuple[str, Any, str]]:
    """Stage, arguments and the words of each command of the package."""
    found = re.findall(
        r"^Shell command: (?:python|accelerate launch) .*?-m ruie\.(\w+) (.*?) > ", printed, re.M
    )
    return [
        (stage, importlib.import_module(f"ruie.{stage}").parser().parse_args(shlex.split(w)), w)
        for stage, w in found
    ]
