"""Why vLLM could not load a model: what vLLM 0.32.0 was seen to raise, as one line."""

from __future__ import annotations

import sys
from types import SimpleNamespace as Made

import pytest
import tiny

from ruie import backends, cli, vllm_errors
from ruie.backends import Settings


class Invalid(ValueError):
    """As pydantic's ValidationError, without pydantic."""

    def __init__(self, message, loc=()):
        super().__init__(f"1 validation error for ModelConfig\n  {message} [type=value_error, ...")
        self.message, self.loc = message, loc

    def errors(self):
        return [{"type": "value_error", "loc": self.loc, "msg": self.message}]


RAISED = [
    (Invalid("Value error, Invalid repository ID or local directory specified: 'models/x'.\n"
             "Please verify the following requirements:\n1. Provide a valid Hugging Face "
             "repository ID."),
     "Invalid repository ID or local directory specified: 'models/x'", "mend its path, id or"),
    (Invalid("Value error, The checkpoint you are trying to load has model type `nonesuch` but "
             "Transformers does not recognize this architecture. This could be because of an issue "
             "with the checkpoint.\n\nYou can update Transformers with the command"),
     "model type `nonesuch` but Transformers does not recognize this architecture",
     "take the transformers back end"),
    (Invalid("Value error, Model architectures ['NonesuchForCausalLM'] are not supported for now. "
             "Supported architectures: dict_keys(['AfmoeForCausalLM', 'ApertusForCausalLM'])"),
     "Model architectures ['NonesuchForCausalLM'] are not supported for now",
     "take the transformers back end"),
    (Invalid("Value error, User-specified max_model_len (600) is greater than the derived "
             "max_model_len (max_position_embeddings=64.0 or model_max_length=None in model's "
             "config.json). To allow overriding this maximum, set the env var "
             "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1."),
     "User-specified max_model_len (600) is greater than the derived max_model_len "
     "(max_position_embeddings=64.0", "lower max_input or max_new"),
    (Invalid("Value error, The model type 'gemma3_text' does not support float16. Reason: "
             "Numerical instability. Please use bfloat16 or float32 instead."),
     "does not support float16", "another dtype"),
    (Invalid("Input should be a valid integer", ("max_model_len",)),
     "max_model_len: Input should be a valid integer", "lower max_input"),
    (RuntimeError("Cannot find any model weights with `models/x`"),
     "Cannot find any model weights", "fetch the whole model again"),
    (RuntimeError("start (0) + length (128) exceeds dimension size (64)."),
     "exceeds dimension size (64)", "fetch the whole model again"),
    (ValueError("Couldn't instantiate the backend tokenizer from one of: \n(1) a `tokenizers` "
                "library serialization file, \n(2) a slow tokenizer instance to convert or \n(3) "
                "an equivalent slow tokenizer class to instantiate and convert. \nYou need to have "
                "sentencepiece or tiktoken installed"),
     "(1) a `tokenizers` library serialization file", "put the tokenizer's files"),
    (ValueError("Argument position_ids not found in the forward method of <class "
                "'transformers.models.t5.modeling_t5.T5Stack'>"),
     "T5Stack", "take the transformers back end"),
    (ValueError("Available memory on node 0 (19.58/20.34 GiB) on kv cache allocation is less than "
                "requested memory for kv (9999.0 GiB). Decrease --kv-cache-memory-bytes, "
                "VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by other processes."),
     "(9999.0 GiB)", "take a smaller model"),
    (RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): "
                  "{}"),
     "Engine core initialization failed", "the last error of a process above in the log"),
    (OSError("It looks like the config file at 'models/x/config.json' is not a valid JSON file."),
     "is not a valid JSON file", "mend its path, id or files"),
    (RuntimeError(""), "RuntimeError", "mend its path"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "why", "remedy"), RAISED)
def test_the_line_names_model_cause_and_remedy(error, why, remedy):
    line = str(vllm_errors.refused("models/x", error))
    assert line.startswith("model models/x: vLLM cannot load it: ")
    said, _, after = line.rpartition("; ")
    # the remedy of memory has none, that of the engine's process one `;`
    assert why in said
    assert remedy in line.partition(vllm_errors.cause(error))[2]
    assert after
    for noise in ("validation error", "Value error", "\n", "  ", "type=", "VLLM_ALLOW"):
        assert noise not in line


def test_a_word_of_the_models_name_is_no_cause():
    error = RuntimeError("Cannot find any model weights with `models/memory-7b`")
    assert "fetch the whole model again" in str(vllm_errors.refused("models/memory-7b", error))


def test_a_long_sentence_is_cut():
    line = str(vllm_errors.refused("x", ValueError("a" * 999)))
    assert "a" * 299 + "…; mend" in line
    assert "a" * 300 not in line


def torn():
    from safetensors import SafetensorError

    return SafetensorError("Error while deserializing header: incomplete metadata, file not full")


@pytest.mark.parametrize("error", [e for e, _, _ in RAISED] + [torn()])
def test_the_back_end_ends_with_that_line(monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setitem(sys.modules, "vllm", Made(LLM=refuse, SamplingParams=None))
    with pytest.raises(cli.UserError, match="^model models/x: vLLM cannot load it: "):
        backends.load(Settings("vllm", "models/x"))


def test_without_vllm_the_line_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(cli.UserError, match="cannot be imported .* run `make env`, or take the"):
        backends.load(Settings("vllm", "models/x"))


@pytest.mark.vllm
@pytest.mark.parametrize("amiss", ["no weights", "cut weights"])
def test_vllm_itself(tmp_path, amiss):
    pytest.importorskip("vllm")
    folder = tiny.causal(tmp_path / "llama")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.unlink()
    if amiss == "cut weights":
        file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(cli.UserError, match="fetch the whole model again") as caught:
        backends.load(Settings("vllm", str(folder), "float32", max_input=64, max_new=8))
    assert str(folder) in str(caught.value)
