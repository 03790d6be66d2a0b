"""Fetch the originals of a registry's public datasets, and say how to come by the others.

A dataset is unpacked and checked in ROOT/.downloads and moved to its place whole; a folder that is
there already is left as it is. A run that was ended goes on where it stopped. Where the registry
knows no checksum, what came is recorded (fetched.json in ROOT/.downloads) and must be the same when
it is fetched again.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruie import cli, fetch, parquet, schemas, sources, unpack
from ruie.cli import UserError, log
from ruie.sources import Dataset

Record = dict[str, Any]
Row = dict[str, Any]


def obtain(
    members: Sequence[Dataset], root: Path, limits: fetch.Limits, unpacked: unpack.Limits
) -> list[Record]:
    """Bring the folder that ``members`` share into place; records of its files, none for a folder
    that was put there by hand. Raises ``UserError`` for whatever is in the way."""
    first = members[0]
    place, work = root / first.into, root / sources.HIDDEN / first.into
    try:
        if in_place(first, root):
            return _check(members, root)
        work.mkdir(parents=True, exist_ok=True)
        with _alone(work):
            records = _fetch(first, root, limits)
            tree = _assemble(first, work, unpacked)
            for d in members:
                if not (tree / d.inner).exists():
                    names = ", ".join(ascii(p.name) for p in sorted(tree.iterdir())[:8])
                    raise UserError(
                        f"{d.path}: not in what {first.files[0].url} holds ({names}); mend the "
                        f"path of {d.name} in the registry, nothing is fetched again"
                    )
            with parquet.replacing(work / "fetched.json") as part:
                part.write_text(json.dumps(records, indent=1) + "\n")
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(tree, place)
            _tidy(first, work)
    except OSError as error:
        raise UserError(f"{place}: cannot be filled: {error.strerror or error}") from None
    return records


def in_place(d: Dataset, root: Path) -> bool:
    """Whether the dataset's folder holds anything."""
    place = root / d.into
    return place.is_file() or (place.is_dir() and any(place.iterdir()))


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    with open(work / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{work}: another process is fetching this; wait for it") from None
        yield


def _fetch(d: Dataset, root: Path, limits: fetch.Limits) -> list[Record]:
    work = root / sources.HIDDEN / d.into
    before = {r["url"]: r["sha256"] for r in _recorded(d, root)}
    records = []
    for file in d.files:
        expected, accept = file.sha256, "mend its sha256 in the registry"
        if expected is None and file.url in before:
            expected, accept = before[file.url], f"delete {work / 'fetched.json'}"
        log.info("%s: %s", d.name, file.url)
        record = fetch.fetch(file.url, work / file.key, expected, limits, accept)
        records.append({**record, "file": file.to})
    return records


def _assemble(d: Dataset, work: Path, limits: unpack.Limits) -> Path:
    """The dataset's folder as it will be. What was fetched stays, should this be ended."""
    tree = work / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    for file in d.files:
        if file.archive != "none":
            unpack.unpack(work / file.key, file.archive, tree / file.to, limits)
            continue
        (tree / file.to).parent.mkdir(parents=True, exist_ok=True)
        with open(work / file.key, "rb") as old, open(tree / file.to, "xb") as new:
            shutil.copyfileobj(old, new)
    return tree


def _tidy(d: Dataset, work: Path) -> None:
    """Remove what was needed on the way; what was set aside as bad stays."""
    shutil.rmtree(work / "tree", ignore_errors=True)
    for file in d.files:
        for suffix in ("", ".part", ".version"):
            (work / (file.key + suffix)).unlink(missing_ok=True)


def _recorded(d: Dataset, root: Path) -> list[Record]:
    path = root / sources.HIDDEN / d.into / "fetched.json"
    try:
        records: list[Record] = json.loads(path.read_text())
        for r in records:
            if [type(r[name]) for name in ("url", "sha256", "bytes")] != [str, str, int]:
                raise ValueError("no record of files")
    except FileNotFoundError:
        return []
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it") from None
    return records


def _check(members: Sequence[Dataset], root: Path) -> list[Record]:
    """Compare a folder that is there with the record of what came, if it was fetched, and with the
    registry."""
    first = members[0]
    place, records = root / first.into, _recorded(first, root)
    remedy = f"move {place} away to fetch it again"
    for d in members:
        if not (place / d.inner).exists():
            raise UserError(f"{place} is there, but {d.inner} is not in it ({d.name}); {remedy}")
    if not records:
        return []
    _tidy(first, root / sources.HIDDEN / first.into)
    came = {r["url"]: r["sha256"] for r in records}
    if set(came) != {file.url for file in first.files}:
        raise UserError(f"{place}: the registry names other addresses since it came; {remedy}")
    for file in first.files:
        was = came[file.url]
        if file.sha256 not in (None, was):
            raise UserError(
                f"{place}: the registry now expects sha256 {file.sha256} of {file.url}, {was} "
                f"came; {remedy}"
            )
        if file.archive == "none":
            kept = place / file.to
            found = fetch.digest(kept) if kept.is_file() else "no file"
            if found != was:
                raise UserError(f"{kept}: sha256 should be {was} as it came, is {found}; {remedy}")
    return records


def rows(d: Dataset, state: str, records: Sequence[Record], todo: str) -> list[Row]:
    """The dataset's rows of DOWNLOADS."""
    known = {r["url"]: r for r in records}
    common = {"dataset": d.name, "state": state, "folder": d.into, "licence": d.licence,
              "todo": todo}  # fmt: skip
    return [
        {**common, "url": f.url if f else None, "file": f.to if f else None,
         "bytes": known[f.url]["bytes"] if f and f.url in known else None,
         "sha256": known[f.url]["sha256"] if f and f.url in known else None}
        for f in d.files or (None,)
    ]  # fmt: skip


def show(table: Sequence[Row], last: str) -> str:
    """A table to read, one line a row or more; the column ``last`` takes the rest of the width."""
    names = ("dataset", "state", "folder", "licence", last)
    cells = [[" ".join(str(r[n] or "").split()) or "-" for n in names] for r in table]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    indent = sum(widths[:-1]) + 2 * (len(names) - 1)
    room = max(shutil.get_terminal_size((120, 24)).columns - indent, 40)
    out = []
    for row in (list(names), *cells):
        head = "  ".join(c.ljust(w) for c, w in zip(row[:-1], widths, strict=False))
        text = textwrap.wrap(row[-1], room, break_long_words=False, break_on_hyphens=False)
        out += [f"{head}  {text[0]}", *(" " * indent + line for line in text[1:])]
    return "\n".join(out)


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--registry", required=True, type=Path, help="dataset registry (YAML)")
    p.add_argument(
        "--root", required=True, type=Path, help="folder to fill; the registry's paths start here"
    )
    p.add_argument("--names", nargs="+", help="datasets (default: all)")
    p.add_argument("--list", action="store_true", help="only say what is there and what is not")
    p.add_argument("--table", type=Path, help="DOWNLOADS table to write")
    p.add_argument("--max-bytes", type=cli.positive, default=fetch.Limits.max_bytes,
                   help="of one file (%(default)s)")  # fmt: skip
    p.add_argument("--max-unpacked", type=cli.positive, default=unpack.Limits.max_bytes,
                   help="bytes that one archive may unpack to (%(default)s)")  # fmt: skip
    p.add_argument("--max-members", type=cli.positive, default=unpack.Limits.max_members,
                   help="of one archive (%(default)s)")  # fmt: skip
    p.add_argument("--timeout", type=_seconds, default=fetch.Limits.timeout,
                   help="seconds without a byte before an attempt ends (%(default)s)")  # fmt: skip
    p.add_argument("--tries", type=cli.positive, default=fetch.Limits.tries,
                   help="attempts in a row that bring nothing (%(default)s)")  # fmt: skip
    return p


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise argparse.ArgumentTypeError(f"{text} is no time limit in seconds")
    return value


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    chosen = sources.read(args.registry)
    unknown = sorted(set(args.names or ()) - {d.name for d in chosen})
    if unknown:
        raise UserError(f"--names: {unknown} are not in {args.registry}; correct the names")
    chosen = [d for d in chosen if not args.names or d.name in args.names]
    shared: dict[str, list[Dataset]] = {}
    for d in chosen:
        if d.files:
            shared.setdefault(d.into, []).append(d)
    records: dict[str, list[Record]] = {}
    failed: dict[str, str] = {}
    limits = fetch.Limits(args.max_bytes, args.timeout, args.tries)
    unpacked = unpack.Limits(args.max_unpacked, args.max_members)
    for into, members in shared.items():
        try:
            if args.list:
                records[into] = _recorded(members[0], args.root)
            else:
                records[into] = obtain(members, args.root, limits, unpacked)
        except UserError as error:
            failed[into] = str(error)

    table: list[Row] = []
    for d in chosen:
        if d.files and d.into in failed:
            table += rows(d, "failed", [], failed[d.into])
        elif in_place(d, args.root):
            table += rows(d, "in place", records.get(d.into, []) if d.files else [], "")
        elif d.files:
            table += rows(d, "to fetch", [], "")
        else:
            table += rows(d, "by hand", [], d.todo or "the registry names no source; provide it")
    if args.table:
        parquet.write(table, schemas.DOWNLOADS, args.table)
    missing = [r for r in table if r["state"] == "by hand"]
    if args.list:
        print(show([{**r, "from": r["url"] or r["todo"]} for r in table], "from"), flush=True)
    elif missing:
        print(show(missing, "todo"), flush=True)
    there = len({r["dataset"] for r in table if r["state"] == "in place"})
    log.info("%d of %d datasets are in place below %s", there, len(chosen), args.root)
    *others, last = failed.values() or [""]
    for line in others:
        log.error("%s", line)
    if last:
        raise UserError(last)


if __name__ == "__main__":
    cli.run(main)
