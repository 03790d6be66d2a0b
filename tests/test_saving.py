"""The models' folders in other hands: sentence-transformers and plain transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
import torch

from ruie import encoders, feeding, saving
from ruie.train_reward import add_keyword_tokens, load

TEXTS = ["Oil prices rose.", "<Keyword>Alice</Keyword> works for Shell in Paris. " * 8, "Peru"]


@pytest.mark.parametrize("pooling", encoders.POOLINGS)
@pytest.mark.parametrize("normalize", [True, False])
def test_a_retriever(tmp_path, pooling, normalize):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    encoder = encoders.BiEncoder(tiny.encoder(tmp_path / "bert"), pooling, normalize, 24)
    add_keyword_tokens(encoder.tokenizer, encoder.model)
    encoder.model.eval()
    folder = tmp_path / "model"
    saving.save_retriever(encoder, folder, "query: ", "passage: ")
    for prefix, name in (("", None), ("query: ", "query"), ("passage: ", "document")):
        want, cut = encoder.encode([prefix + t for t in TEXTS])
        assert cut == 1
        loaded = SentenceTransformer(str(folder), device="cpu")
        found = loaded.encode(TEXTS, prompt_name=name)
        np.testing.assert_allclose(found, want, atol=1e-5)
        # plain transformers, by hand
        tokenizer, model = (a.from_pretrained(folder) for a in (AutoTokenizer, AutoModel))
        for text, vector in zip(TEXTS, want, strict=True):
            inputs = tokenizer(prefix + text, truncation=True, max_length=24, return_tensors="pt")
            with torch.no_grad():
                hidden = model(**inputs).last_hidden_state[0]
            mine = hidden[0] if pooling == "cls" else hidden.mean(0)
            mine = mine / mine.norm() if normalize else mine
            np.testing.assert_allclose(mine.numpy(), vector, atol=1e-5)
    assert loaded.max_seq_length == 24
    assert loaded.similarity_fn_name == ("cosine" if normalize else "dot")
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert settings["prompts"] == {"query": "query: ", "document": "passage: "}


@pytest.mark.parametrize("keyword_tokens", [True, False])
def test_a_reward_model(tmp_path, keyword_tokens):
    from sentence_transformers import CrossEncoder
    from transformers import AutoModelForSequenceClassification

    tiny.encoder(tmp_path / "bert", classifier=True)
    tokenizer, network = load(tmp_path / "bert", keyword_tokens)
    network.eval()
    feeder = feeding.Feeder(tokenizer, 40)
    pairs = [(a, b) for a in TEXTS for b in TEXTS]
    want = []
    for a, b in pairs:
        with torch.no_grad():
            inputs = feeder.tensors([feeder.two(*feeder.tokens([a, b]))])
            want.append(network(**inputs).logits.item())
    assert feeder.cut == 5  # those with the long text
    folder = tmp_path / "model"
    saving.save_reward(network, tokenizer, folder, 40)
    loaded = CrossEncoder(str(folder), device="cpu")
    np.testing.assert_allclose(loaded.predict(pairs), want, atol=1e-5)
    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = feeder.tensors([feeder.two(*feeder.tokens(list(pairs[0])))])
    with torch.no_grad():
        assert plain(**inputs).logits.item() == pytest.approx(want[0], abs=1e-5)
