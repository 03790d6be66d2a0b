"""Find test instances that also stand in the training sets of a run.

Exact duplicates have the same evened text (``Example.text_hash``). Near-duplicates share most of
their word n-grams: the Jaccard similarity of the two sets is at least --threshold. Words are runs
of letters and digits, so that tokenised and plain text are the same; a text of fewer than n words
is one n-gram. The comparison is exact. Training sets are streamed; memory grows with the test sets.

Two uses are kept apart. --trained: what the models learn from (and what the pool offers as well).
--demonstrations: training sets of held-out datasets, which only stand in the pool: a model that
answers may be shown such a text with its answer, and none has learnt from it.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruie import cli, examples, markdown, parquet, schemas

WORD = re.compile(r"\w+")
#: (similarity, id of the training instance); an exact duplicate is told by a similarity above 1.
Hit = tuple[float, str]
EXACT = 2.0
#: Examples stored in a row.
EXAMPLES = 3

Gram = tuple[str, ...]


def grams(even: str, n: int) -> set[Gram]:
    """Word n-grams of an evened text; none where it has no word."""
    words = WORD.findall(even)
    if len(words) <= n:
        return {tuple(words)} if words else set()
    return set(zip(*(words[i:] for i in range(n)), strict=False))


class Index:
    """Finds the texts of the test sets that a training text resembles.

    If J(A, B) >= t, at most |B| - t |B| n-grams of B are not in A. So A holds one of any
    |B| - ceil(t |B|) + 1 of them, and only so many, those with the rarest words, are indexed:
    nothing is missed, and what nearly every text has leads nowhere.
    """

    def __init__(self, texts: Iterable[str], n: int, threshold: float) -> None:
        self.n, self.threshold = n, threshold
        self.numbers: dict[str, int] = {}
        for text in texts:
            self.numbers.setdefault(examples.evened(text), len(self.numbers))
        self.texts = list(self.numbers)
        rarity = Counter(sys.intern(w) for text in self.texts for w in WORD.findall(text))
        self.sizes, self.index = [], dict[Gram, list[int]]()
        for number, text in enumerate(self.texts):
            mine = grams(text, n)
            self.sizes.append(len(mine))
            # the subtraction keeps rounding from indexing one n-gram too few
            first = len(mine) - math.ceil(threshold * len(mine) - 1e-9) + 1
            for gram in sorted(mine, key=lambda g: (min(rarity[w] for w in g), g))[:first]:
                self.index.setdefault(tuple(map(sys.intern, gram)), []).append(number)

    def similar(self, text: str) -> Iterator[tuple[int, float]]:
        """Numbers of the texts that resemble ``text``, each with its similarity."""
        even = examples.evened(text)
        exact = self.numbers.get(even)
        if exact is not None:
            yield exact, EXACT
        mine = grams(even, self.n)
        found = {number for gram in mine & self.index.keys() for number in self.index[gram]}
        for number in found:
            small, large = sorted((len(mine), self.sizes[number]))
            if number != exact and small / large >= self.threshold:
                theirs = grams(self.texts[number], self.n)
                common = len(mine & theirs)
                similarity = common / (len(mine) + len(theirs) - common)
                if similarity >= self.threshold:
                    yield number, similarity


@dataclass
class TestSet:
    """The instances of one dataset's test set."""

    __test__ = False  # no test of pytest

    held_out: bool
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def run(
    tests: dict[str, TestSet],
    uses: Mapping[str, Iterable[tuple[str, str, str]]],
    n: int,
    threshold: float,
) -> list[dict[str, Any]]:
    """OVERLAP rows, test sets and uses in their order; a use yields dataset, id and text."""
    index = Index((t for s in tests.values() for t in s.texts), n, threshold)
    found = {use: _hits(index, instances) for use, instances in uses.items()}
    return [
        row
        for name, test in tests.items()
        for use, parts in found.items()
        for row in _rows(name, test, index, use, parts)
    ]


def _hits(
    index: Index, instances: Iterable[tuple[str, str, str]]
) -> list[tuple[str | None, dict[int, Hit]]]:
    """Number of a text -> its best hit: for all instances (None), then for each dataset."""
    best: dict[str, dict[int, Hit]] = {}
    for dataset, id, text in instances:
        hits = best.setdefault(dataset, {})
        for number, similarity in index.similar(text):
            if similarity > hits.get(number, (0.0, ""))[0]:
                hits[number] = (similarity, id)
    together: dict[int, Hit] = {}
    for hits in best.values():
        for number, hit in hits.items():
            together[number] = max(together.get(number, (0.0, "")), hit, key=lambda h: h[0])
    return [(None, together), *sorted(best.items())]


def _rows(
    name: str, test: TestSet, index: Index, use: str, parts: list[tuple[str | None, dict[int, Hit]]]
) -> Iterator[dict[str, Any]]:
    numbers = [index.numbers[examples.evened(text)] for text in test.texts]
    for source, hits in parts:
        found = [(i, hits[m]) for i, m in zip(test.ids, numbers, strict=True) if m in hits]
        exact = sum(similarity == EXACT for _, (similarity, _) in found)
        if source is not None and not found:
            continue
        first = [
            {"test_id": i, "train_id": other, "similarity": min(similarity, 1.0)}
            for i, (similarity, other) in found[:EXAMPLES]
        ]
        yield {
            "dataset": name, "held_out": test.held_out, "n": len(test.ids), "use": use,
            "found_in": source, "exact": exact, "near": len(found) - exact, "examples": first,
        }  # fmt: skip


def rows(paths: Iterable[Path]) -> Iterator[tuple[str, str, str]]:
    """Dataset, id and text of every instance in EXAMPLES files."""
    for path in paths:
        for batch in parquet.batches(path, schemas.EXAMPLES, ["dataset", "id", "text"]):
            columns = (batch.column(name).to_pylist() for name in ("dataset", "id", "text"))
            yield from zip(*columns, strict=True)


def read_tests(held_in: list[Path], held_out: list[Path]) -> dict[str, TestSet]:
    """Test sets by dataset. ``UserError`` for one on both sides."""
    out: dict[str, TestSet] = {}
    for paths, unseen in ((held_in, False), (held_out, True)):
        for dataset, id, text in rows(paths):
            test = out.setdefault(dataset, TestSet(unseen))
            if test.held_out != unseen:
                raise cli.UserError(f"{dataset} is both --held-in and --held-out; name it once")
            test.ids.append(id)
            test.texts.append(text)
    return out


def render(found: list[dict[str, Any]]) -> str:
    """A Markdown table of OVERLAP rows, the largest overlaps first in each test set's rows."""
    headers = ["Test set", "", "Instances", "Use", "Training set", "Exact", "Near", "First"]
    lines = []
    for r in found:
        pairs = [f"{p['test_id']} = {p['train_id']} ({p['similarity']:.2f})" for p in r["examples"]]
        side = "held out" if r["held_out"] else "held in"
        of = "all" if r["found_in"] is None else r["found_in"]
        first = pairs[0] if pairs and r["found_in"] is not None else ""
        lines.append([r["dataset"], side, r["n"], r["use"], of, r["exact"], r["near"], first])
    return markdown.table(headers, lines)


def share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError
    return value


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--trained", required=True, nargs="+", type=Path,
                   help="EXAMPLES tables of all that is trained on")  # fmt: skip
    p.add_argument("--demonstrations", nargs="*", default=[], type=Path,
                   help="EXAMPLES tables of training sets that are in the pool alone")  # fmt: skip
    p.add_argument("--held-in", nargs="*", default=[], type=Path, help="EXAMPLES of test sets")
    p.add_argument("--held-out", nargs="*", default=[], type=Path, help="EXAMPLES of test sets")
    p.add_argument("--n", type=cli.positive, default=5, help="words of an n-gram (%(default)s)")
    p.add_argument("--threshold", type=share, default=0.8,
                   help="Jaccard similarity of near-duplicates (%(default)s)")  # fmt: skip
    p.add_argument("--out", required=True, type=Path, help="OVERLAP table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    tests = read_tests(args.held_in, args.held_out)
    if not tests:
        raise cli.UserError("no test set; give --held-in or --held-out")
    uses = {"training": rows(args.trained)}
    if args.demonstrations:
        uses["demonstrations"] = rows(args.demonstrations)
    found = run(tests, uses, args.n, args.threshold)
    for row in found:
        cli.log.info("%s in %s (%s): %d exact, %d near of %d", row["dataset"],
                     row["found_in"] or "all training sets", row["use"], row["exact"],
                     row["near"], row["n"])  # fmt: skip
    parquet.write(found, schemas.OVERLAP, args.out)


if __name__ == "__main__":
    cli.run(main)
