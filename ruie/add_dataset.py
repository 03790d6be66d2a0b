"""Turn annotated data of any known format into a dataset of the registry.

Reads --input, splits it into train, dev and test, writes the IE_INSTRUCTIONS layout below
--out/TASK/NAME, adds a row to the registry and prints how to evaluate it. Which side a text falls
on depends on the text and the seed alone, so the same text is never on two sides and texts that are
added later move none. A folder that has splits keeps them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from ruie import cli, examples, layout, normalize, parquet, readers
from ruie.examples import Example
from ruie.readers import build
from ruie.registry import RegistryFile

#: As in registry.schema.json.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CONFIG = "run.yaml"
#: What is written, and what of it was there before is replaced.
FILES = (*(f"{split}.json" for split in layout.SPLITS), "labels.json", CONFIG)


@dataclass(frozen=True)
class Shares:
    """Shares of the texts that fall to the test and the dev set, and the seed of the draw."""

    test: float = 0.2
    dev: float = 0.0
    seed: int = 42

    def side(self, e: Example) -> str:
        draw = hashlib.blake2b(f"{self.seed} {e.text_hash}".encode(), digest_size=8).digest()
        at = int.from_bytes(draw, "big") / 2**64
        return "test" if at < self.test else "dev" if at < self.test + self.dev else "train"


def read(
    source: readers.Source, format: str, shares: Shares, repair: bool, max_bad: float
) -> tuple[list[Example], list[readers.Problems]]:
    """The examples with the split of each: the folder's own splits, else as ``shares`` say. Of each
    split (all, where there is none yet) no more than ``max_bad`` may be bad."""
    path, reader = source.path, readers.get(format)
    if not path.exists():
        raise cli.UserError(f"{path}: no such file or folder; correct --input")
    suffixes = import_module(f"ruie.readers.{readers.FORMATS[format]}").SUFFIXES
    present = _splits(source, suffixes) if path.is_dir() else []
    if not present and path.is_dir() and source.files is None:
        source = replace(source, files={source.split: [f"**/*{s}" for s in suffixes]})
    found, problems = [], []
    for split in present or [source.split]:
        part, mine = replace(source, split=split), readers.Problems(repair)
        found += list(reader(part, mine))
        normalize.check_share(mine, part, max_bad)
        problems.append(mine)
    if present:
        remedy = "name the files of the splits with --files, or give one file to have it split"
    else:
        found = [e._replace(split=shares.side(e)) for e in found]
        remedy = "provide more texts, or change --test-share or --seed"
    counts = Counter(e.split for e in found)
    if not found:
        raise cli.UserError(f"{path}: holds no {source.task} instance; correct --input or --task")
    if not counts["test"] or not (counts["train"] or present):
        missing = "train" if counts["test"] else "test"
        raise cli.UserError(
            f"{path}: no instance in the {missing} set ({len(found)} in all); {remedy}"
        )
    if not any(e.schema for e in found):
        raise cli.UserError(f"{path}: no annotation, so no labels; name them with --labels")
    return found, problems


def _splits(source: readers.Source, suffixes: Sequence[str]) -> list[str]:
    """The splits that a folder has files of. ``UserError`` for a file of two."""
    splits: dict[Path, str] = {}
    for split in layout.SPLITS:
        for file in build.split_files(source, suffixes, split):
            if other := splits.get(file):
                raise cli.UserError(
                    f"{file}: is a file of {other} and of {split}; name the files of each with "
                    "--files"
                )
            splits[file] = split
    return [split for split in layout.SPLITS if split in splits.values()]


def put(
    found: Sequence[Example], config: str, folder: Path, registry: RegistryFile, text: str
) -> None:
    """Write the data, the config of its run and the registry's new text. Where one of them fails
    all is left as it was; other files in the folder are left alone anyway."""
    folders = (folder, *folder.parents, *registry.path.parents)
    made = [p for p in folders if not os.path.exists(p)]
    spare: list[Path] = []
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        for name in FILES:
            if (source / name).exists():
                os.replace(source / name, target / name)
                moved.append((source / name, target / name))

    try:
        with parquet.replacing(registry.path) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
            folder.mkdir(parents=True, exist_ok=True)
            # beside the data, so that files can be moved, and hidden, so that no reader looks there
            spare += (Path(tempfile.mkdtemp(prefix=".", dir=folder)) for _ in range(2))
            old, new = spare
            layout.write(found, new)
            (new / CONFIG).write_text(config, encoding="utf-8")
            move(folder, old)
            move(new, folder)
    except BaseException as error:
        for before, after in reversed(moved):
            os.replace(after, before)
        if isinstance(error, OSError):
            why = f"{folder}: cannot be written: {error.strerror or error}; name another --out"
            raise cli.UserError(why) from None
        raise
    finally:
        for place in spare:
            shutil.rmtree(place, ignore_errors=True)
        for place in made:
            with suppress(OSError):  # what was written stays
                place.rmdir()


def summary(found: Sequence[Example], problems: Sequence[readers.Problems]) -> list[str]:
    """What was read, for people."""
    lines = []
    for split in layout.SPLITS:
        if mine := [e for e in found if e.split == split]:
            annotations = sum(len(e.annotations) for e in mine)
            empty = sum(not e.annotations for e in mine)
            lines.append(
                f"{split:5} {len(mine)} instances, {annotations} annotations, "
                f"{empty} without annotation"
            )
    labels = dict.fromkeys(label for e in found for label in e.schema)
    counts = Counter(a.label for e in found for a in e.annotations)
    lines.append(f"labels {', '.join(f'{label} {counts[label]}' for label in labels)}")
    train = {e.text_hash for e in found if e.split == "train"}
    both = sum(e.text_hash in train for e in found if e.split == "test")
    if both:
        lines.append(f"note  {both} test instances whose text is in the training set too")
    notes = sum((p.counts for p in problems), Counter[str]())
    first = {what: p.first[what] for p in reversed(problems) for what in p.counts}
    lines += [
        f"note  {count} x {what}; the first: {first[what].removesuffix(': ')}"
        for what, count in sorted(notes.items())
    ]
    return lines


def run_config(row: dict[str, Any], registry: Path, root: Path) -> str:
    """Overrides of the config that evaluate this dataset alone, with BM25."""
    sides: dict[str, list[str]] = {"held_out": [], "held_in": []}
    sides["held_out" if row["held_out"] else "held_in"].append(row["name"])
    config = {
        "run": f"own-{row['name']}",
        "datasets": {"registry": str(registry), "root": str(root)},
        "evaluation": {**sides, "queries_per_dataset": None, "systems": ["bm25"]},
    }
    head = "# Evaluates one dataset. More systems, k and models: see config.yaml.\n"
    return head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def _name(text: str) -> str:
    if not NAME.fullmatch(text) or text == "average":
        raise argparse.ArgumentTypeError(
            f"{text!r} must be letters, digits, dots, underscores and hyphens (and not average)"
        )
    return text


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--name", required=True, type=_name, help="name in the registry and the tables")
    p.add_argument("--task", required=True, choices=examples.TASKS)
    p.add_argument("--format", required=True, choices=list(readers.FORMATS))
    p.add_argument("--input", required=True, type=Path, help="file, or folder with its splits")
    p.add_argument("--files", help="split -> names or globs of its files below the input, as a "
                   "JSON object (default: files whose path names the split)")  # fmt: skip
    p.add_argument("--labels", help="label names, and with them the schema: PER=person,MISC= or a "
                   "JSON file (default: labels as they are found)")  # fmt: skip
    p.add_argument("--option", nargs="*", default=[], help="name=value, as the format has it")
    p.add_argument("--repair", action="store_true", help="mend or leave out bad records, counted")
    p.add_argument("--max-bad", type=normalize.share, default=normalize.MAX_BAD,
                   help="share of bad records that is too much (%(default)s)")  # fmt: skip
    p.add_argument("--held-out", action="store_true", help="never train on it")
    p.add_argument("--test-share", type=normalize.share, default=Shares.test, help="(%(default)s)")
    p.add_argument("--dev-share", type=normalize.share, default=Shares.dev, help="(%(default)s)")
    p.add_argument("--seed", type=int, default=Shares.seed, help="of the split (%(default)s)")
    p.add_argument("--out", type=Path, default=Path("data/own"), help="(%(default)s)")
    p.add_argument("--registry", required=True, type=Path, help="YAML file, made if absent")
    p.add_argument("--root", type=Path, help="folder where the registry's paths start (--out)")
    p.add_argument("--force", action="store_true", help="replace a dataset of this name")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    root, folder = args.root or args.out, args.out / args.task / args.name
    if args.test_share + args.dev_share > 1:
        raise cli.UserError("--test-share and --dev-share are more than 1 together")
    registry = RegistryFile.load(args.registry)
    registry.check(args.name, root, args.force)
    if folder.exists() and not args.force:
        raise cli.UserError(f"{folder}: is there already; choose another name, or use --force")
    source = readers.Source(
        args.input, args.task, args.name, "all",
        files=None if args.files is None else normalize.named_files(args.files),
        labels=None if args.labels is None else normalize.mapping(args.labels),
        options=normalize.options(args.option),
    )  # fmt: skip
    shares = Shares(args.test_share, args.dev_share, args.seed)
    found, problems = read(source, args.format, shares, args.repair, args.max_bad)
    row = {
        "name": args.name, "task": args.task,
        # of the real folders: from a link, `..` leads to where the link's target lies
        "path": Path(os.path.relpath(folder.resolve(), root.resolve())).as_posix(),
        "format": "ie_instructions",
        "held_out": args.held_out, "train": any(e.split == "train" for e in found),
        "evaluate": True, "repair": False,
    }  # fmt: skip
    text = registry.with_row(row)  # before anything is written
    put(found, run_config(row, args.registry, root), folder, registry, text)
    words = ["snakemake", "evaluation", "--cores", "2", "--configfile", "workflow/demo.yaml"]
    print(*summary(found, problems), sep="\n")
    print(f"{folder} written, {args.name} added to {args.registry}")
    if not any(r["train"] and not r["held_out"] for r in (*registry.rows.values(), row)):
        print("note  a run needs a held-in dataset with a training set in the registry as well")
    print("Evaluate it with the embedded model (without workflow/demo.yaml: config.yaml's models):")
    print("   ", shlex.join([*words, str(folder / CONFIG)]))


if __name__ == "__main__":
    cli.run(main)
