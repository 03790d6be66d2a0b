"""Read one split of one dataset in its own format into the normalised form.

Writes the EXAMPLES table and, with --report, what was counted: records read, kept and left out,
what was mended and why. Data of which more than --max-bad is bad (records that a fault cost, or one
of their annotations) is refused. Files are streamed: memory does not grow with them.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruie import cli, examples, layout, parquet, readers, schemas
from ruie.readers import files

#: Examples held at once; with ten times as many, normalising took 12 % longer.
BATCH = 1_000
#: The share of bad records above which data is refused.
MAX_BAD = 0.05


def run(
    source: readers.Source, format: str, out: Path, repair: bool = False, max_bad: float = MAX_BAD
) -> list[dict[str, object]]:
    """Write the examples of a split to ``out``; its report rows.

    Raises ``UserError`` for unreadable data, for a split without any instance, and where the share
    of bad records is above ``max_bad``.
    """
    problems = readers.Problems(repair=repair)
    found = readers.get(format)(source, problems)
    facts = ("records", "instances", "records left out", "bad records", "annotations",
             "instances without annotation", "duplicates")  # fmt: skip
    counts = dict.fromkeys(facts, 0)
    seen: set[bytes] = set()
    with parquet.writing(schemas.EXAMPLES, out) as write:
        for batch in _batches(found):
            counts["instances"] += len(batch)
            counts["annotations"] += sum(len(e.annotations) for e in batch)
            counts["instances without annotation"] += sum(not e.annotations for e in batch)
            seen |= {_digest(e) for e in batch}
            write(examples.to_table(batch))
        if not counts["instances"]:
            raise cli.UserError(
                f"{source.path}: split {source.split!r} holds no instance; provide one or take the "
                f"dataset out of the registry ({problems.records} records read"
                + (f"; the first bad one: {problems.first_bad})" if problems.bad else ")")
            )
        check_share(problems, source, max_bad)
    counts["duplicates"] = counts["instances"] - len(seen)
    counts["records"], counts["records left out"] = problems.records, problems.left_out
    counts["bad records"] = problems.bad
    key = {"dataset": source.dataset, "task": source.task, "split": source.split}
    first = {"bad records": problems.first_bad}
    rows = [(what, n, "", first.get(what, "")) for what, n in counts.items()]
    rows += [
        (what, n, problems.outcomes[what], problems.first[what])
        for what, n in sorted(problems.counts.items())
    ]
    return [
        {**key, "what": what, "count": n, "outcome": outcome, "example": example}
        for what, n, outcome, example in rows
    ]


def check_share(problems: readers.Problems, source: readers.Source, max_bad: float) -> None:
    """``UserError`` where more of the records than ``max_bad`` are bad."""
    if problems.bad and problems.bad / problems.records > max_bad:
        raise cli.UserError(
            f"{source.path}: split {source.split!r}: {problems.bad} of {problems.records} records "
            f"({problems.bad / problems.records:.1%}) are bad, more than {max_bad:.1%}: "
            f"{problems.left_out} left out, the others lost an annotation; correct the data or "
            f"raise datasets.max_bad (--max-bad by hand); the first: {problems.first_bad}"
        )


def _batches(found: Iterator[examples.Example]) -> Iterator[list[examples.Example]]:
    while batch := list(itertools.islice(found, BATCH)):
        yield batch


def _digest(e: examples.Example) -> bytes:
    """What makes two instances the same: the text, and an EEA instance's event."""
    asked = e.text if e.event is None else repr((e.text, e.event))
    return hashlib.blake2b(asked.encode(), digest_size=12).digest()


def mapping(text: str) -> Mapping[str, str | None]:
    """``--labels``: ``PER=person,ORG=organization`` (``MISC=`` leaves a label out), or JSON, itself
    or in a file: a list of labels or an object; see ``readers.Source.labels``."""
    if text.lstrip()[:1] in ("{", "["):
        given: Any = files.value(text, "--labels")
    elif "=" in text and not Path(text).is_file():
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return {old.strip(): new.strip() or None for old, _, new in pairs}
    else:
        given = files.document(Path(text))
    if isinstance(given, list):
        given = {str(label): label for label in given}
    names = isinstance(given, dict) and all(v is None or isinstance(v, str) for v in given.values())
    if not given or not names:
        raise cli.UserError(f"{text}: must hold a list of labels or an object of label names")
    out: dict[str, str | None] = given
    return out


def named_files(text: str) -> Mapping[str, Sequence[str]]:
    """``--files``."""
    given: Any = files.value(text, "--files")
    if not isinstance(given, dict) or not all(isinstance(names, list) for names in given.values()):
        raise cli.UserError('--files: must be like {"train": ["a.json", "b*.json"], "test": [...]}')
    out: dict[str, list[str]] = given
    return out


def options(words: list[str]) -> Mapping[str, str]:
    """``--option name=value ...``"""
    pairs = [word.partition("=") for word in words]
    if bad := [word for word, sign, _ in pairs if not sign]:
        raise cli.UserError(f"--option {bad[0]}: must be name=value")
    return {name: value for name, _, value in pairs}


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return value


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--format", default="ie_instructions", choices=list(readers.FORMATS),
                   help="form of the files (%(default)s)")  # fmt: skip
    p.add_argument("--task", required=True, choices=examples.TASKS)
    p.add_argument("--input", required=True, type=Path, help="folder or file, as the format has it")
    p.add_argument("--split", required=True, choices=layout.SPLITS)
    p.add_argument("--dataset", help="name in ids and tables (default: the input's name)")
    p.add_argument("--files", help="split -> names or globs of its files below the input, as a "
                   "JSON object (default: files whose path names the split)")  # fmt: skip
    p.add_argument("--labels", help="label names, and with them the schema: PER=person,MISC= or "
                   "JSON, itself or a file (default: labels as they are found)")  # fmt: skip
    p.add_argument("--option", nargs="*", default=[], help="name=value, as the format has it")
    p.add_argument("--annotated-only", action="store_true",
                   help="leave out sentences in which nothing is annotated, counted")  # fmt: skip
    p.add_argument("--repair", action="store_true", help="mend or leave out bad records, counted")
    p.add_argument("--max-bad", type=share, default=MAX_BAD,
                   help="share of bad records that is too much (%(default)s)")  # fmt: skip
    p.add_argument("--out", required=True, type=Path, help="EXAMPLES table to write")
    p.add_argument("--report", type=Path, help="REPORT table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    gc.disable()  # records hold no cycles; looking for some took a quarter of the time
    name = args.dataset or (args.input.name if args.input.is_dir() else args.input.stem)
    source = readers.Source(
        args.input, args.task, name, args.split,
        files=None if args.files is None else named_files(args.files),
        labels=None if args.labels is None else mapping(args.labels),
        options=options(args.option), annotated_only=args.annotated_only,
    )  # fmt: skip
    report = run(source, args.format, args.out, args.repair, args.max_bad)
    for row in report:
        cli.log.info("%s %s %s: %s %s", *(row[c] for c in ("dataset", "split", "what", "count")),
                     row["example"])  # fmt: skip
    if args.report:
        parquet.write(report, schemas.REPORT, args.report)


if __name__ == "__main__":
    cli.run(main)
