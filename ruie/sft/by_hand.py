"""For a supervised model that runs elsewhere: write its prompts, and read its texts.

Without --out the prompts are written to --texts: JSON lines of query_id, part, prompt and text,
where text is null. Let the model put its answer to each prompt there, without the prompt, and give
the file again with --out: the PREDICTIONS table is what ruie.sft.infer would have written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ruie import cli, examples
from ruie.backends import Answer
from ruie.cli import UserError
from ruie.examples import Example
from ruie.sft import infer


def read_texts(
    path: Path, queries: Sequence[Example], asked: Sequence[Sequence[str]]
) -> list[list[Answer]]:
    """Answers to each query's prompts, in the order of ``queries``; a null text is an error of its
    query. Raises ``UserError`` for a file that does not hold exactly these prompts."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend the path") from None
    wanted = {(q.id, i): words for q, each in zip(queries, asked, strict=True)
              for i, words in enumerate(each)}  # fmt: skip
    found: dict[tuple[str, int], Answer] = {}
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        where = f"{path}#{number}"
        key, text = _record(line, where)
        if key not in wanted:
            raise UserError(f"{where}: no prompt {key[1]} of query {key[0]!r} was asked; write the "
                            "prompts of these queries and this format anew")  # fmt: skip
        if key in found:
            raise UserError(f"{where}: query {key[0]!r} has prompt {key[1]} twice; give it once")
        said = text.strip() if text is not None else ""
        fault = None if text is not None else "the model gave no text"
        found[key] = Answer(said, 0, 0, 0, "error" if fault else "stop", fault)
    if missing := [key for key in wanted if key not in found]:
        raise UserError(f"{path}: lacks prompt {missing[0][1]} of query {missing[0][0]!r}, and "
                        f"{len(missing) - 1} more; let the model answer all")  # fmt: skip
    return [[found[q.id, i] for i in range(len(each))]
            for q, each in zip(queries, asked, strict=True)]  # fmt: skip


def _record(line: bytes, where: str) -> tuple[tuple[str, int], str | None]:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise UserError(f"{where}: not a line of JSON in UTF-8; mend it") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: not an object; give query_id, part and text")
    name, part, text = (row.get(column) for column in ("query_id", "part", "text"))
    if not isinstance(name, str) or type(part) is not int or not isinstance(text, str | None):
        raise UserError(f"{where}: needs query_id (text), part (a whole number) and text (or null)")
    return (name, part), text


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    infer.add_arguments(p)
    p.add_argument("--texts", required=True, type=Path, help="JSON lines to write, or to read")
    p.add_argument("--out", type=Path, help="PREDICTIONS table to write from --texts")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    queries = examples.read(args.queries)
    asked = infer.prompts(queries, args.format)
    if args.out is None:
        infer.write_texts(queries, asked, None, args.texts)
        cli.log.info("%d prompts of %d queries", sum(map(len, asked)), len(queries))
        return
    parts = read_texts(args.texts, queries, asked)
    infer.write(queries, parts, args.format, {"system": args.system, "llm": args.llm}, args.out)


if __name__ == "__main__":
    cli.run(main)
