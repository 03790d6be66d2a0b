"""The brat reader: all kinds of lines, units, faults, and real files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from breaking import sound, survives, torn
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import agreement, instances, read, refused

TEXT = "Zoë 😀 Lee sued Acme Inc. in May. She and Bo won;\nAcme paid.\n"
#: Offsets by hand: "Zoë 😀 Lee" is [0, 9], "sued" [10, 14], "Acme Inc." [15, 24]; the second
#: sentence starts at 33 with "She"; "Bo" [41, 43], "won" [44, 47]; line 2 starts at 49.
ANN = """\
T1\tPerson 0 9\tZoë 😀 Lee
T2\tFirm 15 24\tAcme Inc.
T3\tSue 10 14\tsued
T4\tWin 44 47\twon
T5\tPerson 33 36;41 43\tShe Bo
T6\tFirm 49 53\tAcme
T7\tPay 54 58\tpaid
R1\tRival Arg1:T1 Arg2:T2
R2\tRival Arg1:T5 Arg2:T6
R3\tSame Arg1:T5 Arg2:E2
E1\tSue:T3 Plaintiff:T1 Defendant2:T2
E2\tWin:T4 Winner:T5 Loser:T6 Cause:E1
E3\tPay:T7 Payer:T6 Cause:E4
E4\tPay:T7
A1\tNegated E1
M1\tSpeculation E2
N1\tReference T1 Wikidata:Q1\tZoë
*\tEquiv T2 T6
#1\tAnnotatorNotes T1\tsure?
"""
ONE, TWO, THREE = "Zoë 😀 Lee sued Acme Inc. in May.", "She and Bo won;", "Acme paid."
ALWAYS = {
    "attribute left out": 2,
    "normalisation left out": 1,
    "equivalence left out": 1,
    "annotator's note left out": 1,
}


def put(folder: Path, ann: str | bytes = ANN, text: str | bytes = TEXT) -> Path:
    for name, content in (("test.txt", text), ("test.ann", ann)):
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
    return folder


def test_entities_are_spans_that_trigger_nothing(tmp_path):
    examples, problems = read("brat", put(tmp_path), "NER")
    assert instances(examples) == [
        (ONE, None, [("Person", "Zoë 😀 Lee"), ("Firm", "Acme Inc.")]),
        (TWO, None, [("Person", "She"), ("Person", "Bo")]),
        (THREE, None, [("Firm", "Acme")]),
    ]
    assert problems.counts == {**ALWAYS, "discontinuous span: each piece kept by itself": 1}
    assert examples[0].schema == ("Firm", "Person")
    assert [e.source for e in examples] == ["test.txt#0", "test.txt#1", "test.txt#2"]
    sound(examples, "NER")


def test_relations(tmp_path):
    examples, problems = read("brat", put(tmp_path), "RE")
    # R2 joins two sentences; R3 ends in an event, whose trigger stands for it
    assert [f[2] for f in instances(examples)] == [
        [("Rival", "Zoë 😀 Lee", "Acme Inc.")],
        [("Same", "She", "won")],
        [],
    ]
    assert problems.counts == {
        **ALWAYS,
        "relation between sentences left out": 1,
        "event as an argument: its trigger kept": 1,
        "discontinuous span of a trigger or in a relation: first piece kept": 2,
    }
    whole, problems = read("brat", put(tmp_path), "RE", unit="document")
    assert instances(whole)[0][2][1] == ("Rival", "She", "Acme")
    assert "relation between sentences left out" not in problems.counts


def test_triggers(tmp_path):
    examples, problems = read("brat", put(tmp_path), "EET")
    assert [f[2] for f in instances(examples)] == [
        [("Sue", "sued")],
        [("Win", "won")],
        [("Pay", "paid")],
    ]
    assert problems.counts == {**ALWAYS, "second event of the same type and trigger left out": 1}


def test_arguments(tmp_path):
    examples, problems = read("brat", put(tmp_path), "EEA")
    assert instances(examples) == [
        (ONE, ("Sue", "sued"), [("Plaintiff", "Zoë 😀 Lee"), ("Defendant", "Acme Inc.")]),
        (TWO, ("Win", "won"), [("Winner", "She"), ("Winner", "Bo")]),
        (THREE, ("Pay", "paid"), [("Payer", "Acme"), ("Cause", "paid")]),
        (THREE, ("Pay", "paid"), []),
    ]
    # Loser and Cause of E2 stand elsewhere; E1 and E4 are arguments
    assert problems.counts == {
        **ALWAYS,
        "argument in another sentence left out": 2,
        "event as an argument: its trigger kept": 2,
        "discontinuous span: each piece kept by itself": 1,
    }
    assert examples[0].schema == ("Defendant", "Plaintiff")


@pytest.mark.parametrize("task", ["NER", "RE", "EET", "EEA"])
def test_units(tmp_path, task):
    texts = {
        unit: [*dict.fromkeys(e.text for e in read("brat", put(tmp_path), task, unit=unit)[0])]
        for unit in ("sentence", "line", "document")
    }
    assert texts["sentence"] == [ONE, TWO, THREE]
    assert texts["line"] == [f"{ONE} {TWO}", THREE]
    assert texts["document"] == [f"{ONE} {TWO} {THREE}"]  # the line break is a space now


def test_a_span_over_a_line_break_keeps_its_sentence(tmp_path):
    folder = put(tmp_path, "T1\tFirm 4 13\tAcme Ltd.\n", "Old Acme\nLtd. Failed.")
    examples, _ = read("brat", folder, "NER")
    assert instances(examples) == [
        ("Old Acme Ltd.", None, [("Firm", "Acme Ltd.")]),
        ("Failed.", None, []),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("T1", "must be TYPE START END"),
        ("T1\tFirm 0\tZoë", "must be TYPE START END"),
        ("T1\tFirm 3 3\t", "outside the text"),
        ("T1\tFirm 0 900\tZoë", "outside the text"),
        ("T1\tFirm 0 3;4 5\tZoë Acme", "do not stand at [0 3;4 5]"),
        ("T1\tFirm 0 3\tBob", "span not in text"),
        ("T1\tFirm 0 3\tAcme", "wrong offsets"),
        ("T9\tFirm 0 3\tZoë\nT9\tFirm 0 3\tZoë", "test.ann:2: unreadable annotation: T9 is given"),
        ("R1\tRival Arg1:T1", "must be TYPE Arg1:NAME Arg2:NAME"),
        ("R1\tRival Arg1:T1 Arg2:T2", "T1 is named, but no line gives it"),
        ("E1\tSue:T1", "T1 is named, but no line gives it"),
        ("E1\t", "must be NAME:ID"),
        ("E1\tSue:T1 Who", "must be NAME:ID"),
        ("a stray word", "no line of this format"),
        ("\tT1", "no line of this format"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, why):
    kind = {"E": "EEA", "R": "RE"}.get(line[0], "NER")
    refused("brat", put(tmp_path, line), kind, "test.", why, "correct the record")


def test_a_bad_line_is_counted_and_the_rest_read(tmp_path):
    folder = put(tmp_path, ANN + "T1\tFirm 0 3\tZoë\nX\nE9\tSue:T99 Who:T1\nE8\tWin:T4 Who:T98\n")
    examples, problems = read("brat", folder, "EEA", repair=True)
    assert len(examples) == 5  # four as before, and E8 without its argument
    assert problems.counts["unreadable annotation (annotation left out)"] == 4
    assert (problems.records, problems.left_out, problems.bad) == (5, 0, 1)


def test_files_that_cannot_be_read(tmp_path):
    refused("brat", tmp_path, "NER", "no file of split 'test'")
    (tmp_path / "test.ann").write_text(ANN)
    refused("brat", tmp_path, "NER", "test.txt: no such file")
    refused("brat", put(tmp_path, ANN, b"caf\xe9"), "NER", "test.txt: not UTF-8")
    refused("brat", put(tmp_path, b"T1\xff"), "NER", "test.ann: not UTF-8")
    refused("brat", put(tmp_path), "NER", "unit=page: must be sentence or line", unit="page")
    refused("brat", put(tmp_path), "NER", "no option 'units'", units="line")


def test_a_text_without_annotations(tmp_path):
    examples, problems = read("brat", put(tmp_path, ""), "NER", labels={"Firm": "firm"})
    assert [e.text for e in examples] == [ONE, TWO, THREE]
    assert not problems.counts
    assert read("brat", put(tmp_path, "", " \n"), "NER", labels={"Firm": "firm"})[0] == []


_LINES = st.permutations(ANN.splitlines()).flatmap(
    lambda lines: st.integers(0, len(lines)).map(lambda n: "\n".join(lines[:n]).encode())
)


@settings(max_examples=150)
@given(
    _LINES.flatmap(torn),
    st.just(TEXT.encode()) | torn(TEXT.encode()),
    st.sampled_from(["NER", "RE", "EET", "EEA"]),
    st.booleans(),
)
def test_corrupted_files_are_refused_or_counted(ann, text, task, repair):
    with tempfile.TemporaryDirectory() as folder:
        survives("brat", put(Path(folder), ann, text), task, repair)


@pytest.mark.parametrize("task", ["NER", "RE", "EET", "EEA"])
def test_the_order_of_lines_does_not_matter(tmp_path, task):
    def everything(ann: str):
        examples = instances(read("brat", put(tmp_path, ann), task)[0])
        return sorted((text, event or (), sorted(rest)) for text, event, rest in examples)

    assert everything("\n".join(reversed(ANN.splitlines()))) == everything(ANN)


def test_real_files(shared):
    folder = shared / "data/raw/PHEE"
    labels = {"Adverse_event": "adverse event", "Potential_therapeutic_event": "other"}
    examples, problems = read("brat", folder, "EET", files={"test": ["*.ann"]}, labels=labels)
    # ten abstracts' sentences with one trigger each; three of them are in the sample
    assert (len(examples), sum(len(e.annotations) for e in examples)) == (10, 10)
    assert problems.counts == {"attribute left out": 2}
    assert agreement(examples, shared / "data/ie/EET/PHEE") == (3, 3)
    examples, _ = read("brat", folder, "NER", files={"test": ["*.ann"]})
    assert sum(len(e.annotations) for e in examples) == 55
    # its E lines name a trigger alone
    examples, _ = read("brat", folder, "EEA", files={"test": ["*.ann"]})
    assert (len(examples), sum(len(e.annotations) for e in examples)) == (10, 0)
