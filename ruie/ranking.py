"""What every retriever shares: the candidate pool, its ranges, which hits count, and how what was
found is read."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ruie import cli, examples, parquet, schemas
from ruie.examples import Example

#: Query -> demonstration -> value.
Values = dict[str, dict[str, float]]
#: Where a query may look: the whole pool (the paper's setting), its own task, its own dataset.
RANGES = ("mixed", "task", "dataset")
#: Columns of EXAMPLES that a ``Pool`` is made of.
COLUMNS = ["id", "task", "dataset", "text", "schema", "event", "answer"]
TEXT_BYTES, SAMPLE_BYTES = 8, 16


def part(example: Example, range: str) -> str:
    """Name of the part of the pool that a range leaves to an example."""
    return "mixed" if range == "mixed" else f"{range}-{getattr(example, range)}"


class Pool:
    """The candidate pool P of section 3.1. Its members are rows, from 0; of each it holds the id,
    task, dataset, and digests of its text and of the whole sample: 100 bytes or so, whatever the
    length of texts."""

    def __init__(self, tables: Iterable[pa.Table | pa.RecordBatch], name: str = "pool") -> None:
        columns: dict[str, list[pa.Array]] = {c: [] for c in ("id", "task", "dataset")}
        texts, samples, done = bytearray(), bytearray(), 0
        for table in tables:
            for c in COLUMNS:
                if c != "event" and table[c].null_count:
                    raise cli.UserError(f"{name}: a row from {done} on has no {c}; "
                                        "make the pool again")  # fmt: skip
            try:
                for text, sample in _digests(table):
                    texts += text
                    samples += sample
            except UnicodeDecodeError:
                raise cli.UserError(f"{name}: a row from {done} on holds text that is not UTF-8; "
                                    "make the pool again") from None  # fmt: skip
            for c, held in columns.items():
                held += [table[c]] if isinstance(table, pa.RecordBatch) else table[c].chunks
            done += len(table)
        whole = {c: pa.chunked_array(held, pa.string()) for c, held in columns.items()}
        self.ids = whole["id"].combine_chunks()
        self._coded = {
            c: whole[c].combine_chunks().dictionary_encode() for c in ("task", "dataset")
        }
        self._texts, self._samples = bytes(texts), bytes(samples)
        counts = pc.value_counts(self.ids)
        if twice := counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[:1]:
            raise cli.UserError(f"{name}: id {twice[0]} stands there twice; make the pool again")

    @classmethod
    def read(cls, path: str | Path) -> Pool:
        return cls(parquet.batches(path, schemas.EXAMPLES, COLUMNS), str(path))

    @classmethod
    def of(cls, members: list[Example]) -> Pool:
        return cls([examples.to_table(members)])

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Place of each row in the order of ids."""
        out = np.empty(len(self), np.int64)
        out[pc.sort_indices(self.ids).to_numpy()] = np.arange(len(self))
        return out

    def rows(self, ids: Iterable[str]) -> dict[str, int]:
        """The rows of some ids. ``UserError`` for an id that the pool does not hold."""
        asked = list(dict.fromkeys(ids))
        found = pc.index_in(pa.array(asked, pa.string()), self.ids)
        if found.null_count:
            odd = asked[found.is_null().to_pylist().index(True)]
            raise cli.UserError(f"{odd}: found, but not in the pool; make the index again")
        return dict(zip(asked, found.to_pylist(), strict=True))

    def parts(self, range: str) -> dict[str, npt.NDArray[np.int64]]:
        """The rows of each part of the pool under a range."""
        if range == "mixed":
            return {"mixed": np.arange(len(self))} if len(self) else {}
        codes = self._coded[range].indices.to_numpy()
        names = self._coded[range].dictionary.to_pylist()
        return {f"{range}-{name}": np.flatnonzero(codes == n) for n, name in enumerate(names)}

    def dataset(self, row: int) -> str:
        found: str = self._coded["dataset"][row].as_py()
        return found

    def distinct(
        self, query: Example, hits: Iterable[tuple[int, float]], k: int
    ) -> list[tuple[int, float]]:
        """The first ``k`` hits (row, score) that are not the query itself, by the hash of its
        normalised text, and that no earlier hit repeats (same text, task, schema and answer)."""
        own, seen = bytes.fromhex(query.text_hash), set()
        kept: list[tuple[int, float]] = []
        for row, score in hits:
            if len(kept) == k:
                break
            sample = self._samples[row * SAMPLE_BYTES : (row + 1) * SAMPLE_BYTES]
            text = self._texts[row * TEXT_BYTES : (row + 1) * TEXT_BYTES]
            if text != own and sample not in seen:
                seen.add(sample)
                kept.append((row, score))
        return kept

    def candidates(self, query: Example, hits: list[tuple[int, float]]) -> list[dict[str, Any]]:
        """CANDIDATES rows of one query. Raises ``UserError`` where nothing was found."""
        if not hits:
            raise cli.UserError(
                f"{query.id}: no demonstration was found; the retrieval range holds nothing but "
                "the query itself, or BM25 shares no word with it: widen the range or the pool"
            )
        return [
            {"query_id": query.id, "demonstration_id": self.ids[row].as_py(), "rank": rank,
             "score": score}
            for rank, (row, score) in enumerate(hits)
        ]  # fmt: skip


def _digests(table: pa.Table | pa.RecordBatch) -> Iterator[tuple[bytes, bytes]]:
    """Of each row, a digest of the evened text, and one of it with all else that makes a sample."""
    event = table["event"]
    rest = [
        table["task"],
        # a dataset's labels are many: one string of them is read much faster than a list
        pc.binary_join(table["schema"], ", "),
        pc.struct_field(event, ["type"]),
        pc.struct_field(event, ["trigger", "text"]),
        table["answer"],
    ]
    texts = table["text"].to_pylist()
    for text, *fields in zip(texts, *(column.to_pylist() for column in rest), strict=True):
        of_text = bytes.fromhex(examples.text_hash(text))
        # repr tells null from empty and one field's end from the next one's start
        both = of_text + repr(fields).encode()
        yield of_text, hashlib.blake2b(both, digest_size=SAMPLE_BYTES).digest()


def ranked(paths: Sequence[Path], by_score: int | None = None) -> dict[str, list[str]]:
    """Demonstrations of each query, the best first, of CANDIDATES tables; ``by_score`` of them,
    where it is given, by falling score instead of by rank (a choice has an order of its own)."""
    found: dict[str, list[tuple[float, str]]] = {}
    for path in paths:
        table = parquet.read(path, schemas.CANDIDATES).sort_by(
            [("query_id", "ascending"), ("rank", "ascending")]
        )
        for row in table.to_pylist():
            pair = (row["score"], row["demonstration_id"])
            found.setdefault(row["query_id"], []).append(pair)
        if table.group_by(["query_id", "demonstration_id"]).aggregate([]).num_rows < len(table):
            raise cli.UserError(
                f"{path}: names a demonstration twice for a query; run retrieve again"
            )
    if by_score is not None:
        if any(score is None for some in found.values() for score, _ in some):
            raise cli.UserError(f"{paths[0]}: a demonstration has no score; run retrieve again")
        found = {q: sorted(some[:by_score], key=lambda p: -p[0]) for q, some in found.items()}
    return {query: [name for _, name in some] for query, some in found.items()}


def values(path: Path, schema: pa.Schema, column: str, wanted: set[str]) -> Values:
    """A table's ``column`` for the pairs of some queries. ``UserError`` for what is no number."""
    out: Values = {query: {} for query in wanted}
    names, asked = ["query_id", "demonstration_id", column], pa.array(sorted(wanted), pa.string())
    for batch in parquet.batches(path, schema, names, 100_000):
        rows = batch.filter(pc.is_in(batch["query_id"], asked))
        for query, demonstration, value in zip(*(rows[n].to_pylist() for n in names), strict=True):
            if demonstration is None or value is None or not np.isfinite(value):
                raise cli.UserError(f"{path}: {query} with {demonstration}: {column} is {value}; "
                                    "run the stage that writes it again")  # fmt: skip
            if demonstration in out[query]:
                raise cli.UserError(f"{path}: {query} with {demonstration} comes twice; run the "
                                    "stage that writes it again")  # fmt: skip
            out[query][demonstration] = float(value)
    return out
