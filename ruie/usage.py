"""Sum what the answers of a run took: requests, tokens, errors, and cost where prices are known.

Tokens are those that the answers hold, behind an endpoint the server's counts. A request that came
to nothing (finish reason "error") has none: what was counted before it was sent says nothing of
what was billed. The cost of what came is given at most: the answers do not say which prompt tokens
a server had in its cache, nor that a prompt that came twice was asked once. The log of a job does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ruie import cli, endpoint, parquet, schemas
from ruie.page import Html, join, table, tag
from ruie.records import KEYS

SUMS = ("requests", "prompt_tokens", "completion_tokens", "errors", "empty")


def run(answers: pd.DataFrame, prices: Mapping[str, Sequence[float]] | None = None) -> pd.DataFrame:
    """The USAGE rows of PREDICTIONS rows, as they come. ``prices`` of a million tokens by LLM: of
    prompt, then of answer."""
    keys = list(KEYS)
    answered = answers["finish_reason"] != "error"
    failed = answers["error"].notna()
    counted = answers[keys].assign(
        requests=1,
        prompt_tokens=answers["prompt_tokens"].where(answered, 0),
        completion_tokens=answers["completion_tokens"].where(answered, 0),
        errors=failed,
        empty=(answers["prediction"].fillna("") == "") & ~failed,
    )
    groups = counted.groupby(keys, as_index=False, sort=False, dropna=False)
    sums = groups[list(SUMS)].sum().astype(dict.fromkeys(SUMS, "int64"))
    price = [(prices or {}).get(llm, (None, None)) for llm in sums["llm"]]
    sums["cost"] = [
        None if p[0] is None else (prompt * p[0] + completion * p[1]) / 1e6
        for p, prompt, completion in zip(
            price, sums["prompt_tokens"], sums["completion_tokens"], strict=True
        )
    ]
    return pd.DataFrame(sums[schemas.USAGE.names])


def totals(rows: pd.DataFrame) -> pd.DataFrame:
    """USAGE rows summed by LLM; the cost is missing where no row has one."""
    groups = rows.groupby("llm", sort=False, dropna=False)
    sums = groups[list(SUMS)].sum()
    return sums.assign(cost=groups["cost"].sum(min_count=1)).reset_index()


def said(rows: pd.DataFrame) -> str:
    """USAGE rows in a line."""
    sums = rows[list(SUMS)].sum().astype("int64")
    text = (
        f"{sums['requests']:,} requests, {sums['prompt_tokens']:,} prompt tokens, "
        f"{sums['completion_tokens']:,} new tokens; errors: {sums['errors']:,}, "
        f"empty answers: {sums['empty']:,}"
    )
    cost = rows["cost"].dropna()
    return text + (f"; cost: {cost.sum():,.4f} at most" if len(cost) else "")


def section(rows: pd.DataFrame) -> Html:
    """The sums of a run on the report's page, LLM by LLM; ``rows``: USAGE."""
    known = rows["cost"].notna().any()
    headers = ["LLM", "Requests", "Prompt tokens", "New tokens", "Errors", "Empty answers"]
    shown = [
        [llm, *map(int, sums), *([None if cost != cost else f"{cost:,.4f}"] if known else [])]
        for llm, *sums, cost in totals(rows)[["llm", *SUMS, "cost"]].itertuples(index=False)
    ]
    text = f"In all: {said(rows)}."
    if known:
        headers.append("Cost")
        text += (
            " The cost is that of the answers at most: prompt tokens that a server had in its "
            "cache are paid in full here."
        )
    return join([tag("h3", "In all"), tag("p", text), table(headers, shown)], "\n")


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--predictions", required=True, nargs="+", type=Path, help="PREDICTIONS tables")
    endpoint.add_prices(p)
    p.add_argument("--out", required=True, type=Path, help="USAGE table to write")
    return p


def main(argv: list[str] | None = None) -> None:
    import pyarrow as pa

    args = parser().parse_args(argv)
    columns = [*KEYS, "prediction", "prompt_tokens", "completion_tokens", "finish_reason", "error"]
    tables = [parquet.read(path, schemas.PREDICTIONS, columns) for path in args.predictions]
    rows = run(pa.concat_tables(tables).to_pandas(), dict(args.prices))
    parquet.write(
        pa.Table.from_pandas(rows, schemas.USAGE, preserve_index=False), schemas.USAGE, args.out,
        result=True,
    )  # fmt: skip
    cli.log.info("%s", said(rows))


if __name__ == "__main__":
    cli.run(main)
