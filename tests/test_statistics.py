"""Table 11: what is counted, and what it is compared with."""

from __future__ import annotations

import pytest
import yaml
from tiny import sample, write_examples

from ruie import normalize, parquet, schemas, statistics
from ruie.cli import UserError


def put(tmp_path, dataset, split, *members):
    """Write one table; ``members``: samples, which get the dataset's ids."""

    made = [
        e._replace(dataset=dataset, split=split, id=f"{dataset}/{split}/{i}")
        for i, e in enumerate(members)
    ]
    return write_examples(made, tmp_path / f"{dataset}-{split}.parquet")


def row(name, task, held_out=False, **paper):
    return {"name": name, "task": task, "held_out": held_out} | ({"paper": paper} if paper else {})


def run(paths, *rows):
    found = statistics.run(statistics.count(paths), {r["name"]: r for r in rows})
    return {(r["dataset"], r["what"]): (r["ours"], r["paper"], r["difference"]) for r in found}


def eae(kind, trigger, *found, roles):
    return sample(
        "", "Ana sued Bo in Rome.", *found, task="EEA", schema=roles, event=(kind, trigger)
    )


def test_named_entities(tmp_path):
    ana = sample("", "Ana left.", ("person", "Ana"))
    paths = [put(tmp_path, "people", "train", ana, ana, ana), put(tmp_path, "people", "test", ana)]
    assert run(paths, row("people", "NER", schema=2, train=5, test=1)) == {
        ("people", "labels"): (2, 2, 0),
        ("people", "train"): (3, 5, -2),
        ("people", "test"): (1, 1, 0),
    }


def test_a_row_without_the_papers_numbers(tmp_path):
    path = put(tmp_path, "people", "test", sample("", "Ana left."))
    expected = {("people", "labels"): (2, None, None), ("people", "test"): (1, None, None)}
    assert run([path], row("people", "NER")) == expected
    held_out = row("people", "NER", True, schema=2, train=None, test=1)
    assert run([path], held_out)["people", "test"] == (1, 1, 0)


def events(tmp_path):
    """Types sue and go with two roles each, "where" shared: 3 roles, 4 pairs. The test set has only
    a sue with its place: 1 type, 1 pair. The training set has one sentence twice."""
    sue = eae("sue", "sued", ("where", "Rome"), roles=("who", "where"))
    go = eae("go", "in", ("where", "Rome"), roles=("where", "whither"))
    return [put(tmp_path, "e", "train", sue, go), put(tmp_path, "e", "test", sue)]


def test_arguments_held_in(tmp_path):
    assert run(events(tmp_path), row("e", "EEA", schema="2(3)", train=1, test=2)) == {
        ("e", "event types"): (2, 2, 0),
        ("e", "event types in test"): (1, None, None),
        ("e", "roles"): (3, 3, 0),
        ("e", "type-role pairs"): (4, None, None),
        ("e", "type-role pairs in test"): (1, None, None),
        ("e", "train"): (2, None, None),
        ("e", "test"): (1, None, None),
        ("e", "train sentences"): (1, 1, 0),  # two events of one sentence
        ("e", "test sentences"): (1, 2, -1),
    }


def test_arguments_held_out(tmp_path):
    found = run(events(tmp_path), row("e", "EEA", True, schema="2(4)", train=None, test=1))
    compared = {what: numbers for (_, what), numbers in found.items() if numbers[1] is not None}
    assert compared == {
        "event types in test": (1, 2, -1),
        "type-role pairs in test": (1, 4, -3),
        "test sentences": (1, 1, 0),
    }


def test_triggers(tmp_path):
    e = sample("", "Ana sued.", ("sue", "sued"), task="EET", schema=("sue", "go"))
    paths = [put(tmp_path, "e", "train", e), put(tmp_path, "e", "test", e)]
    inside = run(paths, row("e", "EET", schema="2(3)", train=1, test=1))
    assert inside == {
        ("e", "event types"): (2, 2, 0),
        ("e", "event types in test"): (1, None, None),
        ("e", "train"): (1, 1, 0),
        ("e", "test"): (1, 1, 0),
    }
    outside = run(paths, row("e", "EET", True, schema="1(3)", train=None, test=1))
    assert outside["e", "event types in test"] == (1, 1, 0)
    assert outside["e", "event types"] == (2, None, None)


def test_a_dataset_that_the_registry_lacks_and_one_that_the_run_lacks(tmp_path):
    path = put(tmp_path, "people", "test", sample("", "Ana left."))
    with pytest.raises(UserError, match=r"\['people'\] are not in the registry"):
        run([path], row("other", "NER"))
    assert {name for name, _ in run([path], row("other", "NER"), row("people", "NER"))} == {
        "people"
    }


def test_one_name_for_two_tasks(tmp_path):
    ner, re = sample("", "Ana left."), sample("", "Ana left.", task="RE")
    paths = [put(tmp_path, "x", "train", ner), put(tmp_path, "x", "test", re)]
    with pytest.raises(UserError, match="dataset 'x' is RE, and NER elsewhere"):
        statistics.count(paths)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [(7, (7, None)), ("7", (7, None)), ("18(104)", (18, 104)), ("5(0)", (5, 0))],
)
def test_the_papers_schema(schema, expected):
    found = statistics.stated(row("x", "EEA", schema=schema, train=None, test=3))
    assert found == {"schema": expected[0], "roles": expected[1], "train": None, "test": 3}


def test_the_command(tmp_path, capsys):
    registry, out = tmp_path / "r.yaml", tmp_path / "s.parquet"
    inside = row("e", "EEA", schema="2(3)", train=1, test=2)
    outside = row("p", "NER", True, schema=2, train=None, test=1000)
    rest = {"path": "x", "format": "bio", "train": True, "evaluate": True, "repair": False}
    registry.write_text(yaml.safe_dump({"datasets": [rest | inside, rest | outside]}))
    paths = [*events(tmp_path), put(tmp_path, "p", "test", sample("", "Ana left."))]
    command = ["--data", *map(str, paths), "--registry", str(registry), "--out", str(out)]
    statistics.main(command)
    printed = capsys.readouterr().out
    assert printed.splitlines()[2:] == [
        "| EEA | e | 2(3) | 2(3) | 1 | 1 | +0 | 1 | 2 | -1 |",
        "| NER | p† | 2 | 2 | – | – | – | 1 | 1,000 | -999 |",
    ]
    assert parquet.read(out, schemas.STATISTICS).num_rows == 9 + 2
    statistics.main([*command, "--markdown", str(tmp_path / "s.md")])
    assert (tmp_path / "s.md").read_text() == printed
    assert capsys.readouterr().out == ""


def test_real_events_have_the_papers_types_and_roles(tmp_path, shared):
    folder, out = shared / "data/ie/EEA/PHEE", tmp_path / "phee.parquet"
    command = ["--task", "EEA", "--input", str(folder), "--split", "train", "--dataset", "phee"]
    normalize.main([*command, "--out", str(out)])
    found = run([out], row("phee", "EEA", schema="2(16)", train=2898, test=968))
    assert found["phee", "event types"] == (2, 2, 0)
    assert found["phee", "roles"] == (16, 16, 0)
    assert found["phee", "type-role pairs"] == (32, None, None)
