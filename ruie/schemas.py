"""The tables that cross stages: their columns, as pyarrow schemas."""

from __future__ import annotations

import pyarrow as pa

_span = pa.struct([("text", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
_annotation = pa.struct([("label", pa.string()), ("spans", pa.list_(_span))])
_event = pa.struct([("type", pa.string()), ("trigger", _span)])
_reason = pa.struct(
    [
        ("what", pa.string()),
        ("count", pa.int64()),
        ("outcome", pa.string()),
        ("example", pa.string()),
    ]
)
_pair = pa.struct(
    [("test_id", pa.string()), ("train_id", pa.string()), ("similarity", pa.float64())]
)

#: One instance of one dataset. ``spans`` of an annotation: NER the entity; RE head, tail; EET the
#: trigger; EEA the argument. ``event`` is the given event of an EEA instance, else null. Offsets
#: count characters; ``source`` is ``file#record``, records from 0.
EXAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("text", pa.string()),
        ("schema", pa.list_(pa.string())),
        ("annotations", pa.list_(_annotation)),
        ("event", _event),
        ("answer", pa.string()),
        ("source", pa.string()),
    ]
)
#: What was counted while one dataset split was read; ``example`` names the first of the kind.
#: ``outcome``: "" for a fact (records = instances + records left out; bad records lost something
#: to a fault, themselves or an annotation), else what became of it: record left out, annotation
#: left out, mended, noted.
REPORT = pa.schema(
    [
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("what", pa.string()),
        ("count", pa.int64()),
        ("outcome", pa.string()),
        ("example", pa.string()),
    ]
)
#: The REPORT tables of a run: one row for each dataset split. ``instances``: records kept;
#: ``share_bad``: of the records; ``mended``: faults mended; ``reasons``: REPORT rows that are no
#: facts; ``first_bad``: file and record of the first bad record.
VALIDATION = pa.schema(
    [
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("records", pa.int64()),
        ("instances", pa.int64()),
        ("left_out", pa.int64()),
        ("bad", pa.int64()),
        ("share_bad", pa.float64()),
        ("mended", pa.int64()),
        ("duplicates", pa.int64()),
        ("first_bad", pa.string()),
        ("reasons", pa.list_(_reason)),
    ]
)
#: Table 11, number by number: ``what`` is counted in our tables (``ours``); ``paper`` is null where
#: the paper gives no such number; ``difference`` is ours - paper.
STATISTICS = pa.schema(
    [
        ("dataset", pa.string()),
        ("task", pa.string()),
        ("held_out", pa.bool_()),
        ("what", pa.string()),
        ("ours", pa.int64()),
        ("paper", pa.int64()),
        ("difference", pa.int64()),
    ]
)
#: Test instances that also stand in training sets. ``n``: instances of the dataset's test set;
#: ``use``: of a training set: training, or demonstrations (held out, so in the pool alone);
#: ``found_in``: the dataset whose training set holds them, null for all of this use together (one
#: such row for each test set and use, also where nothing was found); ``exact``: instances whose
#: evened text (``text_hash``) is there; ``near``: others with a near-duplicate there; ``examples``:
#: the first of both, each with the most similar training instance (Jaccard similarity).
OVERLAP = pa.schema(
    [
        ("dataset", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        ("use", pa.string()),
        ("found_in", pa.string()),
        ("exact", pa.int64()),
        ("near", pa.int64()),
        ("examples", pa.list_(_pair)),
    ]
)
#: Ranked demonstrations of queries, from any retriever; ``rank`` from 0, ``score`` its own scale.
CANDIDATES = pa.schema(
    [
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
    ]
)
#: Equation 1: mean log p of the answer's tokens, in nats; ``tokens`` how many were averaged.
SCORES = pa.schema(
    [
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("score", pa.float64()),
        ("tokens", pa.int32()),
    ]
)
#: What the reward model thinks of a pair (a logit; only differences within a query mean anything).
REWARDS = pa.schema(
    [("query_id", pa.string()), ("demonstration_id", pa.string()), ("reward", pa.float64())]
)
#: One training step. ``accuracy``: share of groups whose positive is ranked first.
TRAINING = pa.schema(
    [
        ("step", pa.int32()),
        ("loss", pa.float64()),
        ("distill", pa.float64()),
        ("contrastive", pa.float64()),
        ("accuracy", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)
#: What the language model answered. ``demonstrations``: ids in prompt order, the best last;
#: ``dropped``: demonstrations left out to keep the prompt within its budget.
PREDICTIONS = pa.schema(
    [
        ("query_id", pa.string()),
        ("system", pa.string()),
        ("llm", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("schema", pa.list_(pa.string())),
        ("text", pa.string()),
        ("query", pa.string()),
        ("gold", pa.string()),
        ("prediction", pa.string()),
        ("demonstrations", pa.list_(pa.string())),
        ("dropped", pa.int32()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("finish_reason", pa.string()),
        ("error", pa.string()),
    ]
)
#: Counts of one dataset under one system; precision, recall and F1 in percent.
METRICS = pa.schema(
    [
        ("system", pa.string()),
        ("llm", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("scorer", pa.string()),
        ("n", pa.int64()),
        ("tp", pa.int64()),
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("precision", pa.float64()),
        ("recall", pa.float64()),
        ("f1", pa.float64()),
    ]
)
#: A result table: one row per dataset and one ``average`` row per task (the mean of its datasets).
RESULTS = pa.schema(
    [
        ("system", pa.string()),
        ("llm", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        ("precision", pa.float64()),
        ("recall", pa.float64()),
        ("f1", pa.float64()),
    ]
)

#: Where each dataset's files come from, one row a file; no ``url`` where there is none to fetch.
#: ``state``: in place, to fetch, by hand, failed; ``file`` and ``folder`` as in the registry, below
#: the root that is filled; ``bytes`` and ``sha256`` of what came, null for data put there by hand;
#: ``todo`` what is left to the user.
DOWNLOADS = pa.schema(
    [
        ("dataset", pa.string()),
        ("state", pa.string()),
        ("folder", pa.string()),
        ("url", pa.string()),
        ("file", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("licence", pa.string()),
        ("todo", pa.string()),
    ]
)
