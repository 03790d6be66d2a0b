"""Log-likelihoods of gold answers after k demonstrations, against float64 and the whole model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tiny

from ruie import infer, likelihood, parquet, prompt, schemas
from ruie.cli import UserError
from ruie.lm import LanguageModel
from ruie.pieces import Pair

SHOWN = [
    tiny.sample("d0", "Alice visited Berlin.", ("person", "Alice"), ("location", "Berlin")),
    tiny.sample("d1", "Oil."),
    tiny.sample("d2", "Bob lives in New York City.", ("person", "Bob")),
]
ASKED = [
    tiny.sample("q0", "Rebels attacked Aden.", ("location", "Aden")),
    tiny.sample("q1", "Nothing new."),
]
FOUND = {"q0": ["d2", "d0", "d1"], "q1": ["d1", "d2", "d0"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp("lm"))


def command(folder, tmp_path, *flags: str) -> list[dict[str, Any]]:
    """What ``ruie.likelihood`` writes of the samples above."""
    ranks = [{"query_id": q, "demonstration_id": d, "rank": i, "score": -float(i)}
             for q, some in FOUND.items() for i, d in enumerate(some)]  # fmt: skip
    parquet.write(ranks, schemas.CANDIDATES, tmp_path / "demonstrations.parquet")
    paths = [tiny.write_examples(some, tmp_path / f"{name}.parquet")
             for name, some in (("queries", ASKED), ("pool", SHOWN))]  # fmt: skip
    out = tmp_path / "out.parquet"
    likelihood.main(
        ["--queries", str(paths[0]), "--pool", str(paths[1]), "--demonstrations",
         str(tmp_path / "demonstrations.parquet"), "--model", str(folder), "--dtype", "float32",
         "--system", "bm25", "--llm", "tiny", "--out", str(out), *flags]
    )  # fmt: skip
    return parquet.read(out, schemas.LIKELIHOOD).to_pylist()


def test_the_gold_answer_after_the_prompt_of_inference(folder, tmp_path):
    found = command(folder, tmp_path, "--k", "2")
    # the best of the two next to the query, as a model is asked
    contexts = [
        prompt.build(prompt.INSTRUCTIONS["NER"], [prompt.render(SHOWN[i]) for i in order], asked)
        for order, asked in (((0, 2), prompt.query(ASKED[0])), ((2, 1), prompt.query(ASKED[1])))
    ]
    pool = {e.id: e for e in SHOWN}
    requests, _ = infer.requests(ASKED, pool, FOUND, 2)
    assert contexts == [prompt.build(r.instruction, r.demonstrations, r.query) for r in requests]
    pieces = LanguageModel(folder, "float32").pieces
    pairs = [pieces.whole(c, a) for c, a in zip(contexts, ("location: Aden.", "None"), strict=True)]
    assert [r["score"] for r in found] == pytest.approx(
        tiny.log_likelihoods(folder, pairs), abs=1e-4
    )
    runs = ("system", "llm", "k", "task", "dataset")
    assert {tuple(r[name] for name in runs) for r in found} == {("bm25", "tiny", 2, "NER", "toy")}
    assert [r["query_id"] for r in found] == ["q0", "q1"]
    assert [(r["answered"], r["used"]) for r in found] == [(True, 2), (False, 2)]
    assert [(r["prompt_tokens"], r["tokens"]) for r in found] == [
        (p.start, len(p.ids) - p.start) for p in pairs
    ]


def test_what_is_too_long(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    whole = command(folder, tmp_path, "--k", "3")
    # room for all but the least relevant of the first query; of the second it is d0
    room = whole[0]["prompt_tokens"] - 1
    shorter = command(folder, tmp_path, "--k", "3", "--max-input", str(room))
    assert [r["used"] for r in shorter] == [2, 3 if whole[1]["prompt_tokens"] <= room else 2]
    assert shorter[0]["score"] == pytest.approx(
        command(folder, tmp_path, "--k", "2")[0]["score"], abs=1e-5
    )
    assert "0 queries too long for a score" in caplog.text
    none = command(folder, tmp_path, "--k", "3", "--max-input", "5")
    assert [(r["used"], r["score"]) for r in none] == [(0, None), (0, None)]
    assert "2 queries; 6 demonstrations dropped to fit 5 tokens; 2 queries too long" in caplog.text


def test_a_score_that_is_no_number(folder):
    class Overflows:
        pieces = LanguageModel(folder, "float32").pieces

        def score(self, pairs: list[Pair]) -> Any:
            yield [1], [math.nan]

    requests, _ = infer.requests(ASKED, {e.id: e for e in SHOWN}, FOUND, 1)
    key = {"system": "bm25", "llm": "tiny", "k": 1}
    with pytest.raises(UserError, match="q1: its score is nan; use another --dtype"):
        likelihood.rows(Overflows(), ASKED, requests, 1792, key)


def test_the_same_bytes_again(folder, tmp_path):
    command(folder, tmp_path, "--k", "2")
    first = (tmp_path / "out.parquet").read_bytes()
    command(folder, tmp_path, "--k", "2")
    assert (tmp_path / "out.parquet").read_bytes() == first
    assert np.isfinite([r["score"] for r in command(folder, tmp_path, "--k", "1")]).all()
