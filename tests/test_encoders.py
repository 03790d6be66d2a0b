"""Pooling, batching and encoding with a tiny BERT."""

from __future__ import annotations

import argparse
import shutil

import numpy as np
import pytest
import tiny
import torch

from ruie import devices, encoders
from ruie.cli import UserError

TEXTS = [
    "Alice visited Berlin.",
    "The president of Peru visited Berlin on Monday with a delegation from Lima.",
    "Oil",
    "Rebels attacked the harbour near Aden; three soldiers were killed on Friday.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.encoder(tmp_path_factory.mktemp("bert"))


def by_hand(folder, text, pooling, max_length):
    """One text alone, so without padding: the mean over its tokens, or the first of them."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text)["input_ids"]
    if len(ids) > max_length:
        ids = [*ids[: max_length - 1], tokenizer.sep_token_id]
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder)(torch.tensor([ids])).last_hidden_state[0]
    vector = hidden[0] if pooling == "cls" else hidden.mean(0)
    return vector.numpy()


def test_pool_hidden():
    hidden = torch.tensor(
        [[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[5.0, 5.0]] + [[7.0, 1.0]] * 2]
    )
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    # row 1: ((1 + 3) / 2, (2 + 6) / 2), the padding unseen; row 2: ((5 + 14) / 3, (5 + 2) / 3)
    mean = encoders.pool_hidden(hidden, mask, "mean")
    torch.testing.assert_close(mean, torch.tensor([[2.0, 4.0], [19 / 3, 7 / 3]]))
    cls = encoders.pool_hidden(hidden, mask, "cls")
    torch.testing.assert_close(cls, torch.tensor([[1.0, 2.0], [5.0, 5.0]]))
    empty = encoders.pool_hidden(hidden, torch.zeros(2, 3), "mean")
    assert empty.tolist() == [[0, 0], [0, 0]]  # no division by zero


@pytest.mark.parametrize("budget", [1, 40, 8192])
@pytest.mark.parametrize("pooling", encoders.POOLINGS)
def test_encode_equals_one_text_at_a_time(folder, pooling, budget):
    encoder = encoders.BiEncoder(folder, pooling, normalize=False, max_length=20)
    vectors, cut = encoder.encode(TEXTS, budget)
    assert vectors.shape == (4, 32)
    assert vectors.dtype == np.float32
    want = np.stack([by_hand(folder, t, pooling, 20) for t in TEXTS])
    np.testing.assert_allclose(vectors, want, atol=1e-5)
    longer = [len(encoder.tokenizer(t)["input_ids"]) > 20 for t in TEXTS]
    assert cut == sum(longer) == 2


def test_normalised_vectors_point_the_same_way(folder):
    plain, _ = encoders.BiEncoder(folder, "mean", False, 512).encode(TEXTS)
    unit, cut = encoders.BiEncoder(folder, "mean", True, 512).encode(TEXTS)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert (abs(lengths - 1) > 0.01).all()
    np.testing.assert_allclose(unit, plain / lengths, atol=1e-6)
    assert cut == 0


@pytest.mark.parametrize("has", [True, False])
def test_products_in_bfloat16_where_the_device_has_it(folder, monkeypatch, has):
    exact, _ = encoders.BiEncoder(folder, "mean", True, 16).encode(TEXTS)
    monkeypatch.setattr(devices, "arithmetic", lambda dtype: dtype if has else "float32")
    encoder = encoders.BiEncoder(folder, "mean", True, 16, "bfloat16")
    assert encoder.model.dtype == torch.float32  # the weights stay what they were trained as
    found, _ = encoder.encode(TEXTS)
    assert found.dtype == np.float32
    assert np.array_equal(found, exact) is not has
    # eight bits of each factor: cosines within a hundredth
    assert (found * exact).sum(1) == pytest.approx(np.ones(len(TEXTS)), abs=0.01)
    # a training's autocast is not left on
    assert not torch.is_autocast_enabled("cpu")


def test_nothing_to_encode_is_a_user_error(folder):
    with pytest.raises(UserError, match="no text"):
        encoders.BiEncoder(folder, "mean", True, 512).encode([])


def test_a_model_that_is_not_there_is_a_user_error_of_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        encoders.BiEncoder(tmp_path / "none", "mean", True, 512)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_safetensors_are_refused(folder, tmp_path):
    from transformers import AutoModel

    copy = tmp_path / "pickled"
    shutil.copytree(folder, copy)
    (copy / "model.safetensors").unlink()
    torch.save(AutoModel.from_pretrained(folder).state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be loaded"):
        encoders.BiEncoder(copy, "mean", True, 512)


def test_a_model_that_lacks_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

    def lacking(folder, name):
        copy = tmp_path / f"{folder.name} without {name}"
        shutil.copytree(folder, copy)
        weights = load_file(copy / "model.safetensors")
        save_file({k: v for k, v in weights.items() if k != name},
                  copy / "model.safetensors", {"format": "pt"})  # fmt: skip
        assert len(weights) > len(load_file(copy / "model.safetensors"))
        return copy

    llama, bert = tiny.causal(tmp_path / "llama"), tiny.encoder(tmp_path / "bert")
    cross = tiny.encoder(tmp_path / "cross", classifier=True)
    for auto, folder, name in (
        (AutoModelForCausalLM, llama, "model.layers.0.mlp.down_proj.weight"),
        (AutoModelForCausalLM, llama, "lm_head.weight"),
        (AutoModel, bert, "encoder.layer.1.output.dense.weight"),
        (AutoModelForSequenceClassification, cross, "classifier.weight"),
    ):
        with pytest.raises(UserError, match=f"its files lack 1 weights, first {name}"):
            encoders.from_pretrained(auto, lacking(folder, name))
    # what nothing reads may lack, and a training may start from a new head, but not from less
    encoders.from_pretrained(AutoModel, lacking(bert, "pooler.dense.weight"))
    auto = AutoModelForSequenceClassification
    encoders.from_pretrained(auto, bert, new_head=True, num_labels=1)
    with pytest.raises(UserError, match="lack 1 weights, first bert.encoder"):
        encoders.from_pretrained(
            auto, lacking(bert, "encoder.layer.0.output.dense.weight"), new_head=True, num_labels=1
        )
    (llama / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match="llama: cannot be loaded: "):
        encoders.from_pretrained(AutoModelForCausalLM, llama)


def test_text_forms():
    e = tiny.sample("a", "Bob lives in Paris.", ("person", "Bob"), ("location", "Paris"))
    p = argparse.ArgumentParser()
    encoders.add_text_arguments(p, "query", "demonstration")
    args = p.parse_args(["--query-prefix", "query: ", "--demonstration-fields", "output", "input"])
    # the query side has no answer unless asked for; the prefix stands once, in front
    query = encoders.text_form(args, "query", keywords=False)
    head, schema = "Task: Named Entity Recognition", "Schema: [person, location]"
    assert query(e) == f"query: {head}\nInput: Bob lives in Paris.\n{schema}"
    demonstration = encoders.text_form(args, "demonstration", keywords=True)
    assert demonstration(e) == (
        "Output: person: Bob; location: Paris.\n"
        "Input: <Keyword>Bob</Keyword> lives in <Keyword>Paris</Keyword>."
    )
    default = encoders.text_form(p.parse_args([]), "demonstration", keywords=False)
    answer = "Output: person: Bob; location: Paris."
    assert default(e) == f"{head}\nInput: Bob lives in Paris.\n{answer}\n{schema}"
