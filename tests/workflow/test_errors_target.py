"""The target `error_page` of the demo: what it plans, and that its commands can be read."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ruie import errors

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.workflow


def test_the_page_is_made_of_a_table_for_each_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "error_page", "-n", "-p", "--forceall", "--cores", "2",
         "--configfile", "workflow/demo.yaml"],
        cwd=ROOT, text=True, capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    commands = re.findall(r"^Shell command: python -m ruie\.errors (.*?) > ", printed, re.M)
    read = [errors.parser().parse_args(shlex.split(words)) for words in commands]
    tables = [a.out for a in read if a.predictions]
    (page,) = (a for a in read if a.tables)
    assert sorted(page.tables) == sorted(tables)
    for a in read:
        if a.predictions:
            assert a.pool == Path("results/demo/pool.parquet")
            # one table for all datasets of a run
            (folder,) = {str(p.parent) for p in a.predictions}
            assert f"{a.out.parent}/{a.out.stem}" == folder.replace("/predictions/", "/errors/")
            assert len(a.predictions) == 6
    assert {a.out.parts[3] for a in read if a.predictions} > {"zero_shot"}
