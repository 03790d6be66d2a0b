"""YAYI-UIE: the exact prompts, and answers in JSON."""

from __future__ import annotations

import pytest
from sft_samples import EEA, NER, RE, TEXT, answered, items

from ruie.sft.formats import FORMATS

WIDE = "\uff1a"  # the colon of their prompts


@pytest.mark.parametrize(
    ("example", "ask"),
    [
        (NER, "From the given text, extract all the entities and types. Please format the answer "
              f"in json {{person/place/group{WIDE}[entities]}}."),
        (RE, "From the given text, extract the possible head entities (subjects) and tail entities "
             "(objects) and give the corresponding relation triples.The relations are "
             "[works for,born in]. Output the result in json"
             "[{'relation':'', 'head':'', 'tail':''}, ]."),
        (EEA, "Given the text and the role list [person, employer, place], identify event "
              "arguments and roles, provide your answer in the format of json{role:name}."),
    ],
)  # fmt: skip
def test_prompts(example, ask):
    assert FORMATS["yayi"].prompts(example) == [f"<reserved_13>Text: {TEXT}\n{ask}<reserved_14>"]


@pytest.mark.parametrize(
    ("example", "text", "answer"),
    [
        (NER, '{"person": ["Bob"], "place": []}', "person: Bob."),
        (NER, "{'person': ['Bob'], 'place': 'Paris, Texas'}",
         "person: Bob; place: Paris, Texas."),
        (RE, "[{'relation':'works for', 'head':'Alice Smith', 'tail':'Acme Corp'}, ]",
         "works for: Alice Smith, Acme Corp."),
        (RE, "[{'relation':'', 'head':'', 'tail':''}]", "None"), (RE, "[]", "None"),
        (EEA, '{"person": "Bob", "employer": ["Acme Corp", "Acme"], "place": ""}',
         "person: Bob; employer: Acme Corp; employer: Acme."),
    ],
)  # fmt: skip
def test_answers(example, text, answer):
    assert answered("yayi", example, text) == (answer, {})


@pytest.mark.parametrize(
    ("example", "text", "what"),
    [
        (RE, '{"works for": "Bob"}', "not of the form asked for"),
        (RE, '["Bob"]', "not of the form asked for"),
        (RE, '[{"relation": "born in", "head": "Bob"}]', "value that is no text"),
        (EEA, '[{"person": "Bob"}]', "not of the form asked for"),
    ],
)
def test_faults_are_counted_and_wrong(example, text, what):
    assert answered("yayi", example, text)[1] == {what: 1}
    assert [item[0] for item in items("yayi", example, text)] == [""]
