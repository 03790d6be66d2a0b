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

_detail = pa.struct([("what", pa.string()), ("count", pa.int64())])
_error = pa.struct([("query_id", pa.string()), ("said", pa.string()), ("gold", pa.string())])
#: What a number was measured on.
_run = [
    ("system", pa.string()),
    ("llm", pa.string()),
    ("k", pa.int32()),
    ("task", pa.string()),
    ("dataset", pa.string()),
]
_counts = [("tp", pa.float64()), ("fp", pa.float64()), ("fn", pa.float64())]
_measures = [("precision", pa.float64()), ("recall", pa.float64()), ("f1", pa.float64())]

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
#: What the first ``k`` demonstrations of a system have in common with their queries
#: (ruie/agreement.py), of ``queries`` with an answer (``answered``) or without: means over the
#: ``demonstrations``. ``labels``: Jaccard similarity of the two answers' labels; ``items`` in a
#: demonstration's answer, ``gold_items`` in the query's; ``unanswered``: has no answer. ``spans``:
#: share of the query's own that is a span in any of its demonstrations, mean over the queries.
AGREEMENT = pa.schema(
    [
        ("system", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("answered", pa.bool_()),
        ("queries", pa.int64()),
        ("demonstrations", pa.int64()),
        ("own_task", pa.float64()),
        ("own_dataset", pa.float64()),
        ("labels", pa.float64()),
        ("spans", pa.float64()),
        ("items", pa.float64()),
        ("gold_items", pa.float64()),
        ("unanswered", pa.float64()),
    ]
)
#: The pairs that scoring computes, in its order. ``row``: of the candidates; ``window``: what is
#: computed together; ``shown``: false where the demonstration is over the length limit; ``tokens``
#: of prompt and answer, ``work`` of them not shared with the pair before. ``context``:
#: demonstrations shown before the candidate, the best next to it; null without scoring.context.
PLAN = pa.schema(
    [
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("row", pa.int64()),
        ("window", pa.int32()),
        ("shown", pa.bool_()),
        ("tokens", pa.int32()),
        ("work", pa.int32()),
        ("context", pa.list_(pa.string())),
    ]
)
#: What a plan does with the pairs of each dataset's queries. ``pairs``: candidates, or those drawn
#: of them; ``prompts`` different ones to score; ``shortened`` pairs are scored without their
#: demonstration and ``skipped`` ones not at all: too long; ``tokens`` of the others' prompts and
#: answers, ``work`` of them left to compute.
PLANNED = pa.schema(
    [
        ("task", pa.string()),
        ("dataset", pa.string()),
        *(
            (count, pa.int64())
            for count in (
                "queries", "pairs", "prompts", "shortened", "skipped", "skipped_queries", "tokens",
                "work",
            )
        ),
    ]
)  # fmt: skip
#: Equation 1: mean log p of the answer's tokens, in nats; ``tokens`` how many were averaged.
SCORES = pa.schema(
    [
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("score", pa.float64()),
        ("tokens", pa.int32()),
    ]
)
#: A segment of the score store (ruie/store.py): the digest of all that the model reads, and what
#: SCORES says of it.
STORE = pa.schema([("key", pa.binary(16)), ("score", pa.float64()), ("tokens", pa.int32())])
#: What the reward model thinks of a pair (a logit; only differences within a query mean anything).
REWARDS = pa.schema(
    [("query_id", pa.string()), ("demonstration_id", pa.string()), ("reward", pa.float64())]
)
#: One training step. ``accuracy``: share of groups whose positive is ranked first; ``mrr``: mean
#: reciprocal rank of the LLM's best candidate, of queries held aside; null where not measured.
TRAINING = pa.schema(
    [
        ("step", pa.int32()),
        ("loss", pa.float64()),
        ("distill", pa.float64()),
        ("contrastive", pa.float64()),
        ("accuracy", pa.float64()),
        ("mrr", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)
#: How fast a training went, apart from TRAINING, which is the same whenever it is run: ``seconds``
#: since the step before, ``samples_per_s`` texts or pairs that went through the model.
PACE = pa.schema([("step", pa.int32()), ("seconds", pa.float64()), ("samples_per_s", pa.float64())])
#: What was learned: a row for each ranker of the scored candidates of queries that no training
#: saw. ``against``: whose ranking is the truth, llm or a reward model's name; ``measure``: auc (one
#: of the LLM's top 3 above one of its last 16), mrr (of its best), recall@8 (of the reward's top
#: 8), correlation (Spearman's) or gain (the LLM's score of the first over the mean, nats a token);
#: ``task``: all, or one; ``value``: mean over ``n`` queries; ``low``, ``high``: its 95 % bootstrap
#: interval.
LEARNING = pa.schema(
    [
        ("ranker", pa.string()),
        ("against", pa.string()),
        ("measure", pa.string()),
        ("task", pa.string()),
        ("n", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
#: Where the gain of the chain BM25 - LLM - reward - retriever is lost: a row for each ranking of
#: the LLM-scored candidates of evaluated queries. ``ranking``: llm (the best possible), a reward
#: model, a retriever, untrained, BM25, random (one draw), chance (its expected value), or zero_shot
#: (no demonstration); ``measure``: correlation (Spearman's with the LLM, within a query), score (of
#: the LLM, the mean of the ``k`` ranked first, nats a token), regret (the best possible minus it),
#: over_zero_shot, over_chance or over_BM25 (it minus theirs); ``k``: null for the correlation, 0
#: without demonstrations; ``candidates`` of each query at most; ``dataset``: all of this side, or
#: one; ``value``: mean over ``n`` queries; ``low``, ``high``: its 95 % bootstrap interval.
CHAIN = pa.schema(
    [
        ("ranking", pa.string()),
        ("measure", pa.string()),
        ("k", pa.int32()),
        ("candidates", pa.int32()),
        ("split", pa.string()),
        ("held_out", pa.bool_()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("n", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
#: How deep BM25's candidates help: the LLM's score of a candidate less the mean of its query's
#: other scored ones, nats a token, as the mean ``value`` over the ``n`` scored candidates that BM25
#: found at the ranks ``first`` to ``last`` (from 1), of ``queries`` queries; ``low``, ``high``: its
#: 95 % bootstrap interval over queries, null where they are fewer than five; ``best``: queries
#: whose best scored candidate stands there; ``dataset``: all, or one.
DEPTH = pa.schema(
    [
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("first", pa.int32()),
        ("last", pa.int32()),
        ("n", pa.int64()),
        ("queries", pa.int64()),
        ("best", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
#: The batch of a step whose loss was not finite: what the model read, and the teacher's score.
FAILED = pa.schema(
    [
        ("step", pa.int32()),
        ("query_id", pa.string()),
        ("demonstration_id", pa.string()),
        ("positive", pa.bool_()),
        ("teacher", pa.float64()),
        ("output", pa.float64()),
    ]
)
#: What the language model answered. ``demonstrations``: ids in prompt order, the best last;
#: ``dropped``: demonstrations left out to keep the prompt within its budget; ``completion_tokens``:
#: all that the model made, its end token and what a stop string cut off included.
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
#: What the answers of one dataset took (ruie/usage.py). ``requests``: queries asked; tokens as
#: PREDICTIONS has them, of requests that came to something; ``errors``: queries without an answer;
#: ``empty``: answers without text; ``cost`` at most, in the currency of the configured prices, null
#: where there are none.
USAGE = pa.schema(
    [
        *_run,
        ("requests", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("errors", pa.int64()),
        ("empty", pa.int64()),
        ("cost", pa.float64()),
    ]
)
#: Counts of one dataset under one system and scorer; precision, recall and F1 in percent. ``tp`` is
#: the credit given (``soft`` gives parts of one), ``fp`` and ``fn`` what was said and expected
#: without it. ``f1_low``, ``f1_high``: 95 % bootstrap interval over the queries.
METRICS = pa.schema(
    [
        *_run,
        ("scorer", pa.string()),
        ("n", pa.int64()),
        *_counts,
        *_measures,
        ("f1_low", pa.float64()),
        ("f1_high", pa.float64()),
    ]
)
#: The counts of METRICS, query by query.
COUNTS = pa.schema([("query_id", pa.string()), *_run, ("scorer", pa.string()), *_counts])
#: Strict counts of each label of a dataset's schema; "" gathers what has no label of the schema.
LABELS = pa.schema([*_run, ("label", pa.string()), *_counts, *_measures])
#: What is wrong in the answers of one dataset, a row for each kind of error (ruie/errors.py).
#: ``items``: wrong or missed items of the kind, ``queries`` that hold one; ``details``: what the
#: kind consists of, the most frequent first; ``examples``: a seeded sample.
ERRORS = pa.schema(
    [
        *_run,
        ("kind", pa.string()),
        ("items", pa.int64()),
        ("queries", pa.int64()),
        ("details", pa.list_(_detail)),
        ("examples", pa.list_(_error)),
    ]
)
#: A result table: one row per dataset and one ``average`` row per task (the mean of its datasets).
#: ``range``: where the system looked for demonstrations: mixed (the whole pool), same-task,
#: same-dataset (the query's own), or official (mixed, those of the query's own dataset first, as
#: the published code does); null where it shows none.
RESULTS = pa.schema(
    [
        *_run,
        ("range", pa.string()),
        ("scorer", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        *_measures,
        ("f1_low", pa.float64()),
        ("f1_high", pa.float64()),
    ]
)
#: A system against another on the same queries (paired bootstrap), also for ``average``: of a task,
#: or of the tasks' averages (task ``all``).
#: ``difference``: F1 of ``system`` minus F1 of ``reference``, ``low`` and ``high`` its 95 %
#: interval, ``p`` two-sided.
COMPARISONS = pa.schema(
    [
        *_run,
        ("reference", pa.string()),
        ("scorer", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        ("difference", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p", pa.float64()),
    ]
)
#: How likely the gold answer of each query is after what a system shows (ruie/likelihood.py).
#: ``answered``: the answer is not None; ``used``: demonstrations in the prompt; ``tokens`` of the
#: answer; ``score``: mean log p of these, in nats, null where the query is too long.
LIKELIHOOD = pa.schema(
    [
        ("query_id", pa.string()),
        *_run,
        ("answered", pa.bool_()),
        ("used", pa.int32()),
        ("prompt_tokens", pa.int32()),
        ("tokens", pa.int32()),
        ("score", pa.float64()),
    ]
)
#: Means of LIKELIHOOD over ``queries``: all, answered or unanswered; also for ``average``, as in
#: COMPARISONS. ``score_low``, ``score_high``: 95 % interval; ``difference`` from ``reference`` on
#: the same queries with its interval ``low``, ``high`` and ``p``, null for the reference itself.
LIKELIHOODS = pa.schema(
    [
        *_run,
        ("queries", pa.string()),
        ("held_out", pa.bool_()),
        ("n", pa.int64()),
        ("score", pa.float64()),
        ("score_low", pa.float64()),
        ("score_high", pa.float64()),
        ("reference", pa.string()),
        ("difference", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p", pa.float64()),
    ]
)
#: A table or figure of the paper, cell by cell. ``ours`` and ``paper`` are null where there is no
#: such number; ``found`` of ``wanted`` datasets are in ``ours``, their mean; ``low`` and ``high``
#: are its 95 % interval where known; ``difference`` is ours - paper,
#: where none is missing.
PAPER = pa.schema(
    [
        ("table", pa.string()),
        ("row", pa.string()),
        ("column", pa.string()),
        ("ours", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("found", pa.int32()),
        ("wanted", pa.int32()),
        ("paper", pa.float64()),
        ("difference", pa.float64()),
    ]
)
#: Table 10: the scores of the LLM's best (``positives``) and worst (``negatives``) candidates.
SPREAD = pa.schema(
    [
        ("llm", pa.string()),
        ("side", pa.string()),
        ("n", pa.int64()),
        ("mean", pa.float64()),
        ("variance", pa.float64()),
    ]
)
#: How long the answers to some queries took (Figure 4), loading of the model left out.
SPEED = pa.schema(
    [
        ("llm", pa.string()),
        ("backend", pa.string()),
        ("k", pa.int32()),
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("instances", pa.int64()),
        ("seconds", pa.float64()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
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
