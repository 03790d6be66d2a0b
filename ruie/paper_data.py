"""The paper's numbers (workflow/paper/tables.yaml), and the results that are put beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from ruie import cli, parquet, schemas
from ruie.tables import AVERAGE

DATA = Path(__file__).resolve().parents[1] / "workflow/paper/tables.yaml"
#: What a number is of; ``scoring``: the LLM that scored the candidates of its run.
KEY = ["scoring", "system", "llm", "k", "task", "dataset"]
COLUMNS = [*KEY, "scorer", "held_out", "f1", "f1_low", "f1_high"]
#: The paper's scoring LLM (section 4.4).
SCORING = "llama-3-8b"

#: A table of the file; its fields are in workflow/schemas/paper.schema.json.
Table = dict[str, Any]


def load(number: str) -> Table:
    """A table or figure of the paper: ``1``, ``figure3``."""
    table: Table = yaml.safe_load(DATA.read_text(encoding="utf-8"))["tables"][number]
    return table


def column_id(column: Mapping[str, Any]) -> str:
    """A column's name in a PAPER table: its group and its own."""
    return " ".join(filter(None, [column.get("group"), column["name"]]))


def title(number: str) -> str:
    """``Table 1`` of ``1``, ``Figure 3`` of ``figure3``."""
    return f"Figure {number[6:]}" if number.startswith("figure") else f"Table {number}"


def cell(
    number: str, row: str, column: str, printed: float | None, mine: Mapping[str, Any]
) -> dict[str, Any]:
    """A PAPER row; ``mine``: ours, low, high, found and wanted, where there are such."""
    ours = mine.get("ours")
    whole = mine.get("found") == mine.get("wanted")  # the mean of a part is of something else
    difference = ours - printed if ours is not None and printed is not None and whole else None
    blank = dict.fromkeys(("ours", "low", "high", "found", "wanted"))
    return {"table": title(number), "row": row, "column": column, **blank, **mine,
            "paper": printed, "difference": difference}  # fmt: skip


def write(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    table = pa.Table.from_pylist(list(cells), schemas.PAPER)
    parquet.write(table, schemas.PAPER, path, result=True)
    wanted = sum(bool(c["wanted"]) for c in cells)
    found = sum(bool(c["found"]) for c in cells)
    cli.log.info("%d of %d cells have a number of ours", found, wanted)


def select(found: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """Rows whose columns hold these values."""
    for column, value in wanted.items():
        found = found[found[column] == value]
    return found


def numbers(
    frames: Sequence[tuple[str, pd.DataFrame]], scorer: str | None, rename: Mapping[str, str]
) -> pd.DataFrame:
    """The results of single datasets (``COLUMNS``) from pairs of a scoring LLM and RESULTS or
    METRICS rows, under one scorer; the first row's, if none is named.

    ``rename``: our names to the paper's. Where two rows are of the same thing the first counts.
    """
    parts = [rows.assign(scoring=name).reindex(columns=COLUMNS) for name, rows in frames]
    # a column may hold nothing at all
    types = {"held_out": object} | dict.fromkeys(("f1", "f1_low", "f1_high"), float)
    parts = [rows.astype(types) for rows in parts if len(rows)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    whole = pd.concat(parts, ignore_index=True)
    chosen = scorer or whole["scorer"].iloc[0]
    whole = whole[(whole["scorer"] == chosen) & (whole["dataset"] != AVERAGE)]
    whole = whole[whole["f1"].notna()]
    for column in ("scoring", "system", "llm", "dataset"):
        whole = whole.assign(**{column: [rename.get(name, name) for name in whole[column]]})
    first = whole.drop_duplicates(KEY)
    other = len(whole.drop_duplicates([*KEY, "f1"])) - len(first)
    if other:
        cli.log.warning("%d results are given again with another F1; the first counts", other)
    return first.reset_index(drop=True)


def scoring_llm(folder: Path) -> str:
    """The LLM that scored the candidates of a run, by the run's config."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["scoring"]["llm"]
        if isinstance(found, str):
            return found
        line = "scoring.llm is no name"
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        line = " ".join(str(error).split())
    raise cli.UserError(
        f"{path}: does not say which LLM scored ({line}); name the folder of a finished run"
    )


def run_folder(folder: Path) -> list[tuple[str, pd.DataFrame]]:
    """The RESULTS tables of a run, each with the run's scoring LLM."""
    scoring = scoring_llm(folder)
    wanted = set(schemas.RESULTS.names)
    tables = [
        path
        for path in sorted((folder / "tables").glob("*.parquet"))
        if wanted <= set(parquet.read_any(path).column_names)
    ]
    if not tables:
        raise cli.UserError(
            f"{folder / 'tables'}: holds no result table of this version; make the run's again "
            "(snakemake evaluation), or leave the folder out"
        )
    return [(scoring, parquet.read(path, schemas.RESULTS).to_pandas()) for path in tables]


def add_arguments(p: cli.Parser) -> None:
    """Flags of what ``given`` reads."""
    p.add_argument("--results", nargs="*", default=[], type=Path, help="RESULTS tables")
    p.add_argument("--metrics", nargs="*", default=[], type=Path, help="METRICS tables")
    p.add_argument("--scoring", help="LLM that scored for these tables")
    p.add_argument("--runs", nargs="*", default=[], type=Path, help="folders of further runs")
    p.add_argument("--scorer", help="default: the first of the tables")
    p.add_argument(
        "--rename", nargs="*", default=[], metavar="OURS=PAPER'S",
        help="systems, LLMs and datasets that go by other names here than in the paper's tables",
    )  # fmt: skip


def renamed(words: Sequence[str]) -> dict[str, str]:
    """Our names and the paper's of ``--rename``."""
    out = {}
    for word in words:
        ours, _, theirs = word.partition("=")
        if not ours or not theirs:
            raise cli.UserError(f"--rename {word}: is not of the form ours=paper's")
        out[ours] = theirs
    return out


def given(args: Any) -> tuple[pd.DataFrame, str]:
    """``numbers`` of what the flags name, and the scoring LLM of the first run."""
    rename = renamed(args.rename)
    further = [pair for folder in args.runs for pair in run_folder(folder)]
    scoring = args.scoring or (SCORING if args.results or args.metrics else "")
    frames = [(scoring, parquet.read(p, schemas.RESULTS).to_pandas()) for p in args.results]
    frames += [(scoring, parquet.read(p, schemas.METRICS).to_pandas()) for p in args.metrics]
    frames += further
    scoring = frames[0][0] if frames else SCORING
    return numbers(frames, args.scorer, rename), rename.get(scoring, scoring)


def said(found: pd.DataFrame, fixed: Mapping[str, Any], scoring: str) -> str:
    """What our numbers in a table are of, where its rows do not say otherwise."""
    if found.empty:
        return ""
    parts = [f"F1 by the scorer {found['scorer'].iloc[0]}", f"candidates scored by {scoring}"]
    parts += [f"{name} = {fixed[name]}" for name in ("system", "llm", "k") if name in fixed]
    return f"Ours, where a row does not say otherwise: {', '.join(parts)}."
