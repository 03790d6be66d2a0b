"""Hand Snakemake's jobs to a batch system, and say what has become of them.

`submit` and `status` are what the profiles slurm and generic give to Snakemake's cluster-generic
executor; docs/clusters.md says how to set them up. A job writes its exit code beside its record, in
`.snakemake/cluster`, so the batch system is asked only about jobs that have not come to their end:
whether they still wait or run, and why not. Nothing outside the standard library is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruie import slurm
from ruie.cli import Parser, UserError
from ruie.cli import parser as parser_of

FOLDER = Path(".snakemake/cluster")
#: A listing of the queue serves all status calls that come within these seconds.
FRESH = 5.0
#: Seconds until a job that the batch system has ended or forgotten is taken to have left no exit
#: code: shared file systems show new files late.
GRACE = 30.0
#: Seconds that a cancelled job gets to leave.
LEAVING = 180.0

SCRIPT = """#!/bin/bash
{redirect}
# a folder of its own for each job, also where a batch system gives none
TMPDIR=$(mktemp -d 2> /dev/null || mktemp -d -p /tmp) && export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
(
{body}
)
code=$?
echo $code > {exit}.part && mv {exit}.part {exit}
exit $code
"""


@dataclass
class Record:
    """A job that was submitted."""

    id: str
    name: str
    token: str
    outputs: list[str]
    submitted: float
    said: str = ""
    #: When the batch system was first seen not to know it any more; 0: it does.
    gone: float = 0.0

    def path(self, end: str = "json") -> Path:
        return FOLDER / f"{self.id if end == 'json' else self.token}.{end}"

    def write(self) -> None:
        part = self.path().with_suffix(".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(self.path())

    def exit_code(self) -> int | None:
        try:
            return int(self.path("exit").read_text())
        except (OSError, ValueError):
            return None

    def forget(self, keep_output: bool = False) -> None:
        for end in ("json", "exit", "sh") if keep_output else ("json", "exit", "sh", "out"):
            self.path(end).unlink(missing_ok=True)

    def say(self, text: str) -> None:
        """On Snakemake's own stderr."""
        print(f"cluster: job {self.id} ({self.name}) {text}", file=sys.stderr)


def records() -> list[Record]:
    return [r for r in map(record, (p.stem for p in FOLDER.glob("*.json"))) if r]


def record(id: str) -> Record | None:
    try:
        read = Record(**json.loads((FOLDER / f"{id}.json").read_text()))
        return read if read.id == id and isinstance(read.outputs, list) else None
    except (OSError, ValueError, TypeError):
        return None


#: What a batch system says of jobs, by id: (a state, why it is not running). None where it gave no
#: answer, and then nothing is concluded; a job that it does not know is missing.
Listing = dict[str, tuple[str, str]]
Ask = Callable[[Sequence[str]], Listing | None]


def listing_of(args: argparse.Namespace) -> Ask:
    if args.alive is None:
        return slurm.squeue if args.ask == "squeue" else slurm.sacct

    def ask(ids: Sequence[str]) -> Listing:
        found = {}
        for id in ids:
            done = slurm.run(["bash", "-c", args.alive, "bash", id])
            if done.returncode == 0:
                found[id] = ("RUNNING", "")
        return found

    return ask


def cancel(ids: Sequence[str], args: argparse.Namespace) -> None:
    command = "scancel" if args.alive is None else args.cancel
    if command:
        slurm.run([*shlex.split(command), *ids])


# Submission
def properties(jobscript: str) -> dict[str, Any]:
    """What Snakemake writes at the head of a job script."""
    found = re.search(r"^# properties = (\{.*\})$", jobscript, re.M)
    if not found:
        raise UserError("the job script has no line of properties; Snakemake 9 writes one")
    read: dict[str, Any] = json.loads(found[1])
    return read


def outputs(job: dict[str, Any]) -> list[str]:
    """What names a job's work: its outputs; Snakemake leaves them out where they are many."""
    return [os.path.abspath(p) for p in job["output"] or []] or [f"job {job['jobid']}"]


def submit(args: argparse.Namespace) -> None:
    body = Path(args.jobscript).read_text()
    job = properties(body)
    FOLDER.mkdir(parents=True, exist_ok=True)
    end_earlier(outputs(job), args)
    label = job.get("rule") or job["groupid"]
    token = f"{label}.{uuid.uuid4().hex[:8]}"
    new = Record("", token, token, outputs(job), time.time())
    script, out = new.path("sh").absolute(), new.path("out").absolute()
    # SLURM writes down itself why it ended a job
    redirect = f"exec >> {shlex.quote(str(out))} 2>&1" if args.command else ""
    quoted = shlex.quote(str(new.path("exit").absolute()))
    script.write_text(SCRIPT.format(redirect=redirect, body=body, exit=quoted))
    script.chmod(0o700)
    given = shlex.split(args.command or "")
    words = given or slurm.sbatch(job, token, str(out), args)
    if given and job["resources"].get("gpu"):
        words += shlex.split(args.gpu_options)
    done = slurm.run([*words, str(script)])
    new.id = job_id(done.stdout) if done.returncode == 0 else ""
    if not new.id and args.command is None:
        new.id = slurm.by_name(token)  # sbatch gives up waiting for an answer, not the job
    if not new.id:
        script.unlink()
        raise UserError(f"{label}: {words[0]} took no job: {(done.stderr or done.stdout).strip()}")
    new.write()
    try:
        os.write(1, f"{new.id}\n".encode())
    except BrokenPipeError:  # Snakemake was interrupted meanwhile, and would not know of the job
        cancel([new.id], args)
        raise UserError(f"{label}: submitted and cancelled, for Snakemake has ended") from None


def job_id(printed: str) -> str:
    """The first number of the last line, with what follows it: sbatch, qsub and bsub print their
    ids as 7, 7;cluster, 7.server and Job <7> is submitted."""
    found = re.search(r"\d[\w.-]*", (printed.strip().split("\n") or [""])[-1])
    return found[0] if found else ""


def end_earlier(wanted: list[str], args: argparse.Namespace) -> None:
    """End jobs that would write the same files: those of a Snakemake that was killed run on."""
    ask = slurm.squeue if args.alive is None else listing_of(args)
    for old in records():
        if not set(old.outputs) & set(wanted):
            continue
        limit = time.monotonic() + LEAVING
        while old.exit_code() is None and _is_live(old, ask([old.id])):
            if time.monotonic() > limit:
                raise UserError(
                    f"job {old.id} ({old.name}) of an earlier run writes the same files and does "
                    "not end; cancel it, then start again"
                )
            cancel([old.id], args)
            if not old.said:
                old.say("of an earlier run is cancelled: its work is submitted anew")
                old.said = "cancelled"
            time.sleep(2)
        old.forget()


def _is_live(job: Record, known: Listing | None) -> bool:
    return known is None or slurm.is_live(known.get(job.id, ("", ""))[0])


# Status
def status(args: argparse.Namespace) -> None:
    known = record(args.id)
    try:
        print(verdict(known, args) if known else "failed")
    except OSError as error:  # of a shared file system, for a moment: Snakemake would give up
        print(f"cluster: {error}; looked again soon", file=sys.stderr)
        print("running")


def verdict(job: Record, args: argparse.Namespace) -> str:
    """running, success or failed; why it failed, on stderr."""
    code = job.exit_code()
    state = reason = ""
    if code != 0:
        answer = recent(listing_of(args), job.submitted)
        if answer is None:
            return "running"
        state, reason = answer.get(job.id, ("", ""))
        if slurm.is_live(state):
            # one that has failed is repeated when its last process has left
            return "running" if code is not None else waiting(job, state, reason, args)
    if code is None and state in ("", "COMPLETED"):
        if not job.gone:
            job.gone = time.time()
            job.write()
        if time.time() < job.gone + args.grace:
            return "running"
        code = job.exit_code()
        if code is None and state:
            code = 0  # the batch system has seen it
        if code is None:
            return lost(job, args)
    if code == 0:
        job.forget()
        return "success"
    # what SLURM has written to the job's output tells more than a state
    why = slurm.last_words(job.path("out"))
    if not why:
        why = f"exit code {code}" if code is not None and state in ("", "FAILED") else state
    job.say(f"failed: {why}{slurm.advice(state)}; see {job.path('out')}")
    job.forget(keep_output=True)
    return "failed"


def lost(job: Record, args: argparse.Namespace) -> str:
    """Give up a job that the batch system has forgotten. It may run all the same: it is cancelled,
    and its record stays, so that `end_earlier` ends it first where it turns up again."""
    if args.alive is None and args.ask == "sacct":  # the accounts may be behind the queue
        answer = slurm.squeue([job.id])
        if _is_live(job, answer):
            return "running"
    cancel([job.id], args)
    job.say(f"failed: the batch system does not know it any more; see {job.path('out')}")
    job.write()
    return "failed"


def waiting(job: Record, state: str, reason: str, args: argparse.Namespace) -> str:
    if state == "PENDING" and reason in slurm.NEVER:
        job.say(f"can never start ({reason}): ask for less or mend the profile; cancelled")
        cancel([job.id], args)
        job.forget()
        return "failed"
    if job.gone or (reason != job.said and reason not in slurm.ORDINARY):
        job.gone = 0.0
        if reason not in ("", job.said):
            job.say(f"waits: {reason}")
        job.said = reason
        job.write()
    return "running"


def recent(ask: Ask, submitted: float) -> Listing | None:
    """The state of all jobs, asked anew where the last answer is old or older than the job."""
    cache = FOLDER / "queue"
    try:
        made = cache.stat().st_mtime
        if submitted < made and time.time() < made + FRESH:
            return {id: (a, b) for id, (a, b) in json.loads(cache.read_text()).items()}
    except (OSError, ValueError):
        pass
    answer = ask([r.id for r in records()])
    if answer is not None:
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(answer))
        part.replace(cache)
    return answer


def parser() -> Parser:
    p = parser_of(__doc__)
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--ask", choices=["squeue", "sacct"], default="squeue", help="(SLURM)")
    both.add_argument("--alive", help="shell command that succeeds while job $1 waits or runs")
    both.add_argument("--cancel", default="", help="command that ends the jobs it is given")
    commands = p.add_subparsers(dest="do", required=True)
    s = commands.add_parser("submit", parents=[both])
    s.add_argument("--command", help="submits the script that follows it; default: sbatch")
    s.add_argument("--gpu-options", default="", help="of --command, for jobs that use a GPU")
    slurm.add_arguments(s)
    s.add_argument("jobscript")
    q = commands.add_parser("status", parents=[both])
    q.add_argument("--grace", type=float, default=GRACE, help="seconds (%(default)s)")
    q.add_argument("id")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    if args.do == "submit" and (args.command is None) != (args.alive is None):
        raise UserError("--command and --alive go together")
    {"submit": submit, "status": status}[args.do](args)


if __name__ == "__main__":
    from ruie.cli import run

    run(main)
