"""Count what is wrong in the answers to each dataset: a row for each kind of error.

Reads predictions as evaluate does, from this project or any other. Items are read and compared as
the strict scorer does, and every wrong or missed one has one kind (ruie/error_kinds.py); the kinds
of ``FACTS`` stand outside both sums. A row names the most frequent details of its kind and a sample
of queries that the seed draws by their ids, so the order of the rows makes no difference.
docs/errors.md says what each kind means and how to read the page.
"""

from __future__ import annotations

import hashlib
import re
from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruie import cli, error_page, markdown, parquet, records, schemas, scorers
from ruie.error_kinds import (
    COPIED,
    CUT,
    KINDS,
    RE_ONLY,
    SYMBOLIC,
    WRONG,
    Error,
    form,
    has_symbols,
    judge,
    pronoun,
    repeated,
)
from ruie.examples import TASKS
from ruie.scorers import Item

DETAILS = 20


@dataclass
class Tally:
    """What was found of one kind."""

    items: int = 0
    queries: int = 0
    details: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, lot: tuple[str, str], errors: list[Error], r: dict[str, Any], most: int) -> None:
        """The errors of one query. It gives one example, if its lot is among the first ``most``;
        where a side has no item, the whole answer stands."""
        self.items += len(errors)
        self.queries += 1
        self.details.update(e.what for e in errors)
        shown = min(((e.said, e.gold) for e in errors if e.said or e.gold), default=None)
        if shown and (len(self.examples) < most or lot < self.examples[-1][:2]):
            said, gold = map(form, shown)
            insort(self.examples, (*lot, said or r["prediction"] or "", gold or r["gold"]))
            del self.examples[most:]

    def row(self) -> dict[str, Any]:
        top = sorted(self.details.items(), key=lambda d: (-d[1], d[0]))[:DETAILS]
        return {
            "items": self.items,
            "queries": self.queries,
            "details": [{"what": _writable(what), "count": n} for what, n in top],
            "examples": [
                {"query_id": query, "said": _writable(said), "gold": _writable(gold)}
                for _, query, said, gold in self.examples
            ],
        }


def _writable(text: str) -> str:
    """Without the half characters (surrogates) that JSON can hold and a table cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def facts(
    r: dict[str, Any], said: list[Item], true: set[Item], errors: list[Error]
) -> dict[str, list[Error]]:
    """The kinds of ``FACTS`` that hold for a query, each with what it counts (maybe nothing)."""
    wrong = [e for e in errors if e.kind in WRONG]
    gold = [Error("", g[0], (), g) for g in sorted(true)]
    out = {"expected": [Error("", e.what) for e in gold]}
    if said:
        out["said"] = [Error("", label) for label, *_ in set(said)]
    if right := true & set(said):
        out["right"] = [Error("", label) for label, *_ in right]
    if r.get("error"):
        out["no answer"] = [e._replace(what=str(r["error"])) for e in gold]
    elif gold and not said:
        out["nothing said"] = gold
    if r.get("finish_reason") == "length":
        out["cut off"] = [e._replace(what=e.kind) for e in wrong]
    if again := repeated(said):
        out["repeated output"] = [Error("", form(s), s) for s, n in again.items() for _ in range(n)]
    if has_symbols(r["text"]):
        out[SYMBOLIC] = [e._replace(what="wrong here") for e in wrong]
    words = [(pronoun(e.gold, r["gold"]), e.gold) for e in gold]
    if asked := [Error("", word, (), g) for word, g in words if word]:
        out["pronoun expected"] = asked
        unsaid = {e.gold for e in errors if e.kind == "missed"}
        if left := [e for e in asked if e.gold in unsaid]:
            out["pronoun missed"] = left
    return out


def run(
    predictions: Iterable[dict[str, Any]],
    pool: dict[str, str] | None = None,
    samples: int = 5,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """ERRORS rows, sorted by KEYS and in the order of ``KINDS``.

    ``pool``: evened text and answer of each example; without it, or without the demonstrations or
    the finish reasons of a run, the kinds that need them have no row.
    """
    tallies: dict[tuple[Any, ...], dict[str, Tally]] = {}
    seen: dict[tuple[Any, ...], set[str]] = {}
    known: dict[tuple[Any, ...], set[str]] = {}
    for r in predictions:
        if r.get("error"):
            r = {**r, "prediction": None}  # as evaluate counts it
        name, task = r["query_id"], r["task"]
        if task not in TASKS:
            raise cli.UserError(f"{name}: task {task!r} is none of {list(TASKS)}")
        key = tuple(r.get(column) for column in records.KEYS)
        if key not in tallies:
            tallies[key] = {kind: Tally() for kind in KINDS}
            seen[key], known[key] = set(), set()
        here = tallies[key]
        if name in seen[key]:
            raise cli.UserError(f"{name}: comes twice under {key}; give each query of a run once")
        seen[key].add(name)
        known[key].update(c for c in ("finish_reason", "demonstrations") if r.get(c) is not None)
        said, true = (
            list(scorers.parse(a or "", task, r["schema"], r["text"]))
            for a in (r["prediction"], r["gold"])
        )
        errors = judge(said, true, r["text"], cut_item(r), demonstrations(r, pool))
        found = facts(r, said, set(true), errors)
        for e in errors:
            found.setdefault(e.kind, []).append(e)
        lot = (hashlib.sha256(f"{seed}:{name}".encode()).hexdigest(), name)
        for kind, members in found.items():
            here[kind].add(lot, members, r, samples)
        # precision there against precision elsewhere; what is wrong there is in its members
        where, right = here[SYMBOLIC].details, len(found.get("right", ()))
        if SYMBOLIC in found:
            where["right here"] += right
        else:
            where["right elsewhere"] += right
            where["wrong elsewhere"] += sum(e.kind in WRONG for e in errors)
    if not tallies:
        raise cli.UserError("there is no prediction to look at; give a file that holds some")
    rows = []
    for key in sorted(tallies, key=order):
        names = dict(zip(records.KEYS, key, strict=True))
        absent = {
            *(RE_ONLY if names["task"] != "RE" else ()),
            *((CUT, "cut off") if "finish_reason" not in known[key] else ()),
            *((COPIED,) if pool is None or "demonstrations" not in known[key] else ()),
        }
        rows += [
            {**names, "kind": kind, **tally.row()}
            for kind, tally in tallies[key].items() if kind not in absent
        ]  # fmt: skip
    return rows


def order(key: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """Sorts keys that may hold nulls."""
    return [(value is not None, value) for value in key]


def joined(paths: list[Path]) -> list[dict[str, Any]]:
    """The rows of several ERRORS tables. ``UserError`` where two hold the same."""
    rows: list[dict[str, Any]] = []
    for path in paths:
        rows += parquet.read(path, schemas.ERRORS).to_pylist()
    keys = Counter((*(r[c] for c in records.KEYS), r["kind"]) for r in rows)
    for key, n in keys.items():
        if n > 1:
            raise cli.UserError(f"{key} stands in two tables; give each dataset of a run once")
    return sorted(rows, key=lambda r: order(tuple(r[c] for c in records.KEYS)))


def cut_item(r: dict[str, Any]) -> Item | None:
    """What the answer's last piece says, where the answer ran out of tokens in it."""
    if r.get("finish_reason") != "length":
        return None
    piece = re.split(r"[;\n]", r["prediction"] or "")[-1]
    return next(iter(scorers.parse(piece, r["task"], r["schema"], r["text"])), None)


def demonstrations(r: dict[str, Any], pool: dict[str, str] | None) -> list[str]:
    """The demonstrations of a query, evened. ``UserError`` for one that the pool lacks."""
    ids = r.get("demonstrations")
    if ids is None or pool is None:
        return []
    try:
        return [pool[i] for i in ids]
    except (KeyError, TypeError):
        raise cli.UserError(
            f"{r['query_id']}: its demonstrations are not ids of --pool; give the pool of the run"
        ) from None


def read_pool(path: Path) -> dict[str, str]:
    """Evened text and answer of an EXAMPLES table's rows, by id."""
    out = {}
    for batch in parquet.batches(path, schemas.EXAMPLES, ["id", "text", "answer"]):
        columns = (batch.column(name).to_pylist() for name in ("id", "text", "answer"))
        for id, *parts in zip(*columns, strict=True):
            out[id] = "\n".join(scorers.even(part or "") for part in parts)
    return out


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", nargs="+", type=Path, help="PREDICTIONS, or as evaluate")
    source.add_argument("--tables", nargs="+", type=Path, help="ERRORS tables, for one page of all")
    p.add_argument("--pool", type=Path, help="EXAMPLES table that demonstrations were taken from")
    p.add_argument("--samples", type=cli.positive, default=5, help="examples a kind (%(default)s)")
    p.add_argument("--seed", type=int, default=0, help="chooses the examples (%(default)s)")
    p.add_argument("--out", type=Path, help="ERRORS table to write")
    p.add_argument("--markdown", type=Path, help="page to write")
    return p


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if not (args.out or args.markdown):
        p.error("nothing to write: give --out or --markdown")
    if args.tables:
        rows = joined(args.tables)
    else:
        pool = read_pool(args.pool) if args.pool else None
        given = (r for path in args.predictions for r in records.read(path, records.FURTHER))
        rows = run(given, pool, args.samples, args.seed)
    if args.out:
        parquet.write(rows, schemas.ERRORS, args.out, result=True)
    if args.markdown:
        markdown.write(error_page.render(rows), args.markdown)


if __name__ == "__main__":
    cli.run(main)
