"""Leakage: exact duplicates, near-duplicates by Jaccard similarity, and nothing missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import sample, write_examples

from ruie import examples, normalize, overlap, parquet, schemas
from ruie.cli import UserError
from ruie.overlap import TestSet

NINE = "a b c d e f g h i"  # nine words, five 5-grams
TEN = NINE + " j"  # their five and one more: J = 5/6
ELEVEN = TEN + " k"  # J(NINE, ELEVEN) = 5/7, below 0.8; J(TEN, ELEVEN) = 6/7


def run(tests, training, n=5, threshold=0.8):
    sets = {
        name: TestSet(held_out, [f"{name}/test/{i}" for i in range(len(texts))], texts)
        for name, (held_out, texts) in tests.items()
    }
    rows = ((d, f"{d}/train/{i}", t) for d, texts in training.items() for i, t in enumerate(texts))
    return overlap.run(sets, {"training": rows}, n, threshold)


def counts(found):
    return {(r["dataset"], r["found_in"]): (r["n"], r["exact"], r["near"]) for r in found}


def test_grams():
    assert overlap.grams("a b c d e, f.", 5) == {tuple("abcde"), tuple("bcdef")}
    assert overlap.grams("a b", 5) == {("a", "b")}
    assert overlap.grams("a b c", 3) == {("a", "b", "c")}
    assert overlap.grams(" ... ", 5) == set()


def test_exact_and_near_are_counted_apart():
    tests = {"x": (True, [NINE, TEN, "nothing like it", "..."])}
    found = run(tests, {"one": [NINE.upper() + " "], "two": ["...", ELEVEN]})
    # NINE is exact in one, and nothing near in two (5/7). TEN is near in both: 5/6 and 6/7.
    assert counts(found) == {
        ("x", None): (4, 2, 1),
        ("x", "one"): (4, 1, 1),
        ("x", "two"): (4, 1, 1),
    }
    assert all(r["held_out"] for r in found)
    assert [r["found_in"] for r in found] == [None, "one", "two"]
    assert found[0]["examples"] == [
        {"test_id": "x/test/0", "train_id": "one/train/0", "similarity": 1.0},
        {"test_id": "x/test/1", "train_id": "two/train/1", "similarity": pytest.approx(6 / 7)},
        {"test_id": "x/test/3", "train_id": "two/train/0", "similarity": 1.0},
    ]


def test_the_threshold_is_reached_by_equality():
    five_of_six = {"one": [TEN]}
    assert run({"x": (False, [NINE])}, five_of_six, threshold=5 / 6)[0]["near"] == 1
    assert run({"x": (False, [NINE])}, five_of_six, threshold=0.834)[0]["near"] == 0


def test_rounding_hides_no_near_duplicate():
    """0.55 * 100 is a little above 55. Of 100 words that are equally rare the first 46 must be
    indexed, for the last 55 to be found: J = 55/100."""
    words = [f"w{i:02d}" for i in range(100)]
    tests, training = {"x": (False, [" ".join(words)])}, {"t": [" ".join(words[45:])]}
    assert run(tests, training, n=1, threshold=0.55)[0]["near"] == 1


def test_other_spacing_of_punctuation_is_near():
    found = run(
        {"x": (False, ["Zoë ’s bar ( Rome ) closed ."])}, {"t": ["Zoë’s bar (Rome) closed."]}
    )
    assert counts(found)["x", "t"] == (1, 0, 1)
    assert found[0]["examples"][0]["similarity"] == 1.0


def test_a_test_set_without_overlap_has_its_row():
    assert counts(run({"x": (False, [NINE])}, {"t": ["other words"]})) == {("x", None): (1, 0, 0)}


def test_demonstrations_are_counted_apart():
    """x is held out: its own training set is in the pool, and nothing learns from it."""
    sets = {"x": TestSet(True, ["x/test/0", "x/test/1"], [NINE, ELEVEN])}
    uses = {
        "training": [("a", "a/train/0", NINE)],
        "demonstrations": [("x", "x/train/0", TEN), ("y", "y/train/0", "nothing like it")],
    }
    found = overlap.run(sets, uses, 5, 0.8)
    # TEN is near both, 5/6 and 6/7; NINE and ELEVEN are not near each other
    assert [(r["use"], r["found_in"], r["exact"], r["near"]) for r in found] == [
        ("training", None, 1, 0),
        ("training", "a", 1, 0),
        ("demonstrations", None, 0, 2),
        ("demonstrations", "x", 0, 2),
    ]
    assert {e["train_id"] for e in found[2]["examples"]} == {"x/train/0"}


def test_repeated_instances_count_each_and_examples_are_few():
    found = run({"x": (False, [NINE] * 5), "y": (True, [NINE])}, {"x": [NINE, NINE]})
    assert counts(found)["x", "x"] == (5, 5, 0)
    assert counts(found)["y", "x"] == (1, 1, 0)
    assert [e["test_id"] for e in found[0]["examples"]] == ["x/test/0", "x/test/1", "x/test/2"]
    assert {e["train_id"] for e in found[0]["examples"]} == {"x/train/0"}  # the first of equals


TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=12).map(" ".join), max_size=8)


@given(TEXTS, TEXTS, st.integers(1, 4), st.sampled_from([0.1, 0.3, 0.55, 0.7, 0.8, 1.0]))
def test_it_finds_what_comparing_all_pairs_finds(tests, training, n, threshold):
    exact = near = 0
    for test in tests:
        mine, found = overlap.grams(examples.evened(test), n), False
        for other in training:
            theirs = overlap.grams(examples.evened(other), n)
            found |= bool(mine & theirs) and len(mine & theirs) / len(mine | theirs) >= threshold
        same = examples.evened(test) in map(examples.evened, training)
        exact += same
        near += found and not same
    found = run({"x": (False, tests)}, {"t": training}, n, threshold)
    assert (found[0]["exact"], found[0]["near"]) == (exact, near)


def test_the_command(tmp_path):
    def put(name, *members):
        made = [sample(f"{d}/{i}", text, dataset=d) for i, (d, text) in enumerate(members)]
        return str(write_examples(made, tmp_path / f"{name}.parquet"))

    train = put("train", ("a", NINE), ("b", TEN))
    inside, outside, out = put("in", ("a", TEN)), put("out", ("c", NINE)), tmp_path / "o.parquet"
    command = ["--trained", train, "--held-in", inside, "--held-out", outside, "--out", str(out)]
    overlap.main(command)
    rows = parquet.read(out, schemas.OVERLAP).to_pylist()
    assert counts(rows) == {
        ("a", None): (1, 1, 0),
        ("a", "a"): (1, 0, 1),
        ("a", "b"): (1, 1, 0),
        ("c", None): (1, 1, 0),
        ("c", "a"): (1, 1, 0),
        ("c", "b"): (1, 0, 1),
    }
    assert [r["held_out"] for r in rows] == [False] * 3 + [True] * 3
    first = out.read_bytes()
    overlap.main(command)
    assert out.read_bytes() == first
    overlap.main([*command, "--threshold", "0.9"])  # 5/6 is no near-duplicate any more
    assert [r["near"] for r in parquet.read(out, schemas.OVERLAP).to_pylist()] == [0] * 4
    text = overlap.render(rows)
    assert "| a | held in | 1 | training | b | 1 | 0 | a/0 = b/1 (1.00) |" in text
    assert "| c | held out | 1 | training | all | 1 | 0 |  |" in text
    pool = put("pool", ("c", NINE), ("d", "other words"))
    overlap.main([*command, "--demonstrations", pool])
    rows = parquet.read(out, schemas.OVERLAP).to_pylist()
    assert [(r["dataset"], r["found_in"], r["exact"], r["near"]) for r in rows
            if r["use"] == "demonstrations"] == [
        ("a", None, 0, 1), ("a", "c", 0, 1), ("c", None, 1, 0), ("c", "c", 1, 0),
    ]  # fmt: skip
    assert "| c | held out | 1 | demonstrations | c | 1 | 0 | c/0 = c/0 (1.00) |" in (
        overlap.render(rows)
    )


def test_real_datasets_made_from_the_same_reports(tmp_path, shared):
    """PHEE annotates case reports that the ADE corpus holds too, spaced another way: of its 300
    test sentences 113 are near-duplicates of ADE's training sentences, and none is exact."""
    tables = {"EET/PHEE": "test", "RE/ADE_corpus": "train"}
    for name, split in tables.items():
        task, dataset = name.split("/")
        folder, out = shared / "data/ie" / name, tmp_path / f"{dataset}.parquet"
        normalize.main(
            ["--task", task, "--input", str(folder), "--split", split, "--out", str(out)]
        )
    tests = overlap.read_tests([tmp_path / "PHEE.parquet"], [])
    found = overlap.run(
        tests, {"training": overlap.rows([tmp_path / "ADE_corpus.parquet"])}, 5, 0.8
    )
    assert counts(found)["PHEE", "ADE_corpus"] == (300, 0, 113)


def test_faults_of_the_command(tmp_path):
    table = str(write_examples([sample("a/0", NINE, dataset="a")], tmp_path / "a.parquet"))
    out = ["--out", str(tmp_path / "o.parquet")]
    with pytest.raises(UserError, match="no test set"):
        overlap.main(["--trained", table, *out])
    with pytest.raises(UserError, match="a is both --held-in and --held-out"):
        overlap.main(["--trained", table, "--held-in", table, "--held-out", table, *out])
    for threshold in ("0", "1.1", "nan", "x"):
        with pytest.raises(SystemExit):
            overlap.main(["--trained", table, "--held-in", table, "--threshold", threshold, *out])
    assert not (tmp_path / "o.parquet").exists()
