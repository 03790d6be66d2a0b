"""What `ruie.cluster` asks of SLURM: sbatch, and the state of jobs by squeue or sacct."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIMEOUT = 60.0
#: States of jobs that SLURM has ended; all others are on their way.
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip
#: Why a job waits that nobody needs to be told.
ORDINARY = {"", "None", "Priority", "Resources", "BeginTime", "Dependency", "Cleaning", "Prolog"}
#: Why a job waits that will not go away by itself.
NEVER = {"BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit"}


def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A command of the batch system; one that is not installed is one that fails."""
    try:
        return subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        return subprocess.CompletedProcess(words, 127, "", f"{words[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"no answer in {TIMEOUT:.0f} s")


def add_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("--partition", default="", help="default: the cluster's own")
    p.add_argument("--gpu-partition", default="", help="for jobs that compute on a GPU")
    p.add_argument("--gres", default="gpu", help="or with a type: gpu:a100")
    p.add_argument("--account", default="")
    p.add_argument("--max-mem-mb", type=int, default=0, help="no job asks for more; 0: no limit")
    p.add_argument("--max-minutes", type=int, default=0, help="no job asks for more; 0: no limit")
    p.add_argument("--extra", default="", help="further options of sbatch")


def sbatch(job: dict[str, Any], name: str, out: str, args: argparse.Namespace) -> list[str]:
    """The command for a job of Snakemake. It is not requeued: a repetition is Snakemake's to start,
    which counts them and asks for more each time."""
    resources = job["resources"]
    gpus = int(resources.get("gpu", 0))
    options: dict[str, Any] = {
        "job-name": name,
        "output": out,
        "open-mode": "append",
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": job["threads"],
        "mem": _at_most(resources.get("mem_mb"), args.max_mem_mb),
        "time": _at_most(resources.get("runtime"), args.max_minutes),
        "partition": resources.get("slurm_partition")
        or (args.gpu_partition if gpus and args.gpu_partition else args.partition),
        "account": resources.get("slurm_account") or args.account,
        "gres": f"{args.gres}:{gpus}" if gpus else "",
    }
    words = ["sbatch", "--parsable", "--no-requeue"]
    words += [f"--{name}={value}" for name, value in options.items() if value not in (None, "")]
    return words + shlex.split(args.extra) + shlex.split(str(resources.get("slurm_extra", "")))


def _at_most(value: Any, limit: int) -> Any:
    return min(value, limit) if limit and isinstance(value, int) else value


def by_name(name: str) -> str:
    """The id of a job that has this name; empty where there is none."""
    done = run(["squeue", "--me", "--noheader", f"--name={name}", "--format=%i"])
    return done.stdout.strip() if done.returncode == 0 else ""


def squeue(ids: Sequence[str]) -> dict[str, tuple[str, str]] | None:
    """State and reason of the user's jobs, of those ended as long as the controller remembers."""
    words = ["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%r"]
    return _read(run(words), ids)


def sacct(ids: Sequence[str]) -> dict[str, tuple[str, str]] | None:
    """State of jobs, from the accounting database, which gives no reasons."""
    if not ids:
        return {}
    words = ["sacct", "-X", "--noheader", "--parsable2", "--format=JobIDRaw,State"]
    return _read(run([*words, f"--jobs={','.join(ids)}"]), ids)


def _read(
    done: subprocess.CompletedProcess[str], ids: Sequence[str]
) -> dict[str, tuple[str, str]] | None:
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        print(f"cluster: {done.args[0]}: {said}; asked again soon", file=sys.stderr)
        return None
    found = {}
    for line in done.stdout.splitlines():
        id, state, reason, *_ = [*line.split("|", 2), "", ""]
        # "CANCELLED by 1000" is what sacct says
        if id in ids and (words := state.split()):
            found[id] = (words[0].rstrip("+"), reason.strip())
    return found


def is_live(state: str) -> bool:
    return bool(state) and state not in ENDED


def last_words(output: Path) -> str:
    """What SLURM wrote into a job's output when it ended it; empty where it did not."""
    try:
        text = output.read_text(errors="replace")
    except OSError:
        return ""
    said = re.search(r"^slurmstepd\S*: error: (.*)", text, re.M)
    return said[1].strip("* ") if said else ""


def advice(state: str) -> str:
    """What to do about a state, as the end of a sentence."""
    return {
        "TIMEOUT": " (it ran past its time; a retry asks for more)",
        "OUT_OF_MEMORY": " (it took more memory than it asked for; a retry asks for more)",
        "NODE_FAIL": " (its node went down)",
    }.get(state, "")
