"""The model card that a training writes into its model's folder: data, parameters, measures,
origin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ruie
from ruie import provenance, stamp, training
from ruie.checkpoints import FILES, NO_FACTS
from ruie.markdown import table

RETRIEVER = """It finds demonstrations for information extraction: a bi-encoder distilled from a \
reward model and from a language model's preference (RUIE, COLING 2025, section 3.4).

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/of/this/folder")
query = model.encode("Task: ...\\nSchema: [...]\\nInput: ...", prompt_name="query")
sample = "Task: ...\\nSchema: [...]\\nInput: ...\\nOutput: ..."
pool = model.encode([sample], prompt_name="document")
model.similarity(query, pool)
```
"""
REWARD = """It says how much a demonstration helps with a query, both with their answers: a \
cross-encoder that learned a language model's preference (RUIE, COLING 2025, section 3.3). A \
single score means nothing; differences between demonstrations of one query do.

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("path/of/this/folder")
sample = "Task: ...\\nSchema: [...]\\nInput: ...\\nOutput: ..."
model.predict([(sample, sample)])  # (query, demonstration)
```
"""
PLAIN_RETRIEVER = """
The same with plain Transformers; prefixes are put before the texts:

```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")
model = AutoModel.from_pretrained("path/of/this/folder").eval()
prefixes = {"query": %(query)s, "document": %(document)s}
text = prefixes["query"] + "Task: ...\\nSchema: [...]\\nInput: ..."
inputs = tokenizer(
    [text], padding=True, truncation=True, max_length=%(length)d, return_tensors="pt"
)
with torch.no_grad():
    hidden = model(**inputs).last_hidden_state
%(pooling)s
```
"""
POOLING = {
    "mean": """mask = inputs["attention_mask"].unsqueeze(-1)
vectors = (hidden * mask).sum(1) / mask.sum(1)""",
    "cls": "vectors = hidden[:, 0]",
}
NORMALIZE = "\nvectors = torch.nn.functional.normalize(vectors, dim=-1)"
PLAIN_REWARD = """
The same with plain Transformers:

```python
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")
model = AutoModelForSequenceClassification.from_pretrained("path/of/this/folder").eval()
sample = "Task: ...\\nSchema: [...]\\nInput: ...\\nOutput: ..."
inputs = tokenizer(
    [sample], [sample], padding=True, truncation=True, max_length=%(length)d, return_tensors="pt"
)
with torch.no_grad():
    scores = model(**inputs).logits[:, 0]
```
"""
TAGS = "In texts that are tagged, gold spans stand between `<Keyword>` and `</Keyword>`."


@dataclass(frozen=True)
class Kind:
    """``tags`` and ``library`` are Hugging Face's words."""

    title: str
    text: str
    library: str
    pipeline: str


KINDS = {
    "retriever": Kind("RUIE retriever", RETRIEVER, "sentence-transformers",
                      "sentence-similarity"),
    "reward": Kind("RUIE reward model", REWARD, "sentence-transformers", "text-ranking"),
}  # fmt: skip


def card(
    kind: str, flags: Mapping[str, Any], data: training.Data, rows: Sequence[Mapping[str, Any]]
) -> str:
    """The card's text. ``flags`` are those of the training, ``rows`` its TRAINING table."""
    what = KINDS[kind]
    model = str(flags["model"])
    base = Path(model).name if Path(model).is_dir() else model
    head = [
        "---", f"library_name: {what.library}", f"pipeline_tag: {what.pipeline}", "language: en",
        f"base_model: {_quoted(base)}", "tags: [information-extraction, retrieval, ruie]", "---",
    ]  # fmt: skip
    counts = Counter((data.queries[c.query_id].task, data.queries[c.query_id].dataset)
                     for c in data.members)  # fmt: skip
    pairs = sum(len(c.positives) + len(c.negatives) for c in data.members)
    shown = {d for c in data.members for d in (*c.positives, *c.negatives)}
    parameters = {
        name: value for name, value in sorted(flags.items())
        if name not in FILES and name not in NO_FACTS and name != "version"
    }  # fmt: skip
    measures = [
        (name, _first(rows, name), _first(rows[::-1], name))
        for name in ("loss", "distill", "contrastive", "accuracy", "mrr")
        if _first(rows, name) is not None
    ]
    parts = [
        "\n".join(head), f"# {what.title}", what.text + _plain(kind, flags) + "\n" + TAGS,
        "## Data",
        f"{len(data.members):,} queries and {len(shown):,} demonstrations in {pairs:,} "
        "pairs that groups are drawn from; "
        f"{len(data.watched):,} queries were held aside.",
        table(["task", "dataset", "queries"], [[*k, n] for k, n in sorted(counts.items())]),
        "## Measures", f"{len(rows):,} steps. Accuracy: groups whose positive is ranked first; "
        "MRR: of the language model's best candidate, on the queries held aside.",
        table(["measure", "first", "last"], [[n, f"{a:.4f}", f"{b:.4f}"] for n, a, b in measures]),
        "## Parameters", table(
            ["flag", "value"], [[f"--{n.replace('_', '-')}", str(v)] for n, v in parameters.items()]
        ),
        "## Origin", table(["what", "version"], [
            ["commit", provenance.commit(Path(ruie.__file__).resolve().parents[1])],
            *([name, version] for name, version in stamp.versions().items()),
        ]),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _plain(kind: str, flags: Mapping[str, Any]) -> str:
    """How plain Transformers computes what this training's model does."""
    if kind == "reward":
        return PLAIN_REWARD % {"length": flags["max_length"]}
    pooling = POOLING[flags["pooling"]] + ("" if flags["no_normalize"] else NORMALIZE)
    return PLAIN_RETRIEVER % {
        "length": flags["max_length"], "pooling": pooling,
        # nothing in a prefix ends the code block or loses a blank
        "query": _literal(flags["query_prefix"]),
        "document": _literal(flags["demonstration_prefix"]),
    }  # fmt: skip


def _literal(text: str) -> str:
    """A Python string in the source, without a backtick."""
    return repr(text).replace("`", "\\x60")


def _first(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return next((r[name] for r in rows if r[name] is not None), None)


def _quoted(text: str) -> str:
    """A YAML string in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
