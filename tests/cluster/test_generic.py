"""A part of the workflow through profiles/generic, with a batch system of three shell scripts."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny_project import OVERRIDES, ROOT, RUN, Project, merged

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None,
        reason="no snakemake-executor-plugin-cluster-generic in this environment",
    ),
]
SCRIPTS = {
    # the first attempt of sampling the queries is lost
    "qsub": """echo "$*" >> asked
case "$*" in *training_queries*) [ -e lost ] || { touch lost; echo 999999999; exit; } ;; esac
setsid bash "${!#}" > /dev/null 2>&1 &
echo $!""",
    "qstat": 'kill -0 "$2" 2> /dev/null',
    "qdel": 'kill "$@"',
}


def test_jobs_go_through_the_sites_own_commands(tmp_path_factory: pytest.TempPathFactory) -> None:
    project = Project(tmp_path_factory.mktemp("generic"))
    commands = project.folder / "commands"
    commands.mkdir()
    for name, script in SCRIPTS.items():
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    profile = project.folder / "profiles/generic/config.yaml"
    # what a site would change: lost jobs are given up at once
    profile.write_text(profile.read_text().replace("status --alive", "status --grace=0 --alive"))
    config = merged(yaml.safe_load((ROOT / "workflow/demo.yaml").read_text()), OVERRIDES)
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", f"{RUN}/queries.parquet", "--profile",
         "profiles/generic", "--seconds-between-status-checks", "1", "--latency-wait", "20",
         "--configfile", "tiny.yaml"],
        cwd=project.folder, text=True, capture_output=True, timeout=1800,
        env={**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-5000:]
    # 2 held-in datasets x 4 queries
    assert len(pd.read_parquet(project.folder / RUN / "queries.parquet")) == 2 * 4
    assert re.search(r"job 999999999 .* failed: the batch system does not know it", printed)
    asked = (project.folder / "asked").read_text().splitlines()
    assert [re.sub(r".*(-pe.*) \S+/(\w+)\.\w+\.sh", r"\1 \2", line) for line in asked] == [
        # normalising two sets side by side; then 8000 MiB and 60 minutes, once and twice
        "-pe smp 2 -l h_vmem=4000M,h_rt=00:30:00 data",
        "-pe smp 1 -l h_vmem=8000M,h_rt=00:60:00 training_queries",
        "-pe smp 1 -l h_vmem=16000M,h_rt=00:120:00 training_queries",
    ]
    assert Path(project.folder, "lost").is_file()
