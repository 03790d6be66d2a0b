"""Every record accounted for, from the reading to the page."""

from __future__ import annotations

import json

import pytest

from ruie import normalize, parquet, readers, schemas, validation
from ruie.cli import UserError

FACTS = {"records": 10, "instances": 8, "records left out": 2, "bad records": 3, "duplicates": 1}
REASONS = [
    ("empty sentence (record left out)", 2, "record left out"),
    ("unknown label (annotation left out)", 4, "annotation left out"),
    ("wrong offsets (found by literal search)", 5, "mended"),
    ("offsets found by literal search", 6, "noted"),
]


def rows(facts=FACTS, reasons=REASONS, dataset="people"):
    key = {"dataset": dataset, "task": "NER", "split": "test"}
    told = {"bad records": "a.json#1: empty sentence: ''"}
    made = [(what, n, "", told.get(what, "")) for what, n in facts.items()]
    made += [(what, n, outcome, f"a.json#{n}: x|y") for what, n, outcome in reasons]
    return [
        {**key, "what": what, "count": n, "outcome": outcome, "example": example}
        for what, n, outcome, example in made
    ]


def test_one_split():
    (found,) = validation.run(rows())
    reasons = found.pop("reasons")
    assert found == {
        "dataset": "people", "task": "NER", "split": "test", "records": 10, "instances": 8,
        "left_out": 2, "bad": 3, "share_bad": 0.3, "mended": 5, "duplicates": 1,
        "first_bad": "a.json#1: empty sentence: ''",
    }  # fmt: skip
    assert [(r["what"], r["count"], r["outcome"]) for r in reasons] == REASONS
    assert reasons[0]["example"] == "a.json#2: x|y"


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (FACTS | {"records": 11}, REASONS),
        (FACTS | {"records": 9, "records left out": 1}, REASONS),  # two were said to be left out
        (FACTS, REASONS[1:]),
        ({k: v for k, v in FACTS.items() if k != "records"}, REASONS),
        ({"instances": 8}, []),
    ],
)
def test_records_that_do_not_add_up(facts, reasons):
    with pytest.raises(UserError, match="people NER test: the report does not account for every"):
        validation.run(rows(facts, reasons))


def test_a_report_given_twice():
    with pytest.raises(UserError, match="stands twice"):
        validation.run(rows() + rows())


def test_the_page():
    page = validation.render(validation.run(rows() + rows(dataset="more")), statistics="| t |\n")
    assert "2 splits: 20 records read = 16 kept + 4 left out. 6 records (30.00%) are bad" in page
    assert "| NER | more | test | 10 | 8 | 2 | 3 | 30.00% | 5 | 1 |" in page
    assert (
        "| NER | people | test | record left out | empty sentence (record left out) | 2 "
        "| a.json#2: x\\|y |" in page
    )
    assert page.endswith("## Table 11\n\n| t |\n")
    assert "Nothing.\n" in validation.render(
        validation.run(rows({"records": 0, "instances": 0, "records left out": 0, "bad records": 0,
                             "duplicates": 0}, []))
    )  # fmt: skip


def put(folder, task, records, labels):
    folder.mkdir()
    (folder / "test.json").write_text(json.dumps(records))
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


def read(folder, task, labels=None):
    source = readers.Source(folder, task, "people", "test", labels=labels)
    return normalize.run(source, "ie_instructions", folder / "o.parquet", True, max_bad=1)


def test_entities_read_with_every_kind_of_fault(tmp_path):
    bob, odd = {"name": "Bob", "type": "person"}, {"name": "Bob", "type": "dog", "pos": [0, 3]}
    lost = {"name": "Eve", "type": "person", "pos": [0, 3]}
    texts = [
        [{**bob, "pos": [0, 3]}],  # as it should be
        [bob],  # noted: no offsets
        [{**bob, "pos": [1, 4]}],  # mended: wrong offsets
        [odd, lost],  # bad, once: two annotations lost
        [{**bob, "type": "NA"}],  # an annotation left out that is no fault
    ]
    records = [{"sentence": "Bob ran.", "entities": entities} for entities in texts]
    records += [{"sentence": " ", "entities": []}, {"sentence": "No entities."}]  # both left out
    (found,) = validation.run(read(put(tmp_path / "d", "NER", records, ["person"]), "NER"))
    assert (found["records"], found["instances"], found["left_out"]) == (7, 5, 2)
    assert (found["bad"], found["share_bad"], found["mended"]) == (3, 3 / 7, 1)
    assert found["first_bad"].endswith(
        "test.json#3: unknown label 'dog': 'dog' is not in the schema"
    )
    assert {(r["what"], r["outcome"], r["count"]) for r in found["reasons"]} == {
        ("offsets found by literal search", "noted", 1),
        ("wrong offsets (found by literal search)", "mended", 1),
        ("unknown label 'dog' (annotation left out)", "annotation left out", 1),
        ("span not in text (annotation left out)", "annotation left out", 1),
        ("type 'NA' skipped", "annotation left out", 1),
        ("empty sentence (record left out)", "record left out", 1),
        ("unreadable record (record left out)", "record left out", 1),
    }


def test_an_event_that_is_left_out_takes_its_record_along(tmp_path):
    def record(kind, trigger="ran"):
        event = {"type": kind, "trigger": trigger, "pos": [4, 7], "arguments": []}
        return {"sentence": "Bob ran.", "events": [event]}

    records = [record("go"), record("NA"), record("fly"), record("stop"), record("go", "hid")]
    folder = put(tmp_path / "d", "EEA", records, {"go": ["who"], "stop": ["who"]})
    labels = {"go": "go", "who": "who", "stop": None}
    (found,) = validation.run(read(folder, "EEA", labels))
    # "NA" and "stop" are meant to be left out; "fly" and the trigger "hid" are faults
    assert (found["records"], found["instances"], found["left_out"], found["bad"]) == (5, 1, 4, 2)
    assert {r["outcome"] for r in found["reasons"]} == {"record left out"}


def test_the_command(tmp_path, capsys):
    reports = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, name in zip(reports, ("people", "more"), strict=True):
        parquet.write(rows(dataset=name), schemas.REPORT, path)
    numbers = {"dataset": "people", "task": "NER", "held_out": False, "what": "labels", "ours": 2,
               "paper": 3, "difference": -1}  # fmt: skip
    parquet.write([numbers], schemas.STATISTICS, tmp_path / "s.parquet")
    leak = {"dataset": "people", "held_out": True, "n": 8, "use": "training",
            "found_in": None, "exact": 1, "near": 2, "examples": []}  # fmt: skip
    parquet.write([leak], schemas.OVERLAP, tmp_path / "l.parquet")
    out, page = tmp_path / "v.parquet", tmp_path / "v.md"
    validation.main(
        ["--reports", *map(str, reports), "--statistics", str(tmp_path / "s.parquet"), "--overlap",
         str(tmp_path / "l.parquet"), "--out", str(out), "--markdown", str(page)]
    )  # fmt: skip
    assert parquet.read(out, schemas.VALIDATION)["dataset"].to_pylist() == ["people", "more"]
    text = page.read_text()
    assert "| NER | people | 2 | 3 | – | – | – | – | – | – |" in text
    assert "| people | held out | 8 | training | all | 1 | 2 |  |" in text
    validation.main(["--reports", str(reports[0])])
    assert capsys.readouterr().out.startswith("# Data of the run\n\n1 splits: 10 records read")
