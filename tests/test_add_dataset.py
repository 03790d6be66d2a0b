"""From a user's file to a registered dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ruie import add_dataset, readers, registry
from ruie.add_dataset import Shares
from ruie.cli import UserError
from ruie.examples import TASKS

ROW = {
    "name": "mine", "task": "NER", "path": "NER/mine", "format": "ie_instructions",
    "held_out": False, "train": True, "evaluate": True, "repair": False,
}  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder to work in with 40 texts of one person each; each text is there twice."""
    monkeypatch.chdir(tmp_path)
    records = [
        {"text": f"Ana {n % 40} left.", "label": [[0, 3, "person"], [4, 5, "number"]]}
        for n in range(80)
    ]
    Path("own.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def add(*words, name="mine", task="NER", format="doccano", input="own.jsonl"):
    add_dataset.main(
        ["--name", name, "--task", task, "--format", format, "--input", input,
         "--registry", "my.yaml", *map(str, words)]
    )  # fmt: skip


def texts(folder="data/own/NER/mine"):
    return {
        path.stem: [r["sentence"] for r in json.loads(path.read_text())]
        for path in Path(folder).glob("*.json")
        if path.stem != "labels"
    }


def rows():
    return list(registry.load(Path("my.yaml")).values())


def test_a_file_is_split_written_and_registered(own, capsys):
    add("--dev-share", "0.2")
    found = texts()
    assert set(found) == {"train", "dev", "test"}
    assert sum(map(len, found.values())) == 80
    sides = {text: {s for s in found if text in found[s]} for text in sum(found.values(), [])}
    assert len(sides) == 40
    assert all(len(on) == 1 for on in sides.values())
    labels = json.loads(Path("data/own/NER/mine/labels.json").read_text())
    assert labels == ["number", "person"]
    assert rows() == [ROW]
    said = capsys.readouterr().out
    counts = [f"{s:5} {len(found[s])} instances, {2 * len(found[s])} annotations, 0" for s in found]
    assert all(line in said for line in counts)
    assert "labels number 80, person 80\n" in said
    assert said.endswith(
        "    snakemake evaluation --cores 2 --configfile workflow/demo.yaml "
        "data/own/NER/mine/run.yaml\n"
    )


def test_the_run_evaluates_this_dataset_alone(own):
    add("--held-out")
    config = yaml.safe_load(Path("data/own/NER/mine/run.yaml").read_text())
    assert config == {
        "run": "own-mine",
        "datasets": {"registry": "my.yaml", "root": "data/own"},
        "evaluation": {
            "held_out": ["mine"], "held_in": [], "queries_per_dataset": None, "systems": ["bm25"],
        },
    }  # fmt: skip
    assert rows() == [{**ROW, "held_out": True}]


def test_the_split_depends_on_text_and_seed_alone(own):
    add()
    before = texts()
    lines = Path("own.jsonl").read_text().splitlines()
    more = json.dumps({"text": "Bob left.", "label": [[0, 3, "person"]]})
    Path("own.jsonl").write_text("\n".join([more, *reversed(lines)]))
    add("--force")
    after = texts()
    assert all(set(before[split]) <= set(after[split]) for split in before)
    add("--force", "--seed", 43)
    assert any(not set(before[split]) <= set(texts()[split]) for split in before)


@given(st.floats(0, 1), st.floats(0, 1), st.integers())
def test_shares(ner, test, dev, seed):
    shares = Shares(test, min(dev, 1 - test), seed)
    side = shares.side(ner)
    assert side in ("train", "dev", "test")
    assert Shares(1.0, 0.0, seed).side(ner) == "test"
    assert Shares(0.0, 1.0, seed).side(ner) == "dev"
    assert Shares(0.0, 0.0, seed).side(ner) == "train"
    # a larger test set holds the smaller one
    assert side != "test" or Shares(min(1.0, test * 2), 0.0, seed).side(ner) == "test"


def test_a_folder_keeps_its_splits(own, capsys):
    lines = Path("own.jsonl").read_text().splitlines()
    Path("split").mkdir()
    for name, members in {"train": lines[:50], "my-test": lines[50:80], "valid": lines[:3]}.items():
        Path("split", f"{name}.jsonl").write_text("\n".join(members))
    add(input="split")
    assert {s: len(members) for s, members in texts().items()} == {
        "train": 50,
        "test": 30,
        "dev": 3,
    }
    # texts 50..79 are texts 10..39 again, which are among the first 50
    assert "note  30 test instances whose text is in the training set too\n" in (
        capsys.readouterr().out
    )
    Path("split", "my-test.jsonl").unlink()
    with pytest.raises(UserError, match=r"no instance in the test set .* --files, or give one"):
        add(input="split", name="other")
    files = json.dumps({"train": ["train.jsonl"], "test": ["valid.jsonl"]})
    add("--files", files, input="split", name="other")
    assert {s: len(m) for s, m in texts("data/own/NER/other").items()} == {"train": 50, "test": 3}


def test_a_folder_with_a_test_set_alone_can_be_evaluated(own):
    Path("only").mkdir()
    Path("own.jsonl").rename("only/test.jsonl")
    add(input="only")
    assert rows() == [{**ROW, "train": False}]


def test_a_folder_without_splits_is_split(own):
    Path("parts").mkdir()
    lines = Path("own.jsonl").read_text().splitlines()
    for number in range(4):
        Path("parts", f"{number}.jsonl").write_text("\n".join(lines[number::4]))
    add(input="parts")
    assert {s: sorted(members) for s, members in texts().items()} == (
        {s: sorted(members) for s, members in _split_of_one_file().items()}
    )


def _split_of_one_file():
    add(name="one")
    return texts("data/own/NER/one")


def test_labels_are_renamed_and_left_out(own, capsys):
    add("--labels", "person=human,number=")
    assert json.loads(Path("data/own/NER/mine/labels.json").read_text()) == ["human"]
    assert "note  80 x label 'number' left out, as the registry says; the first: own.jsonl#0: " in (
        capsys.readouterr().out
    )


def test_a_bad_record_stops_or_is_repaired(own, capsys):
    with Path("own.jsonl").open("a") as file:
        file.write('\n{"text": "Bob."}\n')
    with pytest.raises(UserError, match=r"own\.jsonl#80: unreadable record: field 'label'"):
        add()
    assert not Path("my.yaml").exists()
    assert not Path("data").exists()
    add("--repair")
    assert sum(map(len, texts().values())) == 80
    assert "note  1 x unreadable record (record left out)" in capsys.readouterr().out


def test_too_many_bad_records_are_refused(own):
    good = Path("own.jsonl").read_text()
    bad = '\n{"text": "Bob."}'
    Path("bad.jsonl").write_text(good + bad * 9)
    # 9 of 80 + 9 records are 10.1 %
    with pytest.raises(UserError, match=r"9 of 89 records \(10\.1%\) are bad, more than 5\.0%"):
        add("--repair", input="bad.jsonl")
    assert not Path("data").exists()
    add("--repair", "--max-bad", "0.102", input="bad.jsonl")
    Path("split").mkdir()
    Path("split/train.jsonl").write_text(good)
    Path("split/test.jsonl").write_text("\n".join(good.splitlines()[:9]) + bad)
    # 1 of 90 altogether, but 1 of 10 of the test set
    with pytest.raises(UserError, match=r"split 'test': 1 of 10 records \(10\.0%\) are bad"):
        add("--repair", input="split", name="other")
    add("--repair", "--max-bad", "0.1", input="split", name="other")


def test_a_file_of_two_splits_is_refused(own):
    Path("data/train_test_split").mkdir(parents=True)
    Path("own.jsonl").rename("data/train_test_split/all.jsonl")
    with pytest.raises(UserError, match="'train_test_split' names the splits test and train"):
        add(input="data")
    files = json.dumps({"train": ["*/*.jsonl"], "test": ["**/all.jsonl"]})
    with pytest.raises(UserError, match=r"all\.jsonl: is a file of train and of test; name the"):
        add("--files", files, input="data")
    assert not Path("data/own").exists()


def test_a_name_that_is_there_is_refused(own):
    add()
    with pytest.raises(UserError, match=r"my\.yaml: the dataset 'mine' is there already.*--force"):
        add()
    Path("my.yaml").unlink()
    with pytest.raises(UserError, match=r"data/own/NER/mine: is there already.*--force"):
        add()
    add("--force")
    add("--force", "--held-out")
    assert rows() == [{**ROW, "held_out": True}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "none.jsonl"], r"none\.jsonl: no such file or folder; correct --input"),
        (["--test-share", "0"], r"no instance in the test set \(80 in all\); provide more texts"),
        (["--test-share", "1"], r"no instance in the train set"),
        (["--test-share", "0.6", "--dev-share", "0.6"], "more than 1 together"),
        (["--task", "EET"], "this format holds no EET; use it for NER, RE"),
        (["--files", "{"], "--files: malformed JSON"),
        (["--files", '["a"]'], "--files: must be like"),
        (["--labels", "person=,number="], "no annotation, so no labels"),
    ],
)
def test_faults(own, words, message):
    with pytest.raises(UserError, match=message) as error:
        add(*words)
    assert len(str(error.value).splitlines()) == 1
    assert not Path("my.yaml").exists()


@pytest.mark.parametrize("words", [["--name", "a b"], ["--name", "average"], ["--test-share", "2"]])
def test_arguments_are_checked(own, words, capsys):
    with pytest.raises(SystemExit):
        add(*words)
    assert words[1] in capsys.readouterr().err


def test_a_registry_of_others_keeps_its_text(own):
    line = yaml.safe_dump(ROW | {"name": "film", "path": "NER/film"}, default_flow_style=True)
    text = f"# mine\ndatasets: # here\n- {' '.join(line.split())} # old\n"
    Path("my.yaml").write_text(text)
    with pytest.raises(UserError, match=r"data/own/NER/film: no such data folder .* with --root"):
        add()
    Path("demo/NER/film").mkdir(parents=True)
    add("--root", "demo")
    added = Path("my.yaml").read_text()
    assert added.startswith(text + "- {name: mine, ")
    assert rows()[1] == {**ROW, "path": "../data/own/NER/mine"}


def test_a_root_behind_a_link_finds_the_dataset(own):
    Path("elsewhere/deep").mkdir(parents=True)
    Path("data").mkdir(exist_ok=True)
    Path("data/ie").symlink_to(Path("elsewhere/deep").resolve())
    add("--root", "data/ie")
    # from elsewhere/deep, which the link leads to
    assert rows() == [{**ROW, "path": "../../data/own/NER/mine"}]
    assert Path("data/ie", rows()[0]["path"], "train.json").is_file()


def everything():
    """Every file and folder with what it holds."""
    return {str(p): p.is_file() and p.read_bytes() for p in sorted(Path().rglob("*"))}


def test_nothing_is_written_where_the_registry_cannot_be_changed(own):
    block = yaml.safe_dump({"datasets": [ROW | {"path": "old"}]})
    for text, says in (
        ("datasets: []\n", r"my\.yaml:1: datasets: \[\] should be non-empty"),
        (block, r"my\.yaml: cannot be changed here; put in by hand: - "),
        ("datasets:\n- {NO: 1}\n", r"my\.yaml:2: the key NO is a truth value"),
    ):
        Path("my.yaml").write_text(text)
        before = everything()
        with pytest.raises(UserError, match=says):
            add("--force")
        assert everything() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "own.jsonl"], r"own\.jsonl/NER/mine: cannot be written: Not a directory"),
        (["--registry", "own.jsonl/my.yaml"], r"own\.jsonl/my\.yaml: cannot be written: a file is"),
        (["--registry", "."], r"\.: cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(own, words, says):
    before = everything()
    with pytest.raises(UserError, match=says) as error:
        add(*words)
    assert len(str(error.value).splitlines()) == 1
    assert everything() == before


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("broken", ["labels.json", "run.yaml", "my.yaml"])
def test_a_failure_leaves_all_as_it_was(own, monkeypatch, forced, broken):
    if forced:
        add("--dev-share", "0.3")
        Path("data/own/NER/mine/notes.txt").write_text("mine")
    before, move = everything(), os.replace

    def full(source, target):
        if Path(target).name == broken:
            monkeypatch.setattr(os, "replace", move)  # once: undoing it is not disturbed
            raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="data/own/NER/mine: cannot be written: No space left"):
        add(*["--force"] * forced, "--held-out")
    assert everything() == before
    add(*["--force"] * forced, "--held-out")
    assert rows() == [{**ROW, "held_out": True}]
    # the dev set of before is gone, what else lay there is not
    names = {p.name for p in Path("data/own/NER/mine").iterdir()}
    assert names - {"notes.txt"} == {"labels.json", "run.yaml", "test.json", "train.json"}
    assert ("notes.txt" in names) == forced


@pytest.mark.parametrize("text", ["", "a: [", "[]", "datasets: 5", "datasets: [5]", "\x00"])
def test_a_file_that_is_no_registry(own, text):
    Path("my.yaml").write_text(text)
    with pytest.raises(UserError, match=r"my\.yaml:") as error:
        add()
    assert len(str(error.value).splitlines()) == 1
    assert not Path("data").exists()


#: One file of each task in the plainest form.
PLAIN = {
    "NER": {"spans": [{"text": "Ana", "label": "person"}]},
    "RE": {"relations": [{"head": {"text": "Ana"}, "tail": {"text": "Rome"}, "label": "left"}]},
    "EET": {"events": [{"trigger": {"text": "left"}, "label": "exit"}]},
    "EEA": {
        "event": {"trigger": {"text": "left"}, "label": "exit"},
        "arguments": [{"text": "Rome", "label": "place"}],
    },
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_read_again(own, task):
    lines = [json.dumps({"text": f"Ana left Rome {n}.", **PLAIN[task]}) for n in range(30)]
    Path("plain.jsonl").write_text("\n".join(lines))
    add(task=task, format="spans", input="plain.jsonl")
    assert rows() == [{**ROW, "task": task, "path": f"{task}/mine"}]
    problems = readers.Problems()
    found = []
    for split in ("train", "test"):
        source = readers.Source(Path("data/own", task, "mine"), task, "mine", split)
        found += readers.get("ie_instructions")(source, problems)
    assert len(found) == 30
    assert all(len(e.annotations) == 1 for e in found)
    assert not problems.counts
