"""Plan the scoring: which pairs are scored, in which order, and how much there is to compute.

The pairs are sorted as their tokens are, so that those that begin alike (one task's instruction,
one demonstration, one dataset's schema) stand together, and cut into windows of like work. A shard
is a run of whole windows: how many shards there are changes no score. Only the tokenizer is needed.

Of a candidate that does not fit into --max-length tokens the demonstration is left out whole, as
inference would do; a query that does not fit even alone is skipped. Both are counted. --context
shows others before each candidate (ruie.context); --zero-shot plans each query once, without any
demonstration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ruie import cli, context, encoders, examples, parquet, prompt, schemas, trie
from ruie.context import Context
from ruie.examples import Example
from ruie.pieces import Pieces

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
#: Batches that a window's work is worth: enough to fill them with what belongs together.
WINDOW_BATCHES = 16
#: A small run's windows are smaller, so that so many shards have something to do.
LEAST_WINDOWS = 32


@dataclass(frozen=True)
class Form:
    """How samples become the texts that are scored; plain, as section 3.2 has it, by default."""

    keywords: bool = False
    quotes: bool = False

    def demonstration(self, example: Example) -> str:
        return prompt.render(example, keywords=self.keywords, quotes=self.quotes)

    def query(self, example: Example) -> str:
        return prompt.query(example, keywords=self.keywords, quotes=self.quotes)


@dataclass(frozen=True)
class Ranked:
    """The token ids of all pieces, in lexicographic order: a piece's place says what it shares.

    ``rank[i]``: place of text i among the distinct ones; ``length`` [distinct] in tokens;
    ``common`` [distinct]: tokens that a piece shares with the one before it.
    """

    rank: Ints
    length: Ints
    common: Ints

    @classmethod
    def of(cls, ids: Sequence[Any], free: Sequence[int]) -> Ranked:
        """``free``: how many of a piece's tokens may be shared at all."""
        keys = [(i.astype(">i4").tobytes(), f) for i, f in zip(ids, free, strict=True)]
        distinct = sorted(set(keys))
        place = {key: n for n, key in enumerate(distinct)}
        at = dict(zip(keys, range(len(keys)), strict=True))
        ordered = [at[key] for key in distinct]
        common = [0] + [
            min(trie.shared(ids[a], ids[b]), free[a], free[b])
            for a, b in zip(ordered, ordered[1:], strict=False)
        ]
        return cls(
            np.array([place[key] for key in keys], np.int64),
            np.array([len(ids[i]) for i in ordered], np.int64),
            np.array(common[: len(ordered)], np.int64),
        )


def sampled(
    query_ids: Sequence[str], demonstration_ids: Sequence[str], m: int, seed: int
) -> list[int]:
    """Positions of ``m`` rows of each query (all, where it has no more): those with the smallest
    digests of seed, query and demonstration. So a larger ``m`` keeps what a smaller one has drawn,
    and other queries change nothing."""
    rows: dict[str, list[tuple[bytes, int]]] = {}
    for i, (query, demonstration) in enumerate(zip(query_ids, demonstration_ids, strict=True)):
        lot = hashlib.blake2b(f"{seed}\n{query}\n{demonstration}".encode(), digest_size=8).digest()
        rows.setdefault(query, []).append((lot, i))
    return sorted(i for some in rows.values() for _, i in sorted(some)[:m])


def lowest(values: Ints, low: Ints, high: Ints) -> Ints:
    """The minimum of ``values[low + 1 : high + 1]`` for many ranges, none of them empty."""
    tables = [values]
    while 2 ** len(tables) <= len(values):
        half, last = 2 ** (len(tables) - 1), tables[-1]
        tables.append(np.minimum(last[:-half], last[half:]))
    out = np.zeros(len(low), np.int64)
    power = np.log2(high - low).astype(np.int64)
    for p in np.unique(power):
        at = power == p
        out[at] = np.minimum(tables[p][low[at] + 1], tables[p][high[at] - 2**p + 1])
    return out


def order(head: Ints, demonstration: Ints, query: Ints, heads: Ranked, demonstrations: Ranked,
          queries: Ranked) -> tuple[Ints, Ints, Ints]:  # fmt: skip
    """The pairs sorted as their tokens are; each one's tokens, and those of them that it does not
    share with the one before it: its work.

    ``head`` (the instruction and what is shown before the candidate), ``demonstration`` and
    ``query`` are places of each pair's pieces, a demonstration's -1 where none is shown.
    """
    place = np.lexsort((query, demonstration, head))
    h, d, q = head[place], demonstration[place], query[place]
    shown = np.where(d >= 0, demonstrations.length[d] if len(demonstrations.length) else 0, 0)
    tokens = heads.length[h] + shown + queries.length[q]
    common = np.zeros(len(place), np.int64)
    same_head = np.r_[False, h[1:] == h[:-1]]
    same = same_head & np.r_[False, d[1:] == d[:-1]]
    twins = same & np.r_[False, q[1:] == q[:-1]]
    other_head = ~same_head
    other_head[:1] = False  # nothing is before the first
    for at, held, texts, before in (
        (other_head, h, heads, np.zeros(len(place), np.int64)),
        (same_head & ~same, d, demonstrations, heads.length[h]),
        (same & ~twins, q, queries, heads.length[h] + shown),
    ):
        rows = np.flatnonzero(at)
        low, high = held[rows - 1], held[rows]
        alike = np.zeros(len(rows), np.int64)
        inside = low >= 0  # nothing is shared with a prompt that shows no demonstration
        alike[inside] = lowest(texts.common, low[inside], high[inside])
        common[rows] = before[rows] + alike
    common[twins] = tokens[twins]  # the same prompt and answer: scored once
    return place, tokens, tokens - common


def windows(work: Ints, group: Ints, size: int) -> Ints:
    """A window's number for each pair, of about ``size`` tokens of work. ``group`` numbers what is
    kept together (a demonstration's pairs) unless it is itself larger."""
    done = np.cumsum(work)
    first = np.r_[True, group[1:] != group[:-1]]
    begin = np.maximum.accumulate(np.where(first, done - work, 0))
    number = np.cumsum(first) - 1
    total = np.bincount(number, work) if len(work) else np.zeros(0)
    mark = np.where(total[number] > size, done, begin) // size
    return np.cumsum(np.r_[False, mark[1:] != mark[:-1]])


def run(candidates: pa.Table, queries: list[Example], pool: list[Example], pieces: Pieces,
        form: Form, max_length: int, batch_tokens: int, sample: int | None = None, seed: int = 0,
        zero_shot: bool = False, before: int = 0,
) -> tuple[pa.Table, pa.Table]:  # fmt: skip
    """The PLAN of the candidates and its PLANNED counts; ``zero_shot``: of the first candidate of
    each query, not shown; ``before``: so many of the query's first candidates stand before each.
    ``UserError`` where a candidate's id is unknown or no pair is left to score."""
    row = np.arange(candidates.num_rows)
    if zero_shot:
        first: dict[str, int] = {}
        for i, query in enumerate(candidates["query_id"].to_pylist()):
            first.setdefault(query, i)
        row = np.array(list(first.values()), np.int64)
    elif sample:
        pairs = [candidates[c].to_pylist() for c in ("query_id", "demonstration_id")]
        row = np.array(sampled(pairs[0], pairs[1], sample, seed), np.int64)
    some = candidates.take(pa.array(row))
    q = _places(some["query_id"], queries, "query")
    d = _places(some["demonstration_id"], pool, "demonstration")
    tasks = sorted({e.task for e in queries})
    heads = np.array([len(pieces.instruction(prompt.INSTRUCTIONS[t])) for t in tasks], np.int64)
    found = _first(candidates, queries, pool, before + 1) if before and not zero_shot else {}
    of_q = np.unique(q)
    of_d = np.unique(np.r_[d, [i for n in of_q for i in found.get(int(n), [])]].astype(np.int64))
    shown, asked = [pool[i] for i in of_d], [queries[i] for i in of_q]
    cli.log.info("tokenising %d demonstrations and %d queries", len(shown), len(asked))
    ids = pieces.demonstrations([form.demonstration(e) for e in shown])
    demonstrations = Ranked.of(ids, [len(i) for i in ids])
    answered = pieces.queries([form.query(e) for e in asked], [prompt.answer(e) for e in asked])
    texts = Ranked.of([p.ids for p in answered], [max(0, p.start - 1) for p in answered])
    task = np.array([tasks.index(e.task) for e in asked], np.int64)
    q, d = np.searchsorted(of_q, q), np.searchsorted(of_d, d)
    ranked = [np.searchsorted(of_d, found[int(n)]).tolist() for n in of_q] if found else []

    bare = heads[task] + texts.length[texts.rank]
    length = demonstrations.length[demonstrations.rank]
    whole = bare[q] + length[d]
    long = (whole > max_length) | zero_shot
    skipped = bare[q] > max_length
    kept = np.flatnonzero(~skipped)
    if not len(kept):
        raise cli.UserError("no pair is left to score; raise --max-length or mend the candidates")
    contexts: list[Context] = [
        context.fitting(ranked[a], b, length, before, max_length - int(bare[a]))
        if ranked and not alone else () for a, b, alone in zip(q, d, long, strict=True)
    ] if before else []  # fmt: skip
    head = _heads(heads, task[q[kept]], [contexts[i] for i in kept] if contexts else [],
                  demonstrations)  # fmt: skip
    place, tokens, work = order(
        head.rank, np.where(long, -1, demonstrations.rank[d])[kept], texts.rank[q[kept]],
        head, demonstrations, texts,
    )  # fmt: skip
    at = kept[place]
    # what is kept together: prompts that begin alike
    group = head.rank[place] if before else np.where(long, -1, demonstrations.rank[d])[at]
    least = max(batch_tokens, int(work.sum()) // LEAST_WINDOWS)
    window = windows(work, group, min(WINDOW_BATCHES * batch_tokens, least))
    counts = planned(asked, q, at, tokens, work, long & ~skipped & (not zero_shot),
                     skipped)  # fmt: skip
    _report(counts, [asked[i] for i in np.unique(q[skipped])])
    table = pa.table({
        "query_id": some["query_id"].take(at),
        "demonstration_id": some["demonstration_id"].take(at),
        "row": row[at], "window": window, "shown": ~long[at], "tokens": tokens, "work": work,
        "context": [[shown[c].id for c in contexts[i]] for i in at] if contexts else
                   pa.nulls(len(at), pa.list_(pa.string())),
    }).cast(schemas.PLAN)  # fmt: skip
    return table, counts


def planned(asked: list[Example], q: Ints, at: Ints, tokens: Ints, work: Ints, shortened: Bools,
            skipped: Bools) -> pa.Table:  # fmt: skip
    """The PLANNED counts. ``q``, ``shortened`` and ``skipped`` are of all pairs, ``tokens`` and
    ``work`` of the pairs ``at``."""
    names = sorted({(e.task, e.dataset) for e in asked})
    place = {name: i for i, name in enumerate(names)}
    of = np.array([place[e.task, e.dataset] for e in asked], np.int64)

    def count(datasets: Ints, weights: Ints | None = None) -> Ints:
        return np.bincount(datasets, weights, len(names)).astype(np.int64)

    return pa.table({
        "task": [task for task, _ in names], "dataset": [dataset for _, dataset in names],
        "queries": count(of), "pairs": count(of[q]), "prompts": count(of[q[at[work > 0]]]),
        "shortened": count(of[q[shortened]]), "skipped": count(of[q[skipped]]),
        "skipped_queries": count(of[np.unique(q[skipped])]),
        "tokens": count(of[q[at]], tokens), "work": count(of[q[at]], work),
    }).cast(schemas.PLANNED)  # fmt: skip


def _places(ids: pa.ChunkedArray, known: list[Example], what: str) -> Ints:
    found = pc.index_in(ids, value_set=pa.array([e.id for e in known], pa.string()))
    if found.null_count:
        odd = ids.filter(pc.is_null(found))[0].as_py()
        raise cli.UserError(f"{what} {odd!r} of the candidates is not in its table of examples; "
                            "run the retrieval again")  # fmt: skip
    places: Ints = found.combine_chunks().to_numpy().astype(np.int64)
    return places


def _first(
    candidates: pa.Table, queries: list[Example], pool: list[Example], n: int
) -> dict[int, list[int]]:
    """Places in the pool of each query's first ``n`` candidates, by the query's place."""
    return context.first(
        _places(candidates["query_id"], queries, "query"),
        _places(candidates["demonstration_id"], pool, "demonstration"),
        candidates["rank"].to_numpy(), n,
    )  # fmt: skip


def _heads(
    instructions: Ints, task: Ints, contexts: Sequence[Context], demonstrations: Ranked
) -> Ranked:
    """What stands before each pair's candidate, as pieces: the instruction of its task (their
    lengths are given) and its context, where there are any. Two tasks share nothing."""
    if not contexts:
        return Ranked(task, instructions, np.zeros(len(instructions), np.int64))
    keys = [(int(t), tuple(demonstrations.rank[list(c)].tolist()))
            for t, c in zip(task, contexts, strict=True)]  # fmt: skip
    distinct = sorted(set(keys))
    place = {key: n for n, key in enumerate(distinct)}
    length, common = demonstrations.length, []
    alike = context.shared([c for _, c in distinct], length)
    for n, (t, _) in enumerate(distinct):
        same = n and distinct[n - 1][0] == t
        common.append(int(instructions[t]) + alike[n] if same else 0)
    return Ranked(
        np.array([place[key] for key in keys], np.int64),
        np.array([int(instructions[t]) + sum(int(length[i]) for i in c) for t, c in distinct]),
        np.array(common, np.int64),
    )


def _report(counts: pa.Table, lost: list[Example]) -> None:
    """``lost``: the queries that are skipped."""
    n = {name: pc.sum(counts[name]).as_py() for name in counts.column_names[2:]}
    cli.log.info(
        "%d pairs: %d prompts to score, %d tokens, of which %d to compute (%.1f %% are shared)",
        n["pairs"], n["prompts"], n["tokens"], n["work"], 100 - 100 * n["work"] / n["tokens"],
    )  # fmt: skip
    if n["shortened"]:
        cli.log.info(
            "%d pairs are over the limit: scored without their demonstration", n["shortened"]
        )
    if lost:
        cli.log.warning(
            "%d pairs of %d queries are skipped: over the limit without any demonstration; first "
            "%s (%s)", n["skipped"], len(lost), lost[0].id, lost[0].source,
        )  # fmt: skip


def positions(model: str, max_length: int) -> None:
    """``UserError`` where prompts may be longer than the model was made for."""
    from transformers import AutoConfig

    config = encoders.from_pretrained(AutoConfig, model).get_text_config()
    most = getattr(config, "max_position_embeddings", None)
    if most and max_length > most:
        raise cli.UserError(f"model {model}: reads {most} tokens at most, not --max-length "
                            f"{max_length}; lower scoring.max_length")  # fmt: skip


def add_form_arguments(p: Any) -> None:
    p.add_argument("--keywords", action="store_true", help="score keyword-tagged inputs")
    p.add_argument("--quotes", action="store_true", help='write Input: "..."')
    p.add_argument("--chat", action="store_true", help="in the tokenizer's chat template")


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--candidates", required=True, type=Path, help="CANDIDATES table")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--model", required=True, help="folder of the scoring LLM (tokenizer)")
    add_form_arguments(p)
    p.add_argument("--max-length", type=cli.positive, default=1792, help="tokens (%(default)s)")
    p.add_argument(
        "--batch-tokens", type=cli.positive, default=16384,
        help=f"budget of a batch; a window's work is that of {WINDOW_BATCHES} (%(default)s)",
    )  # fmt: skip
    p.add_argument("--sample", type=cli.positive, help="candidates of a query, drawn (all)")
    p.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    p.add_argument(
        "--context", type=cli.whole, default=0, metavar="N",
        help="the first N candidates of a query stand before the one that is scored (%(default)s)",
    )  # fmt: skip
    p.add_argument("--zero-shot", action="store_true", help="queries without a demonstration")
    p.add_argument("--out", required=True, type=Path, help="PLAN table to write")
    p.add_argument("--counts", type=Path, help="PLANNED table to write, for the report")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    candidates = parquet.read(args.candidates, schemas.CANDIDATES)
    queries, pool = examples.read(args.queries), examples.read(args.pool)

    from transformers import AutoTokenizer

    positions(args.model, args.max_length)
    tokenizer = encoders.from_pretrained(AutoTokenizer, args.model)
    table, counts = run(
        candidates, queries, pool, Pieces(tokenizer, args.model, args.chat),
        Form(args.keywords, args.quotes), args.max_length, args.batch_tokens, args.sample,
        args.seed, args.zero_shot, args.context,
    )  # fmt: skip
    parquet.write(table, schemas.PLAN, args.out)
    if args.counts:
        parquet.write(counts, schemas.PLANNED, args.counts)


if __name__ == "__main__":
    cli.run(main)
