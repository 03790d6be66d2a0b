"""Killed anywhere, a training goes on and ends the same."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys

import pytest
import tiny
import torch
from trainings import differ, retriever, retriever_words, reward

from ruie import checkpoints, parquet, schemas, trainer
from ruie.cli import UserError

#: With dropout, so that its draws count too; a checkpoint every 2 steps, queries watched.
WORDS = ["--save-every", 2, "--watch", 5, "--watch-every", 3]


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


def killed_at(monkeypatch, step):
    plain = trainer.Run.take

    def take(self, batch):
        if self.step == step:
            raise Killed
        return plain(self, batch)

    monkeypatch.setattr(trainer.Run, "take", take)


def steps(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("train", [reward, retriever])
def test_parts_of_a_training_are_the_whole_bit_for_bit(data, dropout, tmp_path, train):
    words = ["--model", dropout / ("cross" if train is reward else "bert"), *WORDS]
    log = train(data, tmp_path / "whole", *words, steps=12)
    for at in (5, 6, 9):  # 6 and 10 hold checkpoints of the time before
        with pytest.MonkeyPatch.context() as m:
            killed_at(m, at)
            with pytest.raises(Killed):
                train(data, tmp_path / "parts", *words, steps=12)
        # the last two, the last one from before the kill
        last = at - at % 2
        expected = [f"step-{s:08}" for s in (last - 2, last)]
        assert steps(tmp_path / "parts.checkpoints") == expected
    assert train(data, tmp_path / "parts", *words, steps=12) == log
    assert not differ(tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "parts.parquet").read_bytes()
    assert not (tmp_path / "parts.checkpoints").exists()
    # and it is no training without dropout
    train(data, tmp_path / "none", *WORDS, steps=12)
    assert differ(tmp_path / "whole", tmp_path / "none")


KILLER = """
import os, signal, sys
from ruie import checkpoints, train_retriever, trainer
where, words = sys.argv[1], sys.argv[2:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if where == "step":
    plain = trainer.Run.take
    trainer.Run.take = lambda self, batch: die() if self.step == 5 else plain(self, batch)
elif where == "saving":  # the second checkpoint is being written
    plain = checkpoints.Checkpoints.save
    def save(self, state):
        if state.step == 4:
            checkpoints.os.replace = die
        plain(self, state)
    checkpoints.Checkpoints.save = save
else:  # all is written but the model's folder
    trainer.shutil = None
    import os as system
    plain = system.replace
    def replace(a, b):
        if str(b).endswith("/killed"):
            die()
        plain(a, b)
    system.replace = replace
train_retriever.main(words)
"""


@pytest.mark.parametrize("where", ["step", "saving", "publishing"])
def test_sigkill(data, tmp_path, where):
    words = ["--save-every", 2, "--keep", 1]
    whole = retriever(data, tmp_path / "whole", *words, steps=8)
    ran = subprocess.run(
        [sys.executable, "-c", KILLER, where,
         *map(str, retriever_words(data, tmp_path / "killed", *words, steps=8))],
        env=tiny.environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == -signal.SIGKILL, ran.stderr[-2000:]
    assert not (tmp_path / "killed").exists()
    left = steps(tmp_path / "killed.checkpoints")
    assert left == {"step": ["step-00000004"], "saving": [".part", "step-00000002"],
                    "publishing": ["step-00000006"]}[where]  # fmt: skip
    assert retriever(data, tmp_path / "killed", *words, steps=8) == whole
    assert not differ(tmp_path / "whole", tmp_path / "killed")
    assert not (tmp_path / "killed.checkpoints").exists()


@pytest.fixture
def stopped(data, tmp_path):
    """A reward training of 8 steps that ended after 5, with checkpoints of 2 and 4."""
    with pytest.MonkeyPatch.context() as m:
        killed_at(m, 5)
        with pytest.raises(Killed):
            reward(data, tmp_path / "r", *WORDS, steps=8)
    return tmp_path / "r.checkpoints"


def test_another_training_is_refused(data, tmp_path, stopped):
    with pytest.raises(UserError) as error:
        reward(data, tmp_path / "r", *WORDS, "--learning-rate", "1e-3", steps=8)
    line = str(error.value)
    assert "step-00000004: is of another training (--learning-rate was 0.002, not 0.001)" in line
    assert f"delete {stopped} to start anew" in line
    assert "\n" not in line
    rows = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    rows[0]["score"] -= 1e-9
    parquet.write(rows, schemas.SCORES, tmp_path / "scores.parquet")
    with pytest.raises(UserError, match=r"\(--scores has other contents\)"):
        reward(data, tmp_path / "r", *WORDS, "--scores", tmp_path / "scores.parquet", steps=8)
    with pytest.raises(UserError, match="--steps was 8, not 9"):
        reward(data, tmp_path / "r", *WORDS, steps=9)
    assert steps(stopped) == ["step-00000002", "step-00000004"]
    # how it is computed is no other training; nor where the same files lie
    shutil.copytree(data / "cross", tmp_path / "moved")
    words = ["--batch-tokens", 200, "--accumulate", "--model", tmp_path / "moved"]
    assert len(reward(data, tmp_path / "r", *WORDS, *words, steps=8)) == 8


def test_a_broken_checkpoint_is_passed_over(data, tmp_path, stopped, caplog):
    log = reward(data, tmp_path / "whole", *WORDS, steps=8)
    whole = (stopped / "step-00000004" / "optimizer.safetensors").read_bytes()
    (stopped / "step-00000004" / "optimizer.safetensors").write_bytes(whole[:-100])
    caplog.set_level("INFO")
    assert reward(data, tmp_path / "r", *WORDS, steps=8) == log
    assert "step-00000004: cannot be read" in caplog.text
    assert "going on from step 2" in caplog.text


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\xff"])
def test_a_broken_state_is_passed_over(data, tmp_path, stopped, content, caplog):
    for name in ("step-00000002", "step-00000004"):
        (stopped / name / "state.json").write_bytes(content.encode("latin-1"))
    assert len(reward(data, tmp_path / "r", *WORDS, steps=8)) == 8
    assert caplog.text.count("cannot be read") == 2


def test_facts_that_say_nothing_are_of_another_training(data, tmp_path, stopped):
    (stopped / "step-00000004" / "state.json").write_text('{"facts": {}}')
    with pytest.raises(UserError, match="is of another training"):
        reward(data, tmp_path / "r", *WORDS, steps=8)


def test_no_room_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    state = checkpoints.State(1, {}, {}, {}, [], [])
    with pytest.raises(UserError, match="a checkpoint cannot be written"):
        checkpoints.Checkpoints(tmp_path / "file" / "c", {}, 1).save(state)


def test_facts_are_values_and_contents(data, tmp_path):
    flags = {"queries": data / "queries.parquet", "model": data / "bert", "rewards": None,
             "seed": 5, "out": "a", "batch_tokens": 7, "max_grad_norm": 1.0}  # fmt: skip
    found = checkpoints.facts(flags, "retriever")
    assert found.keys() == {"program", "queries", "model", "rewards", "seed", "max_grad_norm"}
    assert found["program"] == "retriever"
    assert found["seed"] == "5"
    shutil.copytree(data / "bert", tmp_path / "bert")
    assert checkpoints.facts({**flags, "model": tmp_path / "bert"}, "retriever") == found
    (tmp_path / "bert" / "README.md").write_text("a card")
    assert checkpoints.facts({**flags, "model": tmp_path / "bert"}, "retriever") == found
    (tmp_path / "bert" / "config.json").write_text("{}")
    assert checkpoints.facts({**flags, "model": tmp_path / "bert"}, "retriever") != found
    # an id of a hub counts by its name
    assert (
        checkpoints.facts({"model": "intfloat/e5-base-v2"}, "x")["model"] == "intfloat/e5-base-v2"
    )


def test_a_full_disk_is_one_line_and_takes_no_room(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    state = checkpoints.State(1, {}, {}, {}, [], [])
    with pytest.raises(UserError, match="cannot be written: .*No space left"):
        checkpoints.Checkpoints(tmp_path / "c", {}, 1).save(state)
    assert list((tmp_path / "c").iterdir()) == []


def test_what_is_not_what_was_written_is_passed_over(tmp_path, caplog):
    held = checkpoints.Checkpoints(tmp_path / "c", {}, 9)
    for step in (1, 2, 3, 4):
        ones = {"w": torch.full((2,), float(step))}
        held.save(checkpoints.State(step, ones, ones, {}, [], []))
    third, fourth = (tmp_path / "c" / f"step-0000000{n}" for n in (3, 4))
    # the weights of another step, and a step that it is not
    shutil.copy(third / "model.safetensors", fourth / "model.safetensors")
    about = json.loads((third / "state.json").read_text())
    (third / "state.json").write_text(json.dumps({**about, "step": 99}))
    assert held.latest().step == 2
    assert "model.safetensors is not what was written" in caplog.text
    assert "it is of step 99" in caplog.text
    for odd in (float("inf"), -3, None, "2"):
        (third / "state.json").write_text(json.dumps({**about, "step": odd}))
        assert held.latest().step == 2


def test_clearing_leaves_what_is_not_ours(tmp_path):
    held = checkpoints.Checkpoints(tmp_path / "c", {}, 9)
    held.save(checkpoints.State(1, {}, {}, {}, [], []))
    (tmp_path / "c" / "thesis.txt").write_text("years of work")
    held.clear()
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["thesis.txt"]
    (tmp_path / "c" / "thesis.txt").unlink()
    held.clear()
    assert not (tmp_path / "c").exists()
