"""Constrained answers of both back ends, of the shared engine and of the command."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from random import Random

import pytest
import tiny
from constrained import END, TOKENIZERS, assert_reads

from ruie import backends, constrain, engine, infer, parquet, schemas, speed
from ruie.backends import Request, Settings


def examples():
    rng = Random(3)
    words = " ".join(tiny.SENTENCES[:4]).split()
    out = []
    for i in range(12):
        text = " ".join(rng.sample(words, 9))
        task = ("NER", "RE", "EET")[i % 3]
        labels = rng.sample(["person", "lives in", "works for", "attack", "place"], 3)
        out.append(tiny.sample(f"q{i}", text, task=task, schema=tuple(labels)))
    return out


def fine(settings, found, asked):
    for a, r in zip(found, asked, strict=True):
        assert a.error is None
        assert_reads(a.text, r.task, r.labels, r.text)
        assert a.finish_reason == "length" or a.text == "None" or a.text.endswith(".")
        assert a.completion_tokens <= settings.max_new


@pytest.fixture(scope="module")
def asked():
    # the tiny models say little else where they may say None: without it there are spans to see
    return infer.requests(examples(), {}, {}, 0)[0]


@pytest.fixture
def without_none(monkeypatch):
    grammar = constrain.grammar
    monkeypatch.setattr(
        constrain, "grammar", lambda *a, **k: grammar(*a, **k).replace('("None" | ITEM', "(ITEM")
    )


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_transformers(tmp_path, asked, architecture, without_none):
    folder = tiny.causal(tmp_path, architecture)
    on = Settings("transformers", str(folder), "float32", max_new=60, constrained=True)
    backend = backends.load(on)
    found = backends.answer(backend, on, asked)
    fine(on, found, asked)
    assert len({a.text for a in found if a.text}) > 6
    # a row's neighbours and its padding on the left change nothing
    assert [backends.answer(backend, on, [r])[0] for r in asked[:4]] == found[:4]
    free = backends.answer(backend, replace(on, constrained=False), asked)
    assert not any(a.text == b.text for a, b in zip(free, found, strict=True))
    # and the constrained ones leave nothing behind
    assert free == backends.answer(
        backends.load(replace(on, constrained=False)), replace(on, constrained=False), asked
    )


VLLM = """
import json, sys
from ruie import backends
from ruie.backends import Request, Settings
requests = [Request(**r) for r in json.load(open(sys.argv[2]))]
found = {}
if __name__ == "__main__":
    for name in ("transformers", "vllm"):
        s = Settings(name, sys.argv[1], "float32", 900, 24, constrained=True)
        found[name] = [a.text for a in backends.answer(backends.load(s), s, requests)]
    print("FOUND" + json.dumps(found))
"""


@pytest.mark.vllm
def test_vllm_answers_as_transformers_does(tmp_path, asked):
    pytest.importorskip("vllm")
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(  # vLLM's kernels for CPUs need heads of 32
        vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, intermediate_size=64, max_position_embeddings=1024,
        pad_token_id=0, bos_token_id=1, eos_token_id=END, initializer_range=0.3,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    TOKENIZERS["bytes"].save_pretrained(tmp_path)
    (tmp_path / "asked.json").write_text(json.dumps([asdict(r) for r in asked]))
    (tmp_path / "ask.py").write_text(VLLM)
    done = tiny.python(tmp_path / "ask.py", tmp_path, tmp_path / "asked.json", timeout=550)
    assert "FOUND" in done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout.split("FOUND")[1].split("\n")[0])
    assert found["vllm"] == found["transformers"]
    for text, r in zip(found["vllm"], asked, strict=True):
        assert_reads(text, r.task, r.labels, r.text)


def test_the_request_carries_its_language_through_the_shared_engine(asked, tmp_path):
    again = Request(**json.loads(json.dumps(asdict(asked[1]))))
    parts = [(r.task, r.labels, r.text) for r in (asked[1], again)]
    assert constrain.grammar(*parts[0]) == constrain.grammar(*parts[1])
    off = Settings("transformers", str(tmp_path))
    assert engine.socket_path(off) != engine.socket_path(replace(off, constrained=True))


def test_the_time_of_constrained_answers_is_taken(asked):
    class Echo:
        tokenizer = TOKENIZERS["bytes"]

        def generate(self, prompts, grammars=()):
            assert len(prompts) == len(grammars)
            return [(g, 1, "stop") for g in grammars]

    timed = speed.Timed(Echo())
    on = Settings("transformers", "tiny", constrained=True)
    found = backends.answer(timed, on, asked[:2])
    assert timed.seconds > 0
    assert all(a.error and a.finish_reason == "error" for a in found)  # a grammar is no answer


def test_the_command(tmp_path):
    tiny.causal(tmp_path / "llama")
    queries = examples()
    tiny.write_examples(queries, tmp_path / "q.parquet")
    infer.main([
        "--queries", str(tmp_path / "q.parquet"), "--backend", "transformers", "--model",
        str(tmp_path / "llama"), "--dtype", "float32", "--max-new", "30", "--k", "0",
        "--constrained", "--out", str(tmp_path / "out.parquet"),
    ])  # fmt: skip
    rows = parquet.read(tmp_path / "out.parquet", schemas.PREDICTIONS).to_pylist()
    assert len(rows) == len(queries)
    for row, q in zip(rows, queries, strict=True):
        assert row["error"] is None
        assert_reads(row["prediction"], q.task, q.schema, q.text)
