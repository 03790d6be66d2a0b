"""Result tables: averages and order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ruie import bootstrap, parquet, schemas, tables
from ruie.cli import UserError


def metric(system, task, dataset, f1, llm="tiny", k=8, n=10, scorer="strict"):
    return {
        "system": system, "llm": llm, "k": k, "task": task, "dataset": dataset, "scorer": scorer,
        "n": n, "tp": 1.0, "fp": 1.0, "fn": 1.0, "precision": f1 + 1, "recall": f1 - 1, "f1": f1,
        "f1_low": f1 - 2, "f1_high": f1 + 2,
    }  # fmt: skip


ROWS = [
    metric("ruie", "RE", "conll", 60.0),
    metric("ruie", "NER", "news", 80.0, n=30),
    metric("ruie", "NER", "film", 50.0),
    metric("bm25", "NER", "film", 40.0),
    metric("bm25", "NER", "news", 20.0, n=30),
    metric("bm25", "RE", "conll", 10.0),
]


def run(rows=ROWS, held_out=False, systems=("ruie", "bm25")):
    return tables.run(pd.DataFrame(rows), held_out, list(systems))


def test_average_of_a_tasks_datasets():
    found = run()
    averages = found[found["dataset"] == "average"].set_index(["system", "task"])
    # the mean of the datasets, not weighted by n: (80 + 50) / 2 = 65, (40 + 20) / 2 = 30
    assert averages.loc[("ruie", "NER"), "f1"] == 65.0
    assert averages.loc[("bm25", "NER"), "f1"] == 30.0
    assert averages.loc[("ruie", "RE"), "f1"] == 60.0
    assert averages.loc[("ruie", "NER"), "precision"] == 66.0  # (81 + 51) / 2
    assert averages.loc[("ruie", "NER"), "recall"] == 64.0
    assert averages.loc[("ruie", "NER"), "n"] == 40  # 30 + 10


def test_average_is_the_mean_not_the_median():
    found = run([metric("s", "NER", d, f1) for d, f1 in (("a", 10.0), ("b", 20.0), ("c", 90.0))])
    assert found["f1"].tolist() == [10.0, 20.0, 90.0, 40.0]  # (10 + 20 + 90) / 3


def test_rows_in_order():
    found = run()
    assert list(found.columns) == schemas.RESULTS.names
    assert list(zip(found["system"], found["task"], found["dataset"], strict=True)) == [
        ("ruie", "NER", "film"),
        ("ruie", "NER", "news"),
        ("ruie", "NER", "average"),
        ("ruie", "RE", "conll"),
        ("ruie", "RE", "average"),
        ("bm25", "NER", "film"),
        ("bm25", "NER", "news"),
        ("bm25", "NER", "average"),
        ("bm25", "RE", "conll"),
        ("bm25", "RE", "average"),
    ]


def test_the_average_comes_last_whatever_the_names():
    found = run([metric("s", "NER", d, 1.0) for d in ("zoo", "aaa")], systems=[])
    assert list(found["dataset"]) == ["aaa", "zoo", "average"]


def test_order_of_systems_is_as_given_and_then_by_name():
    rows = [metric(s, "NER", "film", 1.0) for s in ("a", "z", "b", "c")]
    found = run(rows, systems=["z", "b"])
    assert list(dict.fromkeys(found["system"])) == ["z", "b", "a", "c"]
    found = run(rows, systems=[])
    assert list(dict.fromkeys(found["system"])) == ["a", "b", "c", "z"]


def test_models_and_shots_are_averaged_apart():
    rows = [
        metric("s", "NER", "film", f1, llm=llm, k=k)
        for llm, k, f1 in (("x", 8, 10.0), ("x", 2, 20.0), ("y", 8, 40.0))
    ]
    found = run(rows, systems=["s"])
    averages = found[found["dataset"] == "average"]
    assert list(zip(averages["llm"], averages["k"], averages["f1"], strict=True)) == [
        ("x", 2, 20.0),
        ("x", 8, 10.0),
        ("y", 8, 40.0),
    ]


@pytest.mark.parametrize("held_out", [True, False])
def test_held_out_is_a_column(held_out):
    assert set(run(held_out=held_out)["held_out"]) == {held_out}


def test_the_input_is_left_as_it_is():
    frame = pd.DataFrame(ROWS)
    before = frame.copy()
    tables.run(frame, False, ["ruie"])
    pd.testing.assert_frame_equal(frame, before)


def test_a_system_has_the_label_of_its_range_in_every_row():
    frame = pd.DataFrame([*ROWS, metric("none", "NER", "film", 5.0, k=0)])
    found = tables.run(frame, False, [], ranges={"ruie": "mixed", "bm25": "same-task"})
    labels = {name: set(rows["range"]) for name, rows in found.groupby("system")}
    assert labels == {"ruie": {"mixed"}, "bm25": {"same-task"}, "none": {None}}
    assert set(run()["range"]) == {None}


def test_wide():
    found = tables.wide(run())
    assert list(found.columns) == [
        "llm", "k", "system", "NER film", "NER news", "NER average", "RE conll", "RE average",
    ]  # fmt: skip
    assert found.to_numpy().tolist() == [
        ["tiny", 8, "ruie", 50.0, 80.0, 65.0, 60.0, 60.0],
        ["tiny", 8, "bm25", 40.0, 20.0, 30.0, 10.0, 10.0],
    ]


def test_wide_of_systems_with_other_datasets():
    found = tables.wide(run([ROWS[0], ROWS[3]]))
    assert list(found.columns)[3:] == ["NER film", "NER average", "RE conll", "RE average"]
    ruie, bm25 = (found[found["system"] == s].iloc[0] for s in ("ruie", "bm25"))
    assert ruie["RE conll"] == 60.0
    assert pd.isna(ruie["NER film"])
    assert bm25["NER average"] == 40.0


def test_wide_puts_the_average_behind_every_dataset_of_its_task():
    rows = [metric("ruie", "NER", "film", 1.0), metric("bm25", "NER", "news", 2.0)]
    assert list(tables.wide(run(rows)).columns)[3:] == ["NER film", "NER news", "NER average"]


def test_scorers_are_averaged_apart_and_the_first_one_is_shown():
    rows = [
        metric("s", "NER", d, f1, scorer=scorer)
        for scorer, d, f1 in (("strict", "a", 10.0), ("soft", "a", 30.0), ("strict", "b", 20.0),
                              ("soft", "b", 40.0))
    ]  # fmt: skip
    found = run(rows, systems=[])
    assert list(zip(found["scorer"], found["f1"], strict=True)) == [
        ("strict", 10.0), ("strict", 20.0), ("strict", 15.0),
        ("soft", 30.0), ("soft", 40.0), ("soft", 35.0),
    ]  # fmt: skip
    assert tables.wide(found).to_numpy().tolist() == [["tiny", 8, "s", 10.0, 20.0, 15.0]]
    assert tables.wide(found, "soft").to_numpy().tolist() == [["tiny", 8, "s", 30.0, 40.0, 35.0]]


def counts(system, dataset, rows):
    return [
        {**{k: v for k, v in metric(system, "NER", dataset, 0.0).items() if k in
            schemas.COUNTS.names}, "query_id": str(i), "tp": tp, "fp": fp, "fn": fn}
        for i, (tp, fp, fn) in enumerate(rows)
    ]  # fmt: skip


def test_the_average_has_the_interval_of_the_mean_of_its_datasets(tmp_path):
    names = {"film": [(1, 0, 0)] * 5 + [(0, 1, 1)] * 5, "news": [(2, 1, 0)] * 9 + [(0, 0, 4)]}
    rows = [metric("s", "NER", d, f1) for d, f1 in (("film", 50.0), ("news", 400 / 5.5))]
    for name, part in names.items():
        parquet.write(counts("s", name, part), schemas.COUNTS, tmp_path / f"{name}.parquet")
    drawn = tables.resampled([tmp_path / f"{name}.parquet" for name in names], 100, 7)
    found = tables.run(pd.DataFrame(rows), False, [], drawn)
    assert list(found["dataset"]) == ["film", "news", "average"]
    film, news = (bootstrap.replicates(np.array(names[d], float), 100, 7, "NER", d) for d in names)
    low, high = np.percentile((film + news) / 2, [2.5, 97.5])
    # the datasets keep what their metrics say
    assert found["f1_low"].tolist() == pytest.approx([48.0, 400 / 5.5 - 2, low])
    assert found["f1_high"].tolist() == pytest.approx([52.0, 400 / 5.5 + 2, high])


def test_counts_of_some_metrics_alone_are_refused():
    drawn = {("ruie", "tiny", 8, "NER", "film", "strict"): np.zeros(3)}
    with pytest.raises(UserError, match="'bm25'.*has metrics and no counts|'conll'"):
        tables.run(pd.DataFrame(ROWS), False, [], drawn)


def test_without_counts_the_average_has_no_interval():
    found = run()
    averages = found[found["dataset"] == "average"]
    assert averages["f1_low"].isna().all()
    assert averages["f1_high"].isna().all()


def test_metrics_of_others_have_an_average_too():
    rows = [{**metric("x", "NER", "film", 40.0), "system": None, "llm": None, "k": None}]
    frame = pa.Table.from_pylist(rows, schema=schemas.METRICS).to_pandas()
    assert list(tables.run(frame, False, [])["dataset"]) == ["film", "average"]


def test_the_command(tmp_path):
    paths = [str(tmp_path / f"{i}.parquet") for i in range(len(ROWS))]
    for path, metrics in zip(paths, ROWS, strict=True):
        parquet.write([metrics], schemas.METRICS, path)
    out = tmp_path / "out" / "t.parquet"
    tables.main(["--metrics", *paths, "--held-out", "--systems", "ruie", "bm25", "--out", str(out)])
    found = parquet.read(out, schemas.RESULTS)
    expected = pa.Table.from_pandas(run(held_out=True), schemas.RESULTS, preserve_index=False)
    assert found.to_pylist() == expected.to_pylist()
    assert found.num_rows == 10


def test_the_command_takes_ranges(tmp_path, capsys):
    path, out = tmp_path / "m.parquet", tmp_path / "t.parquet"
    parquet.write([ROWS[0]], schemas.METRICS, path)
    words = ["--metrics", str(path), "--out", str(out), "--ranges"]
    tables.main([*words, "ruie=official", "other=mixed"])
    assert parquet.read(out, schemas.RESULTS)["range"].to_pylist() == ["official", "official"]
    for bad in ("ruie=everything", "=mixed", "mixed"):
        with pytest.raises(SystemExit):
            tables.main([*words, bad])
        assert "not of the form SYSTEM=RANGE" in capsys.readouterr().err
