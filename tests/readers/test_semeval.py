"""Sentences with marked entities: text blocks of SemEval-2010 Task 8."""

from __future__ import annotations

import tempfile
from pathlib import Path

import breaking
import pytest
import reading
from hypothesis import given
from hypothesis import strategies as st

from ruie.examples import Span

BLOCKS = (
    '1\t"Zoë\'s <e1>ink</e1> 🙂 <e2>stains</e2>."\nCause-Effect(e1,e2)\nComment: a\nsecond line\n\n'
    '2\t" <e2> Ink </e2> from <e1> a pen </e1> . "\nEntity-Origin(e2,e1)\n\n\n'
    '3\t""So," she said, "<e1>pen</e1><e2>ink</e2>""\nOther\nComment:\n'
)
TEXTS = ["Zoë's ink 🙂 stains.", "Ink from a pen .", '"So," she said, "penink"']


def read(folder, content, **source):
    return reading.read("semeval", reading.write(folder / "TEST_FILE.TXT", content), "RE", **source)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_direction_is_folded_into_head_and_tail(tmp_path, end):
    examples, problems = read(tmp_path, BLOCKS.replace("\n", end))
    assert [e.text for e in examples] == TEXTS
    assert [e.source for e in examples] == [f"TEST_FILE.TXT#{i}" for i in range(3)]
    assert [(a.label, *a.spans) for e in examples for a in e.annotations] == [
        # Zoë's 0-5, ink 6-9, the emoji 10-11, stains 12-18
        ("Cause-Effect", Span("ink", 6, 9), Span("stains", 12, 18)),
        # the spaces inside the marks go with them: Ink 0-3, from 4-8, a pen 9-14
        ("Entity-Origin", Span("Ink", 0, 3), Span("a pen", 9, 14)),
        # "So," is 5 characters, she 6-9, said, 10-15, the quote 16: pen 17-20, ink 20-23
        ("Other", Span("pen", 17, 20), Span("ink", 20, 23)),
    ]
    assert not problems.counts


def test_direction_may_be_kept(tmp_path):
    examples, _ = read(tmp_path, BLOCKS, direction="keep")
    assert reading.found(examples) == [
        [("Cause-Effect(e1,e2)", "ink", "stains")],
        [("Entity-Origin(e2,e1)", "a pen", "Ink")],
        [("Other", "pen", "ink")],
    ]


def test_entities_may_overlap(tmp_path):
    block = '7\t"a <e1> red <e2> ink </e2> pen </e1>"\nUse(e1,e2)\n'
    examples, _ = read(tmp_path, block)
    assert examples[0].text == "a red ink pen"
    assert reading.found(examples) == [[("Use", "red ink pen", "ink")]]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ('1\t"<e1>a</e1> <e2>b</e2>"\nComment:\n', "no line with the relation"),
        ('1\t"<e1>a</e1> <e2>b</e2>"\n', "no line with the relation"),
        ('1\t"<e1>a</e1> <e2>b</e2>"\nX(e1,e1)\n', "names e1 twice"),
        ('1\t"<e1>a</e1> <e2>b</e2>"\nX(e1,e2)\nY(e1,e2)\n', "'Y(e1,e2)' below the relation"),
        ('1\t"<e1>a</e1> b"\nX\n', "no <e2>...</e2>"),
        ('1\t"<e1> </e1> <e2>b</e2>"\nX\n', "no <e1>...</e1>"),
        ('1\t"</e1>a<e1> <e2>b</e2>"\nX\n', "no <e1>...</e1>"),
        ('1\t"<e1>a</e1> <e2>b</e2> <e1>c</e1>"\nX\n', "marks e1 twice"),
        ("1\t\nX\n", "no <e1>...</e1>"),
    ],
)
def test_faults_of_a_block(tmp_path, block, part):
    folder = reading.write(tmp_path / "test.txt", block + "\n" + BLOCKS)
    reading.refused("semeval", folder, "RE", "test.txt#0: unreadable record", part)
    examples, problems = reading.read("semeval", folder, "RE", repair=True)
    assert [e.text for e in examples] == TEXTS
    assert problems.counts == {"unreadable record (record left out)": 1}


def test_what_is_none_of_the_format(tmp_path):
    folder = reading.write(tmp_path / "test.txt", "\nSome prose.\n")
    reading.refused("semeval", folder, "RE", "test.txt: line 2", "number and a tab")
    reading.refused("semeval", folder, "NER", "holds no NER; use it for RE")
    folder = reading.write(tmp_path / "test.txt", b"1\t\xe9")
    reading.refused("semeval", folder, "RE", "not UTF-8")
    folder = reading.write(tmp_path / "test.txt", BLOCKS)
    reading.refused("semeval", folder, "RE", "fold or keep", direction="both")


@given(st.data(), st.booleans(), st.sampled_from(["fold", "keep"]))
def test_torn_files_are_refused_or_read(data, repair, direction):
    content = data.draw(breaking.torn(BLOCKS.encode()))
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.txt", content)
        breaking.survives("semeval", path, "RE", repair, direction=direction)


#: Instances, sentences of the release's sample that the file holds, and of these such as the
#: corpus marks twice, with other entities, of which the sample holds the other.
REAL = {"train": (1197, 344, 4), "test": (1161, 137, 1)}


@pytest.mark.parametrize("split", REAL)
def test_real_files_agree_with_the_processed_release(shared, split):
    raw = shared / "data" / "raw" / "semval-RE"
    plain, _ = reading.read("semeval", raw, "RE", split=split)
    names = {label: label.lower().replace("-", " ") for label in plain[0].schema}
    assert len(names) == 10
    examples, problems = reading.read("semeval", raw, "RE", split=split, labels=names)
    assert not problems.counts
    known = reading.release(shared, "RE/semval-RE", "train", "dev", "test")
    both, differing = reading.compare(examples, known)
    assert (len(examples), both, len(differing)) == REAL[split]
    for _, mine, theirs in differing:
        # another record altogether: it marks another pair
        ((_, *pair),) = mine
        assert all(set(pair) != set(other) for members in theirs for _, *other in members)


@pytest.mark.parametrize(("split", "blocks", "empty"), [("train", 200, 2), ("test", 830, 9)])
def test_real_files_with_entities_that_are_empty(shared, split, blocks, empty):
    examples, problems = reading.read(
        "semeval", shared / "data" / "raw" / "kbp37", "RE", repair=True, split=split
    )
    assert reading.counts(examples) == (blocks - empty, blocks - empty)
    assert problems.counts == {"unreadable record (record left out)": empty}
    assert {"no_relation", "org:members"} < set(examples[0].schema)
    assert len(examples[0].schema) == 19
