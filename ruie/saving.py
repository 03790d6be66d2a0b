"""Trained models as folders that travel: plain Transformers models that sentence-transformers loads
too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruie.encoders import BiEncoder


def save_retriever(
    encoder: BiEncoder, folder: Path, query_prefix: str, demonstration_prefix: str
) -> None:
    """A folder that ``SentenceTransformer(folder)`` and plain ``transformers`` load. The prefixes
    are its prompts ``query`` and ``document``."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    encoder.model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=encoder.max_length)
    modules = [transformer, Pooling(encoder.model.config.hidden_size, encoder.pooling)]
    if encoder.normalize:
        modules.append(Normalize())
    SentenceTransformer(
        modules=modules, device="cpu", similarity_fn_name="cosine" if encoder.normalize else "dot",
        prompts={"query": query_prefix, "document": demonstration_prefix},
    ).save(str(folder), create_model_card=False)  # fmt: skip


def save_reward(network: Any, tokenizer: Any, folder: Path, max_length: int) -> None:
    """A folder that ``CrossEncoder(folder)`` and plain ``transformers`` load. Its predictions are
    the logits, which alone mean something: differences within a query."""
    network.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    network.save_pretrained(folder)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
