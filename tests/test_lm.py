"""Log-likelihoods against float64 over the whole sequence, without cache, batch or padding."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import tiny
import torch

from ruie import lm, prompt
from ruie.cli import UserError
from ruie.lm import LanguageModel, Pair

TEXTS = [
    "Alice visited Berlin.",
    "Rebels attacked the harbour near Aden; three soldiers were killed.",
    "Oil.",
    "Bob lives in New York City and works for Acme Corp in Paris on Monday.",
    "Zürich — 東京?",
]
LONG = "; ".join(f"name {i}" for i in range(30))


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def folder(request, tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def model(folder):
    return LanguageModel(folder, "float32")


def prompts(model, tasks=("NER", "RE")):
    """Every text after every text, by two instructions; one answer is long, one is None."""
    samples = [tiny.sample(str(i), t) for i, t in enumerate(TEXTS)]
    samples[1] = tiny.sample("1", TEXTS[1], ("location", "Aden"), ("person", "soldiers"))
    samples[3] = tiny.sample("3", LONG, *(("person", f"name {i}") for i in range(30)))
    out = []
    for task in tasks:
        for shown in samples:
            for query in samples:
                context = prompt.build(
                    prompt.INSTRUCTIONS[task], [prompt.render(shown)], prompt.query(query)
                )
                out.append(model.pieces.whole(context, prompt.answer(query)))
    return out


def scores(model, pairs, wanted=None):
    out = [math.nan] * len(pairs)
    for rows, means in model.score(pairs, wanted):
        for r, mean in zip(rows, means, strict=True):
            assert math.isnan(out[r]), "a pair was scored twice"
            out[r] = mean
    return out


def test_equals_float64_without_cache(folder, model):
    pairs = prompts(model)
    want = tiny.log_likelihoods(folder, pairs)
    assert max(want) < -1  # the random model is sure of nothing: the numbers say something
    for budget, cache in ((1, 1), (300, 400), (100_000, 100_000)):
        model.batch_tokens, model._cache_tokens = budget, cache
        assert scores(model, pairs) == pytest.approx(want, abs=1e-4)
    assert [model.reference(p) for p in pairs[:4]] == pytest.approx(want[:4], abs=1e-4)


def test_what_is_shared_is_computed_once(model):
    pairs = prompts(model, ("NER",))
    # the trie of all tokens, but each pair's last, which predicts nothing
    distinct = {tuple(p.ids[: n + 1]) for p in pairs for n in range(len(p.ids) - 1)}
    model.useful = 0
    scores(model, pairs)
    # a branch of fewer tokens than trie.LEAST_SAVED is computed in each of its two parts or more
    assert len(distinct) <= model.useful < 1.25 * len(distinct)
    assert model.useful < sum(len(p.ids) for p in pairs) / 2
    assert model.computed >= model.useful


@pytest.mark.parametrize(("budget", "cache"), [(300, 400), (2000, 100_000), (64, 10_000)])
def test_budgets_bound_what_is_held_and_computed(model, monkeypatch, budget, cache):
    model.batch_tokens, model._cache_tokens = budget, cache
    held, batches = [], []
    hold, hidden = model.cache.hold, model._hidden

    def record(tokens, before, new):
        batches.append(([len(t) for t in tokens], [len(b) for b in before]))
        return hidden(tokens, before, new)

    monkeypatch.setattr(model.cache, "hold", lambda n: (held.append(n), hold(n)))
    monkeypatch.setattr(model, "_hidden", record)
    scores(model, prompts(model))
    assert max(held) <= cache + 1  # slot 0 is nobody's
    assert len(held) > 1 if cache == 400 else len(held) == 1
    several = [b for b in batches if len(b[0]) > 1]
    assert len(several) > 3
    for lengths, before in several:
        assert len(lengths) * max(lengths) <= budget
        assert len(lengths) * max(before) <= lm.READ_FACTOR * budget
        # a row much shorter than the longest comes only while a quarter is not yet full
        short = sum(n >= lm.LEAST_FILLED * lengths[0] for n in lengths)
        assert short == len(lengths) or short * lengths[0] <= budget // 4
    if budget == 64:  # more prefixes than may be read at once would fit by their own tokens
        assert any((len(b) + 1) * max(b) > lm.READ_FACTOR * budget for _, b in several)


def test_logits_are_float32_whatever_the_model_computes_in(folder):
    coarse = LanguageModel(folder, "bfloat16")
    head = coarse.model.get_output_embeddings()
    torch.manual_seed(1)
    states = (8 * torch.randn(5, head.weight.shape[1])).bfloat16()
    targets = torch.arange(5)
    logits = states.double() @ head.weight.double().T
    if coarse.softcap:
        logits = coarse.softcap * torch.tanh(logits / coarse.softcap)
    want = logits.log_softmax(-1)[range(5), targets]
    found = coarse._log_p(states, targets)
    torch.testing.assert_close(found, want, atol=1e-4, rtol=0)
    # in bfloat16 they would differ by more
    rounded = logits.bfloat16().double().log_softmax(-1)[range(5), targets]
    assert (rounded - want).abs().max() > 1e-3


def test_nothing_shared(folder, model):
    """Pairs that differ from the first token on; some are longer than a window of 16 alone."""
    rows = [[5, 6, 7], [9, 8], [40 + i for i in range(50)], [6, 5, 7, 9, 300, 301], [8, 7, 6, 5]]
    pairs = [Pair(np.array(ids, np.int32), start)
             for ids, start in zip(rows, [1, 1, 30, 4, 4], strict=True)]  # fmt: skip
    want = tiny.log_likelihoods(folder, pairs)
    assert want[4] == 0  # starts where it ends: no answer token
    for budget in (1, 64, 100_000):
        model.batch_tokens = budget
        assert scores(model, pairs) == pytest.approx(want, abs=1e-4)


def test_identical_pairs_and_none(folder, model):
    pair = prompts(model)[1]
    want = tiny.log_likelihoods(folder, [pair])
    assert scores(model, [pair] * 3) == pytest.approx(want * 3, abs=1e-4)
    assert scores(model, []) == []


def test_prompts_without_an_answer_score_0_beside_others(folder, model):
    pair = prompts(model)[1]
    none = [Pair(pair.ids[:n], n) for n in (pair.start, pair.start, pair.start - 3, 1)]
    pairs = [*none, pair]
    want = tiny.log_likelihoods(folder, pairs)
    assert want[:4] == [0, 0, 0, 0]
    assert scores(model, pairs) == pytest.approx(want, abs=1e-4)


def test_what_is_not_wanted_changes_no_bit_of_the_rest(model):
    model.batch_tokens, model._cache_tokens = 400, 900
    pairs = prompts(model)
    whole = scores(model, pairs)
    # batches of the whole, cut after each: what a run killed there would have left to do
    batches = [rows for rows, _ in model.score(pairs)]
    assert len(batches) > 5
    for n in (1, len(batches) // 2, len(batches) - 1):
        done = {r for rows in batches[:n] for r in rows}
        rest = scores(model, pairs, [i not in done for i in range(len(pairs))])
        assert [math.isnan(s) for s in rest] == [i in done for i in range(len(pairs))]
        assert [s for s in rest if not math.isnan(s)] == [
            s for i, s in enumerate(whole) if i not in done
        ]


def test_out_of_memory_halves_the_budget_and_loses_nothing(folder, model, monkeypatch):
    pairs = prompts(model)
    want = tiny.log_likelihoods(folder, pairs)
    longest, real = max(len(p.ids) for p in pairs), model._hidden
    model.batch_tokens = 4 * longest

    def small(tokens, before, new):
        if len(tokens) * max(map(len, tokens)) > longest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(tokens, before, new)

    monkeypatch.setattr(model, "_hidden", small)
    assert scores(model, pairs) == pytest.approx(want, abs=1e-4)
    assert model.halved >= 2
    assert model.batch_tokens == 4 * longest // 2**model.halved


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_a_prompt_that_never_fits_is_a_user_error(model, monkeypatch, error):
    def full(*_, **__):
        raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(model, "_hidden", full)
    pairs = prompts(model)[:2]
    with pytest.raises(UserError, match="single prompt"):
        scores(model, pairs)
    # the plain pass of the check too
    monkeypatch.setattr(model.model, "forward", full)
    with pytest.raises(UserError, match="single prompt"):
        model.reference(pairs[0])


def test_the_plain_pass_makes_the_logits_of_the_answer_alone(model, monkeypatch):
    pair, plain, seen = prompts(model)[0], model.model.forward, []

    def keeping(input_ids, use_cache, logits_to_keep=0):
        seen.append(plain(input_ids, use_cache=use_cache, logits_to_keep=logits_to_keep))
        return seen[-1]

    def keeping_none(input_ids, use_cache):  # as models that do not know the option
        seen.append(plain(input_ids, use_cache=use_cache))
        return seen[-1]

    found = []
    for forward in (keeping, keeping_none):
        monkeypatch.setattr(model.model, "forward", forward)
        found.append(model.reference(pair))
    answer = len(pair.ids) - pair.start
    assert [out.logits.shape[1] for out in seen] == [answer + 1, len(pair.ids)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert model.reference(dataclasses.replace(pair, start=len(pair.ids))) == 0.0


def test_other_errors_are_not_taken_for_memory(model, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(model, "_hidden", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        scores(model, prompts(model)[:2])


def test_vocabulary_in_parts_is_the_whole(folder, model, monkeypatch):
    pairs = prompts(model)
    whole = scores(model, pairs)
    # 500 entries or fewer in parts of 77, an answer of more than 100 tokens in parts of 7
    assert max(len(p.ids) - p.start for p in pairs) > 100
    monkeypatch.setattr(lm, "ENTRIES_AT_ONCE", 77)
    monkeypatch.setattr(lm, "STATES_AT_ONCE", 7)
    assert scores(model, pairs) == pytest.approx(whole, abs=1e-5)


def test_scaled_logits_are_refused(tmp_path):
    folder = tiny.causal(tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("{", '{"logits_scaling": 8.0,', 1))
    with pytest.raises(UserError, match="scales its logits"):
        LanguageModel(folder, "float32")


def test_bfloat16_factors_are_multiplied_as_such_and_summed_in_float32(folder, monkeypatch):
    """Both factors of a logit are bfloat16 numbers, so units for these lose nothing: what comes out
    is the product in float64 to float32's last digits, which logits rounded to bfloat16 are not."""
    model = LanguageModel(folder, "bfloat16")
    seen = []
    monkeypatch.setattr(
        torch, "set_float32_matmul_precision",
        lambda p, inner=torch.set_float32_matmul_precision: (seen.append(p), inner(p)),
    )  # fmt: skip
    head = model.model.get_output_embeddings().weight
    states = torch.randn(5, head.shape[1], generator=torch.Generator().manual_seed(0)).bfloat16()
    states *= 4
    targets = torch.arange(5)

    def log_p(logits):
        cap = model.softcap
        logits = cap * (logits / cap).tanh() if cap else logits
        return logits.log_softmax(-1)[targets, targets]

    exact = log_p(states.double() @ head.double().T)
    with torch.inference_mode():
        found = model._log_p(states, targets)
    assert found.tolist() == pytest.approx(exact.tolist(), abs=1e-5)
    assert (log_p((states @ head.T).double()) - exact).abs().max() > 1e-3  # the test can tell
    assert set(seen) == {"medium", "highest"}
    assert torch.get_float32_matmul_precision() == "highest"


def test_tf32_is_for_the_layers_and_not_for_the_logits(folder, monkeypatch):
    pairs = prompts(LanguageModel(folder, "float32"))[:6]
    seen = {True: set(), False: set()}

    def look(inner, layers):
        def call(*args, **options):
            seen[layers].add(torch.get_float32_matmul_precision())
            return inner(*args, **options)

        return call

    for dtype, layers in (("tf32", "high"), ("float32", "highest")):
        model = LanguageModel(folder, dtype)
        assert model.model.dtype == torch.float32
        base = model.model.base_model
        monkeypatch.setattr(base, "forward", look(base.forward, True))
        monkeypatch.setattr(model, "_log_p", look(model._log_p, False))
        # on a CPU the setting changes nothing
        want = tiny.log_likelihoods(folder, pairs)
        assert scores(model, pairs) == pytest.approx(want, abs=1e-4)
        assert model.reference(pairs[0]) == pytest.approx(want[0], abs=1e-4)
        assert seen == {True: {layers}, False: {"highest"}}
        seen = {True: set(), False: set()}
    assert torch.get_float32_matmul_precision() == "highest"
