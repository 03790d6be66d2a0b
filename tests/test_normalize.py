"""One split of one dataset into the EXAMPLES and REPORT tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ruie import examples, normalize, parquet, readers, schemas
from ruie.cli import UserError

RECORDS = [
    {
        "sentence": "Alice met Alice.",
        "entities": [
            {"name": "Alice", "type": "person", "pos": [0, 5]},
            {"name": "Alice", "type": "person", "pos": [10, 15]},
        ],
    },
    {"sentence": "Nobody came.", "entities": []},
    {"sentence": "Nobody came.", "entities": []},
    {"sentence": "Bob ran.", "entities": [{"name": "Bob", "type": "person", "pos": [0, 3]}]},
]


def put(folder: Path, records, labels=("person",)) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "test.json").write_text(json.dumps(records))
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


def run(folder: Path, task="NER", repair=False, max_bad=normalize.MAX_BAD):
    source = readers.Source(folder, task, "people", "test")
    out = folder / "out.parquet"
    report = normalize.run(source, "ie_instructions", out, repair, max_bad)
    return parquet.read(out, schemas.EXAMPLES), {
        r["what"]: (r["count"], r["example"]) for r in report
    }


def test_table_and_report(tmp_path):
    table, report = run(put(tmp_path / "d", RECORDS))
    assert table.schema.equals(schemas.EXAMPLES)
    assert table["id"].to_pylist() == [f"people/test/00000{i}" for i in range(4)]
    assert table["answer"].to_pylist() == [
        "person: Alice; person: Alice.", "None", "None", "person: Bob.",
    ]  # fmt: skip
    assert report == {
        "records": (4, ""),
        "instances": (4, ""),
        "records left out": (0, ""),
        "bad records": (0, ""),
        "annotations": (3, ""),  # 2 + 0 + 0 + 1
        "instances without annotation": (2, ""),
        "duplicates": (1, ""),  # the second "Nobody came."; both stay in the table
    }


def test_repaired_faults_are_in_the_report_with_the_first_of_their_kind(tmp_path):
    wrong = {"name": "Bob", "type": "person", "pos": [1, 4]}
    odd = {"name": "Bob", "type": "dog", "pos": [0, 3]}
    records = [*RECORDS, *[{"sentence": "Bob ran.", "entities": [wrong, odd]}] * 2]
    _, report = run(put(tmp_path / "d", records), repair=True, max_bad=1)
    where = f"{tmp_path / 'd' / 'test.json'}#4"
    assert report["wrong offsets (found by literal search)"] == (
        2,
        f"{where}: span 'Bob' does not stand at [1, 4]",
    )
    assert report["unknown label 'dog' (annotation left out)"] == (
        2,
        f"{where}: 'dog' is not in the schema",
    )
    assert report["instances"] == report["records"] == (6, "")
    assert report["bad records"] == (
        2,
        f"{where}: unknown label 'dog': 'dog' is not in the schema",
    )
    assert report["annotations"] == (5, "")  # 3 as before and Bob twice


def test_eea_records_of_one_sentence_differ_by_their_event(tmp_path):
    def record(trigger, start):
        event = {"type": "move", "trigger": trigger, "pos": [start, start + 3], "arguments": []}
        return {"sentence": "Bob ran and hid.", "events": [event]}

    records = [record("ran", 4), record("hid", 12), record("hid", 12)]
    _, report = run(put(tmp_path / "d", records, {"move": ["who"]}), "EEA")
    assert report["duplicates"] == (1, "")


def test_a_split_without_instances(tmp_path):
    for records, repair in (([], False), ([{"sentence": " ", "entities": []}], True)):
        with pytest.raises(UserError, match="split 'test' holds no instance; provide one") as error:
            run(put(tmp_path / "d", records), repair=repair)
        assert str(tmp_path / "d") in str(error.value)
        assert "\n" not in str(error.value)


def test_too_many_bad_records(tmp_path):
    """19 good records and one that loses its annotation: 5 % are bad, which is not too much."""
    odd = {"sentence": "Bob ran.", "entities": [{"name": "Bob", "type": "dog", "pos": [0, 3]}]}
    good, out = [RECORDS[0]] * 19, tmp_path / "d" / "out.parquet"
    run(put(tmp_path / "d", [*good, odd]), repair=True)
    assert out.exists()
    out.unlink()
    with pytest.raises(UserError) as error:
        run(put(tmp_path / "d", [*good, odd, {"sentence": " ", "entities": []}]), repair=True)
    folder = tmp_path / "d"
    assert str(error.value) == (
        f"{folder}: split 'test': 2 of 21 records (9.5%) are bad, more than 5.0%: 1 left out, the "
        "others lost an annotation; correct the data or raise datasets.max_bad (--max-bad by "
        f"hand); the first: {folder / 'test.json'}#19: unknown label 'dog': 'dog' is not in the "
        "schema"
    )
    assert not [p for p in folder.iterdir() if "parquet" in p.name]
    run(folder, repair=True, max_bad=2 / 21)
    with pytest.raises(UserError, match="2 of 21 records"):
        run(folder, repair=True, max_bad=0)


def test_the_limit_of_the_command(tmp_path):
    folder = put(tmp_path / "d", [*RECORDS, {"sentence": "", "entities": []}])
    command = ["--task", "NER", "--input", str(folder), "--split", "test", "--repair", "--out",
               str(tmp_path / "o.parquet")]  # fmt: skip
    with pytest.raises(UserError, match=r"1 of 5 records \(20.0%\) are bad, more than 5.0%"):
        normalize.main(command)
    normalize.main([*command, "--max-bad", "0.2"])
    for share in ("-0.1", "1.1", "nan", "few"):
        with pytest.raises(SystemExit):
            normalize.main([*command, "--max-bad", share])


def test_the_command_writes_both_tables(tmp_path):
    folder = put(tmp_path / "people", RECORDS)
    out, report = tmp_path / "out" / "e.parquet", tmp_path / "out" / "r.parquet"
    normalize.main(
        ["--task", "NER", "--input", str(folder), "--split", "test", "--out", str(out),
         "--report", str(report)]
    )  # fmt: skip
    found = examples.read(out)
    assert [e.dataset for e in found] == ["people"] * 4
    rows = parquet.read(report, schemas.REPORT).to_pylist()
    assert {r["what"]: r["count"] for r in rows}["instances"] == 4
    assert {(r["dataset"], r["task"], r["split"]) for r in rows} == {("people", "NER", "test")}


def test_the_command_repairs_only_when_asked(tmp_path):
    wrong = {"name": "Bob", "type": "person", "pos": [1, 4]}
    folder = put(tmp_path / "people", [{"sentence": "Bob ran.", "entities": [wrong]}])
    out = tmp_path / "e.parquet"
    command = ["--task", "NER", "--input", str(folder), "--split", "test", "--out", str(out)]
    with pytest.raises(UserError, match=r"test\.json#0: wrong offsets.*--repair"):
        normalize.main(command)
    assert not out.exists()
    normalize.main([*command, "--repair"])
    assert examples.read(out)[0].annotations[0].spans[0].start == 0


def test_the_datasets_name_is_the_whole_folder_name(tmp_path):
    folder, out = put(tmp_path / "tweets v1.2", RECORDS), tmp_path / "e.parquet"
    normalize.main(["--task", "NER", "--input", str(folder), "--split", "test", "--out", str(out)])
    assert examples.read(out)[0].dataset == "tweets v1.2"


def test_the_given_name_goes_before_the_folders(tmp_path):
    folder, out = put(tmp_path / "d", RECORDS), tmp_path / "e.parquet"
    normalize.main(
        ["--task", "NER", "--input", str(folder), "--split", "test", "--dataset", "mine",
         "--out", str(out)]
    )  # fmt: skip
    assert examples.read(out)[0].id == "mine/test/000000"


def test_a_split_of_another_name_is_refused(tmp_path, capsys):
    command = ["--task", "NER", "--input", str(tmp_path), "--out", str(tmp_path / "o.parquet")]
    with pytest.raises(SystemExit):
        normalize.main([*command, "--split", "tset"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert "argument --split: invalid choice: 'tset' (choose from 'train', 'dev', 'test')" in said
