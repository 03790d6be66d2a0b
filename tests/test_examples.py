"""Examples, their table and what counts as the same sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import examples, parquet, schemas
from ruie.cli import UserError
from ruie.examples import Annotation, Event, Example, Span


@pytest.fixture
def one_of_each(make_example):
    return [
        make_example("Alice left.", ("person", "Alice"), id="a/train/000000"),
        make_example("None here", id="a/train/000001"),
        make_example(
            "Anna works for Acme.",
            ("work for", "Anna", "Acme"),
            task="RE",
            schema=("work for",),
            id="b/dev/000002",
        ),  # fmt: skip
        make_example(
            "Bombs fell.", ("attack", "fell"), task="EET", schema=("attack",), id="c/test/000003"
        ),
        make_example(
            "Bombs fell.",
            ("weapon", "Bombs"),
            task="EEA",
            schema=("weapon", "place"),
            event=("attack", "fell"),
            id="d/test/000004",
        ),  # fmt: skip
    ]


def test_the_factory_places_spans(ner):
    assert ner.annotations == (
        Annotation("person", (Span("Alice", 0, 5),)),
        Annotation("location", (Span("Paris", 17, 22),)),
    )
    assert all(ner.text[s.start : s.end] == s.text for a in ner.annotations for s in a.spans)


def test_round_trip_through_the_table(one_of_each):
    table = examples.to_table(one_of_each)
    assert examples.from_table(table) == one_of_each


def test_rows_spell_the_answer_and_the_event(one_of_each):
    rows = examples.to_table(one_of_each).to_pylist()
    assert [r["answer"] for r in rows] == [
        "person: Alice.",
        "None",
        "work for: Anna, Acme.",
        "attack: fell.",
        "weapon: Bombs.",
    ]
    assert [r["event"] for r in rows[:4]] == [None] * 4
    assert rows[4]["event"] == {
        "type": "attack",
        "trigger": {"text": "fell", "start": 6, "end": 10},
    }
    assert rows[2]["annotations"] == [
        {
            "label": "work for",
            "spans": [
                {"text": "Anna", "start": 0, "end": 4},
                {"text": "Acme", "start": 15, "end": 19},
            ],
        }
    ]
    assert set(rows[0]) == set(schemas.EXAMPLES.names)


def test_read_joins_files_in_order(one_of_each, tmp_path):
    paths = []
    for i, part in enumerate((one_of_each[3:], one_of_each[:3])):
        paths.append(tmp_path / f"{i}.parquet")
        parquet.write(examples.to_table(part), schemas.EXAMPLES, paths[-1])
    assert examples.read(*paths) == one_of_each[3:] + one_of_each[:3]
    assert examples.read() == []


def test_chosen_reads_what_is_asked_for_and_misses_nothing(one_of_each, tmp_path):
    path = tmp_path / "pool.parquet"
    parquet.write(examples.to_table(one_of_each), schemas.EXAMPLES, path)
    first, *_, last = one_of_each
    assert examples.chosen(path, [last.id, first.id, last.id]) == {first.id: first, last.id: last}
    assert examples.chosen(path, []) == {}
    with pytest.raises(UserError, match="holds no sample 'nobody', which was retrieved from anoth"):
        examples.chosen(path, [first.id, "nobody"])


def test_by_id(one_of_each):
    found = examples.by_id(one_of_each)
    assert list(found) == [e.id for e in one_of_each]
    assert found["b/dev/000002"] is one_of_each[2]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Alice left.", "ALICE LEFT."),
        ("Alice left.", "  Alice\t\nleft. "),
        ("Straße", "STRASSE"),
        ("Cafe\u0301", "Café"),  # combining accent
        ("ﬁne №5", "fine No5"),  # ligature and sign, by NFKC
        ("a\u00a0b", "a b"),  # no-break space
    ],
)
def test_same_sentence(make_example, a, b):
    assert make_example(a).text_hash == make_example(b).text_hash


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Alice left.", "Alice left"),
        ("ab", "a b"),
        ("résumé", "resume"),
        ("5", "6"),
        ("a b", "b a"),
    ],
)
def test_another_sentence(make_example, a, b):
    assert make_example(a).text_hash != make_example(b).text_hash


def test_the_hash_is_of_the_text_alone(one_of_each):
    assert one_of_each[3].text_hash == one_of_each[4].text_hash


@given(st.text(max_size=40), st.sampled_from([" ", "\t", "\n", "  ", "\u3000"]))
def test_spacing_never_changes_the_hash(make_example, text, blank):
    spaced = blank + blank.join(text.split()) + blank
    assert make_example(spaced).text_hash == make_example(text).text_hash


_spans = st.builds(Span, st.text(max_size=8), st.integers(0, 99), st.integers(0, 99))
_examples = st.builds(
    Example,
    id=st.text(max_size=8),
    task=st.sampled_from(examples.TASKS),
    dataset=st.text(max_size=8),
    split=st.text(max_size=8),
    text=st.text(max_size=30),
    schema=st.lists(st.text(max_size=8), max_size=4).map(tuple),
    annotations=st.lists(
        st.builds(
            Annotation, st.text(max_size=8), st.lists(_spans, min_size=1, max_size=2).map(tuple)
        ),
        max_size=3,
    ).map(tuple),
    event=st.none() | st.builds(Event, st.text(max_size=8), _spans),
    source=st.text(max_size=8),
)


@given(st.lists(_examples, max_size=4))
def test_any_example_survives_the_table(members):
    table = examples.to_table(members)
    assert examples.from_table(table) == members
