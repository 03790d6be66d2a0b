"""Let a language model answer the queries of one dataset, with k demonstrations each.

Prompt: instruction, demonstrations with the best next to the query, query (section 3.1);
greedy decoding (Appendix B). --engine shared keeps the model in memory between runs; --endpoint
asks a server instead, and keeps its answers beside the table until all are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruie import (
    asking,
    backends,
    cli,
    endpoint,
    engine,
    examples,
    parquet,
    prompt,
    ranking,
    schemas,
    stamp,
)
from ruie.backends import Answer, Request
from ruie.examples import Example


def requests(
    queries: list[Example],
    pool: dict[str, Example],
    ranked: dict[str, list[str]],
    k: int,
    quotes: bool = False,
) -> tuple[list[Request], list[list[str]]]:
    """Requests, and the ids of their demonstrations in prompt order: the best last.

    Raises ``UserError`` for a query without demonstrations where k asks for some.
    """
    out, used = [], []
    for q in queries:
        if k and q.id not in ranked:
            raise cli.UserError(f"{q.id}: the demonstrations hold none for it; run retrieve again")
        ids = ranked[q.id][:k][::-1] if k else []
        samples = [prompt.render(pool[i], quotes=quotes) for i in ids]
        asked = prompt.query(q, quotes=quotes)
        instruction = prompt.INSTRUCTIONS[q.task]
        out.append(Request(instruction, samples, asked, q.task, q.schema, q.text))
        used.append(ids)
    return out, used


def rows(
    queries: list[Example],
    asked: list[Request],
    used: list[list[str]],
    answers: list[Answer],
    key: dict[str, Any],
) -> list[dict[str, Any]]:
    """PREDICTIONS rows; ``key`` holds system, llm and k."""
    return [
        {
            **key,
            "query_id": q.id,
            "task": q.task,
            "dataset": q.dataset,
            "schema": list(q.schema),
            "text": q.text,
            "query": r.query,
            "gold": prompt.answer(q),
            "prediction": a.text,
            "demonstrations": ids[len(ids) - a.used :],
            "dropped": len(ids) - a.used,
            "prompt_tokens": a.prompt_tokens,
            "completion_tokens": a.completion_tokens,
            "finish_reason": a.finish_reason,
            "error": a.error,
        }
        for q, r, ids, a in zip(queries, asked, used, answers, strict=True)
    ]


def shown(
    pool: Path, queries: Sequence[Example], ranked: dict[str, list[str]], k: int
) -> dict[str, Example]:
    """The samples that prompts of ``k`` demonstrations show, by id."""
    return examples.chosen(pool, (i for q in queries for i in ranked.get(q.id, [])[:k]))


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", type=Path, help="EXAMPLES table; not needed for k = 0")
    p.add_argument("--demonstrations", type=Path, help="CANDIDATES table; not needed for k = 0")
    p.add_argument("--k", type=int, required=True, help="demonstrations in a prompt")
    p.add_argument("--quotes", action="store_true", help='prompts say Input: "..."')
    p.add_argument("--by-score", action="store_true",
                   help="the k demonstrations stand by score, not by rank")  # fmt: skip
    p.add_argument("--system", default="", help="name of the retrieval system, for the table")
    p.add_argument("--llm", default="", help="name of the language model, for the table")
    p.add_argument("--engine", choices=["own", "shared"], default="own")
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    backends.add_arguments(p)
    endpoint.add_arguments(p)
    p.add_argument("--out", required=True, type=Path, help="PREDICTIONS table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if args.k < 0:
        p.error("--k must be 0 or more")
    remote = endpoint.settings(args)
    if remote:
        endpoint.secret(remote[0])  # what is amiss with it shows before any work
    journal = args.out.with_name(args.out.name + ".journal")
    queries = examples.read(args.queries)
    found: dict[str, list[str]] = {}
    pool: dict[str, Example] = {}
    if args.k:
        if not args.demonstrations or not args.pool:
            p.error("--k above 0 needs --demonstrations and --pool")
        found = ranking.ranked([args.demonstrations], args.k if args.by_score else None)
        pool = shown(args.pool, queries, found, args.k)
    asked, used = requests(queries, pool, found, args.k, args.quotes)
    short = sum(len(ids) < args.k for ids in used)
    if short:
        cli.log.warning("%d queries have fewer than k = %d demonstrations", short, args.k)
    settings = backends.settings(args)
    if remote:
        answers = asking.answer(*remote, asked, journal)
    else:
        stamp.model(settings.model)  # the weights behind an endpoint are not known
        if args.engine == "shared":
            answers = engine.ask(settings, asked)
        else:
            answers = backends.answer(backends.load(settings), settings, asked)
    key = {"system": args.system, "llm": args.llm, "k": args.k}
    table = rows(queries, asked, used, answers, key)
    reasons = Counter(a.finish_reason for a in answers)
    failed = sum(a.error is not None for a in answers)
    empty = sum(not a.text and a.error is None for a in answers)
    if empty:
        cli.log.warning("%d answers are empty, as of a model that begins with a stop string", empty)
    cli.log.info(
        "%d answers (%s); %d demonstrations dropped to fit %d tokens; %d errors", len(answers),
        ", ".join(f"{n} {r}" for r, n in sorted(reasons.items())),
        sum(r["dropped"] for r in table), args.max_input, failed,
    )  # fmt: skip
    parquet.write(table, schemas.PREDICTIONS, args.out)
    if remote and failed:
        cli.log.warning("delete %s and run again to ask for the %d once more; the others are kept "
                        "in %s", args.out, failed, journal)  # fmt: skip
    elif remote:
        journal.unlink(missing_ok=True)


if __name__ == "__main__":
    cli.run(main)
