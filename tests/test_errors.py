"""Errors of whole prediction files, with the arithmetic of every count."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import sample, write_examples

from ruie import errors, evaluate, parquet, schemas, scorers
from ruie.cli import UserError
from ruie.error_kinds import FACTS, KINDS, MISSED, RE_ONLY, WRONG


def row(number, prediction, gold, **other):
    return {
        "query_id": f"d/test/{number:06d}",
        "task": "NER",
        "dataset": "d",
        "schema": ["person", "location"],
        "text": "Alice Smith and Bob met in Paris.",
        "query": "",
        "gold": gold,
        "prediction": prediction,
        "system": "bm25",
        "llm": "tiny",
        "k": 2,
        "demonstrations": ["d/train/0", "d/train/1"],
        "finish_reason": "stop",
        "error": None,
        **other,
    }


GOLD = "person: Alice Smith; person: Bob; location: Paris."
POOL = {"d/train/0": "carol sings\nperson: carol", "d/train/1": "no one\nnone"}
#: said 10 (of them right 2), expected 3 + 3 + 3 + 1 + 1 = 11, so 8 wrong and 9 missed
ROWS = [
    # Bob is right; Alice is too short, Paris has the wrong label, Carol is a demonstration's
    row(0, "person: Alice; person: Bob; person: Paris; person: Carol.", GOLD),
    # Paris is right; Dave is nowhere, Bob is cut: two of three missed, Bob by his boundary
    row(1, "location: Paris; person: Dave; person: Bo", GOLD, finish_reason="length"),
    row(2, None, GOLD, error="HTTP 500", finish_reason="error"),
    row(3, "None", "person: he.", text="In @Paris #today he sang."),
    # two words without a label, one label of its own
    row(4, "Sure!\nplace: Paris; location: sang", "person: he.",
        text="In @Paris #today he sang."),
]  # fmt: skip


def table(rows, pool=POOL, **other):
    found = errors.run(rows, pool, **other)
    assert all(set(r) == set(schemas.ERRORS.names) for r in found)
    return {r["kind"]: r for r in found}


def details(found):
    return {d["what"]: d["count"] for d in found["details"]}


def test_counts_of_a_dataset():
    found = table(ROWS)
    assert list(found) == [kind for kind in KINDS if kind not in RE_ONLY]
    assert {k: (r["items"], r["queries"]) for k, r in found.items() if r["queries"]} == {
        "truncated": (1, 1),
        "unparsable": (1, 1),
        "unknown label": (1, 1),
        "wrong label": (1, 1),
        "copied from a demonstration": (1, 1),
        "not in the text": (1, 1),
        "wrong boundary": (1, 1),
        "spurious": (1, 1),
        "missed: wrong label": (1, 1),
        "missed: wrong boundary": (2, 2),
        # Alice in 1, all three in 2, "he" in 3 and 4
        "missed": (6, 4),
        "expected": (11, 5),
        "said": (10, 3),
        "right": (2, 2),
        "no answer": (3, 1),
        "nothing said": (1, 1),
        "cut off": (2, 1),
        "text with special symbols": (3, 2),
        "pronoun expected": (2, 2),
        "pronoun missed": (2, 2),
    }
    assert details(found["unparsable"]) == {"sure!": 1}
    assert details(found["unknown label"]) == {"place": 1}
    assert details(found["wrong label"]) == {"location -> person": 1}
    assert details(found["missed"]) == {"person": 5, "location": 1}
    assert details(found["no answer"]) == {"HTTP 500": 3}
    assert details(found["cut off"]) == {"truncated": 1, "not in the text": 1}
    assert details(found["pronoun missed"]) == {"he": 2}
    # there nothing of 3 is right, elsewhere 2 of 7
    assert details(found["text with special symbols"]) == {
        "wrong here": 3, "right here": 0, "wrong elsewhere": 5, "right elsewhere": 2,
    }  # fmt: skip
    sums = [sum(found[k]["items"] for k in kinds if k in found) for kinds in (WRONG, MISSED)]
    assert sums == [10 - 2, 11 - 2]


def test_examples_show_the_item_and_its_counterpart_or_the_whole_answer():
    found = table(ROWS)
    assert found["wrong label"]["examples"] == [
        {"query_id": "d/test/000000", "said": "person: paris", "gold": "location: paris"}
    ]
    assert found["not in the text"]["examples"] == [
        {"query_id": "d/test/000001", "said": "person: dave", "gold": GOLD}
    ]
    assert found["nothing said"]["examples"] == [
        {"query_id": "d/test/000003", "said": "None", "gold": "person: he"}
    ]
    assert found["said"]["examples"] == []


def test_repeated_output():
    rows = [
        row(0, "person: Bob; person: bob; person: Bob; location: Bob; location: Bob", GOLD),
        row(1, "person: Bob; oh; location: Paris; oh", GOLD),
        row(2, "person: Bob", GOLD),
    ]
    found = table(rows)
    # bob twice more, his wrong label and the piece once more: beside the sums, which are of sets
    assert (found["repeated output"]["items"], found["repeated output"]["queries"]) == (4, 2)
    assert details(found["repeated output"]) == {"person: bob": 2, "location: bob": 1, "oh": 1}
    assert (found["said"]["items"], found["right"]["items"]) == (2 + 3 + 1, 1 + 2 + 1)
    assert sums(found.values()) == (1 + 1 + 0, 2 + 1 + 2)


@pytest.mark.parametrize(
    ("answer", "cut"),
    [
        ("person: Bob; location: Par", 1),
        ("person: Bob\nlocation: Par.", 1),
        ("location: Par", 1),
        ("person: Bob; locat", 1),
        ("location: Par;", 0),
        ("location: Par\n", 0),
        ("location: Par; None", 0),
        ("location: Par; person: Bob", 0),  # cut or not, it is right
        ("location: Par; person: Bob; location: Par", 0),  # said in full before
        ("", 0),
        (None, 0),
    ],
)
def test_where_an_answer_was_cut(answer, cut):
    found = table([row(0, answer, GOLD, finish_reason="length")])
    assert (found["truncated"]["items"], found["cut off"]["queries"]) == (cut, 1)
    assert table([row(0, answer, GOLD)])["truncated"]["items"] == 0


def test_samples_are_drawn_by_seed_and_query():
    rows = [row(i, "person: Dave; person: Erin.", GOLD) for i in range(30)]

    def drawn(seed, samples=5, rows=rows):
        examples = table(rows, seed=seed, samples=samples)["not in the text"]["examples"]
        return [e["query_id"] for e in examples]

    assert len(set(drawn(0))) == 5  # one of a query
    assert drawn(0, 3) == drawn(0)[:3]
    assert drawn(0) != drawn(1)
    assert drawn(0, rows=rows[::-1]) == drawn(0)
    # other queries beside them change nothing but their own places
    assert [q for q in drawn(0, 30) if q in drawn(0, 30, rows[:9])] == drawn(0, 30, rows[:9])


def test_the_most_frequent_details_come_first_and_are_few():
    rows = [row(i, f"person: X{i % 25:02d}{'; person: Y' * (i < 3)}", "None") for i in range(30)]
    found = table(rows)["not in the text"]
    assert found["items"] == 33
    assert len(found["details"]) == errors.DETAILS
    # X00 to X04 are said twice, Y three times; equal ones by name
    expected = ["y", "x00", "x01", "x02", "x03", "x04", "x05"]
    assert [d["what"] for d in found["details"]][:7] == expected


def test_what_cannot_be_told_has_no_row():
    assert "copied from a demonstration" not in table(ROWS, None)
    bare = [{k: v for k, v in r.items() if k not in ("demonstrations", "finish_reason")}
            for r in ROWS]  # fmt: skip
    found = table(bare)
    assert set(KINDS) - set(found) == {
        *RE_ONLY, "truncated", "cut off", "copied from a demonstration",
    }  # fmt: skip
    # what they would have held is of the next kind: Carol and Dave, and "bo", a part of Bob
    assert found["not in the text"]["items"] == 2
    assert found["wrong boundary"]["items"] == 2
    # a run without demonstrations has them, and copies nothing
    assert table([row(0, "None", GOLD, demonstrations=[])])[errors.COPIED]["items"] == 0


def test_a_row_for_each_key_in_order():
    rows = [*ROWS, row(0, "None", "None", dataset="c"), row(0, "None", GOLD, k=None, system=None)]
    found = errors.run(rows, POOL)
    keys = list(dict.fromkeys(tuple(r[k] for k in evaluate.KEYS) for r in found))
    assert keys == [
        (None, "tiny", None, "NER", "d"), ("bm25", "tiny", 2, "NER", "c"),
        ("bm25", "tiny", 2, "NER", "d"),
    ]  # fmt: skip


def test_faults():
    with pytest.raises(UserError, match="no prediction"):
        errors.run([])
    with pytest.raises(UserError, match=r"d/test/000000: task 'POS' is none of"):
        errors.run([row(0, "", "", task="POS")])
    with pytest.raises(UserError, match=r"d/test/000000: comes twice under"):
        errors.run([ROWS[0], ROWS[0]])
    for ids in (["d/train/9"], 7, "d/train/0", [["d/train/0"]], {"d": 1}):
        with pytest.raises(UserError, match=r"not ids of --pool"):
            errors.run([row(0, "", "", demonstrations=ids)], POOL)


def strict(rows):
    """False positives and false negatives of the strict scorer: items are sets."""
    fp = fn = 0
    for r in rows:
        answers = ("" if r.get("error") else r["prediction"] or "", r["gold"])
        said, true = (set(scorers.parse(a, r["task"], r["schema"], r["text"])) for a in answers)
        fp, fn = fp + len(said - true), fn + len(true - said)
    return fp, fn


def sums(found):
    return tuple(sum(r["items"] for r in found if r["kind"] in kinds) for kinds in (WRONG, MISSED))


def check_subsets(found):
    """Facts that are parts of something are no more than it."""
    by = {r["kind"]: r["items"] for r in found}
    assert by["said"] - by["right"] == sums(found)[0]
    assert by["expected"] - by["right"] == sums(found)[1]
    assert by["pronoun missed"] <= min(by["missed"], by["pronoun expected"])
    assert by["text with special symbols"] <= by["said"] - by["right"]
    assert by["no answer"] + by["nothing said"] <= by["expected"]


def test_sums_are_those_of_the_strict_scorer_on_real_predictions(shared):
    paths = sorted((shared / "parity/scorer").glob("*.jsonl"))
    assert len(paths) == 10
    rows = [r for path in paths for r in evaluate.read(path)]
    found = errors.run(rows)
    assert sums(found) == strict(rows)
    assert min(sums(found)) > 1000
    for dataset in {(r["task"], r["dataset"]) for r in found}:
        check_subsets([r for r in found if (r["task"], r["dataset"]) == dataset])


PIECES = st.sampled_from([
    "person: Alice", "person: Bob", "PERSON :alice smith", "location: Paris", "knows: Alice, Bob",
    "knows: Bob", "knows: , ", "person:", ": Bob", "animal: Bob", "None", "he", "person: he, she",
    "person: Carol", "http://x.y", "😀: 😀", "İ: ǰ", "\ud800: person", "person: \udfff", "\x00",
])  # fmt: skip
ANSWERS = st.lists(
    st.tuples(PIECES, st.sampled_from(["; ", "\n", ";", " ", ". "])), max_size=6
).map(lambda parts: "".join(piece + gap for piece, gap in parts))
TEXTS = st.sampled_from(
    ["", "Alice Smith and Bob", "@he #she Bob, Alice", "İ 😀 \ud800 北京", "Bob " * 9]
)


@settings(max_examples=150)
@given(st.lists(
    st.tuples(ANSWERS | st.text(max_size=30), ANSWERS, TEXTS, st.sampled_from(["NER", "RE", "EEA"]),
              st.sampled_from([None, "stop", "length", 3]), st.sampled_from([None, "", "failed"]),
              st.sampled_from([None, [], ["d/train/0"]])),
    min_size=1, max_size=4,
), st.randoms(use_true_random=False))  # fmt: skip
def test_wild_answers_are_counted_in_any_order(tmp_path_factory, drawn, lots):
    names = ("text", "task", "finish_reason", "error", "demonstrations")
    rows = [
        row(i, said, gold, schema=["person", "knows", "", "😀"])
        | dict(zip(names, rest, strict=True))
        for i, (said, gold, *rest) in enumerate(drawn)
    ]
    found = errors.run(rows, POOL)
    assert sums(found) == strict(rows)
    for task in {r["task"] for r in rows}:
        check_subsets([r for r in found if r["task"] == task])
    lots.shuffle(rows)
    assert errors.run(rows, POOL) == found
    parquet.write(found, schemas.ERRORS, tmp_path_factory.getbasetemp() / "wild.parquet")


@pytest.fixture
def files(tmp_path):
    """The rows in two files, and a pool that holds their demonstrations."""
    write_examples(
        [sample("d/train/0", "Carol sings", ("person", "Carol")), sample("d/train/1", "No one")],
        tmp_path / "pool.parquet",
    )
    for name, rows in {"a": ROWS[:3], "b": ROWS[3:]}.items():
        lines = "".join(json.dumps(r) + "\n" for r in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    return tmp_path


def command(folder, *words):
    errors.main([str(folder / w) if "." in w else w for w in words])


def test_the_command(files):
    pool = ["--pool", "pool.parquet"]
    command(files, "--predictions", "a.jsonl", "b.jsonl", *pool, "--out", "1.parquet",
            "--markdown", "1.md")  # fmt: skip
    command(files, "--predictions", "b.jsonl", "a.jsonl", *pool, "--out", "2.parquet",
            "--markdown", "2.md")  # fmt: skip
    assert (files / "1.parquet").read_bytes() == (files / "2.parquet").read_bytes()
    assert (files / "1.md").read_bytes() == (files / "2.md").read_bytes()
    found = parquet.read(files / "1.parquet", schemas.ERRORS).to_pylist()
    assert found == errors.run(ROWS, POOL)
    whole = [{**dict.fromkeys(schemas.PREDICTIONS.names), **r} for r in ROWS]
    parquet.write(whole, schemas.PREDICTIONS, files / "ab.parquet")
    command(files, "--predictions", "ab.parquet", *pool, "--out", "3.parquet")
    assert (files / "3.parquet").read_bytes() == (files / "1.parquet").read_bytes()
    assert {"truncated", "cut off", "copied from a demonstration"} <= {r["kind"] for r in found}
    assert set(FACTS) <= {r["kind"] for r in found}


def test_a_page_of_many_tables(files):
    other = [json.dumps({**r, "dataset": "c"}) for r in ROWS[:3]]
    (files / "c.jsonl").write_text("\n".join(other))
    for name, predictions in {"d": ["a.jsonl", "b.jsonl"], "c": ["c.jsonl"]}.items():
        command(files, "--predictions", *predictions, "--out", f"{name}.parquet")
    command(files, "--predictions", "a.jsonl", "b.jsonl", "c.jsonl", "--markdown", "all.md")
    command(files, "--tables", "d.parquet", "c.parquet", "--markdown", "page.md")
    assert (files / "page.md").read_bytes() == (files / "all.md").read_bytes()
    with pytest.raises(UserError, match=r"'d', 'truncated'\) stands in two tables"):
        command(files, "--tables", "d.parquet", "d.parquet", "--markdown", "page.md")
    with pytest.raises(UserError, match="columns .* are missing"):
        command(files, "--tables", "pool.parquet", "--markdown", "page.md")


def test_what_the_command_refuses(files, capsys):
    for words in (
        ["--predictions", "a.jsonl"],
        ["--out", "o.parquet"],
        ["--predictions", "a.jsonl", "--tables", "a.parquet", "--out", "o.parquet"],
        ["--predictions", "a.jsonl", "--out", "o.parquet", "--samples", "0"],
    ):
        with pytest.raises(SystemExit):
            command(files, *words)
    assert "give --out or --markdown" in capsys.readouterr().err
    with pytest.raises(UserError, match="no such file"):
        command(files, "--predictions", "gone.jsonl", "--out", "o.parquet")
    assert not (files / "o.parquet").exists()
