"""The workflow through profiles/slurm on a real SLURM: the same tables as on one machine, and what
happens to jobs that are cancelled, run over their memory or time, or lose their node.

Scoring shards get their faults from `faults/sitecustomize.py` after they have stored some scores.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from slurm_node import Node, missing
from tiny_project import OVERRIDES, ROOT, RUN, Project, merged

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing()), reason=missing() or "-"),
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake_executor_plugin_cluster_generic") is None,
        reason="no snakemake-executor-plugin-cluster-generic in this environment",
    ),
]
#: Seconds that a busy machine may take for what an idle one does in a few.
WAIT = 600
SCORES = f"{RUN}/scores/tiny-lm.parquet"
CONFIG = merged(
    merged(yaml.safe_load((ROOT / "workflow/demo.yaml").read_text()), OVERRIDES),
    # an engine for each job; four shards side by side
    {"inference": {"engine": "own"}, "scoring": {"shards": 4, "batch_tokens": 256}},
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Run:
    """A Snakemake in the background."""

    def __init__(self, project: Project, node: Node, *arguments: str) -> None:
        (project.folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
        self.folder, self.node = project.folder, node
        self.log = project.folder / "printed.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *arguments, "--cores", "2",
                 "--configfile", "tiny.yaml"],
                cwd=project.folder, stdout=log, stderr=log, start_new_session=True,
                # what a shell starts in the background ignores interrupts, and its children do
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                env={**node.environment, "PYTHONPATH": str(Path(__file__).parent / "faults")},
            )  # fmt: skip

    def printed(self) -> str:
        return self.log.read_text()

    def wait_for(self, what: str, seconds: float = WAIT) -> None:
        """Until a text is printed, or a file is project."""

        def come() -> bool:
            assert self.process.poll() is None, self.printed()[-5000:]
            return (self.folder / what).exists() or what in self.printed()

        self.node.wait_for(what, come, seconds)

    def end(self, seconds: float = 10 * WAIT) -> int:
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


def cluster(*targets: str) -> list[str]:
    return [*targets, "--profile", "profiles/slurm", "--seconds-between-status-checks", "1",
            "--latency-wait", "20"]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Project:
    """A project whose scores were made through SLURM."""
    made = Project(tmp_path_factory.mktemp("project"))
    run = Run(made, node, *cluster("scores"))
    assert run.end() == 0, run.printed()[-5000:]
    made.scores = pd.read_parquet(made.folder / SCORES)
    return made


def test_shards_are_scored_side_by_side_on_the_gpu_partition(project: Project, node: Node) -> None:
    assert {job["JobState"] for job in node.ended()} == {"COMPLETED"}
    shards = node.ended("score")
    assert len(shards) == 4
    assert {job["Partition"] for job in shards} == {"gpu"}
    assert {job["Partition"] for job in node.ended("gather")} == {"main"}
    assert min(job["EndTime"] for job in shards) > max(job["StartTime"] for job in shards)
    # the two training sets, normalised in one job
    assert len(node.ended("data")) == 1
    assert list((project.folder / ".snakemake/cluster").glob("*.json")) == []
    # 2 held-in datasets x 4 queries x 6 candidates
    assert len(project.scores) == 2 * 4 * 6


def unscored(project: Project, *shards: int, **faults: str) -> None:
    """Take the scores of shards away, and give those named (shard0 and so on) faults."""
    named = {name.removeprefix("shard"): fault for name, fault in faults.items()}
    for shard in {*map(str, shards), *named}:
        (project.folder / f"{RUN}/scores/tiny-lm/{shard}-of-4.parquet").unlink()
    (project.folder / SCORES).unlink()
    shutil.rmtree(project.folder / "results/score_store")
    shutil.rmtree(project.folder / "faults", ignore_errors=True)
    (project.folder / "faults").mkdir()
    for shard, fault in named.items():
        (project.folder / "faults" / shard).write_text(fault)


def job_of(project: Project, output: str) -> str:
    """The id of the job that writes a file."""
    for path in (project.folder / ".snakemake/cluster").glob("*.json"):
        record = json.loads(path.read_text())
        if any(p.endswith(f"/{output}") for p in record["outputs"]):
            return str(record["id"])
    raise AssertionError(f"no job writes {output}")


def same_scores(project: Project) -> None:
    """Those of the undisturbed run, each pair once."""
    scores = pd.read_parquet(project.folder / SCORES)
    assert not scores.duplicated(["query_id", "demonstration_id"]).any()
    pd.testing.assert_frame_equal(scores, project.scores)


def states(node: Node, since: int) -> list[str]:
    return [job["JobState"] for job in node.ended("score")][since:]


def stored(project: Project, shard: int) -> int:
    """Pairs that the last attempt of a shard found in the store."""
    log = (project.folder / f"{RUN}/logs/score/tiny-lm-{shard}-of-4.log").read_text()
    found = re.search(r"(\d+) of them in the store", log)
    return int(found[1]) if found else 0


def test_jobs_that_are_cancelled_or_take_too_much_are_repeated(
    project: Project, node: Node
) -> None:
    unscored(project, shard0="hang", shard1="memory", shard2="hang")
    before = len(node.ended("score"))
    run = Run(
        project, node, *cluster("scores"),
        "--set-resources", "score:runtime=2*attempt", "score:mem_mb=2000*attempt",
    )  # fmt: skip
    run.wait_for("faults/0.taken")
    node.command("scancel", job_of(project, "0-of-4.parquet"))
    assert run.end() == 0, run.printed()[-5000:]
    same_scores(project)
    ended = states(node, before)
    assert ended.count("COMPLETED") == 3
    assert len(ended) >= 6
    for why in ("CANCELLED AT", "exceeded memory limit", "DUE TO TIME LIMIT"):
        assert re.search(rf"cluster: job \d+ \(score\.\w+\) failed: .*{why}", run.printed()), why
    # each went on after what it had stored
    assert all(stored(project, shard) for shard in range(3))


def test_without_retries_a_cancelled_job_ends_the_run_and_the_next_one_goes_on(
    project: Project, node: Node
) -> None:
    unscored(project, 1, shard0="hang")
    run = Run(project, node, *cluster("scores"), "--retries", "0")
    run.wait_for("faults/0.taken")
    node.command("scancel", job_of(project, "0-of-4.parquet"))
    assert run.end() == 1
    assert re.search(r"cluster: job \d+ \(score\.\w+\) failed: .*CANCELLED", run.printed())
    assert "Exiting because a job execution failed" in run.printed()
    # the other one came to its end
    shards = project.folder / RUN / "scores/tiny-lm"
    assert sorted(p.name for p in shards.glob("?-of-4.parquet")) == [
        f"{i}-of-4.parquet" for i in (1, 2, 3)
    ]
    before = len(node.ended("score"))
    again = Run(project, node, *cluster("scores"))
    assert again.end() == 0, again.printed()[-5000:]
    assert states(node, before) == ["COMPLETED"]
    same_scores(project)


def test_a_drained_node_is_waited_for(project: Project, node: Node) -> None:
    unscored(project, 1, shard0="hang")
    before = len(node.ended("score"))
    run = Run(project, node, *cluster("scores"))
    run.wait_for("faults/0.taken")
    node.set_state("drain")
    try:
        node.command("scancel", job_of(project, "0-of-4.parquet"))
        run.wait_for("waits: ")
        # what ran goes on to its end, what is repeated waits
        node.wait_for("the other", lambda: node.command("squeue", "-h", "-t", "R") == "", WAIT)
        assert run.process.poll() is None
    finally:
        node.set_state("resume")
    assert run.end() == 0, run.printed()[-5000:]
    assert sorted(states(node, before)) == ["CANCELLED", "COMPLETED", "COMPLETED"]
    same_scores(project)


def test_a_node_that_goes_down_takes_its_job_with_it_which_is_repeated(
    project: Project, node: Node
) -> None:
    unscored(project, shard0="hang")
    before = len(node.ended("score"))
    run = Run(project, node, *cluster("scores"))
    run.wait_for("faults/0.taken")
    node.set_state("down")
    try:
        run.wait_for("failed: ")
    finally:
        node.set_state("resume")
    assert run.end() == 0, run.printed()[-5000:]
    assert states(node, before) == ["NODE_FAIL", "COMPLETED"]
    same_scores(project)


def test_jobs_of_a_killed_snakemake_are_ended_before_their_work_is_done_again(
    project: Project, node: Node
) -> None:
    unscored(project, shard0="hang")
    run = Run(project, node, *cluster("scores"))
    run.wait_for("faults/0.taken")
    left = job_of(project, "0-of-4.parquet")
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    assert Run(project, node, "--unlock").end() == 0
    before = len(node.ended("score"))
    again = Run(project, node, *cluster("scores"))
    assert again.end() == 0, again.printed()[-5000:]
    assert f"cluster: job {left} " in again.printed()
    first, second = node.ended("score")[before:]
    assert (first["JobId"], first["JobState"]) == (left, "CANCELLED")
    assert second["JobState"] == "COMPLETED"
    assert second["StartTime"] >= first["EndTime"]
    same_scores(project)


def test_an_interrupt_cancels_what_runs(project: Project, node: Node) -> None:
    unscored(project, shard0="hang")
    run = Run(project, node, *cluster("scores"))
    run.wait_for("faults/0.taken")
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does, to all of them
    assert run.end(WAIT) == 1
    node.wait_for("an empty queue", lambda: node.command("squeue", "-h") == "", WAIT)
    assert Run(project, node, *cluster("scores")).end() == 0
    same_scores(project)


def test_scores_of_another_site_are_taken_from_the_files_that_it_sends(
    project: Project, node: Node, tmp_path: Path
) -> None:
    unscored(project, 0, 1, 2, 3)
    before = len(node.ended("score"))
    run = f"{RUN}/scores/tiny-lm"
    for shard in (1, 3):
        subprocess.run(
            [sys.executable, "-m", "ruie.score", "--plan", f"{run}/plan.parquet", "--queries",
             f"{RUN}/queries.parquet", "--pool", f"{RUN}/training_pool.parquet", "--model",
             "tiny lm", "--shard", str(shard), "--shards", "4", "--dtype", "float32",
             "--store", str(tmp_path / "store"), "--out", str(tmp_path / "shard.parquet")],
            cwd=project.folder, check=True, capture_output=True,
        )  # fmt: skip
    for folder in (tmp_path / "store").iterdir():
        shutil.copytree(folder, project.folder / "results/score_store" / folder.name)
    again = Run(project, node, *cluster("scores"))
    assert again.end() == 0, again.printed()[-5000:]
    assert states(node, before) == ["COMPLETED"] * 4
    logs = [
        (project.folder / f"{RUN}/logs/score/tiny-lm-{n}-of-4.log").read_text() for n in range(4)
    ]
    assert ["all in the store" in log for log in logs] == [False, True, False, True]
    same_scores(project)


def test_tables_are_those_of_a_local_run(
    project: Project, node: Node, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = len(node.ended())
    run = Run(project, node, *cluster())
    assert run.end() == 0, run.printed()[-5000:]
    jobs = node.ended()[before:]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    # 2 datasets' answers with no example, of bm25 and of ruie, four to a job
    assert sum(job["Name"].startswith("infer.") for job in jobs) in (2, 3)
    here = Project(tmp_path_factory.mktemp("here"))
    local = Run(here, node)
    assert local.end() == 0, local.printed()[-5000:]
    names = sorted(str(p.relative_to(here.folder)) for p in here.folder.glob(f"{RUN}/tables/*"))
    assert [Path(name).stem for name in names] == [
        "heldin", "heldin_comparisons", "heldout", "heldout_comparisons", "usage",
    ]  # fmt: skip
    for name in [*names, SCORES, f"{RUN}/learning.parquet"]:
        pd.testing.assert_frame_equal(
            pd.read_parquet(project.folder / name), pd.read_parquet(here.folder / name)
        )
