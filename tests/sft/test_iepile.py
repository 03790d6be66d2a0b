"""IEPile and OneKE: the exact prompts, and answers in JSON."""

from __future__ import annotations

import json

import pytest
from sft_samples import EEA, EET, NER, RE, SAMPLES, answered, items

from ruie.sft import iepile
from ruie.sft.formats import FORMATS


def test_the_string_of_entities_is_theirs():
    """Alphabetical labels, JSON without escapes for other scripts."""
    example = NER._replace(text='Bob said "da" in Köln.')
    assert iepile.instructions(example) == [
        '{"instruction": "You are an expert in named entity recognition. Please extract entities '
        "that match the schema definition from the input. Return an empty list if the entity type "
        'does not exist. Please respond in the format of a JSON string.", '
        '"schema": ["group", "person", "place"], "input": "Bob said \\"da\\" in Köln."}'
    ]


def test_the_template_is_that_of_llama_2():
    (prompt,) = FORMATS["iepile"].prompts(NER)
    start = "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant. Always answer"
    assert prompt.startswith(start)
    assert "positive in nature.\n\nIf a question does not make any sense" in prompt
    assert '\n<</SYS>>\n\n{"instruction": "You are an expert in named' in prompt
    assert prompt.endswith('Texas."} [/INST]')
    (other,) = FORMATS["oneke"].prompts(NER)
    assert other.startswith(
        "[INST] <<SYS>>\nYou are a helpful assistant. 你是一个乐于助人的助手。\n<</SYS>>\n\n{"
    )
    assert other.endswith('Texas."}[/INST]')


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(0, 6, [0]), (5, 6, [5]), (6, 6, [6]), (8, 6, [8]), (9, 6, [6, 3]), (12, 6, [6, 6]),
     (5, 4, [5]), (6, 4, [4, 2]), (13, 4, [4, 4, 5]), (14, 4, [4, 4, 4, 2])],
)  # fmt: skip
def test_groups_of_labels(n, size, sizes):
    """A rest below half of the size (3 of 6, 2 of 4) joins the last group."""
    labels = [f"l{i:02}" for i in range(n)]
    found = iepile.groups(labels[::-1], size)
    assert [len(g) for g in found] == sizes
    assert sum(found, []) == labels


def test_relations_and_events_are_asked_for_four_at_a_time():
    schema = tuple("hgfedcba")
    for example in (RE, EET):
        asked = [json.loads(s)["schema"]
                 for s in iepile.instructions(example._replace(schema=schema))]  # fmt: skip
        assert asked == [list("abcd"), list("efgh")]


def test_arguments_are_asked_for_with_the_trigger():
    (said,) = iepile.instructions(EEA)
    assert json.loads(said)["schema"] == [
        {"event_type": "Start Job", "trigger": ["hired"], "arguments": list(EEA.schema)}
    ]
    assert "which already includes event trigger words" in said


@pytest.mark.parametrize(
    ("example", "text", "answer"),
    [
        (NER, '{"group": [], "person": ["Bob", "Alice Smith"], "place": ["Paris, Texas"]}',
         "person: Bob; person: Alice Smith; place: Paris, Texas."),
        (RE, '{"works for": [{"subject": "Alice Smith", "object": "Acme Corp"}], "born in": []}',
         "works for: Alice Smith, Acme Corp."),
        (EET, '{"Attack": [], "Start Job": ["hired"]}', "Start Job: hired."),
        (EEA, '{"Start Job": [{"person": "Bob", "employer": ["Acme Corp", "Acme"], '
              '"place": "NAN"}]}', "person: Bob; employer: Acme Corp; employer: Acme."),
        (EEA, '{"Start Job": []}', "None"), (NER, "{}", "None"),
    ],
)  # fmt: skip
def test_answers(example, text, answer):
    assert answered("iepile", example, text) == (answer, {})


def test_groups_are_put_together():
    texts = ['{"person": ["Bob"]}', '{"place": ["Paris, Texas"]}']
    assert answered("iepile", NER, *texts)[0] == "person: Bob; place: Paris, Texas."


def test_a_fault_in_one_group_leaves_the_others():
    said, notes = answered("iepile", NER, '{"person": ["Bob"', '{"place": ["Paris, Texas"]}')
    assert said == '[unreadable] {"person": ["Bob"; place: Paris, Texas.'
    assert notes == {"cut off": 1}
    assert len(items("iepile", NER, '{"person": ["Bob"', '{"place": ["Paris, Texas"]}')) == 2


@pytest.mark.parametrize(
    ("task", "text", "what"),
    [
        ("NER", "I found none of them", "no JSON"),
        ("NER", '["Bob"]', "not of the form asked for"),
        ("NER", '{"person": [{"name": "Bob"}]}', "value that is no text"),
        ("NER", '{"person": []} as asked', "text around the JSON"),
        ("RE", '{"works for": ["Bob"]}', "not of the form asked for"),
        ("RE", '{"works for": [{"subject": ["Bob"], "object": "x"}]}', "value that is no text"),
        ("EEA", '{"Attack": [{"person": "Bob"}]}', "arguments of another event"),
    ],
)
def test_faults_are_counted_and_wrong(task, text, what):
    example = SAMPLES[task]
    assert answered("iepile", example, text)[1] == {what: 1}
    assert [item[0] for item in items("iepile", example, text)] == [""]


def test_an_unknown_label_is_a_wrong_item():
    assert items("iepile", NER, '{"animal": ["Bob"]}') == [("", "animal: bob")]
