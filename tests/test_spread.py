"""Table 10: which scores are the best and the worst, their mean and variance."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import groups, parquet, schemas, spread
from ruie.cli import UserError


def table(*rows: tuple[str, str, float]) -> pa.Table:
    keys = ("query_id", "demonstration_id", "score")
    made = [dict(zip(keys, row, strict=True)) | {"tokens": 3} for row in rows]
    return pa.Table.from_pylist(made, schemas.SCORES)


def test_mean_and_variance_over_all_queries() -> None:
    """Top 1 and last 2 of each query: a has -1 and (-3, -5); b has -2 and (-4), its only other.

    Positives (-1, -2): mean -1.5, variance 0.25. Negatives (-3, -5, -4): mean -4, variance
    (1 + 1 + 0) / 3.
    """
    found = spread.run(
        table(("a", "x", -3.0), ("b", "x", -4.0), ("a", "y", -1.0), ("a", "w", -2.5),
              ("b", "y", -2.0), ("a", "z", -5.0)),
        "neo", top=1, last=2,
    )  # fmt: skip
    assert found == [
        {"llm": "neo", "side": "positives", "n": 2, "mean": -1.5, "variance": 0.25},
        {"llm": "neo", "side": "negatives", "n": 3, "mean": -4.0, "variance": pytest.approx(2 / 3)},
    ]


ids = st.sampled_from(["", "a", "b", "ä", "😀", "\uffff", "aa"])


@given(
    st.dictionaries(st.tuples(ids, ids), st.sampled_from([-2.0, -1.0, -0.5, 0.0, 1.0]), min_size=1),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_the_ranking_is_that_of_training(
    scores: dict[tuple[str, str], float], top: int, last: int
) -> None:
    whole = table(*((q, d, score) for (q, d), score in scores.items()))
    found = spread.sides(whole, top, last)
    wanted: dict[str, list[float]] = {"positives": [], "negatives": []}
    for r in groups.Rankings(whole, "score"):
        wanted["positives"] += r.scores[:top]
        wanted["negatives"] += r.scores[max(top, len(r.scores) - last) :]
    assert {side: sorted(v.tolist()) for side, v in found.items()} == {
        side: sorted(v) for side, v in wanted.items()
    }


def test_what_is_no_score_is_said() -> None:
    for value, says in (
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
        (None, "incomplete"),
    ):
        with pytest.raises(UserError, match=f"neo: .*{says}"):
            spread.run(table(("a", "x", -1.0), ("a", "y", value)), "neo")
    for rows in ([], [("a", "x", -1.0)]):
        with pytest.raises(UserError, match="no query has"):
            spread.run(table(*rows), "neo")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.parquet"
    rows = [("a", f"{i:02}", float(-i)) for i in range(25)]
    parquet.write(table(*rows), schemas.SCORES, path)
    out = tmp_path / "spread.parquet"
    spread.main(["--scores", f"one={path}", f"two={path}", "--out", str(out)])
    found = parquet.read(out, schemas.SPREAD).to_pylist()
    # of 25 candidates the top 3 are 0, -1, -2 and the last 16 are -9 to -24
    assert [(r["llm"], r["side"], r["n"], r["mean"]) for r in found] == [
        (llm, side, n, mean)
        for llm in ("one", "two")
        for side, n, mean in (("positives", 3, -1.0), ("negatives", 16, -16.5))
    ]
    for words, says in (([str(path)], "not of the form"), ([f"one={path}"] * 2, "twice")):
        with pytest.raises(SystemExit):
            spread.main(["--scores", *words, "--out", str(out)])
        assert says in capsys.readouterr().err
