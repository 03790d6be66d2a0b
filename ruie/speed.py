"""How fast a language model answers with k demonstrations (section 5.4, Figure 4).

The model is loaded once. Of each dataset the same seeded sample of queries is asked with every k,
and the generation alone is timed: no retrieval, no building of prompts, no loading, and one call to
warm up before the first. What else runs on the machine slows it down, so run it alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from ruie import backends, cli, examples, infer, parquet, ranking, schemas
from ruie.backends import Backend, Settings
from ruie.examples import Example


@dataclass
class Timed:
    """A back end that adds up the time it generates."""

    inner: Backend
    clock: Callable[[], float] = time.perf_counter
    seconds: float = 0.0
    tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        self.tokenizer = self.inner.tokenizer

    def generate(
        self, prompts: list[list[int]], *grammars: Sequence[str]
    ) -> list[tuple[str, int, str]]:
        start = self.clock()
        out = self.inner.generate(prompts, *grammars)
        self.seconds += self.clock() - start
        return out


def sample(queries: Sequence[Example], n: int, seed: int) -> list[Example]:
    """``n`` of a dataset's queries, or all where there are fewer, in their order."""
    if n >= len(queries):
        return list(queries)
    dataset = queries[0].dataset
    return [queries[i] for i in sorted(Random(f"{seed}:{dataset}").sample(range(len(queries)), n))]


def run(
    backend: Backend,
    settings: Settings,
    datasets: Sequence[list[Example]],
    pool: dict[str, Example],
    ranked: dict[str, list[str]],
    ks: Sequence[int],
    llm: str,
    clock: Callable[[], float] = time.perf_counter,
    quotes: bool = False,
) -> list[dict[str, Any]]:
    """SPEED rows: one for each list of queries and k. Queries too long to be asked do not count."""
    rows: list[dict[str, Any]] = []
    for queries in datasets:
        for k in ks:
            asked, _ = infer.requests(queries, pool, ranked, k, quotes)
            if not rows:
                backends.answer(backend, settings, asked[:1])
            timed = Timed(backend, clock)
            answers = backends.answer(timed, settings, asked)
            dropped = sum(
                len(r.demonstrations) - a.used for r, a in zip(asked, answers, strict=True)
            )
            answers = [a for a in answers if a.error is None]
            rows.append(
                {"llm": llm, "backend": settings.backend, "k": k, "task": queries[0].task,
                 "dataset": queries[0].dataset, "instances": len(answers),
                 "seconds": timed.seconds,
                 "prompt_tokens": sum(a.prompt_tokens for a in answers),
                 "completion_tokens": sum(a.completion_tokens for a in answers)}
            )  # fmt: skip
            cli.log.info(
                "%s, k = %d: %d answers in %.2f s; %d left out, %d demonstrations dropped",
                queries[0].dataset, k, len(answers), timed.seconds, len(asked) - len(answers),
                dropped,
            )  # fmt: skip
    return rows


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--queries", required=True, nargs="+", type=Path, help="EXAMPLES tables")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--demonstrations", required=True, nargs="+", type=Path,
                   help="CANDIDATES tables")  # fmt: skip
    p.add_argument("--k", required=True, nargs="+", type=int, help="demonstrations in a prompt")
    p.add_argument("--quotes", action="store_true", help='prompts say Input: "..."')
    p.add_argument("--sample", type=cli.positive, default=100,
                   help="queries of each table (%(default)s)")  # fmt: skip
    p.add_argument("--llm", default="", help="name of the language model, for the table")
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    backends.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="SPEED table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if min(args.k) < 0:
        p.error("--k must be 0 or more")
    datasets = [sample(examples.read(path), args.sample, args.seed) for path in args.queries]
    empty = [str(path) for path, found in zip(args.queries, datasets, strict=True) if not found]
    if empty:
        raise cli.UserError(f"{empty[0]}: holds no query; leave it out")
    ranked = ranking.ranked(args.demonstrations)
    pool = infer.shown(args.pool, [q for some in datasets for q in some], ranked, max(args.k))
    settings = backends.settings(args)
    rows = run(backends.load(settings), settings, datasets, pool, ranked, args.k, args.llm,
               quotes=args.quotes)  # fmt: skip
    parquet.write(rows, schemas.SPEED, args.out, result=True)


if __name__ == "__main__":
    cli.run(main)
