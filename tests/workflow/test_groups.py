"""What jobs that go to a cluster together ask for, whatever the site's cores: a stand-in for sbatch
writes down what it is given. The run is made up, as in test_reruns; nothing is computed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_reruns import CONFIG, TABLES, Project, merged

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of each submission of answers, on nodes of 64 cores."""
    project = Project(tmp_path_factory.mktemp("groups"))
    demo = yaml.safe_load((project.folder / "workflow/demo.yaml").read_text())
    config = merged(merged(demo, CONFIG), {"inference": {"engine": "own"}})
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    commands = project.folder / "commands"
    commands.mkdir()
    for name, script in {"sbatch": 'echo "$*" >> asked; exit 1', "squeue": "true"}.items():
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *TABLES, "--profile", "profiles/slurm", "--cores", "64",
         "--retries", "0", "--keep-going", "--forcerun", "infer", "infer_zero_shot",
         "--configfile", "tiny.yaml"],
        cwd=project.folder, text=True, capture_output=True, timeout=1800,
        env={**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    path = Path(project.folder, "asked")
    assert path.is_file(), (done.stdout + done.stderr)[-4000:]
    return [line for line in path.read_text().splitlines() if "--job-name=infer" in line]


def test_a_group_of_answers_asks_for_one_gpu_and_one_jobs_cores(asked: list[str]) -> None:
    assert asked
    for line in asked:
        assert re.search(r"--gres=gpu:1 |--gres=gpu:1$", line), line
        assert int(re.search(r"--cpus-per-task=(\d+)", line)[1]) <= 16, line  # type: ignore[index]


def test_its_time_is_that_of_its_jobs_one_after_the_other(asked: list[str]) -> None:
    # 240 minutes for the answers of each dataset, 30 for their evaluation
    times = [int(re.search(r"--time=(\d+)", line)[1]) for line in asked]  # type: ignore[index]
    assert max(times) >= 2 * 240
