"""The score store: what a language model has scored before, found by the texts that it read.

A store is a folder of Parquet segments below a folder named by the model's fingerprint, so the
scores of two models never mix. Several processes on several nodes use it side by side without
locks: each adds segments of its own, which appear whole or not at all, and reads everyone's.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ruie import cli, parquet, schemas

#: Changes when a score of the same texts by the same model would change.
VERSION = 1
KEY_BYTES = 16
#: Files of a model's folder that decide its scores, beside the weights and their index.
FILES = (
    "adapter_config.json", "added_tokens.json", "chat_template.jinja", "chat_template.json",
    "config.json", "merges.txt", "sentencepiece.bpe.model", "sentencepiece.model",
    "special_tokens_map.json", "spiece.model", "spm.model", "tokenizer.json", "tokenizer.model",
    "tokenizer_config.json", "vocab.json", "vocab.txt",
)  # fmt: skip
#: Bytes read at once: weights do not fit in memory twice.
BLOCK = 2**23
#: Rows searched at once. Each search first hashes all wanted keys, too slow for each segment; all
#: rows together would take memory that grows with the store.
SEARCHED = 2_000_000


def fingerprint(model: Path, dtype: str) -> str:
    """32 hex digits of VERSION, ``dtype`` and the model's files by name and content; where the
    folder lies and what else is in it do not count."""
    weights = sorted(model.glob("*.safetensors"))
    if not weights:
        what = "holds no *.safetensors" if model.is_dir() else "no such folder"
        raise cli.UserError(f"model {model}: {what}; give a folder with safetensors weights")
    index = sorted(model.glob("*.safetensors.index.json"))
    others = [model / name for name in FILES if (model / name).is_file()]
    parts = [digest(str(VERSION)), digest(dtype)]
    for path in [*others, *index, *weights]:
        content = hashlib.blake2b(digest_size=KEY_BYTES)
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    content.update(block)
        except OSError as error:
            raise cli.UserError(f"{path}: cannot be read: {error.strerror}") from None
        parts += [digest(path.name), content.digest()]
    return key(*parts).hex()


def digest(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


def key(*digests: bytes) -> bytes:
    """16 bytes that stand for some digests in their order."""
    whole = hashlib.blake2b(digest_size=KEY_BYTES)
    for one in digests:
        # with its length before it, so that (a, b) is not (ab)
        whole.update(len(one).to_bytes(8, "big") + one)
    return whole.digest()


class Store:
    """The scores of one model below ``root``; ``about`` is kept beside them, for people to read.

    ``faulty`` holds the names of segments of which something had to be left out."""

    def __init__(self, root: Path, fingerprint: str, about: Mapping[str, str]) -> None:
        if not re.fullmatch(r"[0-9a-f]{32}", fingerprint):
            raise ValueError(f"{fingerprint!r} is no fingerprint of a model")
        self.folder, self.fingerprint = root / fingerprint, fingerprint
        self.faulty: set[str] = set()
        self._mine: list[Path] = []
        note = self.folder / "about.json"
        if not note.is_file():
            # by way of a unique name: processes on two nodes can have one id, and so one .part
            whole = self.folder / f".about.{uuid.uuid4().hex}"
            if root.exists() and not root.is_dir():
                raise cli.UserError(f"{root}: is no folder; set scoring.store to one")
            with parquet.replacing(whole) as part:
                part.write_text(json.dumps(dict(about), indent=1) + "\n", encoding="utf-8")
            os.replace(whole, note)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, tuple[float, int]]:
        """Score and number of tokens of those ``keys`` that are stored.

        The last digits of a score can differ between batch shapes. Of a key with several scores
        the lowest counts: a choice by segment would change whenever segments are merged."""
        wanted = pa.array(keys, pa.binary(KEY_BYTES))
        found: dict[bytes, tuple[float, int]] = {}
        for table in self._tables() if len(wanted) else ():
            rows = table.filter(pc.is_in(table["key"], value_set=wanted))
            for k, *row in zip(
                *(rows[name].to_pylist() for name in rows.column_names), strict=True
            ):
                found[k] = min(found.get(k, (math.inf, 0)), (row[0], row[1]))
        return found

    def add(self, keys: Sequence[bytes], scores: Sequence[float], tokens: Sequence[int]) -> None:
        """Store scores (mean log-likelihood, nats a token) and the answers' numbers of tokens."""
        if not len(keys) == len(scores) == len(tokens):
            raise ValueError(f"{len(keys)} keys, {len(scores)} scores, {len(tokens)} token numbers")
        columns = [
            pa.array(values, field.type, from_pandas=False)
            for values, field in zip((keys, scores, tokens), schemas.STORE, strict=True)
        ]
        table = pa.table(columns, schema=schemas.STORE)
        if any(c.null_count for c in table.columns) or not _finite(table):
            raise ValueError("a key, score or number of tokens is missing, or a score not finite")
        if len(table):
            self._mine.append(self._write(table))

    def merge(self) -> None:
        """Put the segments that this object wrote into one. The parts go last: killed in between,
        rows stand twice, which ``find`` does not mind."""
        tables = {path: table for path in self._mine if (table := self._read(path)) is not None}
        if len(tables) > 1:
            merged = self._write(pa.concat_tables(tables.values()))
            for path in tables:
                path.unlink(missing_ok=True)
            self._mine = [merged]

    def _write(self, table: pa.Table) -> Path:
        path = self.folder / f"{uuid.uuid4().hex}.parquet"
        seal = {"digest": self._digest(table)}
        parquet.write(table, schemas.STORE.with_metadata(seal), path)
        return path

    def _tables(self) -> Iterator[pa.Table]:
        """The rows of all segments, ``SEARCHED`` or little more at a time.

        The folder is listed until nothing is new: what another process merged meanwhile is gone
        under its old names, and a listing under way may show neither those nor the new one."""
        held: list[pa.Table] = []
        rows, seen = 0, set[str]()
        while new := {path.name for path in self.folder.glob("*.parquet")} - seen:
            seen |= new
            for name in sorted(new):
                if (table := self._read(self.folder / name)) is not None:
                    held.append(table)
                    rows += len(table)
                if rows >= SEARCHED:
                    yield pa.concat_tables(held)
                    held, rows = [], 0
        if held:
            yield pa.concat_tables(held)

    def _read(self, path: Path) -> pa.Table | None:
        """The rows of a segment; None where it has vanished or cannot be trusted."""
        try:
            with pq.ParquetFile(path) as file:
                table = file.read()
        except (pa.ArrowException, OSError, ValueError) as error:
            if path.exists():
                self._warn(path, f"cannot be read ({' '.join(str(error).split())})")
            return None
        seal = (table.schema.metadata or {}).get(b"digest", b"").decode(errors="replace")
        if table.schema != schemas.STORE or any(c.null_count for c in table.columns):
            self._warn(path, "is no table of scores")
            return None
        if seal != self._digest(table):
            # also a segment that was moved here from another model's folder
            self._warn(path, "is damaged, or not of this model")
            return None
        if not _finite(table):
            self._warn(path, "holds scores that are not finite")
            table = table.filter(pc.is_finite(table["score"]))
        return table.replace_schema_metadata(None)

    def _digest(self, table: pa.Table) -> str:
        """Stands for the model and the rows. Parquet's own checksums leave out headers and footer,
        where one wrong byte can change every score."""
        whole = hashlib.blake2b(self.fingerprint.encode(), digest_size=KEY_BYTES)
        for array in (chunk for column in table.columns for chunk in column.chunks if len(chunk)):
            width = array.type.bit_width // 8
            start, end = array.offset * width, (array.offset + len(array)) * width
            whole.update(memoryview(array.buffers()[1])[start:end])
        return whole.hexdigest()

    def _warn(self, path: Path, what: str) -> None:
        if path.name not in self.faulty:
            self.faulty.add(path.name)
            cli.log.warning("%s: %s: left out, its pairs are scored again; delete it", path, what)


def _finite(table: pa.Table) -> bool:
    return bool(pc.all(pc.is_finite(table["score"]), min_count=0).as_py())
