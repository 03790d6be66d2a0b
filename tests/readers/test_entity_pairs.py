"""Pairs of entities in columns, one pair a line."""

from __future__ import annotations

import pytest
from breaking import attempt, torn
from hypothesis import given
from hypothesis import strategies as st
from reading import found, read, refused, said

from ruie.readers import entity_pairs

ONE = "/m/1\t/m/2\tZoë_Lee\tOslo\t/born/in\tBo saw 🙂 Zoë_Lee , born in Oslo . ###END### "
TWO = "/m/3\t/m/2\tBo_\tOslo\tNA\tBo_ left Oslo .\t###END###"


def put(folder, *rows):
    path = folder / "test.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_line_is_a_pair(tmp_path):
    examples, problems = read("entity_pairs", put(tmp_path, ONE, "", TWO), "RE")
    # Bo 0-2, saw 3-6, the emoji 7-8, Zoë_Lee 9-16, "," 17-18, born 19-23, in 24-26, Oslo 27-31
    assert said(examples) == [
        ("Bo saw 🙂 Zoë_Lee , born in Oslo .", [("/born/in", 9, 16, 27, 31)]),
        ("Bo_ left Oslo .", []),
    ]
    assert [e.source for e in examples] == ["test.tsv#0", "test.tsv#1"]
    assert examples[0].schema == ("/born/in",)
    assert problems.counts == {entity_pairs.SEARCHED: 4, "type 'NA' skipped": 1}


def test_spaces_may_be_put_back(tmp_path):
    rows = [ONE, TWO.replace("NA", "left"), "1\t2\t_A_b\tx_y\tr\tx_y of _A_b in x_y"]
    examples, _ = read("entity_pairs", put(tmp_path, *rows), "RE", underscores="spaces")
    assert [e.text for e in examples] == [
        "Bo saw 🙂 Zoë Lee , born in Oslo .",
        "Bo  left Oslo .",
        "x y of  A b in x_y",  # the first place of each name alone
    ]
    assert found(examples) == [
        [("/born/in", "Zoë Lee", "Oslo")],
        [("left", "Bo", "Oslo")],
        [("r", "A b", "x y")],
    ]
    # A b 8-11 behind a space, x y 0-3
    assert said(examples)[2][1] == [("r", 8, 11, 0, 3)]


@pytest.mark.parametrize(
    ("sentence", "place"),
    [
        ("Annapolis and Ann", (14, 17)),  # as a word of its own
        ("Annapolis", (0, 3)),  # where its letters stand
        ("so Ann, Ann", (8, 11)),  # a comma does not end a word
    ],
)
def test_where_a_name_is_taken(tmp_path, sentence, place):
    examples, _ = read("entity_pairs", put(tmp_path, f"1\t2\tAnn\tAnn\tr\t{sentence}"), "RE")
    assert said(examples) == [(sentence, [("r", *place, *place)])]


def test_faults(tmp_path):
    path = put(tmp_path, ONE, "1\t2\tAnn\tr\tAnn", "1\t2\tCy\tOslo\tr\tBo left", ONE)
    refused("entity_pairs", path, "RE", "test.tsv#1", "line 2 has 5 columns, not 6 between tabs")
    refused("entity_pairs", put(tmp_path, "1\t2\tCy\tBo\tr\tBo left"), "RE", "span 'Cy'")
    refused("entity_pairs", put(tmp_path, "1\t2\t\tBo\tr\tBo left"), "RE", "span ''")
    refused("entity_pairs", path, "NER", "holds no NER; use it for RE")
    refused("entity_pairs", path, "RE", "must be keep or spaces", underscores="no")
    path = put(tmp_path, ONE, "1\t2\tAnn\tr\tAnn", "1\t2\tCy\tOslo\tr\tBo left", ONE)
    examples, problems = read("entity_pairs", path, "RE", repair=True)
    assert [e.source for e in examples] == ["test.tsv#0", "test.tsv#2", "test.tsv#3"]
    assert (problems.records, problems.left_out, problems.bad) == (4, 1, 2)


@given(
    torn(f"{ONE}\n{TWO}\n".encode()), st.booleans(), st.sampled_from(["keep", "spaces"])
)  # fmt: skip
def test_torn_files(content, repair, underscores):
    attempt(content, "test.tsv", "entity_pairs", "RE", repair, underscores=underscores)


NAMES = st.text(st.sampled_from("ab_é🙂"), min_size=1, max_size=5)


@given(NAMES, NAMES, st.lists(NAMES, max_size=3), st.sampled_from(["keep", "spaces"]))
def test_names_that_stand_in_the_sentence_are_found(head, tail, rest, underscores):
    sentence = " ".join([*rest, head, tail])
    content = f"1\t2\t{head}\t{tail}\tr\t{sentence}".encode()
    (example,) = attempt(
        content, "test.tsv", "entity_pairs", "RE", repair=True, underscores=underscores
    )
    ends = [name.replace("_", " ").strip() if underscores == "spaces" else name
            for name in (head, tail)]  # fmt: skip
    wanted = [("r", *ends)] if all(ends) else []
    assert found([example]) == [wanted]
