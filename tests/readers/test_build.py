"""What all formats share: files of a split, label names, the schema, sentences left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ruie.cli import UserError
from ruie.readers import Problems, Source, build, get

TEST = "Ann PER\nleft O\n\nNobody O\ncame O\n\nOslo LOC\n"
TRAIN = "Acme ORG\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my-test.bio").write_text(TEST)
    (tmp_path / "my-train.bio").write_text(TRAIN)
    (tmp_path / "other.bio").write_text("Mars GOD\n")
    return tmp_path


def read(folder: Path, repair: bool = False, **more):
    problems = Problems(repair)
    source = Source(folder, "NER", "d", "test", options={"scheme": "io"}, **more)
    return list(get("bio")(source, problems)), problems


def test_files_by_their_names_and_the_schema_of_all_splits(folder):
    found, _ = read(folder)
    assert [e.text for e in found] == ["Ann left", "Nobody came", "Oslo"]
    # other.bio is no split; train's label is in the schema though test has none
    assert found[0].schema == ("LOC", "ORG", "PER")


@pytest.mark.parametrize(
    ("place", "split"),
    [
        ("train_test_split/my-test.bio", "test"),  # the file's own name decides
        ("train/test/a.bio", "test"),  # else the nearest folder that names one
        ("test/part 1/a.bio", "test"),
        ("test/my-train.bio", "train"),
        ("train_test_split/dev/a.bio", "dev"),
        ("test/my.train.bio", "train"),
        ("contest/a.bio", None),  # a word, not a part of one
    ],
)
def test_the_name_decides_before_the_folder(tmp_path, place, split):
    path = tmp_path / "train_dev" / place  # what lies above does not count
    path.parent.mkdir(parents=True)
    path.write_text(TRAIN)
    source = Source(tmp_path / "train_dev", "NER", "d", "test")
    found = {s: build.split_files(source, (".bio",), s) for s in build.SPLIT_NAMES}
    assert found == {s: [path] * (s == split) for s in build.SPLIT_NAMES}


@pytest.mark.parametrize("place", ["my-train-test.bio", "train_test_split/a.bio"])
def test_a_name_of_two_splits_is_of_none(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(TRAIN)
    with pytest.raises(UserError, match=r"names the splits test and train; .* with `files` in"):
        read(tmp_path)
    assert build.split_files(Source(tmp_path, "NER", "d", "dev"), (".bio",), "dev") == []
    found, _ = read(tmp_path, files={"test": [place]})
    assert [e.text for e in found] == ["Acme"]


def test_files_may_be_named(folder):
    found, _ = read(folder, files={"test": ["o*.bio", "my-train.bio"]})
    assert [e.text for e in found] == ["Acme", "Mars"]  # sorted by path: my-train, other
    assert [e.source for e in found] == ["my-train.bio#0", "other.bio#0"]
    assert [e.id for e in found] == ["d/test/000000", "d/test/000001"]
    with pytest.raises(UserError, match="no file of split 'test'"):
        read(folder, files={"train": ["my-train.bio"]})


def test_a_file_is_read_once_and_lies_below_the_folder(folder):
    found, _ = read(folder, files={"test": ["other.bio", "o*.bio"]})
    assert [e.text for e in found] == ["Mars"]
    for name in ("/etc/hosts", "../x.bio", 3):
        with pytest.raises(UserError, match="must be a name or glob below it"):
            read(folder, files={"test": [name]})
    with pytest.raises(UserError, match="correct the glob"):
        read(folder, files={"test": ["**x"]})


def test_hidden_files_are_no_data(folder):
    for name in (".ipynb_checkpoints", "__MACOSX"):
        (folder / name).mkdir()
        (folder / name / "my-test.bio").write_text("Twice PER\n")
    assert len(read(folder)[0]) == 3


def test_labels_are_renamed_and_left_out(folder):
    found, problems = read(folder, labels={"PER": "person", "LOC": None})
    assert found[0].schema == ("person",)
    assert [[a.label for a in e.annotations] for e in found] == [["person"], [], []]
    assert problems.counts == {"label 'LOC' left out, as the registry says": 1}
    assert problems.bad == 0


def test_two_labels_may_become_one(folder):
    found, _ = read(folder, labels={"PER": "name", "LOC": "name"})
    assert found[0].schema == ("name",)


def test_a_label_without_a_name_is_a_fault(folder):
    with pytest.raises(UserError, match="#2: unknown label 'LOC': 'LOC' is not in the schema"):
        read(folder, labels={"PER": "person"})
    _, problems = read(folder, repair=True, labels={"PER": "person"})
    assert problems.counts == {"unknown label 'LOC' (annotation left out)": 1}
    assert (problems.records, problems.left_out, problems.bad) == (3, 0, 1)


def test_an_annotation_that_no_record_can_hold_is_left_out_and_no_fault(tmp_path):
    # E1's argument stands in the second sentence
    (tmp_path / "test.txt").write_text("Ann left.\nOslo slept.\n")
    (tmp_path / "test.ann").write_text(
        "T1\tLeave 4 8\tleft\nT2\tCity 10 14\tOslo\nE1\tLeave:T1 Place:T2\nA1\tNegated E1\n"
    )
    problems = Problems()
    source = Source(tmp_path, "EEA", "d", "test")
    (example,) = get("brat")(source, problems)
    assert (example.text, example.annotations) == ("Ann left.", ())
    lost = "argument in another sentence left out"
    assert problems.outcomes == {lost: "annotation left out", "attribute left out": "noted"}
    assert problems.first[lost].startswith(f"{tmp_path}/test.txt#0")
    assert (problems.records, problems.left_out, problems.bad) == (1, 0, 0)


def test_sentences_without_annotation_can_be_left_out(folder):
    found, problems = read(folder, annotated_only=True)
    assert [e.id for e in found] == ["d/test/000000", "d/test/000002"]
    assert problems.counts == {"nothing annotated: left out, as the registry says": 1}
    assert (problems.records, problems.left_out, problems.bad) == (3, 1, 0)


def test_roles_are_those_of_the_events_type(tmp_path):
    records = [
        {"sentence": "They met.", "events": [
            {"type": kind, "trigger": "met", "pos": [5, 8], "arguments": []}]}
        for kind in ("meet", "part")
    ]  # fmt: skip
    (tmp_path / "test.json").write_text(json.dumps(records))
    (tmp_path / "labels.json").write_text(json.dumps({"meet": ["who", "where"], "part": ["who"]}))
    names = {"meet": "Meeting", "part": "Parting", "who": "person", "where": "place"}
    source = Source(tmp_path, "EEA", "d", "test", labels=names)
    found = list(get("ie_instructions")(source, Problems()))
    assert [(e.event.type, e.schema) for e in found] == [
        ("Meeting", ("person", "place")), ("Parting", ("person",)),
    ]  # fmt: skip


def put(folder: Path, task: str, *records) -> Source:
    """Records of the IE_INSTRUCTIONS form, one schema for all."""
    names = {"NER": ["a", "b"], "RE": ["r"], "EET": {"e": []}, "EEA": {"e": ["x", "y"]}}[task]
    (folder / "labels.json").write_text(json.dumps(names))
    (folder / "test.json").write_text(json.dumps(records))
    return Source(folder, task, "d", "test")


def spans(source: Source, repair: bool = True):
    """(label, start ...) of the first record, and the problems."""
    problems = Problems(repair)
    (example,) = get("ie_instructions")(source, problems)
    return [(a.label, *(s.start for s in a.spans)) for a in example.annotations], problems


def test_a_stated_place_is_taken_whatever_the_order(tmp_path):
    # "Bo" stands at 0 and 7; the entity at 0 says so, before or after the one that says nothing
    known = {"name": "Bo", "type": "a", "pos": [0, 2]}
    lost = {"name": "Bo", "type": "a", "pos": []}
    for entities, starts in (([known, lost], [0, 7]), ([lost, known], [7, 0])):
        source = put(tmp_path, "NER", {"sentence": "Bo and Bo", "entities": entities})
        found, problems = spans(source)
        assert [start for _, start in found] == starts
        assert problems.counts["offsets found by literal search"] == 1


def test_a_place_that_cuts_no_word_is_looked_for_first(tmp_path):
    # the second "art" is in "party" (its letters from 5 on) after all, "$5" in "$50"
    text = "The party in Parisian style for all art near Paris, $50"
    assert [text.index(s) for s in ("party", "Parisian", "art near", "Paris,", "$50")] == [
        4, 13, 36, 45, 52,
    ]  # fmt: skip
    entities = [{"name": n, "type": "a", "pos": []} for n in ("art", "Paris", "$5", "art")]
    source = put(tmp_path, "NER", {"sentence": text, "entities": entities})
    assert [start for _, start in spans(source)[0]] == [36, 45, 52, 5]


def test_more_mentions_than_places_share_the_first(tmp_path):
    entities = [{"name": "Bo", "type": "a", "pos": []}] * 3
    source = put(tmp_path, "NER", {"sentence": "Bo and Bo", "entities": entities})
    assert [start for _, start in spans(source)[0]] == [0, 7, 0]


def test_relations_share_a_mention_but_head_and_tail_do_not(tmp_path):
    def relation(head, tail):
        return {"type": "r", "head": {"name": head, "pos": []}, "tail": {"name": tail, "pos": []}}

    text = "Bo met Al, and Bo met Bo"  # Bo at 0, 15, 22; Al at 7
    relations = [relation("Bo", "Al"), relation("Al", "Bo"), relation("Bo", "Bo")]
    source = put(tmp_path, "RE", {"sentence": text, "relations": relations})
    found, problems = spans(source)
    assert found == [("r", 0, 7), ("r", 7, 0), ("r", 0, 15)]
    assert problems.counts["offsets found by literal search"] == 6


def test_a_trigger_takes_its_place_before_the_arguments(tmp_path):
    event = {"type": "e", "trigger": "Bo", "pos": [0, 2],
             "arguments": [{"name": "Bo", "role": "x", "pos": []}]}  # fmt: skip
    source = put(tmp_path, "EEA", {"sentence": "Bo and Bo", "events": [event]})
    assert spans(source)[0] == [("x", 7)]


@pytest.mark.parametrize("place", ["sentence", "name", "type"])
def test_half_a_surrogate_pair_costs_what_holds_it(tmp_path, place):
    entity = {"name": "Bo", "type": "a", "pos": [0, 2]}
    record = {"sentence": "Bo and Bo", "entities": [entity]}
    bad = json.loads(json.dumps(record))
    (bad if place == "sentence" else bad["entities"][0])[place] = "Bo \ud800"
    source = put(tmp_path, "NER", record, bad)
    with pytest.raises(UserError, match=r"test.json#1: "):
        list(get("ie_instructions")(source, Problems()))
    problems = Problems(repair=True)
    found = list(get("ie_instructions")(source, problems))
    assert [len(e.annotations) for e in found] == ([1] if place == "sentence" else [1, 0])
    assert problems.bad == 1


def test_half_a_surrogate_pair_in_a_label_set(tmp_path):
    source = put(tmp_path, "NER", {"sentence": "Bo", "entities": []})
    (tmp_path / "labels.json").write_text('["a", "\\ud800"]')
    with pytest.raises(UserError, match="half a surrogate pair"):
        list(get("ie_instructions")(source, Problems()))


def test_a_set_in_which_nothing_is_labelled_says_so(tmp_path):
    (tmp_path / "test.bio").write_text("Nobody O\ncame O\n")
    problems = Problems()
    source = Source(tmp_path, "NER", "d", "test", options={"scheme": "io"})
    (example,) = get("bio")(source, problems)
    assert example.schema == ()
    assert problems.counts["no label at all: the schema is empty"] == 1
