"""InstructUIE: the exact prompts, and answers in Appendix D's form or with arguments reversed."""

from __future__ import annotations

import pytest
from sft_samples import EEA, EET, NER, RE, TEXT, answered, items

from ruie.sft.formats import FORMATS


@pytest.mark.parametrize(
    ("example", "start"),
    [
        (NER, "Please list all entity words in the text that fit the category.Output format is "
              '"type1: word1; type2: word2". \nOption: person, place, group \n'),
        (RE, "Given a phrase that describes the relationship between two words, extract the words "
             "and the lexical relationship between them. The output format should be "
             '"relation1: word1, word2; relation2: word3, word4". \nOption: works for, born in \n'),
        (EET, "Please tell me event type and its trigger word from given type options. Output "
              'format is "type: trigger".  Option: Start Job, Attack \n'),
        (EEA, "Given event type and trigger, please tell me the arguments of all the listed "
              'option. Output format is "name1: role1; name2: role2". \nEvent type: Start Job \n  '
              "Option: person, employer, place \n"),
    ],
)  # fmt: skip
def test_prompts(example, start):
    assert FORMATS["instructuie"].prompts(example) == [f"{start}Text: {TEXT} \nAnswer:"]


def test_answers_stay_as_they_are():
    for example, text in (
        (NER, "person: Bob; place: Paris, Texas"),
        (RE, "works for: Alice Smith, Acme Corp"),
        (EET, "Start Job: hired"),
    ):
        assert answered("instructuie", example, text) == (text, {})


def test_what_has_no_label_is_counted_and_wrong():
    said, notes = answered("instructuie", NER, "person: Bob; animal: Rex")
    assert notes == {"no label of the schema": 1}
    assert items("instructuie", NER, said) == [("person", "bob"), ("", "animal: rex")]


def test_apostrophes_of_triggers():
    example = EET._replace(text="Bob's been fired.", schema=("End-Job",))
    assert answered("instructuie", example, "End-Job: Bob#$%#s")[0] == "End-Job: Bob's"
    assert answered("instructuie", NER, "person: Bob#$%#s")[0] == "person: Bob#$%#s"


@pytest.mark.parametrize(
    ("text", "answer", "notes"),
    [
        ("Bob: person; Acme Corp: employer", "person: Bob; employer: Acme Corp.", {}),
        ("None", "None", {}),
        ("", "None", {"nothing said": 1}),
        # the input holds "Alice Smith; of Acme Corp"
        ("Alice Smith; of Acme Corp: employer", "employer: Alice Smith; of Acme Corp.", {}),
        ("Zoe; Bob: person", "[unreadable] Zoe; person: Bob.", {"no role of the schema": 1}),
        ("Bob: owner; Bob: Person", "[unreadable] Bob: owner; person: Bob.",
         {"no role of the schema": 1}),
        ("Bob: person\nParis, Texas: place", "person: Bob; place: Paris, Texas.", {}),
    ],
)  # fmt: skip
def test_arguments_are_turned_round(text, answer, notes):
    assert answered("instructuie", EEA, text) == (answer, notes)
