"""What demonstrations and queries have in common, counted by hand."""

from __future__ import annotations

import pytest
import tiny

from ruie import agreement, parquet, schemas
from ruie.cli import UserError

QUERIES = [
    tiny.sample("q1", "Bob lives in Paris.", ("person", "Bob"), ("location", "Paris")),
    tiny.sample("q2", "Nothing here."),
]
POOL = [
    tiny.sample("d1", "Al is in Rome.", ("person", "Al"), ("location", "Rome")),
    tiny.sample("d2", "Ann met Al.", ("person", "Ann"), ("person", "Al"), dataset="other"),
    tiny.sample("d3", "No name.", dataset="other"),
    tiny.sample("d4", "Bob works for BP.", ("works for", "Bob", "BP"), task="RE", dataset="rel"),
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agreement")
    tiny.write_examples(POOL, folder / "pool.parquet")
    for query in QUERIES:
        tiny.write_examples([query], folder / f"{query.id}.parquet")
    for system, found in {"one": {"q1": ["d1", "d2", "d3", "d4"], "q2": ["d3", "d1"]},
                          "two": {"q1": ["d4"]}}.items():  # fmt: skip
        rows = [{"query_id": q, "demonstration_id": d, "rank": n, "score": 1.0 - n}
                for q, ids in found.items() for n, d in enumerate(ids)]  # fmt: skip
        parquet.write(rows, schemas.CANDIDATES, folder / f"{system}.parquet")
    return folder


def run(folder, out, *shown, queries=("q1", "q2"), k=(2, 4)):
    agreement.main([
        "--demonstrations", *(f"{s}={folder / s}.parquet" for s in shown),
        "--queries", *(str(folder / f"{q}.parquet") for q in queries),
        "--pool", str(folder / "pool.parquet"), "--k", *map(str, k), "--out", str(out),
    ])  # fmt: skip
    return parquet.read(out, schemas.AGREEMENT).to_pylist()


def test_means_over_what_is_shown(tables, tmp_path):
    rows = run(tables, tmp_path / "a.parquet", "one", "two")
    names = ("system", "k", "answered", "queries", "demonstrations", "own_task", "own_dataset",
             "labels", "spans", "items", "gold_items", "unanswered")  # fmt: skip
    assert {(r["task"], r["dataset"]) for r in rows} == {("NER", "toy")}
    assert [tuple(r[n] for n in names) for r in rows] == [
        # d1 has both labels, d2 one of two, with 2 items each, and neither span
        ("one", 2, True, 1, 2, 1.0, 0.5, 0.75, 0.0, 2.0, 2.0, 0.0),
        # d3 has none, as the query, d1 has two
        ("one", 2, False, 1, 2, 1.0, 0.5, 0.5, None, 1.0, 0.0, 0.5),
        # d3 and d4 have no label of it, d4 has Bob of Bob and Paris; items 2, 2, 0, 1
        ("one", 4, True, 1, 4, 0.75, 0.25, 0.375, 0.5, 1.25, 2.0, 0.25),
        ("one", 4, False, 1, 2, 1.0, 0.5, 0.5, None, 1.0, 0.0, 0.5),
        ("two", 2, True, 1, 1, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 0.0),
        ("two", 4, True, 1, 1, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 0.0),
    ]


def test_faults_are_one_line(tables, tmp_path, capsys):
    with pytest.raises(UserError, match=r"one: 'q2' is in none of the tables of queries"):
        run(tables, tmp_path / "a.parquet", "one", queries=["q1"])
    strange = [{"query_id": "q1", "demonstration_id": "gone", "rank": 0, "score": 1.0}]
    parquet.write(strange, schemas.CANDIDATES, tables / "strange.parquet")
    with pytest.raises(UserError, match=r"pool\.parquet.*gone"):
        run(tables, tmp_path / "a.parquet", "strange")
    with pytest.raises(SystemExit):
        agreement.main(["--demonstrations", "one", "--queries", "q", "--pool", "p", "--k", "1",
                        "--out", str(tmp_path / "a.parquet")])  # fmt: skip
    assert "--demonstrations one: is not of the form SYSTEM=FILE" in capsys.readouterr().err
    assert not (tmp_path / "a.parquet").exists()
