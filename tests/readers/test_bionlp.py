"""The BioNLP reader: given entities and events in two files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from breaking import survives, torn
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import instances, read, refused

TEXT = "IL-2 binds RelA and p50. This induced NF-κB."
#: IL-2 [0, 4], binds [5, 10], RelA [11, 15], p50 [20, 23], induced [30, 37], NF-κB [38, 43].
A1 = "T1\tProtein 0 4\tIL-2\nT2\tProtein 11 15\tRelA\nT3\tProtein 20 23\tp50\n"
A2 = """\
T4\tBinding 5 10\tbinds
T5\tRegulation 30 37\tinduced
T6\tEntity 38 43\tNF-κB
E1\tBinding:T4 Theme:T2 Theme2:T3
E2\tBinding:T4 Theme:T1
E3\tRegulation:T5 Theme:E1 Cause:T6
M1\tNegation E2
*\tEquiv T2 T3
"""


def put(folder: Path, a1: bytes = A1.encode(), a2: bytes | None = A2.encode()) -> Path:
    (folder / "test.txt").write_text(TEXT, encoding="utf-8")
    (folder / "test.a1").write_bytes(a1)
    if a2 is not None:
        (folder / "test.a2").write_bytes(a2)
    return folder


def test_both_files_are_read(tmp_path):
    always = {"attribute left out": 1, "equivalence left out": 1}
    examples, problems = read("bionlp", put(tmp_path), "NER")
    first, second = "IL-2 binds RelA and p50.", "This induced NF-κB."
    proteins = [("Protein", "IL-2"), ("Protein", "RelA"), ("Protein", "p50")]
    assert instances(examples) == [(first, None, proteins), (second, None, [("Entity", "NF-κB")])]
    assert problems.counts == always
    examples, problems = read("bionlp", put(tmp_path), "EET")
    # E1 and E2 share a type and a trigger
    assert [f[2] for f in instances(examples)] == [
        [("Binding", "binds")],
        [("Regulation", "induced")],
    ]
    assert problems.counts == {**always, "second event of the same type and trigger left out": 1}
    examples, problems = read("bionlp", put(tmp_path), "EEA")
    assert instances(examples) == [
        (first, ("Binding", "binds"), [("Theme", "RelA"), ("Theme", "p50")]),
        (first, ("Binding", "binds"), [("Theme", "IL-2")]),
        (second, ("Regulation", "induced"), [("Cause", "NF-κB")]),
    ]
    assert problems.counts == {
        **always,
        "event as an argument: its trigger kept": 1,  # E1 ...
        "argument in another sentence left out": 1,  # ... which stands in the first sentence
    }
    examples, _ = read("bionlp", put(tmp_path), "EEA", unit="document")
    assert instances(examples)[2][2] == [("Theme", "binds"), ("Cause", "NF-κB")]


def test_a_document_without_events_serves_entities_alone(tmp_path):
    examples, _ = read("bionlp", put(tmp_path, a2=None), "NER")
    assert [len(e.annotations) for e in examples] == [3, 0]
    refused("bionlp", tmp_path, "EET", "test.a2: no such file")


@settings(max_examples=80)
@given(
    torn(A1.encode()),
    torn(A2.encode()),
    st.sampled_from(["NER", "RE", "EET", "EEA"]),
    st.booleans(),
)
def test_corrupted_files_are_refused_or_counted(a1, a2, task, repair):
    with tempfile.TemporaryDirectory() as folder:
        survives("bionlp", put(Path(folder), a1, a2), task, repair)


def test_real_files(shared):
    folder = shared / "data/raw/GENIA_event_GE2011"
    files = ["devel/PMC-1134658-*.a1", "devel/PMC-1920263-0*.a1"]  # the last lacks its text
    lines = [
        line.split("\t")
        for pattern in files
        for path in folder.glob(pattern)
        for name in (path, path.with_suffix(".a2"))
        for line in name.read_text(encoding="utf-8").splitlines()
    ]
    events = [line[1].split() for line in lines if line[0][0] == "E"]
    assert len(events) == 304
    examples, problems = read("bionlp", folder, "EEA", split="dev", files={"dev": files})
    # one instance an event, and every argument kept or counted: 393 + 28
    assert len(examples) == len(events)
    kept = sum(len(e.annotations) for e in examples)
    assert kept == 393
    assert problems.counts["argument in another sentence left out"] == 28
    assert sum(len(words) - 1 for words in events) == 393 + 28
    assert problems.counts["event as an argument: its trigger kept"] == 130
    assert len({e.event.type for e in examples}) == 8
    examples, problems = read("bionlp", folder, "EET", split="dev", files={"dev": files})
    # 172 triggers carry the 304 events
    assert sum(len(e.annotations) for e in examples) == 172
    assert problems.counts["second event of the same type and trigger left out"] == 304 - 172
    examples, problems = read("bionlp", folder, "NER", split="dev", files={"dev": files})
    assert sum(len(e.annotations) for e in examples) == 448
    assert sum(line[0][0] == "T" for line in lines) == 448 + 172
