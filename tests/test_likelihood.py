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
    """What ``ruie.likelihood`` writes of the samples above; the later the rank, the better the
    score."""
    ranks = [{"query_id": q, "demonstration_id": d, "rank": i, "score": float(i)}
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


def pairs(folder, orders: tuple[tuple[int, ...], ...], quotes: bool = False) -> list[Pair]:
    """The prompts of both queries with demonstrations in the order in which they stand, and the
    gold answers."""
    pieces = LanguageModel(folder, "float32").pieces
    return [
        pieces.whole(
            prompt.build(
                prompt.INSTRUCTIONS["NER"], [prompt.render(SHOWN[i], quotes=quotes) for i in order],
                prompt.query(q, quotes=quotes),
            ), gold,
        )
        for order, q, gold in zip(orders, ASKED, ("location: Aden.", "None"), strict=True)
    ]  # fmt: skip


def test_the_gold_answer_after_the_prompt_of_inference(folder, tmp_path):
    found = command(folder, tmp_path, "--k", "2")
    # the best of the two next to the query
    wanted = pairs(folder, ((0, 2), (2, 1)))
    assert [r["score"] for r in found] == pytest.approx(
        tiny.log_likelihoods(folder, wanted), abs=1e-4
    )
    runs = ("system", "llm", "k", "task", "dataset")
    assert {tuple(r[name] for name in runs) for r in found} == {("bm25", "tiny", 2, "NER", "toy")}
    assert [r["query_id"] for r in found] == ["q0", "q1"]
    assert [(r["answered"], r["used"]) for r in found] == [(True, 2), (False, 2)]
    assert [(r["prompt_tokens"], r["tokens"]) for r in found] == [
        (p.start, len(p.ids) - p.start) for p in wanted
    ]


def test_how_the_prompt_is_written(folder, tmp_path):
    # by score: the third of three is the best of all, of two the second
    by_score = command(folder, tmp_path, "--k", "2", "--by-score")
    quoted = command(folder, tmp_path, "--k", "2", "--quotes")
    for found, wanted in (
        (by_score, pairs(folder, ((2, 0), (1, 2)))),
        (quoted, pairs(folder, ((0, 2), (2, 1)), quotes=True)),
    ):
        assert [r["score"] for r in found] == pytest.approx(
            tiny.log_likelihoods(folder, wanted), abs=1e-4
        )
    with pytest.raises(UserError, match="no chat template .*; set chat: false"):
        command(folder, tmp_path, "--k", "2", "--chat")


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


def test_fewer_than_k(folder, tmp_path, caplog):
    found = command(folder, tmp_path, "--k", "9")
    assert [r["used"] for r in found] == [3, 3]
    assert "2 queries have fewer than k = 9 demonstrations" in caplog.text


@pytest.mark.parametrize(
    ("scores", "positions", "says"),
    [
        ([-1.0, math.nan], None, "q1: its score is nan; use another --dtype"),
        ([-1.0, -2.5], None, "q1: -2.5000 with shared prefixes, -2.0000 without; this model cann"),
        ([-1.0, -2.0], 30, r"q0: prompt and answer take \d+ tokens, the model reads 30; lower --"),
    ],
)
def test_scores_that_are_not_the_models(folder, scores, positions, says):
    answer = pairs(folder, ((), ()))[0]
    first = answer.ids[answer.start :].tolist()

    class Model:
        pieces = LanguageModel(folder, "float32").pieces

        def score(self, pairs: list[Pair]) -> Any:
            yield [0, 1], scores

        def reference(self, pair: Pair) -> float:
            return -1.0 if pair.ids[pair.start :].tolist() == first else -2.0

    requests, _ = infer.requests(ASKED, {e.id: e for e in SHOWN}, FOUND, 1)
    key = {"system": "bm25", "llm": "tiny", "k": 1}
    with pytest.raises(UserError, match=says):
        likelihood.rows(Model(), ASKED, requests, 1792, key, "float32", positions)


def test_the_same_bytes_again(folder, tmp_path):
    command(folder, tmp_path, "--k", "2")
    first = (tmp_path / "out.parquet").read_bytes()
    command(folder, tmp_path, "--k", "2")
    assert (tmp_path / "out.parquet").read_bytes() == first
    assert np.isfinite([r["score"] for r in command(folder, tmp_path, "--k", "1")]).all()
