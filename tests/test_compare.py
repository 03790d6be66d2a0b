"""Systems against a reference."""

from __future__ import annotations

import numpy as np
import pytest

from ruie import compare, parquet, schemas, tables
from ruie.cli import UserError


def counts(system, dataset, rows, k=4, task="NER", scorer="strict", llm="lm"):
    return [
        {"query_id": f"q{i:03d}", "system": system, "llm": llm, "k": k, "task": task,
         "dataset": dataset, "scorer": scorer, "tp": tp, "fp": fp, "fn": fn}
        for i, (tp, fp, fn) in enumerate(rows)
    ]  # fmt: skip


GOOD = [(2, 0, 0)] * 30 + [(1, 1, 1)] * 10  # tp 70, fp 10, fn 10: F1 87.5
POOR = [(1, 1, 1)] * 30 + [(0, 0, 2)] * 10  # tp 30, fp 30, fn 50: F1 60 / 140 = 42.86
SAME = GOOD[::-1]


def run(tmp_path, *parts, reference="ruie", resamples=200, more=()):
    paths = []
    for i, part in enumerate(parts):
        paths.append(str(tmp_path / f"{i}.parquet"))
        parquet.write(part, schemas.COUNTS, paths[-1])
    out = tmp_path / "out.parquet"
    compare.main(
        ["--counts", *paths, "--reference", reference, "--resamples", str(resamples), "--out",
         str(out), *more]
    )  # fmt: skip
    return parquet.read(out, schemas.COMPARISONS).to_pylist()


def test_a_difference_with_its_interval_and_the_average(tmp_path):
    found = run(
        tmp_path,
        counts("ruie", "film", GOOD), counts("bm25", "film", POOR),
        counts("ruie", "news", GOOD), counts("bm25", "news", SAME),
    )  # fmt: skip
    film, news, average = found
    assert [r["dataset"] for r in found] == ["film", "news", "average"]
    assert {(r["system"], r["reference"], r["k"], r["scorer"]) for r in found} == {
        ("bm25", "ruie", 4, "strict")
    }
    assert film["difference"] == pytest.approx(300 / 7 - 87.5)  # the system minus the reference
    assert film["low"] < film["difference"] < film["high"] < 0
    assert film["p"] == pytest.approx(2 / 201)  # no resample on the other side
    # the same sums over other queries: no difference, but a spread
    assert news["difference"] == pytest.approx(0)
    assert news["low"] < 0 < news["high"]
    assert news["p"] > 0.3
    assert average["difference"] == pytest.approx((300 / 7 - 87.5) / 2)
    assert (film["n"], average["n"]) == (40, 80)
    # the mean of two independent draws is narrower than their mean width
    widths = [r["high"] - r["low"] for r in (film, news)]
    assert average["high"] - average["low"] < sum(widths) / 2


def test_a_system_equal_to_the_reference(tmp_path):
    found = run(tmp_path, counts("ruie", "film", GOOD), counts("bm25", "film", GOOD))
    assert [(r["difference"], r["low"], r["high"], r["p"]) for r in found] == [(0, 0, 0, 1)] * 2


def test_zero_shot_is_compared_at_each_k(tmp_path):
    found = run(
        tmp_path,
        counts("zero_shot", "film", POOR, k=0), counts("ruie", "film", GOOD, k=4),
        counts("ruie", "film", GOOD, k=8), counts("bm25", "film", GOOD, k=8),
    )  # fmt: skip
    assert [(r["k"], r["system"]) for r in found if r["dataset"] == "film"] == [
        (4, "zero_shot"), (8, "bm25"), (8, "zero_shot"),
    ]  # fmt: skip


def test_scorers_and_models_are_compared_apart(tmp_path):
    parts = [
        counts(system, "film", GOOD, scorer=scorer, llm=llm)
        for system in ("ruie", "bm25")
        for scorer in ("strict", "soft")
        for llm in ("a", "b")
    ]
    found = run(tmp_path, *parts)
    assert [(r["scorer"], r["llm"]) for r in found if r["dataset"] == "film"] == [
        ("soft", "a"), ("soft", "b"), ("strict", "a"), ("strict", "b"),
    ]  # fmt: skip


def test_an_average_for_each_task_and_one_of_these(tmp_path):
    parts = [
        counts(system, dataset, GOOD if system == "ruie" or dataset == "law" else POOR, task=task)
        for system in ("ruie", "bm25")
        for task, dataset in (("RE", "film"), ("NER", "film"), ("NER", "law"), ("NER", "news"))
    ]
    found = run(tmp_path, *parts)
    assert [(r["task"], r["dataset"]) for r in found] == [
        ("NER", "film"), ("NER", "law"), ("NER", "news"), ("NER", "average"),
        ("RE", "film"), ("RE", "average"), ("all", "average"),
    ]  # fmt: skip
    # two of NER's three datasets differ, and RE's one: each task counts alike, not each dataset
    one = 300 / 7 - 87.5
    assert found[-1]["difference"] == pytest.approx((2 / 3 * one + one) / 2)
    assert found[-1]["low"] < found[-1]["difference"] < found[-1]["high"] < 0
    assert found[-1]["n"] == 160


def test_without_resamples_there_is_a_difference_alone(tmp_path):
    parts = counts("ruie", "film", GOOD), counts("bm25", "film", POOR)
    for row in run(tmp_path, *parts, resamples=0):
        assert row["difference"] == pytest.approx(300 / 7 - 87.5)
        assert row["low"] is row["high"] is row["p"] is None


def test_files_and_rows_in_any_order_give_the_same_bytes(tmp_path):
    parts = [counts("ruie", "film", GOOD), counts("bm25", "film", SAME), counts("a", "film", POOR)]
    written = []
    for order in (parts, [part[::-1] for part in parts[::-1]]):
        run(tmp_path, *order)
        written.append((tmp_path / "out.parquet").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([counts("ruie", "film", GOOD), counts("bm25", "film", GOOD[1:])],
         r"NER film \(k = 4\): bm25 has not answered q039, ruie has"),
        ([counts("ruie", "film", GOOD[1:]), counts("bm25", "film", GOOD)],
         "ruie has not answered q039, bm25 has"),
        ([counts("ruie", "film", GOOD), counts("bm25", "news", GOOD)],
         "NER film .*bm25 has not answered q000"),
        ([counts("bm25", "film", GOOD)], r"--reference ruie: is none of \['bm25'\]"),
        ([counts("ruie", "film", GOOD)] * 2, "has counts for NER film already"),
        ([counts("ruie", "film", GOOD) * 2], "q000 comes twice in one run"),
        ([counts("ruie", "film", [(1, -1, 0)])], "a count is missing or less than 0"),
        ([counts("ruie", "film", [(1, None, 0)])], "a count is missing or less than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(tmp_path, parts, said):
    with pytest.raises(UserError, match=said) as error:
        run(tmp_path, *parts)
    assert "\n" not in str(error.value)


def test_runs_without_a_name_are_systems_too(tmp_path):
    found = run(tmp_path, counts("ruie", "film", GOOD), counts(None, "film", GOOD))
    assert [r["system"] for r in found] == [None, None]


def test_the_average_is_drawn_as_in_the_result_table(tmp_path):
    path = tmp_path / "c.parquet"
    parquet.write(counts("ruie", "film", GOOD), schemas.COUNTS, path)
    drawn = tables.resampled([path], 50, 0)
    assert list(drawn) == [("ruie", "lm", 4, "NER", "film", "strict")]
    assert np.mean(next(iter(drawn.values()))) == pytest.approx(87.5, abs=2)


def test_the_side_of_the_datasets_is_said(tmp_path):
    parts = (counts("ruie", "film", GOOD), counts("bm25", "film", POOR))
    for more, held_out in (((), False), (("--held-out",), True)):
        assert {r["held_out"] for r in run(tmp_path, *parts, more=more)} == {held_out}
