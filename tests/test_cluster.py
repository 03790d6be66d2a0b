"""Submission and status with stand-ins for the commands of a batch system: shell scripts that
answer from files. A real SLURM: tests/cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruie import cluster, slurm
from ruie.cli import UserError

JOB: dict[str, Any] = {
    "type": "single", "rule": "score", "output": ["s/0.parquet"], "threads": 8, "jobid": 3,
    "resources": {"mem_mb": 64000, "runtime": 2880, "gpu": 1, "tmpdir": "<TBD>"},
}  # fmt: skip
GENERIC = ["--alive", "grep -qx $1 queue", "--cancel", "qdel"]


class Batch:
    """Stand-ins on the path; what they are called with is in ``calls``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "calls").touch()
        self.has("scancel", "")
        self.has("sbatch", "echo 7")
        self.queue()

    def has(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/bash\necho {name} "$@" >> calls\n{script}\n')
        path.chmod(0o755)

    def queue(self, *lines: str, fails: bool = False) -> None:
        """What squeue and sacct print from now on."""
        (self.folder / "listed").write_text("".join(line + "\n" for line in lines))
        for name in ("squeue", "sacct"):
            self.has(name, "echo down >&2; exit 1" if fails else "cat listed")
        (cluster.FOLDER / "queue").unlink(missing_ok=True)

    def calls(self, name: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.split()[0] == name]

    def jobscript(self, body: str = "true", **changes: Any) -> Path:
        path = self.folder / "snakejob.sh"
        path.write_text(f"#!/bin/sh\n# properties = {json.dumps(JOB | changes)}\n{body}\n")
        return path

    def submitted(self, *options: str, **changes: Any) -> cluster.Record:
        cluster.main(["submit", *options, str(self.jobscript(**changes))])
        newest = max(cluster.FOLDER.glob("*.json"), key=lambda p: p.stat().st_mtime)
        found = cluster.record(newest.stem)
        assert found
        return found


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    cluster.FOLDER.mkdir(parents=True)
    return Batch(tmp_path)


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """What ``status`` prints of job 7: its verdict, and on stderr."""

    def ask(*options: str) -> tuple[str, str]:
        capsys.readouterr()
        cluster.main(["status", *options, "7"])
        printed = capsys.readouterr()
        return printed.out.strip(), printed.err.strip()

    return ask


def options_of(*words: str, **changes: Any) -> list[str]:
    args = cluster.parser().parse_args(["submit", *words, "script"])
    return slurm.sbatch(JOB | changes, "score.1", "out", args)


def test_sbatch_asks_for_what_the_job_needs() -> None:
    words = options_of("--partition=cpu", "--gpu-partition=gpu", "--account=", "--gres=gpu:a100")
    assert words == [
        "sbatch", "--parsable", "--no-requeue", "--job-name=score.1", "--output=out",
        "--open-mode=append", "--nodes=1", "--ntasks=1", "--cpus-per-task=8", "--mem=64000",
        "--time=2880", "--partition=gpu", "--gres=gpu:a100:1",
    ]  # fmt: skip


def test_sbatch_without_a_gpu_within_limits_and_with_the_rules_own_wishes() -> None:
    resources = {"mem_mb": 9000, "runtime": 90, "gpu": 0}
    limits = ["--max-mem-mb=8000", "--max-minutes=60", "--partition=cpu", "--gpu-partition=gpu"]
    words = options_of(*limits, "--extra=--qos=long --nice", resources=resources)
    assert {"--mem=8000", "--time=60", "--partition=cpu", "--qos=long", "--nice"} <= set(words)
    assert not any(word.startswith(("--gres", "--account")) for word in words)
    own = {"slurm_partition": "big", "slurm_account": "lab", "slurm_extra": "--exclusive"}
    words = options_of(*limits, resources=resources | own)
    assert {"--partition=big", "--account=lab", "--exclusive"} <= set(words)
    # nothing is asked for of which nothing is known
    words = options_of(resources={})
    assert not any(word.startswith(("--mem", "--time", "--partition")) for word in words)


@pytest.mark.parametrize(
    ("printed", "id"),
    [
        ("7\n", "7"),
        ("7;cluster\n", "7"),
        ("Submitted batch job 7\n", "7"),
        ("7.server.example\n", "7.server.example"),
        ("Job <7> is submitted to queue <long>.\n", "7"),
        ('welcome 3\nYour job 7 ("score") has been submitted\n', "7"),
        ("", ""),
        ("denied\n", ""),
    ],
)
def test_ids_as_batch_systems_print_them(printed: str, id: str) -> None:
    assert cluster.job_id(printed) == id


def test_a_job_leaves_its_exit_code_and_no_folder(batch: Batch) -> None:
    record = batch.submitted(body='echo "$TMPDIR" > where; touch "$TMPDIR/x"; exit 5')
    assert (record.id, record.outputs) == ("7", [str(batch.folder / "s/0.parquet")])
    script = record.path("sh").resolve()
    assert batch.calls("sbatch")[0].endswith(str(script))
    done = subprocess.run([script], timeout=60)
    assert done.returncode == 5
    assert record.exit_code() == 5
    folder = Path(Path("where").read_text().strip())
    assert folder.name
    assert not folder.exists()


def test_submission_prints_the_id_alone(batch: Batch, capfd: pytest.CaptureFixture[str]) -> None:
    cluster.main(["submit", str(batch.jobscript())])
    assert capfd.readouterr().out == "7\n"


def test_a_refused_submission_is_one_line(batch: Batch) -> None:
    batch.has("sbatch", "echo 'invalid partition' >&2; exit 1")
    with pytest.raises(UserError, match="score: sbatch took no job: invalid partition"):
        cluster.main(["submit", str(batch.jobscript())])
    assert not list(cluster.FOLDER.glob("score.*"))
    with pytest.raises(UserError, match="qsubb: No such file"):
        cluster.main(["submit", "--command", "qsubb", *GENERIC, str(batch.jobscript())])


def test_a_job_that_sbatch_submitted_without_saying_so_is_found_by_its_name(batch: Batch) -> None:
    batch.has("sbatch", "echo 'Socket timed out' >&2; exit 1")
    batch.queue("7")
    record = batch.submitted()
    assert record.id == "7"
    assert f"--name={record.token}" in batch.calls("squeue")[0]


def finish(code: int) -> None:
    record = cluster.record("7")
    assert record
    record.path("exit").write_text(f"{code}\n")


def test_success_is_known_without_asking(batch: Batch, status: Any) -> None:
    batch.submitted()
    finish(0)
    assert status() == ("success", "")
    assert not batch.calls("squeue")
    assert not list(cluster.FOLDER.iterdir())  # nothing is left of it


@pytest.mark.parametrize("line", ["7|RUNNING|None", "7|PENDING|Priority", "7|COMPLETING|None"])
def test_live_jobs(batch: Batch, status: Any, line: str) -> None:
    batch.submitted()
    batch.queue("70|FAILED|None", line, "9|TIMEOUT|x")
    assert status() == ("running", "")


def test_a_failed_job_is_reported_when_its_last_process_has_left(batch: Batch, status: Any) -> None:
    batch.submitted()
    finish(3)
    batch.queue("7|COMPLETING|None")
    assert status() == ("running", "")
    batch.queue("7|FAILED|NonZeroExitCode")
    verdict, said = status()
    assert verdict == "failed"
    assert "failed: exit code 3; see .snakemake/cluster/score." in said
    assert cluster.records() == []


@pytest.mark.parametrize(
    ("ask", "line", "says"),
    [
        ("squeue", "7|TIMEOUT|TimeLimit", r"TIMEOUT \(it ran past its time"),
        ("squeue", "7|NODE_FAIL|None", r"NODE_FAIL \(its node went down\)"),
        ("sacct", "7|CANCELLED by 1000", "failed: CANCELLED;"),
        ("sacct", "7|OUT_OF_MEMORY", "OUT_OF_MEMORY .*a retry asks for more"),
        ("sacct", "7|CANCELLED+", "failed: CANCELLED;"),
    ],
)
def test_ended_jobs(batch: Batch, status: Any, ask: str, line: str, says: str) -> None:
    record = batch.submitted()
    batch.queue(line)
    verdict, said = status("--ask", ask)
    assert verdict == "failed"
    assert re.search(says, said)
    assert f"job 7 ({record.name})" in said


def test_slurms_own_words_are_shown(batch: Batch, status: Any) -> None:
    record = batch.submitted()
    record.path("out").write_text(
        "12:00 scoring\nslurmstepd-n1: error: StepId=7.batch exceeded memory limit (9 > 8)\n"
        "slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED ***\nTerminated\n"
    )
    batch.queue("7|FAILED|None")
    assert "failed: StepId=7.batch exceeded memory limit (9 > 8); see" in status()[1]
    assert record.path("out").is_file()


def test_a_forgotten_job_is_waited_for_and_then_failed(batch: Batch, status: Any) -> None:
    batch.submitted()
    assert status() == ("running", "")  # its exit code may be on its way
    assert status() == ("running", "")
    verdict, said = status("--grace", "0")
    assert (verdict, "does not know it any more" in said) == ("failed", True)
    # it may run all the same
    assert batch.calls("scancel") == ["scancel 7"]
    # one that came late
    batch.submitted()
    assert status() == ("running", "")
    finish(0)
    assert status("--grace", "0")[0] == "success"


def test_a_forgotten_job_that_turns_up_again_is_ended_before_another_writes_the_same_files(
    batch: Batch, status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.submitted()
    status()
    assert status("--grace", "0")[0] == "failed"
    batch.queue("7|RUNNING|None")  # it was never gone
    batch.has("sbatch", "echo 8")
    monkeypatch.setattr(time, "sleep", lambda seconds: batch.queue())
    batch.submitted()
    assert batch.calls("scancel") == ["scancel 7"] * 2
    assert [r.id for r in cluster.records()] == ["8"]


def test_accounts_that_are_behind_do_not_lose_a_job(batch: Batch, status: Any) -> None:
    batch.submitted()
    batch.has("sacct", "true")
    batch.has("squeue", "echo '7|RUNNING|None'")
    assert status("--ask", "sacct", "--grace", "0") == ("running", "")
    batch.has("squeue", "echo down >&2; exit 1")
    assert status("--ask", "sacct", "--grace", "0")[0] == "running"
    batch.has("squeue", "true")
    assert status("--ask", "sacct", "--grace", "0")[0] == "failed"
    assert batch.calls("scancel") == ["scancel 7"]


def test_completed_without_an_exit_code_is_success_at_last(batch: Batch, status: Any) -> None:
    batch.submitted()
    batch.queue("7|COMPLETED|None")
    assert status()[0] == "running"
    assert status("--grace", "0")[0] == "success"


def test_no_answer_concludes_nothing(batch: Batch, status: Any) -> None:
    batch.submitted()
    batch.queue(fails=True)
    assert status("--grace", "0") == ("running", "cluster: squeue: down; asked again soon")
    assert status("--grace", "0", "--ask", "sacct")[0] == "running"


def test_a_file_system_that_fails_for_a_moment_concludes_nothing(
    batch: Batch, status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.submitted()

    def stale(*_: Any) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(cluster, "recent", stale)
    verdict, said = status()
    assert (verdict, "Stale file handle; looked again" in said) == ("running", True)


def test_why_a_job_waits_is_said_once(batch: Batch, status: Any) -> None:
    record = batch.submitted()
    batch.queue("7|PENDING|ReqNodeNotAvail, UnavailableNodes:n1")
    waits = f"cluster: job 7 ({record.name}) waits: ReqNodeNotAvail, UnavailableNodes:n1"
    assert status() == ("running", waits)
    assert status() == ("running", "")


def test_a_job_that_can_never_start_is_cancelled(batch: Batch, status: Any) -> None:
    batch.submitted()
    batch.queue("7|PENDING|PartitionTimeLimit")
    verdict, said = status()
    assert (verdict, "can never start (PartitionTimeLimit)" in said) == ("failed", True)
    assert batch.calls("scancel") == ["scancel 7"]


def test_the_queue_is_listed_once_for_many_jobs(batch: Batch, status: Any) -> None:
    batch.submitted()
    batch.has("sbatch", "echo 8")
    batch.submitted(output=["s/1.parquet"])
    batch.queue("7|RUNNING|None", "8|RUNNING|None")
    status()
    cluster.main(["status", "8"])
    status()
    assert len(batch.calls("squeue")) == 1
    # but not from before the job was there
    os.utime(cluster.FOLDER / "queue", (time.time() - 60,) * 2)
    status()
    assert len(batch.calls("squeue")) == 2


def test_a_job_that_nobody_has_submitted(batch: Batch, status: Any) -> None:
    assert status()[0] == "failed"


def test_earlier_jobs_that_write_the_same_files_are_ended_first(
    batch: Batch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: batch.queue())
    batch.submitted()
    batch.has("sbatch", "echo 8")
    batch.queue("7|RUNNING|None")
    # a group that shares one of its outputs
    batch.submitted(rule=None, groupid="g", output=["s/9.parquet", "s/0.parquet"])
    assert batch.calls("scancel") == ["scancel 7"]
    assert "job 7 (score." in capsys.readouterr().err
    assert [r.id for r in cluster.records()] == ["8"]
    # other files: left alone
    batch.has("sbatch", "echo 9")
    batch.queue("8|RUNNING|None")
    batch.submitted(output=["s/5.parquet"])
    assert sorted(r.id for r in cluster.records()) == ["8", "9"]
    assert len(batch.calls("scancel")) == 1


def test_an_earlier_job_that_does_not_end_stops_the_submission(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.submitted()
    batch.queue("7|RUNNING|None")
    monkeypatch.setattr(cluster, "LEAVING", -1)
    with pytest.raises(UserError, match=r"job 7 \(score\.\w+\) of an earlier run .*cancel it"):
        cluster.main(["submit", str(batch.jobscript())])


def test_another_batch_system(batch: Batch, status: Any) -> None:
    batch.has("qsub", 'bash "${!#}" && echo "Your job 7 (score)"')
    batch.has("qdel", "")
    command = ["--command", "qsub -pe smp 8 -l mem=64000M"]
    Path("queue").write_text("7\n")
    queue = "-q gpu.q"
    record = batch.submitted(*command, "--gpu-options", queue, *GENERIC, body="echo hello")
    assert batch.calls("qsub")[0].startswith("qsub -pe smp 8 -l mem=64000M -q gpu.q ")
    assert record.path("out").read_text() == "hello\n"
    assert status(*GENERIC)[0] == "success"
    # one that is killed writes no exit code, and is in the queue until then
    batch.has("qsub", "echo 7")
    cpu = {"resources": {"gpu": 0}}
    batch.submitted(*command, "--gpu-options", queue, *GENERIC, **cpu)
    assert "gpu.q" not in batch.calls("qsub")[1]
    assert status(*GENERIC)[0] == "running"
    Path("queue").write_text("")
    (cluster.FOLDER / "queue").unlink()
    assert status(*GENERIC, "--grace", "0")[0] == "failed"
    assert batch.calls("qdel") == ["qdel 7"]
    assert not batch.calls("squeue")


def test_command_and_alive_go_together(batch: Batch) -> None:
    with pytest.raises(UserError, match="go together"):
        cluster.main(["submit", "--command", "qsub", str(batch.jobscript())])


def test_a_script_without_properties(batch: Batch) -> None:
    path = batch.folder / "odd.sh"
    path.write_text("#!/bin/sh\ntrue\n")
    with pytest.raises(UserError, match="no line of properties"):
        cluster.main(["submit", str(path)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.one_of(st.binary(max_size=60), st.just(b'{"id": "7"}'), st.just(b"[1]")))
def test_a_damaged_record_is_no_record(batch: Batch, content: bytes) -> None:
    (cluster.FOLDER / "7.json").write_bytes(content)
    assert cluster.record("7") is None
    assert cluster.records() == []


def test_the_profile_says_who_is_asked() -> None:
    assert cluster.listing_of(Namespace(alive=None, ask="sacct")) is slurm.sacct
