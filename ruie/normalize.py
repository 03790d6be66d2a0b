"""Read one split of one dataset in its own format into the normalised form.

Writes the EXAMPLES table and, with --report, the counted problems of the split.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa

from ruie import cli, examples, parquet, readers


def run(
    source: readers.Source, format: str, repair: bool = False
) -> tuple[pa.Table, list[dict[str, object]]]:
    """Examples of a split as a table, and its report rows.

    Raises ``UserError`` for unreadable data and for a split without any instance.
    """
    problems = readers.Problems(repair=repair)
    found = list(readers.get(format)(source, problems))
    if not found:
        raise cli.UserError(
            f"{source.path}: split {source.split!r} holds no instance; provide one or take the "
            "dataset out of the registry"
        )
    seen = Counter((e.text, e.event) for e in found)
    counts = {
        "instances": (len(found), ""),
        "annotations": (sum(len(e.annotations) for e in found), ""),
        "instances without annotation": (sum(not e.annotations for e in found), ""),
        "duplicates": (sum(n - 1 for n in seen.values()), ""),
        **{what: (n, problems.first[what]) for what, n in sorted(problems.counts.items())},
    }
    key = {"dataset": source.dataset, "task": source.task, "split": source.split}
    report: list[dict[str, object]] = [
        {**key, "what": what, "count": n, "example": example}
        for what, (n, example) in counts.items()
    ]
    return pa.Table.from_pylist(examples.to_rows(found), schema=parquet.EXAMPLES), report


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--format", default="ie_instructions", help="form of the files (%(default)s)")
    p.add_argument("--task", required=True, choices=examples.TASKS)
    p.add_argument("--input", required=True, type=Path, help="folder or file, as the format has it")
    p.add_argument("--split", required=True, help="train, dev or test")
    p.add_argument("--dataset", help="name in ids and tables (default: the input's name)")
    p.add_argument("--repair", action="store_true", help="mend or leave out bad records, counted")
    p.add_argument("--out", required=True, type=Path, help="EXAMPLES table to write")
    p.add_argument("--report", type=Path, help="REPORT table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    source = readers.Source(args.input, args.task, args.dataset or args.input.name, args.split)
    table, report = run(source, args.format, args.repair)
    for row in report:
        cli.log.info("%s %s %s: %s %s", *(row[c] for c in ("dataset", "split", "what", "count")),
                     row["example"])  # fmt: skip
    parquet.write(table, parquet.EXAMPLES, args.out)
    if args.report:
        parquet.write(report, parquet.REPORT, args.report)


if __name__ == "__main__":
    cli.run(main)
