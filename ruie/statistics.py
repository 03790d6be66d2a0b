"""Sizes of a run's datasets beside the paper's (Table 11).

The paper does not say what its #Schema counts; counting the datasets themselves shows it:
NER, RE    labels of the schema.
held in    "types(roles)": event types and distinct roles of the schema. PHEE is 2(16) and has 32
           type-role pairs, CASIE 5(26) and has 48.
held out   event types and type-role pairs that are annotated in the test set. CrudeOilNews is
           18(104): its schema has 34 roles and 192 pairs, its test set 104 pairs. WikiEvents is
           31(81), where we count 34 types and 85 pairs in the public test set. RAMS is 106(398),
           more than its 65 roles and less than its 522 pairs.
#Train and #Test are instances. The paper has one row for the two event tasks and counts sentences;
event arguments have one instance for each event, so their distinct sentences are compared.

An EET table knows no roles, and an EEA table the schemas of those types alone that occur in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruie import cli, markdown, parquet, registry, schemas

COLUMNS = ["task", "dataset", "split", "text", "schema", "annotations", "event"]
SPLITS = ("train", "test")


@dataclass
class Sizes:
    """What the tables of one dataset hold. ``pairs``: (event type, role); ``annotated``: those of
    the test set, the role "" for the type alone."""

    task: str
    instances: dict[str, int] = field(default_factory=dict)
    sentences: dict[str, set[int]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    annotated: set[tuple[str, str]] = field(default_factory=set)

    def add(self, row: dict[str, Any]) -> None:
        split, event = row["split"], row["event"]
        self.instances[split] = self.instances.get(split, 0) + 1
        if self.task in ("NER", "RE"):
            self.labels.update(row["schema"])
            return
        found = {a["label"] for a in row["annotations"]}
        if event is None:
            self.labels.update(row["schema"])
            here = {(kind, "") for kind in found}
        else:
            # sentences are many, and only told apart
            self.sentences.setdefault(split, set()).add(hash(row["text"]))
            self.labels.add(event["type"])
            self.pairs.update((event["type"], role) for role in row["schema"])
            here = {(event["type"], role) for role in ("", *found)}
        if split == "test":
            self.annotated |= here


def count(paths: Iterable[Path]) -> dict[str, Sizes]:
    """Sizes by dataset. ``UserError`` where a name has two tasks."""
    out: dict[str, Sizes] = {}
    for path in paths:
        light = True
        for batch in parquet.batches(path, schemas.EXAMPLES, ["task"], 1):
            light = batch.column("task")[0].as_py() in ("NER", "RE")
            break
        wanted = [c for c in COLUMNS if not light or c not in ("text", "annotations")]
        for batch in parquet.batches(path, schemas.EXAMPLES, wanted):
            for row in batch.to_pylist():
                sizes = out.setdefault(row["dataset"], Sizes(row["task"]))
                if sizes.task != row["task"]:
                    raise cli.UserError(
                        f"{path}: dataset {row['dataset']!r} is {row['task']}, and {sizes.task} "
                        "elsewhere; give every dataset and task a name of its own"
                    )
                sizes.add(row)
    return out


def numbers(sizes: Sizes, held_out: bool) -> list[tuple[str, int, str]]:
    """What was counted, how much, and the number of the paper that it is compared with."""
    found = [(split, sizes.instances[split], split) for split in SPLITS if split in sizes.instances]
    if sizes.task in ("NER", "RE"):
        return [("labels", len(sizes.labels), "schema"), *found]
    seen = sum(not role for _, role in sizes.annotated)
    out = [
        ("event types", len(sizes.labels), "" if held_out else "schema"),
        ("event types in test", seen, "schema" if held_out else ""),
    ]
    if sizes.task == "EET":
        return [*out, *found]
    roles = len({role for _, role in sizes.pairs})
    out += [
        ("roles", roles, "" if held_out else "roles"),
        ("type-role pairs", len(sizes.pairs), ""),
        ("type-role pairs in test", len(sizes.annotated) - seen, "roles" if held_out else ""),
    ]
    out += [(what, n, "") for what, n, _ in found]
    return out + [
        (f"{split} sentences", len(sizes.sentences[split]), split)
        for split in SPLITS
        if split in sizes.sentences
    ]


def stated(row: dict[str, Any]) -> dict[str, int | None]:
    """The paper's numbers in a registry row: schema, roles, train and test, where given."""
    paper = row.get("paper", {})
    counts = [int(n) for n in re.findall("[0-9]+", str(paper.get("schema", "")))]  # 7 or "18(104)"
    types, roles, *_ = [*counts, None, None]
    return {"schema": types, "roles": roles, **{split: paper.get(split) for split in SPLITS}}


def run(sizes: dict[str, Sizes], rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """STATISTICS rows in the registry's order. ``UserError`` for a dataset that it lacks."""
    if unknown := sorted(set(sizes) - set(rows)):
        raise cli.UserError(f"{unknown} are not in the registry; give the one of this run")
    out = []
    for name, row in rows.items():
        if name not in sizes:
            continue
        paper, held_out = stated(row), bool(row.get("held_out"))
        for what, ours, key in numbers(sizes[name], held_out):
            theirs = paper.get(key)
            out.append(
                {"dataset": name, "task": sizes[name].task, "held_out": held_out, "what": what,
                 "ours": ours, "paper": theirs,
                 "difference": None if theirs is None else ours - theirs}
            )  # fmt: skip
    return out


def render(found: list[dict[str, Any]]) -> str:
    """The numbers as a Markdown table in the form of Table 11, a line for each dataset."""
    lines: dict[str, list[object]] = {}
    by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found:
        by_name.setdefault(row["dataset"], {})[row["what"]] = row
    for name, mine in by_name.items():
        first = next(iter(mine.values()))
        task, held_out = first["task"], first["held_out"]
        end = " in test" if held_out else ""
        kinds = ["labels"] if task in ("NER", "RE") else [f"event types{end}"]
        if task == "EEA":
            kinds += [f"type-role pairs{end}" if held_out else "roles"]
        cells: list[object] = [
            _schema([mine[k]["ours"] for k in kinds]),
            _schema([mine[k]["paper"] for k in kinds]),
        ]
        for split in SPLITS:
            row = mine.get(f"{split} sentences" if task == "EEA" else split, {})
            difference = row.get("difference")
            cells += [row.get("ours"), row.get("paper")]
            cells += [None if difference is None else f"{difference:+,}"]
        lines[name] = [task, name + ("†" if held_out else ""), *cells]
    headers = ["Task", "Dataset", "Schema", "paper", "Train", "paper", "difference"]
    headers += ["Test", "paper", "difference"]
    return markdown.table(headers, lines.values())


def _schema(counts: list[int | None]) -> str | None:
    if counts[0] is None:
        return None
    return f"{counts[0]}" + "".join(f"({n})" for n in counts[1:] if n is not None)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--data", required=True, nargs="+", type=Path, help="EXAMPLES tables")
    p.add_argument("--registry", required=True, type=Path, help="YAML, for the paper's numbers")
    p.add_argument("--out", type=Path, help="STATISTICS table to write")
    p.add_argument("--markdown", type=Path, help="file for Table 11 (default: standard output)")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    found = run(count(args.data), registry.load(args.registry))
    text = render(found)
    if args.out:
        parquet.write(found, schemas.STATISTICS, args.out)
    if args.markdown:
        markdown.write(text, args.markdown)
    else:
        print(text, end="")


if __name__ == "__main__":
    cli.run(main)
