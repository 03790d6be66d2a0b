"""Which predictions are shown, and reading what belongs to them."""

from __future__ import annotations

from pathlib import Path

from report_inputs import prediction
from tiny import sample, write_examples

from ruie import parquet, schemas, shown


def test_samples_are_the_same_queries_for_all_systems(tmp_path: Path) -> None:
    paths = []
    for system in ("none", "bm25"):
        paths.append(tmp_path / f"{system}.parquet")
        rows = [prediction(i, system) for i in range(20)]
        parquet.write(rows, schemas.PREDICTIONS, paths[-1])

    def queries(seed: int, order: int = 1) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in shown.chosen(paths[::order], 3, seed):
            found.setdefault(row["system"], set()).add(row["query_id"])
        return found

    first = queries(0)
    assert [len(ids) for ids in first.values()] == [3, 3]
    assert first["none"] == first["bm25"]
    assert first == queries(0, -1)
    assert len({tuple(sorted(queries(seed)["none"])) for seed in range(5)}) > 1


def test_pairs_come_once_whatever_the_order() -> None:
    rows = [
        prediction(1, demonstrations=["b", "a"]),
        prediction(1, "none", demonstrations=[]),
        prediction(0, "ruie", demonstrations=["b"]),
        prediction(1, "ruie", demonstrations=["b"]),
    ]
    first, second = "film/test/000000", "film/test/000001"
    assert shown.pairs(rows) == [(first, "b"), (second, "a"), (second, "b")]
    assert shown.pairs(rows[::-1]) == shown.pairs(rows)


def test_only_the_wanted_examples_are_read(tmp_path: Path) -> None:
    members = [sample(f"toy/{i}", "Ada ran.", ("person", "Ada")) for i in range(30)]
    paths = [
        write_examples(members[:10], tmp_path / "a.parquet"),
        write_examples(members[10:], tmp_path / "b.parquet"),
    ]
    found = shown.by_id(paths, ["toy/3", "toy/29", "toy/99", "toy/3"])
    assert found == {"toy/3": members[3], "toy/29": members[29]}
    assert shown.by_id(paths, []) == {}
