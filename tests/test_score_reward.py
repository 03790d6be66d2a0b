"""What the reward model says of candidates."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from ruie import (
    devices,
    examples,
    parquet,
    prompt,
    schemas,
    score_reward,
)
from ruie.cli import UserError


def test_reward_folder_loads_and_scores(data, trained, tmp_path, monkeypatch):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = trained[0] / "reward"
    out = tmp_path / "rewards.parquet"
    score_reward.main([
        "--scores", str(data / "scores.parquet"), "--queries", str(data / "queries.parquet"),
        "--pool", str(data / "pool.parquet"), "--model", str(folder), "--batch-tokens", "700",
        "--out", str(out),
    ])  # fmt: skip
    rows = parquet.read(out, schemas.REWARDS).to_pylist()
    asked = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    keys = ("query_id", "demonstration_id")
    assert [[r[k] for k in keys] for r in rows] == [[r[k] for k in keys] for r in asked]
    # the same pairs as candidates, that no language model has scored
    pairs = [{**{k: r[k] for k in keys}, "rank": i, "score": 0.0} for i, r in enumerate(asked)]
    parquet.write(pairs, schemas.CANDIDATES, tmp_path / "candidates.parquet")
    score_reward.main([
        "--candidates", str(tmp_path / "candidates.parquet"), "--queries",
        str(data / "queries.parquet"), "--pool", str(data / "pool.parquet"), "--model",
        str(folder), "--batch-tokens", "700", "--out", str(tmp_path / "again.parquet"),
    ])  # fmt: skip
    assert parquet.read(tmp_path / "again.parquet", schemas.REWARDS).to_pylist() == rows
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert model.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pool = examples.by_id(examples.read(data / "pool.parquet"))
    for r in rows[::40]:
        left, right = (prompt.render(pool[r[k]], prompt.ENCODED, keywords=True) for k in keys)
        assert "<Keyword>" in left
        with torch.no_grad():
            want = model(**tokenizer(left, right, return_tensors="pt")).logits.item()
        assert r["reward"] == pytest.approx(want, abs=1e-4)
    # in bfloat16, eight bits of each factor: not the same numbers, and near them
    monkeypatch.setattr(devices, "arithmetic", lambda dtype: dtype)
    score_reward.main([
        "--scores", str(data / "scores.parquet"), "--queries", str(data / "queries.parquet"),
        "--pool", str(data / "pool.parquet"), "--model", str(folder), "--dtype", "bfloat16",
        "--out", str(tmp_path / "rounded.parquet"),
    ])  # fmt: skip
    exact, rounded = (
        np.array(parquet.read(p, schemas.REWARDS)["reward"])
        for p in (out, tmp_path / "rounded.parquet")
    )
    assert 0 < np.abs(rounded - exact).max() < 0.05 * np.ptp(exact)
    # trained to prefer the query's own kind: its candidates get more on average
    like = {True: [], False: []}
    for r in rows:
        kinds = {pool[r[k]].annotations[0].label for k in keys}
        like[len(kinds) == 1].append(r["reward"])
    assert np.mean(like[True]) > np.mean(like[False])


def test_a_stopped_run_goes_on_from_its_last_block(data, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(score_reward, "BLOCK", 40)
    pairs = parquet.read(data / "scores.parquet", schemas.SCORES)
    blocks = -(-len(pairs) // 40)
    assert blocks > 3
    done = []
    plain = score_reward.block

    def run(name, reward, stop=None):
        """Score all pairs; stopped in the block numbered ``stop``. The blocks computed."""
        done.clear()

        def block(*args):
            if len(done) == stop:
                raise KeyboardInterrupt
            done.append(plain(*args))
            return done[-1]

        monkeypatch.setattr(score_reward, "block", block)
        out = tmp_path / name / "rewards.parquet"
        flags = {"scores": data / "scores.parquet", "queries": data / "queries.parquet",
                 "pool": data / "pool.parquet", "model": reward, "out": out}  # fmt: skip
        argv = [str(word) for n, value in flags.items() for word in (f"--{n}", value)]
        try:
            score_reward.main(argv)
        except KeyboardInterrupt:
            assert not out.exists()
        return len(done)

    reward = trained[0] / "reward"
    assert run("whole", reward) == blocks
    assert run("stopped", reward, stop=3) == 3
    kept = sorted((tmp_path / "stopped" / "rewards.parquet.kept").iterdir())
    assert len(kept) == 3
    kept[0].write_bytes(kept[0].read_bytes()[:-9])  # half a file: its block is scored again
    assert run("stopped", reward) == blocks - 2
    whole, stopped = ((tmp_path / n / "rewards.parquet").read_bytes() for n in ("whole", "stopped"))
    assert whole == stopped
    assert [p.name for p in (tmp_path / "stopped").iterdir()] == ["rewards.parquet"]
    # another length, and another model, take none of what was kept
    run("other", reward, stop=3)
    other = tmp_path / "reward"
    shutil.copytree(reward, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "note": "another one"}))
    assert run("other", other) == blocks


def test_a_pair_of_other_tables_is_one_line(data, trained, tmp_path):
    few = examples.read(data / "pool.parquet")[1:]
    parquet.write(examples.to_table(few), schemas.EXAMPLES, tmp_path / "few.parquet")
    with pytest.raises(UserError, match=r"scores\.parquet: .* is not in its table of examples"):
        score_reward.main([
            "--scores", str(data / "scores.parquet"), "--queries", str(tmp_path / "few.parquet"),
            "--pool", str(tmp_path / "few.parquet"), "--model", str(trained[0] / "reward"),
            "--out", str(tmp_path / "out.parquet"),
        ])  # fmt: skip


def test_what_gives_no_reward_is_one_line(data, trained, tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForSequenceClassification

    def refused(folder, says):
        with pytest.raises(UserError, match=says):
            score_reward.main([
                "--scores", str(data / "scores.parquet"), "--queries",
                str(data / "queries.parquet"), "--pool", str(data / "pool.parquet"), "--model",
                str(folder), "--out", str(tmp_path / "out.parquet"),
            ])  # fmt: skip
        assert not (tmp_path / "out.parquet").exists()

    three, broken = tmp_path / "three", tmp_path / "broken"
    for folder in (three, broken):
        shutil.copytree(trained[0] / "reward", folder)
    AutoModelForSequenceClassification.from_pretrained(
        three, num_labels=3, ignore_mismatched_sizes=True
    ).save_pretrained(three)
    refused(three, "gives 3 numbers for a pair and no reward")
    weights = load_file(broken / "model.safetensors")
    weights["classifier.bias"][:] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    refused(broken, "pair 1 of the table: its reward is nan")
