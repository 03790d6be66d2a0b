"""Tiny random models, samples and subprocesses for the tests. Nothing here is a test.

Every model is built on the fly: hidden width 32, two layers, a fixed seed, safetensors, and a
tokenizer trained on the few sentences below. Dropout is off, so a training step can be worked out
again by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads only slow such small models down
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import ruie
from ruie import examples, parquet, prompt, schemas, vectors
from ruie.examples import Annotation, Event, Example, Span

ROOT = Path(ruie.__file__).resolve().parents[1]
ARCHITECTURES = ("llama", "gemma3", "gpt_neox", "gpt_neo")
SENTENCES = [
    "The president of Peru visited Berlin on Monday with a delegation from Lima.",
    "Alice Smith works for Acme Corp in Paris and Bob lives in New York City.",
    "Rebels attacked the harbour near Aden; three soldiers were killed on Friday.",
    "Oil prices rose after the merger of Shell and BP was announced in London.",
    "Task: Named Entity Recognition\nSchema: [person, location]\nInput: text\nOutput: None",
    "Task: Relation Extraction\nSchema: [works for, lives in]\nOutput: works for: Alice, Acme.",
    *prompt.INSTRUCTIONS.values(),
]


def _encoder_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    # a trainer would choose otherwise in every process: letters, and words of three to five
    words = sorted({w for s in SENTENCES for w in re.findall(r"\w+|[^\w\s]", s.lower())})
    letters = sorted({c for w in words for c in w})
    pieces = [*letters, *(f"##{c}" for c in letters), *(w for w in words if 2 < len(w) < 6)]
    vocabulary = {piece: i for i, piece in enumerate([*special, *pieces])}
    t = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=t, model_max_length=512, **names)


def encoder(folder: Path, classifier: bool = False) -> Path:
    """A tiny BertModel, or a BertForSequenceClassification with one output."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    tokenizer = _encoder_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        pad_token_id=0, initializer_range=0.2, num_labels=1,
    )  # fmt: skip
    torch.set_num_threads(1)
    torch.manual_seed(7)
    model = BertForSequenceClassification(config) if classifier else BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _causal_tokenizer(bos: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    t.train_from_iterator(SENTENCES, trainer)
    if bos:
        t.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    names = dict(zip(("pad_token", "bos_token", "eos_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=t, model_max_length=4096, **names)


def causal(folder: Path, architecture: str = "llama", **changes: Any) -> Path:
    """A tiny causal language model. The tokenizers of Llama and Gemma write a start token, those
    of GPT-NeoX and GPT-Neo write none; of Gemma and GPT-Neo one layer sees 16 tokens back, one
    all. GPT-Neo has learned positions, and no more of them than the longest prompt here.
    ``changes``: of the configuration."""
    import torch
    from transformers import (
        AutoModelForCausalLM,
        Gemma3TextConfig,
        GPTNeoConfig,
        GPTNeoXConfig,
        LlamaConfig,
    )

    tokenizer = _causal_tokenizer(bos=architecture in ("llama", "gemma3"))
    common: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 4096,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3,
        "tie_word_embeddings": False, **changes,
    }  # fmt: skip
    config: Any
    if architecture == "llama":
        config = LlamaConfig(**common, num_key_value_heads=2)
    elif architecture == "gemma3":
        config = Gemma3TextConfig(
            **common, num_key_value_heads=2, head_dim=8, sliding_window=16,
            layer_types=["sliding_attention", "full_attention"], query_pre_attn_scalar=8,
            final_logit_softcapping=3.0,
        )  # fmt: skip
    elif architecture == "gpt_neo":
        config = GPTNeoConfig(
            **{k: v for k, v in common.items() if not k.endswith(("_layers", "_heads"))},
            num_layers=2, num_heads=4, window_size=16, attention_types=[[["global", "local"], 1]],
            attention_dropout=0.0, embed_dropout=0.0, resid_dropout=0.0,
        )  # fmt: skip
    else:
        config = GPTNeoXConfig(**common, attention_dropout=0.0, hidden_dropout=0.0)
    torch.set_num_threads(1)
    torch.manual_seed(11)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def seq2seq(folder: Path) -> Path:
    """A tiny T5, whose tokenizer writes an end token and knows the special tokens of UIE."""
    import torch
    from tokenizers import processors
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _causal_tokenizer(bos=False)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)]
    )
    marks = [f"<extra_id_{n}>" for n in range(7)]
    tokenizer.add_special_tokens({"additional_special_tokens": [*marks, "<spot>", "<asoc>"]})
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        dropout_rate=0.0, pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
        initializer_factor=5.0, tie_word_embeddings=True,
    )  # fmt: skip
    torch.set_num_threads(1)
    torch.manual_seed(13)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def log_likelihoods(folder: Path, pairs: list[Any]) -> list[float]:
    """Equation 1 in float64 with the whole model and no cache: one pair after the other."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    out = []
    for p in pairs:
        with torch.no_grad():
            logits = model(torch.tensor([list(p.ids)]), use_cache=False).logits[0]
        log_p = torch.log_softmax(logits, -1)  # row t predicts token t + 1
        each = [log_p[t - 1, int(p.ids[t])].item() for t in range(p.start, len(p.ids))]
        out.append(sum(each) / len(each) if each else 0.0)
    return out


def sample(
    id: str, text: str, *found: tuple[str, ...], task: str = "NER", dataset: str = "toy",
    schema: tuple[str, ...] = ("person", "location"), event: tuple[str, str] | None = None,
) -> Example:  # fmt: skip
    """An example; ``found`` holds (label, span text, ...), each span at its first place."""

    def span(words: str) -> Span:
        at = text.index(words)
        return Span(words, at, at + len(words))

    annotations = tuple(Annotation(label, tuple(map(span, spans))) for label, *spans in found)
    given = Event(event[0], span(event[1])) if event else None
    return Example(id, task, dataset, "train", text, schema, annotations, given, f"toy.json#{id}")


def write_examples(members: list[Example], path: Path) -> Path:
    parquet.write(examples.to_table(members), schemas.EXAMPLES, path)
    return path


def write_vectors(path: Path, numbers: Any, ids: list[str] | None = None, at_once: int = 3) -> Path:
    """``numbers`` [pool, width] in pieces of ``at_once`` rows."""
    ids = ids or [f"d/train/{i:06d}" for i in range(len(numbers))]
    with vectors.writing(path, numbers.shape[1]) as add:
        for low in range(0, len(numbers), at_once):
            add(ids[low : low + at_once], numbers[low : low + at_once])
    return path


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with the package on the path and the network left alone."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **extra}


def python(
    *words: Any, timeout: float = 100, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python words...`` within a time limit and catch what it says."""
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=timeout,
        env=env or environment(),
    )  # fmt: skip
