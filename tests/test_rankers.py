"""Ranking what is scored: correlation, shares of the first places, values that must be whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import parquet, rankers, ranking, schemas
from ruie.cli import UserError

NUMBERS = st.lists(st.integers(-3, 3), min_size=2, max_size=8)


def test_correlation_is_spearmans() -> None:
    # ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15) = 0.8
    assert rankers.correlation(np.array([1.0, 2, 3, 9]), np.array([0.1, 5, 2, 7])) == pytest.approx(
        0.8
    )
    assert rankers.correlation(np.array([1.0, 2]), np.array([4.0, 3])) == pytest.approx(-1)
    assert rankers.correlation(np.array([1.0, 1]), np.array([4.0, 3])) == 0


def test_places_that_are_shared_are_drawn() -> None:
    # two places: one is the 9's, the other is shared by three
    shares = rankers.among_first(np.array([5.0, 9, 5, 1, 5]), 2)
    np.testing.assert_allclose(shares, [1 / 3, 1, 1 / 3, 0, 1 / 3])


@given(numbers=NUMBERS, data=st.data())
def test_as_many_places_are_given_as_there_are(numbers: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(numbers)))
    shares = rankers.among_first(np.array(numbers, float), k)
    assert shares.sum() == pytest.approx(k)
    assert ((shares >= 0) & (shares <= 1)).all()
    # a higher score never has a smaller share
    order = np.argsort(numbers)
    assert (np.diff(shares[order]) >= -1e-12).all()


def rewards(path: Path, *rows: tuple[str, str, float | None]) -> Path:
    names = schemas.REWARDS.names
    parquet.write([dict(zip(names, row, strict=True)) for row in rows], schemas.REWARDS, path)
    return path


def test_values_are_of_the_queries_asked_for_and_in_their_candidates_order(tmp_path: Path) -> None:
    path = rewards(tmp_path / "r.parquet", ("q", "a", 1.0), ("q", "b", 2.0), ("other", "a", 9.0))
    found = ranking.values(path, schemas.REWARDS, "reward", {"q"})
    assert found == {"q": {"a": 1.0, "b": 2.0}}
    assert rankers.lined_up(path, found, {"q": ["b", "a"]})["q"].tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("q", "a", None)], "q with a: reward is None"),
        ([("q", "a", float("nan"))], "q with a: reward is nan"),
        ([("q", "a", 1.0), ("q", "a", 1.0)], "q with a comes twice"),
        ([("q", "b", 1.0)], "q with a is missing"),
    ],
)
def test_a_table_that_is_not_whole_is_named(tmp_path: Path, rows: list, said: str) -> None:
    path = rewards(tmp_path / "r.parquet", *rows)
    with pytest.raises(UserError, match=f"r.parquet: {said}"):
        rankers.lined_up(path, ranking.values(path, schemas.REWARDS, "reward", {"q"}), {"q": ["a"]})
