"""SLURM's commands: what they list is read, whatever they print."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from ruie import slurm


def test_states_of_the_jobs_asked_for() -> None:
    # as squeue and sacct print them; sacct says by whom
    text = "7|RUNNING|None\n8|PENDING|(Resources)\n9|CANCELLED by 1000\n"
    done = subprocess.CompletedProcess(["squeue"], 0, text, "")
    assert slurm._read(done, ["7", "9"]) == {"7": ("RUNNING", "None"), "9": ("CANCELLED", "")}


def test_a_command_that_fails_tells_nothing(capsys) -> None:
    assert slurm._read(slurm.run(["no-such-command"]), ["7"]) is None
    assert "no-such-command" in capsys.readouterr().err


@given(text=st.text(alphabet="7|\n RUNIGby+", max_size=60))
def test_any_listing_can_be_read(text: str) -> None:
    done = subprocess.CompletedProcess(["squeue"], 0, text, "")
    found = slurm._read(done, ["7"])
    assert found is not None
    assert set(found) <= {"7"}


def test_a_state_of_spaces_is_none() -> None:
    done = subprocess.CompletedProcess(["squeue"], 0, "7| |None\n", "")
    assert slurm._read(done, ["7"]) == {}


def test_what_a_batch_system_says_need_not_be_utf_8() -> None:
    done = slurm.run([sys.executable, "-c", "import os; os.write(1, b'a\\xff')"])
    assert (done.returncode, done.stdout) == (0, "a\ufffd")


def test_live_is_what_slurm_has_not_ended() -> None:
    assert slurm.is_live("SUSPENDED")
    assert not slurm.is_live("PREEMPTED")
    assert not slurm.is_live("")
