"""Score candidates by how much they help a frozen language model to produce the gold answer.

Equation 1: the token-level average log-likelihood of y given the instruction, one demonstration
and x, in the very prompt that inference uses (section 3.2); others stand before that one where the
plan says so. One shard of a plan (ruie.plan) a run; ruie.gather puts the shards together. What is
scored goes to the store batch by batch: a killed run goes on where it stopped, and a pair whose
model and texts were scored before, in whatever run, is not scored again.
"""

from __future__ import annotations

import itertools
import math
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ruie import cli, devices, examples, parquet, plan, prompt, schemas, store
from ruie.examples import Example
from ruie.pieces import Ids, Pair, Pieces
from ruie.plan import Form

#: Pairs whose scores are compared with those of the whole model without any sharing, and timed.
CHECKED, TIMED = 2, 16
#: How far the two may lie apart, in nats a token.
TOLERANCE = {"float32": 1e-3, "tf32": 0.03, "float16": 0.05, "bfloat16": 0.2}
#: Batches whose scores stand in files of their own, before they are put into one.
MERGE_EVERY = 500


class Model(Protocol):
    """What scoring asks of ruie.lm.LanguageModel."""

    pieces: Pieces
    useful: int
    computed: int
    halved: int

    def score(
        self, pairs: Sequence[Pair], wanted: Sequence[bool] | None = None
    ) -> Iterator[tuple[list[int], list[float]]]: ...
    def reference(self, pair: Pair) -> float: ...


def shard(rows: pa.Table, i: int, of: int) -> pa.Table:
    """The pairs of shard ``i`` of ``of``: whole windows, one after the other, of like work."""
    window, work = (rows[c].to_numpy() for c in ("window", "work"))
    if not len(window):
        return rows
    each = np.bincount(window, work)
    middle = np.cumsum(each) - each / 2
    at = np.minimum((middle * of / max(1.0, each.sum())).astype(int), of - 1)
    return rows.filter(pa.array(at[window] == i))


class Texts:
    """Digests and token ids of a shard's pairs. A query is tokenised once; a demonstration once in
    each window that shows it, which is one as a rule."""

    def __init__(
        self, rows: pa.Table, queries: dict[str, Example], pool: dict[str, Example], form: Form
    ) -> None:
        self.rows, self.form = rows, form
        self.shown = rows["shown"].to_pylist()
        self.q, self.queries = examples.coded(rows["query_id"], queries, "query", "the plan")
        before = rows["context"].combine_chunks()
        shown = pa.chunked_array([*rows["demonstration_id"].chunks, before.flatten()])
        codes, self.pool = examples.coded(shown, pool, "demonstration", "the plan")
        self.d = codes[: rows.num_rows]
        rest = iter(codes[rows.num_rows :])
        #: what stands before each pair's candidate
        self.context = [
            tuple(itertools.islice(rest, n))
            for n in pc.fill_null(pc.list_value_length(before), 0).to_pylist()
        ]
        self._answered: dict[int, Pair] = {}

    def keys(self, around: tuple[str, str]) -> list[bytes]:
        """What each pair's score is stored under: all that the model reads, piece by piece;
        ``around``: what the chat template writes."""
        frame = store.key(*map(store.digest, around))
        head = {e.task: store.digest(prompt.INSTRUCTIONS[e.task]) for e in self.queries}
        asked = [store.key(head[e.task], store.digest(self.form.query(e)),
                           store.digest(prompt.answer(e))) for e in self.queries]  # fmt: skip
        shown = [store.digest(self.form.demonstration(e)) for e in self.pool]
        none = store.digest("")
        return [
            store.key(frame, *(shown[c] for c in before), shown[d] if s else none, asked[q])
            for q, before, d, s in zip(self.q, self.context, self.d, self.shown, strict=True)
        ]

    def pairs(self, rows: Sequence[int], pieces: Pieces) -> list[Pair]:
        """The token ids of some rows."""
        used_q = sorted({self.q[r] for r in rows})
        used_d = sorted({d for r in rows for d in (*self.context[r], self.d[r])})
        tasks = {self.queries[i].task for i in used_q}
        heads = {t: pieces.instruction(prompt.INSTRUCTIONS[t]) for t in tasks}
        new = [i for i in used_q if i not in self._answered]
        asked = [self.queries[i] for i in new]
        self._answered.update(zip(new, pieces.queries(
            [self.form.query(e) for e in asked], [prompt.answer(e) for e in asked]
        ), strict=True))  # fmt: skip
        shown = dict(zip(used_d, pieces.demonstrations(
            [self.form.demonstration(self.pool[i]) for i in used_d]
        ), strict=True))  # fmt: skip
        out = []
        for r in rows:
            query = self._answered[self.q[r]]
            parts: list[Ids] = [heads[self.queries[self.q[r]].task]]
            parts += [shown[d] for d in self._demonstrations(r)]
            start = sum(map(len, parts)) + query.start
            out.append(Pair(np.concatenate([*parts, query.ids]), start))
        return out

    def _demonstrations(self, row: int) -> tuple[int, ...]:
        """Those of a row's prompt, in its order."""
        return (*self.context[row], self.d[row]) if self.shown[row] else self.context[row]

    def name(self, row: int) -> str:
        return f"{self.queries[self.q[row]].id} with {self.pool[self.d[row]].id}"

    def whole(self, row: int, pieces: Pieces) -> Pair:
        """A row's prompt and answer tokenised as one string."""
        query = self.queries[self.q[row]]
        demonstrations = [self.form.demonstration(self.pool[d]) for d in self._demonstrations(row)]
        context = prompt.build(
            prompt.INSTRUCTIONS[query.task], demonstrations, self.form.query(query)
        )
        return pieces.whole(context, prompt.answer(query))


class Run:
    """Scores a shard's pairs window by window; ``scores`` and ``tokens`` by key grow."""

    def __init__(self, texts: Texts, keys: list[bytes], held: store.Store) -> None:
        self.texts, self.keys, self.held = texts, keys, held
        self.found = held.find(list(dict.fromkeys(keys)))
        self.failed: list[int] = []
        window = texts.rows["window"].to_numpy()
        self.work = texts.rows["work"].to_numpy()
        first = np.r_[True, window[1:] != window[:-1]][: len(window)]
        starts: list[int] = np.flatnonzero(first).tolist()
        self.windows = [range(a, b) for a, b in zip(starts, [*starts[1:], len(keys)], strict=False)]

    def missing(self) -> list[int]:
        """The first row of each key that the store does not hold."""
        first: dict[bytes, int] = {}
        for row, key in enumerate(self.keys):
            if key not in self.found:
                first.setdefault(key, row)
        return list(first.values())

    def score(self, model: Model) -> Iterator[int]:
        """Score what is missing; yields the pairs of each batch as it is stored. The next window
        is tokenised while this one is computed."""
        done = 0
        with ThreadPoolExecutor(1) as ahead:
            held: tuple[list[int], Future[list[Pair]]] | None = None
            for rows in itertools.chain(self._unfinished(), [None]):
                now = held
                held = None
                if rows:
                    held = rows, ahead.submit(self.texts.pairs, rows, model.pieces)
                for size in self._window(*now, model) if now else ():
                    yield size
                    done += 1
                    if not done % MERGE_EVERY:
                        self.held.merge()
        self.held.merge()

    def _unfinished(self) -> Iterator[list[int]]:
        """The first row of each key of the windows that lack one."""
        for window in self.windows:
            first: dict[bytes, int] = {}
            for row in window:
                first.setdefault(self.keys[row], row)
            if any(key not in self.found for key in first):
                yield list(first.values())

    def _window(
        self, rows: list[int], tokenised: Future[list[Pair]], model: Model
    ) -> Iterator[int]:
        pairs = tokenised.result()
        wanted = [self.keys[row] not in self.found for row in rows]
        for positions, means in model.score(pairs, wanted):
            yield self._keep([rows[p] for p in positions], [pairs[p] for p in positions], means)

    def _keep(self, rows: list[int], pairs: list[Pair], means: list[float]) -> int:
        self.failed += [row for row, mean in zip(rows, means, strict=True)
                        if not math.isfinite(mean)]  # fmt: skip
        good = [i for i, mean in enumerate(means) if math.isfinite(mean)]
        some = (
            [self.keys[rows[i]] for i in good],
            [means[i] for i in good],
            [len(pairs[i].ids) - pairs[i].start for i in good],
        )
        if good:
            self.held.add(*some)
        self.found.update(zip(some[0], zip(some[1], some[2], strict=True), strict=True))
        return len(rows)

    def table(self) -> pa.Table:
        """SCORES of the shard in the plan's order. ``UserError`` where a score is not finite."""
        if self.failed:
            raise cli.UserError(
                f"{len(self.failed)} scores are not finite, first {self.texts.name(self.failed[0])}"
                "; use another dtype, or another model if it is float32: its numbers overflow"
            )
        found = [self.found[key] for key in self.keys]
        return pa.table({
            **{c: self.texts.rows[c] for c in ("query_id", "demonstration_id")},
            "score": pa.array([s for s, _ in found], pa.float64()),
            "tokens": pa.array([t for _, t in found], pa.int32()),
        })  # fmt: skip


def check(run: Run, model: Model, missing: list[int], dtype: str) -> float:
    """Compare a few pairs with the whole model, tokenised as one string and sharing nothing; the
    seconds that a token takes, of a few more. ``UserError`` where they differ: then the model does
    something that sharing does not allow for."""
    rows = missing[:TIMED]
    pairs = run.texts.pairs(rows, model.pieces)
    means: dict[int, float] = {}
    for _ in range(2):  # the first pass pays for what is set up once
        start, computed = time.perf_counter(), model.useful
        for positions, found in model.score(pairs):
            means.update(zip(positions, found, strict=True))
        taken = (time.perf_counter() - start) / max(1, model.useful - computed)
    for n, row in enumerate(rows[:CHECKED]):
        whole = run.texts.whole(row, model.pieces)
        if not np.array_equal(whole.ids, pairs[n].ids) or whole.start != pairs[n].start:
            raise cli.UserError(f"{run.texts.name(row)}: the tokenizer merges the prompt's parts; "
                                "use another scoring model")  # fmt: skip
        compare(run.texts.name(row), means[n], model.reference(pairs[n]), dtype)
    return taken


def compare(name: str, shared: float, plain: float, dtype: str) -> None:
    """``UserError`` where the score with shared prefixes is not that of the whole model."""
    if math.isfinite(plain) and not abs(plain - shared) <= TOLERANCE[dtype]:
        raise cli.UserError(f"{name}: {shared:.4f} with shared prefixes, {plain:.4f} without; "
                            "this model cannot be scored so; use another one")  # fmt: skip


def forecast(run: Run, missing: list[int], seconds: float) -> None:
    work = int(run.work[missing].sum())
    cli.log.info("%d prompts, %d tokens: about %s", len(missing), work,
                 cli.duration(work * seconds))  # fmt: skip


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--plan", required=True, type=Path, help="PLAN table")
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--model", required=True, type=Path, help="folder of the scoring LLM")
    plan.add_form_arguments(p)
    p.add_argument("--dtype", choices=list(TOLERANCE), default="bfloat16")
    p.add_argument("--batch-tokens", type=cli.positive, default=16384, help="padded, in a batch")
    p.add_argument(
        "--cache-mb", type=cli.positive, default=4096, help="MiB for shared prefixes (%(default)s)"
    )
    p.add_argument("--shard", type=int, default=0, help="which shard, from 0")
    p.add_argument("--shards", type=cli.positive, default=1)
    p.add_argument("--store", required=True, type=Path, help="folder of scores, of any model")
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--out", required=True, type=Path, help="SCORES table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    if not 0 <= args.shard < args.shards:
        raise cli.UserError(f"--shard {args.shard} is not one of {args.shards} shards (from 0)")
    rows = shard(parquet.read(args.plan, schemas.PLAN), args.shard, args.shards)
    queries, pool = (examples.by_id(examples.read(p)) for p in (args.queries, args.pool))
    texts = Texts(rows, queries, pool, Form(args.keywords, args.quotes))
    dtype = devices.arithmetic(args.dtype)
    held = store.Store(
        args.store, store.fingerprint(args.model, dtype),
        {"model": args.model.name, "dtype": dtype, "version": str(store.VERSION)},
    )  # fmt: skip
    run = Run(texts, texts.keys(template(args.model) if args.chat else ("", "")), held)
    missing = run.missing()
    if missing:
        _score(run, missing, dtype, args)
    else:
        cli.log.info("%d pairs, all in the store", len(run.keys))
    parquet.write(run.table(), schemas.SCORES, args.out)


def template(model: Path) -> tuple[str, str]:
    from transformers import AutoTokenizer

    from ruie import encoders

    pieces = Pieces(encoders.from_pretrained(AutoTokenizer, model), str(model), True)
    return pieces.before, pieces.after


def _score(run: Run, missing: list[int], dtype: str, args: Any) -> None:
    from ruie.lm import LanguageModel

    cli.log.info(
        "%d pairs, %d of them in the store; %d prompts to score, in %s; first %d of them are timed "
        "and %d compared with the plain model", len(run.keys),
        sum(key in run.found for key in run.keys), len(missing), dtype, min(TIMED, len(missing)),
        min(CHECKED, len(missing)),
    )  # fmt: skip
    model = LanguageModel(args.model, dtype, args.chat, args.batch_tokens, args.cache_mb)
    forecast(run, missing, check(run, model, missing, dtype))
    model.useful = model.computed = 0
    start = time.perf_counter()
    for _ in cli.progress(run.score(model), len(missing), "pairs scored", weigh=int):
        pass
    taken = time.perf_counter() - start
    cli.log.info(
        "%d prompts in %s: %.2f/s, %.0f tokens/s, %.1f %% of them padding; peak memory %d MiB%s",
        len(missing), cli.duration(taken), len(missing) / taken, model.useful / taken,
        100 - 100 * model.useful / max(1, model.computed), peak_mb(),
        f"; the budget was halved {model.halved} times" if model.halved else "",
    )  # fmt: skip


def peak_mb() -> int:
    """Peak memory in MiB: the GPU's where there is one, else this process's."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() // 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    cli.run(main)
