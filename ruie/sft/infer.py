"""Let a supervised model answer the queries of one dataset, in its own format.

There are no demonstrations (k = 0). A query may take several prompts (IEPile asks for a few labels
at a time); their texts become one answer in Appendix D's form, so the table is scored like any
other. --texts keeps what the model was asked and said, word for word; ruie.sft.by_hand reads it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ruie import backends, cli, engine, examples, infer, parquet, prompt, schemas, stamp
from ruie.backends import Answer, Request
from ruie.examples import Example
from ruie.sft import reading
from ruie.sft.formats import FORMATS, check


def prompts(queries: Sequence[Example], name: str) -> list[list[str]]:
    """The prompts of each query. Raises ``UserError`` for a task without any."""
    for dataset, task in dict.fromkeys((q.dataset, q.task) for q in queries):
        check(name, task, dataset)
    return [FORMATS[name].prompts(q) for q in queries]


def merged(
    queries: Sequence[Example], parts: Sequence[Sequence[Answer]], name: str
) -> tuple[list[Answer], Counter[str]]:
    """An answer to each query from those to its prompts, and what was odd in all of them. A query
    with a prompt that has no answer has none."""
    out, notes = [], Counter[str]()
    for q, answers in zip(queries, parts, strict=True):
        error = next(
            (f"prompt {i} of {len(answers)}: {a.error}" for i, a in enumerate(answers, 1)
             if a.error), None,
        )  # fmt: skip
        text = ""
        if error is None:
            found = FORMATS[name].read([a.text for a in answers], q)
            text = reading.answer(found, q)
            notes += found.notes
        reasons = [a.finish_reason for a in answers]
        worst = next((r for r in ("error", "length") if r in reasons), reasons[0])
        out.append(
            Answer(
                text, 0, sum(a.prompt_tokens for a in answers),
                sum(a.completion_tokens for a in answers), worst, error,
            )
        )  # fmt: skip
    return out, notes


def write(
    queries: Sequence[Example], parts: Sequence[Sequence[Answer]], name: str, key: dict[str, Any],
    out: Path,
) -> None:  # fmt: skip
    """The PREDICTIONS table, and a line on what could not be read. Its ``query`` is the project's
    own, which the scorers know; the model's is in --texts."""
    answers, notes = merged(queries, parts, name)
    asked = [Request("", [], prompt.query(q)) for q in queries]
    rows = infer.rows(list(queries), asked, [[] for _ in queries], answers, {**key, "k": 0})
    reasons = Counter(a.finish_reason for a in answers)
    cli.log.info(
        "%d answers from %d prompts (%s); %d errors; odd: %s", len(answers), sum(map(len, parts)),
        ", ".join(f"{n} {r}" for r, n in sorted(reasons.items())),
        sum(a.error is not None for a in answers),
        ", ".join(f"{n} {what}" for what, n in sorted(notes.items()) if n) or "nothing",
    )  # fmt: skip
    parquet.write(rows, schemas.PREDICTIONS, out)


def write_texts(
    queries: Sequence[Example], asked: Sequence[Sequence[str]],
    parts: Sequence[Sequence[Answer]] | None, path: Path,
) -> None:  # fmt: skip
    """JSON lines: query_id, part (from 0), prompt and the model's text, null where it has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for i, q in enumerate(queries):
            for part, words in enumerate(asked[i]):
                answered = parts[i][part] if parts else None
                text = answered.text if answered and answered.error is None else None
                line = {"query_id": q.id, "part": part, "prompt": words, "text": text}
                file.write(json.dumps(line) + "\n")


def add_arguments(p: cli.Parser) -> None:
    """Flags that by_hand shares."""
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--format", required=True, choices=list(FORMATS), help="the model's family")
    p.add_argument("--system", default="", help="name of the system, for the table")
    p.add_argument("--llm", default="", help="name of the language model, for the table")


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    add_arguments(p)
    p.add_argument("--engine", choices=["own", "shared"], default="own")
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    backends.add_arguments(p)
    p.set_defaults(stop=[])  # no family's answers end at the end of a line
    p.add_argument("--out", required=True, type=Path, help="PREDICTIONS table to write")
    p.add_argument("--texts", type=Path, help="JSON lines to write: prompts and texts as they are")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if FORMATS[args.format].encoder_decoder and args.backend == "vllm":
        p.error(f"--format {args.format}: encoder-decoder models need --backend transformers")
    queries = examples.read(args.queries)
    asked = prompts(queries, args.format)
    requests = [Request("", [], words) for each in asked for words in each]
    settings = backends.settings(args)
    stamp.model(settings.model)
    if args.engine == "shared":
        answers = engine.ask(settings, requests)
    else:
        answers = backends.answer(backends.load(settings), settings, requests)
    todo = iter(answers)
    parts = [list(islice(todo, len(each))) for each in asked]
    if args.texts:
        write_texts(queries, asked, parts, args.texts)
    write(queries, parts, args.format, {"system": args.system, "llm": args.llm}, args.out)


if __name__ == "__main__":
    cli.run(main)
