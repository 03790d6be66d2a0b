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
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from ruie import cli, examples, layout, normalize, parquet, readers
from ruie.examples import Example
from ruie.readers import build, files

#: As in workflow/schemas/registry.schema.json.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HEAD = """\
# Own datasets. Fields: workflow/schemas/registry.schema.json. Paths are relative to the config's
# datasets.root.
datasets:
"""


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
    source: readers.Source, format: str, shares: Shares, problems: readers.Problems
) -> list[Example]:
    """The examples with the split of each: the folder's own splits, else as ``shares`` say."""
    path, reader = source.path, readers.get(format)
    if not path.exists():
        raise cli.UserError(f"{path}: no such file or folder; correct --input")
    suffixes = import_module(f"ruie.readers.{readers.FORMATS[format]}").SUFFIXES
    present = [
        split
        for split in layout.SPLITS
        if path.is_dir() and build.split_files(source, suffixes, split)
    ]
    if present:
        sources = [replace(source, split=split) for split in present]
        found = [e for each in sources for e in reader(each, problems)]
        remedy = "name the files of the splits with --files, or give one file to have it split"
    else:
        if path.is_dir() and source.files is None:
            source = replace(source, files={source.split: [f"**/*{s}" for s in suffixes]})
        found = [replace(e, split=shares.side(e)) for e in reader(source, problems)]
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
    return found


@dataclass
class Registry:
    """A registry file, changed as text so that its comments and order stay."""

    path: Path
    text: str
    rows: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> Registry:
        if not path.exists():
            return cls(path, HEAD, [])
        text = files.text(path)
        return cls(path, text, cls._rows(text, path))

    @staticmethod
    def _rows(text: str, path: Path) -> list[dict[str, Any]]:
        try:
            found = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            line = " ".join(str(error).split())
            raise cli.UserError(f"{path}: no YAML: {line}; correct the file") from None
        rows = found.get("datasets") if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and "name" in row and isinstance(row.get("path"), str)
            for row in rows
        ):
            raise cli.UserError(
                f"{path}: no dataset registry (datasets: a list of rows with name and path); name "
                "another file"
            )
        return rows

    def check(self, name: str, root: Path, force: bool) -> None:
        """``UserError`` where a row of this name may not be added."""
        if not force and any(row["name"] == name for row in self.rows):
            raise cli.UserError(
                f"{self.path}: the dataset {name!r} is there already; choose another name, or "
                "replace it with --force"
            )
        others = [row for row in self.rows if row["name"] != name]
        if others and not any((root / row["path"]).exists() for row in others):
            raise cli.UserError(
                f"{root / others[0]['path']}: no such data folder (dataset {others[0]['name']} of "
                f"{self.path}); a registry has one root: name it with --root"
            )

    def put(self, row: dict[str, Any]) -> None:
        """Add the row, or put it in the place of the one of its name, and write the file."""
        line = yaml.safe_dump(
            row, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
        ).strip()
        lines = self.text.rstrip("\n").split("\n")
        if row["name"] in [old["name"] for old in self.rows]:
            rows = [row if old["name"] == row["name"] else old for old in self.rows]
            for n in [n for n, old in enumerate(lines) if _is_row(old, row["name"])]:
                lines[n] = lines[n][: lines[n].index("-")] + f"- {line}"
        else:
            rows = [*self.rows, row]
            indent = next((match[1] for match in map(_ROW.match, lines) if match), "  ")
            lines.append(f"{indent}- {line}")
        text = "\n".join(lines) + "\n"
        try:
            written = self._rows(text, self.path)
        except cli.UserError:
            written = []
        if written != rows:
            raise cli.UserError(f"{self.path}: cannot be changed here; put in by hand: - {line}")
        with parquet.replacing(self.path) as part:
            part.write_text(text, encoding="utf-8", newline="\n")


_ROW = re.compile(r"(\s*)- \S")


def _is_row(line: str, name: str) -> bool:
    """Whether one line is the row of this name."""
    if not line.lstrip().startswith("- {"):
        return False
    try:
        rows = yaml.safe_load(line)
    except yaml.YAMLError:
        return False
    return isinstance(rows, list) and isinstance(rows[0], dict) and rows[0].get("name") == name


def summary(found: Sequence[Example], problems: readers.Problems) -> list[str]:
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
    lines += [
        f"note  {count} x {what}; the first: {problems.first[what].removesuffix(': ')}"
        for what, count in sorted(problems.counts.items())
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


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return value


def _files(text: str) -> dict[str, list[str]]:
    value = files.value(text, "--files")
    if not isinstance(value, dict) or not all(
        isinstance(v, list) and all(isinstance(name, str) for name in v) for v in value.values()
    ):
        raise cli.UserError('--files: must be like {"train": ["a.txt"], "test": ["b.txt"]}')
    return value


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
    p.add_argument("--held-out", action="store_true", help="never train on it")
    p.add_argument("--test-share", type=_share, default=Shares.test, help="(%(default)s)")
    p.add_argument("--dev-share", type=_share, default=Shares.dev, help="(%(default)s)")
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
    registry = Registry.load(args.registry)
    registry.check(args.name, root, args.force)
    if folder.exists() and not args.force:
        raise cli.UserError(f"{folder}: is there already; choose another name, or use --force")
    source = readers.Source(
        args.input, args.task, args.name, "all",
        files=None if args.files is None else _files(args.files),
        labels=None if args.labels is None else normalize.mapping(args.labels),
        options=normalize.options(args.option),
    )  # fmt: skip
    problems = readers.Problems(repair=args.repair)
    shares = Shares(args.test_share, args.dev_share, args.seed)
    found = read(source, args.format, shares, problems)
    layout.write(found, folder)
    row = {
        "name": args.name, "task": args.task,
        "path": Path(os.path.relpath(folder, root)).as_posix(), "format": "ie_instructions",
        "held_out": args.held_out, "train": any(e.split == "train" for e in found),
        "evaluate": True, "repair": False,
    }  # fmt: skip
    registry.put(row)
    config = folder / "run.yaml"
    config.write_text(run_config(row, args.registry, root), encoding="utf-8")
    words = ["snakemake", "evaluation", "--cores", "2", "--configfile", "workflow/demo.yaml"]
    print(*summary(found, problems), sep="\n")
    print(f"{folder} written, {args.name} added to {args.registry}")
    if not any(row.get("train") and not row.get("held_out") for row in [*registry.rows, row]):
        print("note  a run needs a held-in dataset with a training set in the registry as well")
    print("Evaluate it with the embedded model (without workflow/demo.yaml: config.yaml's models):")
    print("   ", shlex.join([*words, str(config)]))


if __name__ == "__main__":
    cli.run(main)
