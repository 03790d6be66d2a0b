"""doccano's JSON lines: the forms, and what its offsets count."""

from __future__ import annotations

import json

import pytest
from breaking import attempt, broken, damaged, lines, read, said
from hypothesis import given
from hypothesis import strategies as st

from ruie.cli import UserError
from ruie.readers import doccano

PLAIN = {"id": 1, "text": "Ana met Zoë.", "label": [[0, 3, "person"], [8, 11, "person"]]}
#       0         1         2
#       012345678901234567890    the family is 4 persons and 3 joiners: 7 characters, 11 units
EMOJI = "👨‍👩‍👧‍👦 met Zoe\u0308 😀 Ana"
RELATION = {
    "id": 2,
    "text": "Ana met Zoë.",
    "entities": [
        {"id": 7, "label": "person", "start_offset": 8, "end_offset": 11},
        {"id": 5, "label": "person", "start_offset": 0, "end_offset": 3},
    ],
    "relations": [{"id": 1, "from_id": 5, "to_id": 7, "type": "met"}],
    "Comments": [],
}


def put(folder, *records):
    path = folder / "all.jsonl"
    path.write_bytes(lines(*records))
    return path


def test_sequence_labelling(tmp_path):
    other = {"text": "Nobody.", "labels": []}
    old = {"text": "Ana.", "entities": [[0, 3, "person"]]}
    found, problems = read(put(tmp_path, PLAIN, other, old), "doccano")
    assert said(found) == [
        ("Ana met Zoë.", [("person", 0, 3), ("person", 8, 11)]),
        ("Nobody.", []),
        ("Ana.", [("person", 0, 3)]),
    ]
    assert not problems.counts


def test_relations_and_their_entities(tmp_path):
    path = put(tmp_path, RELATION)
    found, _ = read(path, "doccano", "RE")
    assert said(found) == [("Ana met Zoë.", [("met", 0, 3, 8, 11)])]
    found, _ = read(path, "doccano", "NER")
    assert said(found) == [("Ana met Zoë.", [("person", 8, 11), ("person", 0, 3)])]


# "Zoë" with two characters for its last letter and "Ana", in each of the three countings:
# characters: family 7, " met " 5 -> 12..16, " 😀 " 3 -> 19..22
# UTF-16 units: family 4 * 2 + 3 = 11, 5 -> 16..20, 1 + 2 + 1 = 4 -> 24..27
# graphemes: family 1, 5 -> 6..9, 3 -> 12..15
@pytest.mark.parametrize(
    ("counting", "zoe", "ana"),
    [
        ("characters", (12, 16), (19, 22)),
        ("utf16", (16, 20), (24, 27)),
        ("graphemes", (6, 9), (12, 15)),
    ],
)
def test_what_offsets_count(tmp_path, counting, zoe, ana):
    path = put(tmp_path, {"text": EMOJI, "label": [[*ana, "x"], [*zoe, "x"]]})
    found, problems = read(path, "doccano", offsets=counting)
    assert [a.spans[0].text for a in found[0].annotations] == ["Ana", "Zoe\u0308"]
    assert not problems.counts


def test_without_the_option_utf16_is_assumed_and_said(tmp_path):
    before = {"text": "Ana 😀", "label": [[0, 3, "x"]]}  # counted alike in every way
    behind = {"text": "😀 Ana", "label": [[3, 6, "x"]]}
    found, problems = read(put(tmp_path, PLAIN, before, behind), "doccano")
    assert [e.annotations[0].spans[0].text for e in found] == ["Ana"] * 3
    assert problems.counts == {doccano.ASSUMED: 1}


@pytest.mark.parametrize("offsets", [(1, 2), (0, 1), (0, 6), (5, 5), (4, 3)])
def test_offsets_where_nothing_stands(tmp_path, offsets):
    # "😀Ana": units 0..5; 1 is inside the pair
    path = put(tmp_path, {"text": "😀Ana", "label": [[*offsets, "x"]]})
    with pytest.raises(UserError, match=rf"does not stand at \[{offsets[0]}, {offsets[1]}\]"):
        read(path, "doccano", labels={"x": "x"})
    found, problems = read(path, "doccano", repair=True)
    assert found[0].annotations == ()
    assert problems.counts["span not in text (annotation left out)"] == 1


def _without(**changes):
    return json.loads(json.dumps({**RELATION, **changes}))


@pytest.mark.parametrize(
    ("task", "record", "why"),
    [
        ("NER", {"text": "a"}, "field 'label' is missing; expected a NER record of doccano"),
        ("NER", {"label": []}, "field 'text' is missing"),
        ("NER", {"text": "a", "label": [[0, 1]]}, "not enough values"),
        ("NER", {"text": "a", "label": [["0", 1, "x"]]}, "whole numbers, not '0' and 1"),
        ("NER", {"text": "a", "label": [[0, 1, 3]]}, "label is not a string: 3"),
        ("NER", {"text": "a", "label": ["x"]}, "string indices"),
        ("RE", PLAIN, "field 'relations' is missing; expected a RE record of doccano"),
        ("RE", _without(entities=RELATION["entities"][:1]), "names the entity 5, which is not"),
        ("RE", _without(entities=RELATION["entities"][:1] * 2), "two entities have the same id"),
    ],
)
def test_a_bad_record_is_named_or_left_out(tmp_path, task, record, why):
    path = put(tmp_path, RELATION, record)
    with pytest.raises(UserError, match=r"all\.jsonl#1: unreadable record") as error:
        read(path, "doccano", task)
    assert why in str(error.value)
    found, problems = read(path, "doccano", task, repair=True)
    assert len(found) == 1
    assert problems.counts["unreadable record (record left out)"] == 1


def test_options_and_tasks(tmp_path):
    path = put(tmp_path, PLAIN)
    with pytest.raises(UserError, match="option offsets=bytes: must be utf16 or graphemes or char"):
        read(path, "doccano", offsets="bytes")
    with pytest.raises(UserError, match="holds no EET; use it for NER, RE"):
        read(path, "doccano", "EET")


@given(st.sampled_from(["NER", "RE"]), broken([RELATION, RELATION]), st.booleans())
def test_broken_records(task, records, repair):
    found = attempt(lines(RELATION, *records), "all.jsonl", "doccano", task, repair=repair)
    assert found is not None or not repair


@given(damaged(lines(PLAIN, {"text": EMOJI, "label": [[24, 27, "x"]]})), st.booleans())
def test_damaged_files(content, repair):
    attempt(content, "all.jsonl", "doccano", "NER", repair=repair)


@given(st.text(st.sampled_from("aé😀𝒳\u0301\u200d\r\n👩"), min_size=1), st.data())
def test_offsets_are_turned_back(text, data):
    start, end = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=2)))
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in (start, end)]
    assert doccano.Places(text, "utf16").mention(*units) == (text[start:end], start, end)
    graphemes = doccano.Places(text, "graphemes").at
    assert sorted(graphemes.values()) == list(graphemes.values())
    assert (graphemes[0], max(graphemes.values())) == (0, len(text))


def test_tweets_with_emoji(shared, tmp_path):
    """Real texts, with offsets as doccano would have written them."""
    source = shared / "data" / "ie" / "NER" / "Broad Tweet Corpus" / "test.json"
    records = json.loads(source.read_text(encoding="utf-8"))

    def units(text, at):
        return len(text[:at].encode("utf-16-le")) // 2

    made = [
        {
            "text": (text := "😀 " + r["sentence"]),
            "label": [
                [*(units(text, at + 2) for at in e["pos"]), e["type"]] for e in r["entities"]
            ],
        }
        for r in records
    ]
    found, _ = read(put(tmp_path, *made), "doccano")
    expected = [[e["name"] for e in r["entities"]] for r in records]
    assert [[a.spans[0].text for a in e.annotations] for e in found] == expected
    assert sum(map(len, expected)) > 100
