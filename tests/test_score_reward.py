"""What the reward model says of candidates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ruie import (
    examples,
    parquet,
    prompt,
    schemas,
    score_reward,
)


def test_reward_folder_loads_and_scores(data, trained, tmp_path):
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
        left, right = (prompt.render(pool[r[k]], keywords=True) for k in keys)
        assert "<Keyword>" in left
        with torch.no_grad():
            want = model(**tokenizer(left, right, return_tensors="pt")).logits.item()
        assert r["reward"] == pytest.approx(want, abs=1e-4)
    # trained to prefer the query's own kind: its candidates get more on average
    like = {True: [], False: []}
    for r in rows:
        kinds = {pool[r[k]].annotations[0].label for k in keys}
        like[len(kinds) == 1].append(r["reward"])
    assert np.mean(like[True]) > np.mean(like[False])
