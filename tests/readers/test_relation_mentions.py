"""Relation mentions by their strings, a sentence a line."""

from __future__ import annotations

from typing import Any

import pytest
from breaking import attempt, broken, torn
from hypothesis import given
from hypothesis import strategies as st
from reading import found, lines, listed, read, refused, said

from ruie.readers import relation_mentions

SENTENCE: dict[str, Any] = {
    "sentText": "Zoë 🙂 of Acme Bar met Bo .\r\n",
    "articleId": "a/1",
    "relationMentions": [
        {"em1Text": "Zoë", "em2Text": "Acme Bar", "label": "/works/for"},
        {"em1Text": "Acme Bar", "em2Text": "Bo", "label": "None"},
    ],
    "entityMentions": [
        {"start": 0, "label": "PERSON", "text": "Zoë"},
        {"start": 1, "label": "ORGANIZATION", "text": "Acme Bar"},
    ],
    "sentId": "1",
}
OTHER = {
    "sentext": "Bo left Oslo",
    "relations": [{"em1": "Bo", "em2": "Oslo", "rtext": "left", "tags": [4, 0, 5]}],
}
# Zoë 0-3, the emoji 4-5, of 6-8, Acme Bar 9-17
TEXT = "Zoë 🙂 of Acme Bar met Bo ."


def put(folder, *records):
    path = folder / "test.json"
    path.write_bytes(lines(*records))
    return path


def test_relations_in_both_forms(tmp_path):
    examples, problems = read("relation_mentions", put(tmp_path, SENTENCE, OTHER), "RE")
    assert said(examples) == [
        (TEXT, [("/works/for", 0, 3, 9, 17)]),
        ("Bo left Oslo", [("left", 0, 2, 8, 12)]),
    ]
    assert examples[0].schema == ("/works/for", "left")
    assert problems.counts == {
        relation_mentions.NONE: 1,
        "offsets found by literal search": 4,  # two ends of two relations
    }


def test_entities(tmp_path):
    path = put(tmp_path, SENTENCE)
    examples, problems = read("relation_mentions", path, "NER")
    assert said(examples) == [(TEXT, [("PERSON", 0, 3), ("ORGANIZATION", 9, 17)])]
    assert problems.counts == {"offsets found by literal search": 2}
    refused("relation_mentions", put(tmp_path, OTHER), "NER", "'entityMentions' is missing")
    refused("relation_mentions", path, "EET", "holds no EET; use it for NER, RE")


def test_what_is_said_twice_is_kept_once(tmp_path):
    record = {**SENTENCE, "relationMentions": SENTENCE["relationMentions"][:1] * 3}
    examples, problems = read("relation_mentions", put(tmp_path, record), "RE")
    assert found(examples) == [[("/works/for", "Zoë", "Acme Bar")]]
    assert problems.counts[relation_mentions.AGAIN] == 2


@pytest.mark.parametrize(
    ("record", "part"),
    [
        ({"sentText": 5, "relationMentions": []}, "'sentText' is not a string: 5"),
        ({"relationMentions": []}, "'sentText' is missing"),
        ({"sentText": "a", "relationMentions": {}}, "'relationMentions' is not a list"),
        ({"sentText": "a", "relations": []}, "'relationMentions' is missing"),
        ({**OTHER, "relations": [{"em1": "Bo", "rtext": "x"}]}, "'em2' is missing"),
        ({**OTHER, "relations": [{"em1": "Bo", "em2": None, "rtext": "x"}]}, "'em2' is not a"),
        ({**OTHER, "relations": [{"em1": "Bo", "em2": "Bo", "rtext": 1}]}, "label is not a"),
        ([], "expected a sentence with RE mentions"),
    ],
)
def test_faults_of_a_line(tmp_path, record, part):
    path = put(tmp_path, OTHER, record, OTHER)
    refused("relation_mentions", path, "RE", "test.json#1: unreadable record", part)
    examples, problems = read("relation_mentions", path, "RE", repair=True)
    assert [e.source for e in examples] == ["test.json#0", "test.json#2"]
    assert problems.left_out == problems.bad == 1


def test_a_string_that_does_not_stand_in_the_sentence(tmp_path):
    path = put(tmp_path, {**OTHER, "sentext": "Bo left"}, OTHER)
    refused("relation_mentions", path, "RE", "span not in text", "'Oslo'")
    examples, problems = read("relation_mentions", path, "RE", repair=True)
    assert found(examples) == [[], [("left", "Bo", "Oslo")]]
    assert problems.counts["span not in text (annotation left out)"] == 1


@given(broken([SENTENCE, OTHER]), st.sampled_from(["NER", "RE"]), st.booleans())
def test_broken_records(records, task, repair):
    content = lines(SENTENCE, *records)
    examples = attempt(content, "test.json", "relation_mentions", task, repair)
    assert examples is not None or not repair
    if task == "RE" and examples is not None:
        kept = sum(len(e.annotations) for e in examples)
        most = listed([SENTENCE, *records], "relationMentions") + listed(records, "relations")
        assert 1 <= kept <= most - 1  # the first sentence's own, without its None


@given(torn(lines(SENTENCE, OTHER)), st.sampled_from(["NER", "RE"]), st.booleans())
def test_torn_files(content, task, repair):
    attempt(content, "test.json", "relation_mentions", task, repair)
