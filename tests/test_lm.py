"""Log-likelihoods against float64 over the whole sequence, without cache, batch or padding."""

from __future__ import annotations

import math

import pytest
import tiny

from ruie import prompt
from ruie.lm import LanguageModel, Pair, _common_prefix

INSTRUCTION = prompt.INSTRUCTIONS["NER"]
QUERIES = [
    "Input: Alice visited Berlin.\nOutput:",
    "Input: Rebels attacked the harbour near Aden; three soldiers were killed.\nOutput:",
    "Input: Oil.\nOutput:",
    "Input: Bob lives in New York City and works for Acme Corp in Paris on Monday.\nOutput:",
    "Input: Zürich — 東京?\nOutput:",
]
ANSWERS = [" person: Alice; location: Berlin.", " location: Aden.", " None", " person: Bob.", ""]


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def folder(request, tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def model(folder):
    return LanguageModel(folder, "float32")


def scores(model, pairs, budget):
    out = [math.nan] * len(pairs)
    for rows, means in model.score(pairs, budget):
        for r, mean in zip(rows, means, strict=True):
            assert math.isnan(out[r]), "a pair was scored twice"
            out[r] = mean
    return out


@pytest.mark.parametrize("budget", [1, 90, 100_000])
def test_equals_float64_without_cache(folder, model, budget):
    contexts = [f"{INSTRUCTION}\n\n{q}" for q in QUERIES]
    pairs = model.pairs(contexts, ANSWERS)
    # the prompts are longer than Gemma's window of 16, and differ only after the instruction
    assert _common_prefix(pairs) > 100
    assert len({len(p.ids) for p in pairs}) > 3
    want = tiny.log_likelihoods(folder, pairs)
    assert scores(model, pairs, budget) == pytest.approx(want, abs=1e-4)
    assert max(want[:4]) < -1  # the random model is sure of nothing: the numbers say something
    assert want[4] == 0


@pytest.mark.parametrize("budget", [1, 64, 100_000])
def test_nothing_shared(folder, model, budget):
    """Pairs that differ from the first token on; some are longer than Gemma's window alone."""
    rows = [[5, 6, 7], [9, 8], [40 + i for i in range(50)], [6, 5, 7, 9, 300, 301], [8, 7, 6, 5]]
    pairs = [Pair(ids, start) for ids, start in zip(rows, [1, 1, 30, 4, 4], strict=True)]
    assert _common_prefix(pairs) == 0
    want = tiny.log_likelihoods(folder, pairs)
    assert want[4] == 0  # starts where it ends: no answer token
    assert scores(model, pairs, budget) == pytest.approx(want, abs=1e-4)


def test_one_pair_and_identical_pairs(folder, model):
    pair = model.pairs([f"{INSTRUCTION}\n\n{QUERIES[0]}"], [ANSWERS[0]])[0]
    want = tiny.log_likelihoods(folder, [pair])
    assert scores(model, [pair], 512) == pytest.approx(want, abs=1e-4)
    assert scores(model, [pair] * 3, 512) == pytest.approx(want * 3, abs=1e-4)


def test_more_answer_tokens_than_are_projected_at_once(folder, model):
    answer = " " + "; ".join(f"person: name {i}" for i in range(40)) + "."
    pairs = model.pairs([f"{INSTRUCTION}\n\n{QUERIES[i]}" for i in (0, 1)], [answer, " None"])
    assert len(pairs[0].ids) - pairs[0].start > 64
    want = tiny.log_likelihoods(folder, pairs)
    assert scores(model, pairs, 100_000) == pytest.approx(want, abs=1e-4)


def test_tokens_split_where_the_context_ends(model):
    contexts = [f"{INSTRUCTION}\n\n{q}" for q in QUERIES]
    for context, answer, pair in zip(
        contexts, ANSWERS, model.pairs(contexts, ANSWERS), strict=True
    ):
        head, tail = (model.tokenizer.decode(ids, skip_special_tokens=True)
                      for ids in (pair.ids[: pair.start], pair.ids[pair.start :]))  # fmt: skip
        assert (head, tail) == (context, answer)


def test_a_token_across_the_border_counts_to_the_answer(model):
    # " entities" is one token, half of it context
    assert len(model.tokenizer.tokenize(" entities")) == 1
    pair = model.pairs(["Extract all ent"], ["ities are present"])[0]
    assert model.tokenizer.decode(pair.ids[pair.start :]) == " entities are present"


def test_an_answer_of_one_character_is_scored(model):
    pair = model.pairs(["Extract all entities"], ["."])[0]
    assert model.tokenizer.decode(pair.ids[pair.start :]) == "."


def test_an_empty_context_still_leaves_a_token_to_predict_from(folder, model):
    pairs = model.pairs(["", ""], ["Alice Smith works", "Rebels attacked"])
    assert all(p.start >= 1 for p in pairs)
    want = tiny.log_likelihoods(folder, pairs)
    assert scores(model, pairs, 100) == pytest.approx(want, abs=1e-4)


def test_common_prefix_stops_before_the_last_context_token():
    # equal up to token 3; the shortest context has 4 tokens, of which the last is kept out
    assert _common_prefix([Pair([1, 2, 3, 4, 9], 4), Pair([1, 2, 3, 4, 8], 4)]) == 3
    assert _common_prefix([Pair([1, 2, 3, 4, 9], 4), Pair([1, 2, 7, 4, 8], 4)]) == 2
    assert _common_prefix([Pair([1, 2], 1), Pair([1, 3], 1)]) == 0
