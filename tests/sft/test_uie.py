"""UIE: the schema as a prefix, brackets as the answer."""

from __future__ import annotations

import pytest
from sft_samples import EEA, EET, NER, TEXT, answered, items

from ruie.sft.formats import FORMATS

O, C, S, X = (f"<extra_id_{n}>" for n in (0, 1, 5, 6))  # noqa: E741


@pytest.mark.parametrize(
    ("example", "prefix"),
    [
        (NER, "<spot> group<spot> person<spot> place"),
        (EET, "<spot> Attack<spot> Start Job"),
        (EEA, "<spot> Start Job<asoc> employer<asoc> person<asoc> place"),
    ],
)
def test_prompts(example, prefix):
    assert FORMATS["uie"].prompts(example) == [f"{prefix}<extra_id_2> {TEXT}"]


EVENT = f"{O} Start Job {S} hired {O} person {S} Bob {C} {O} employer {S} Acme Corp {C} {C}"


@pytest.mark.parametrize(
    ("example", "text", "answer"),
    [
        (NER, f"{O} {O} person {S} Bob {C} {O} place {S} Paris, Texas {C} {C}",
         "person: Bob; place: Paris, Texas."),
        (NER, f"{O}{O} person{S} Bob{C}{C}", "person: Bob."),  # as a fast tokenizer may write it
        (NER, f"{O} {C}", "None"),
        (NER, f"{O} {O} person {S} {X} {C} {O} place {S} Paris {C} {C}", "place: Paris."),
        (EET, f"{O} {O} Start Job {S} hired {C} {C}", "Start Job: hired."),
        (EEA, f"{O} {EVENT} {C}", "person: Bob; employer: Acme Corp."),
        (EEA, f"{O} {O} Start Job {S} hired {O} person {S} {X} {C} {C} {C}", "None"),
    ],
)  # fmt: skip
def test_answers(example, text, answer):
    assert answered("uie", example, text) == (answer, {})


def test_open_brackets_are_closed():
    text = f"{O} {O} person {S} Bob {C} {O} place {S} Paris"
    # the outermost and that of the place
    assert answered("uie", NER, text) == ("person: Bob; place: Paris.", {"unclosed bracket": 2})


def test_arguments_are_those_of_the_given_trigger_if_it_is_there():
    other = f"{O} Start Job {S} took {O} person {S} Alice Smith {C} {C}"
    said = answered("uie", EEA, f"{O} {other} {EVENT} {C}")
    assert said == ("person: Bob; employer: Acme Corp.", {"event with another trigger": 1})
    said = answered("uie", EEA, f"{O} {other} {C}")
    assert said == ("person: Alice Smith.", {"event with another trigger": 1})


@pytest.mark.parametrize(
    ("example", "text", "what"),
    [
        (NER, "Bob", "text outside the brackets"),
        (NER, f"{O} Bob {C}", "text outside the brackets"),
        (NER, f"{O} {C} Bob", "text outside the brackets"),
        (NER, f"{O} {O} person {C} {C}", "bracket without a span"),
        (EEA, f"{O} {O} Attack {S} hired {C} {C}", "another event type"),
    ],
)
def test_faults_are_counted_and_wrong(example, text, what):
    assert answered("uie", example, text)[1] == {what: 1}
    assert [item[0] for item in items("uie", example, text)] == [""]


def test_relations_of_entities_are_not_asked_for():
    text = f"{O} {O} person {S} Bob {O} knows {S} Alice {C} {C} {C}"
    assert answered("uie", NER, text) == ("person: Bob.", {"association not asked for": 1})


@pytest.mark.parametrize(
    ("span", "wanted"),
    [("<unk>lodz", "ślodz"), ("a<unk> b", "a{ b"), ("x<unk>y", "x<unk>y"), ("<unk>" * 9, None)],
)
def test_signs_that_the_vocabulary_lacks(span, wanted):
    example = NER._replace(text="In ślodz a{ b.")
    said = answered("uie", example, f"{O} {O} place {S} {span} {C} {C}")[0]
    assert said == f"place: {wanted or span}."
