"""doccano's JSON lines: the forms, and what its offsets count."""

from __future__ import annotations

import json

import pytest
from breaking import attempt, broken, torn
from hypothesis import given
from hypothesis import strategies as st
from reading import lines, read, refused, said

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
    found, problems = read("doccano", put(tmp_path, PLAIN, other, old), "NER")
    assert said(found) == [
        ("Ana met Zoë.", [("person", 0, 3), ("person", 8, 11)]),
        ("Nobody.", []),
        ("Ana.", [("person", 0, 3)]),
    ]
    assert not problems.counts


def test_relations_and_their_entities(tmp_path):
    path = put(tmp_path, RELATION)
    found, _ = read("doccano", path, "RE")
    assert said(found) == [("Ana met Zoë.", [("met", 0, 3, 8, 11)])]
    found, _ = read("doccano", path, "NER")
    assert said(found) == [("Ana met Zoë.", [("person", 8, 11), ("person", 0, 3)])]


# "Zoë" with two characters for its last letter and "Ana", in each of the three countings:
# characters: family 7, " met " 5 -> 12..16, " 😀 " 3 -> 19..22
# UTF-16 units: family 4 * 2 + 3 = 11, 5 -> 16..20, 1 + 2 + 1 = 4 -> 24..27
# graphemes: family 1, 5 -> 6..9, 3 -> 12..15
@pytest.mark.parametrize(
    ("counting", "zoe", "ana"),
    [
        ("characters", (12, 16), (19, 22)),
        ("utf-16", (16, 20), (24, 27)),
        ("graphemes", (6, 9), (12, 15)),
    ],
)
def test_what_offsets_count(tmp_path, counting, zoe, ana):
    path = put(tmp_path, {"text": EMOJI, "label": [[*ana, "x"], [*zoe, "x"]]})
    found, problems = read("doccano", path, "NER", offsets=counting)
    assert [a.spans[0].text for a in found[0].annotations] == ["Ana", "Zoe\u0308"]
    assert not problems.counts


def units(text, at):
    return len(text[:at].encode("utf-16-le")) // 2


# "🔧 Ana met Bo.": characters 🔧 0, Ana 2..5, Bo 10..12 of 13; UTF-16 one more behind the emoji
WRENCH = "🔧 Ana met Bo."


@pytest.mark.parametrize(
    ("label", "counting", "span"),
    [
        ([2, 5], "characters", "Ana"),  # as UTF-16 units " An" without its last letter: torn
        ([3, 6], "utf-16", "Ana"),  # as characters "na "
        ([0, 1], "characters", "🔧"),  # as UTF-16 units it ends inside the pair
        ([0, 2], "utf-16", "🔧"),
        ([11, 14], "utf-16", "Bo."),  # as characters behind the end
    ],
)
def test_the_spans_tell_what_the_offsets_count(tmp_path, label, counting, span):
    before = {"text": "Ana 😀", "label": [[0, 3, "x"]]}  # counted alike in every way
    path = put(tmp_path, PLAIN, before, {"text": WRENCH, "label": [[*label, "x"]]})
    found, problems = read("doccano", path, "NER")
    assert [e.annotations[0].spans[0].text for e in found] == ["Ana", "Ana", span]
    assert problems.counts == {doccano.FOUND[counting]: 1}


def test_the_whole_file_tells_and_one_wrong_span_changes_nothing(tmp_path):
    # [4, 7]: "a m" as characters, "na " as units, torn both ways; [2, 5] twice: characters
    records = [{"text": WRENCH, "label": [[*at, "x"]]} for at in [(4, 7), (2, 5), (10, 12)]]
    found, problems = read("doccano", put(tmp_path, *records), "NER")
    assert [e.annotations[0].spans[0].text for e in found] == ["a m", "Ana", "Bo"]
    assert problems.counts == {doccano.FOUND["characters"]: 3}


def test_a_file_that_does_not_tell_is_refused(tmp_path):
    # no spaces: every span is torn out of the letters around it
    path = put(tmp_path, PLAIN, {"text": "🔧東京へ行く", "label": [[2, 4, "x"]]})
    refused("doccano", path, "NER", "all.jsonl#1", "do not tell", "option offsets=")
    for counting, span in (("characters", "京へ"), ("utf-16", "東京")):
        found, problems = read("doccano", path, "NER", offsets=counting)
        assert found[1].annotations[0].spans[0].text == span
        assert not problems.counts


@pytest.mark.parametrize("offsets", [(1, 2), (0, 1), (0, 6), (5, 5), (4, 3)])
def test_offsets_where_nothing_stands(tmp_path, offsets):
    # "😀Ana": units 0..5; 1 is inside the pair
    path = put(tmp_path, {"text": "😀Ana", "label": [[*offsets, "x"]]})
    with pytest.raises(UserError, match=rf"does not stand at \[{offsets[0]}, {offsets[1]}\]"):
        read("doccano", path, "NER", labels={"x": "x"}, offsets="utf-16")
    found, problems = read("doccano", path, "NER", repair=True, offsets="utf-16")
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
        ("NER", {"text": "a", "label": [["0", 1, "x"]]}, "an offset is not a whole number: '0'"),
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
        read("doccano", path, task)
    assert why in str(error.value)
    found, problems = read("doccano", path, task, repair=True)
    assert len(found) == 1
    assert problems.counts["unreadable record (record left out)"] == 1


def test_options_and_tasks(tmp_path):
    path = put(tmp_path, PLAIN)
    with pytest.raises(UserError, match="option offsets=bytes: must be nothing or characters"):
        read("doccano", path, "NER", offsets="bytes")
    with pytest.raises(UserError, match="holds no EET; use it for NER, RE"):
        read("doccano", path, "EET")


@given(
    st.sampled_from(["NER", "RE"]), broken([RELATION, RELATION]), st.booleans(),
    st.sampled_from(doccano.OPTIONS["offsets"]),
)  # fmt: skip
def test_broken_records(task, records, repair, counting):
    content = lines(RELATION, *records)
    found = attempt(content, "all.jsonl", "doccano", task, repair, offsets=counting)
    assert found is not None or not repair or not counting


@given(torn(lines(PLAIN, {"text": EMOJI, "label": [[24, 27, "x"]]})), st.booleans())
def test_damaged_files(content, repair):
    attempt(content, "all.jsonl", "doccano", "NER", repair=repair)


@given(st.text(st.sampled_from("aé😀𝒳\u0301\u200d\r\n👩"), min_size=1), st.data())
def test_offsets_are_turned_back(text, data):
    start, end = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=2)))
    units = [len(text[:at].encode("utf-16-le")) // 2 for at in (start, end)]
    assert doccano.Places(text, "utf-16").mention(*units) == (text[start:end], start, end)
    graphemes = doccano.Places(text, "graphemes").at
    assert sorted(graphemes.values()) == list(graphemes.values())
    assert (graphemes[0], max(graphemes.values())) == (0, len(text))


@pytest.mark.parametrize("count", [units, lambda text, at: at], ids=["utf-16", "characters"])
def test_tweets_with_emoji(shared, tmp_path, count):
    """Real texts, with offsets as doccano or a script would have written them."""
    source = shared / "data" / "ie" / "NER" / "Broad Tweet Corpus" / "test.json"
    records = json.loads(source.read_text(encoding="utf-8"))
    made = [
        {
            "text": (text := "😀 " + r["sentence"]),
            "label": [
                [*(count(text, at + 2) for at in e["pos"]), e["type"]] for e in r["entities"]
            ],
        }
        for r in records
    ]
    found, _ = read("doccano", put(tmp_path, *made), "NER")
    expected = [[e["name"] for e in r["entities"]] for r in records]
    assert [[a.spans[0].text for a in e.annotations] for e in found] == expected
    assert sum(map(len, expected)) > 100


def test_spans_in_two_fields(tmp_path):
    entity = {"id": 1, "start_offset": 0, "end_offset": 3, "label": "person"}
    record = {"text": "Ann ran.", "label": [], "entities": [entity]}
    (tmp_path / "test.jsonl").write_text(json.dumps(record) + "\n")
    (example,), _ = read("doccano", tmp_path, "NER")
    assert [a.label for a in example.annotations] == ["person"]
    both = record | {"label": [[0, 3, "person"]]}
    (tmp_path / "test.jsonl").write_text(json.dumps(both) + "\n")
    refused("doccano", tmp_path, "NER", "spans stand in 'label' and in 'entities'")
