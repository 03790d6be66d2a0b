"""YAYI-UIE: the text, a sentence that asks, JSON out.

Facts of the format, from wenge-research/YAYI-UIE, README_EN.md (Inference, Sample Prompts): role
tokens ``<reserved_13>`` and ``<reserved_14>`` around the prompt, the text first, labels between
slashes for entities and with the wide colon, between commas for relations. No English prompt for
event detection is published, so there is none here.
"""

from __future__ import annotations

from collections.abc import Sequence

from ruie.examples import Example
from ruie.sft.json_answers import NOT_ASKED, add_labelled, add_relation, get, texts, whole
from ruie.sft.reading import Reading
from ruie.sft.values import Fields, Value, shown

TASKS = ("NER", "RE", "EEA")


def ask(example: Example) -> str:
    """The sentence that asks for a task's labels."""
    labels = example.schema
    if example.task == "NER":
        return (
            "From the given text, extract all the entities and types. Please format the answer in "
            f"json {{{'/'.join(labels)}：[entities]}}."
        )
    if example.task == "RE":
        return (
            "From the given text, extract the possible head entities (subjects) and tail entities "
            f"(objects) and give the corresponding relation triples.The relations are "
            f"[{','.join(labels)}]. Output the result in json[{{'relation':'', 'head':'', "
            "'tail':''}, ]."
        )
    return (
        f"Given the text and the role list [{', '.join(labels)}], identify event arguments and "
        "roles, provide your answer in the format of json{role:name}."
    )


def prompts(example: Example) -> list[str]:
    return [f"<reserved_13>Text: {example.text}\n{ask(example)}<reserved_14>"]


def read(answers: Sequence[str], example: Example) -> Reading:
    """NER ``{type: [entity]}``, RE ``[{"relation", "head", "tail"}]``, EEA ``{role: name or
    names}``."""
    reading = Reading()
    value = whole(answers[0], reading)
    if example.task != "RE":
        add_labelled(value, reading)
        return reading
    members: Sequence[Value] = value if isinstance(value, list) else [value]
    for member in members:
        label = get(member, "relation") if isinstance(member, Fields) else None
        if isinstance(member, Fields) and isinstance(label, str):
            add_relation(label, get(member, "head"), get(member, "tail"), member, reading)
        elif isinstance(member, str):
            for text in texts("", member, reading):
                reading.fault(NOT_ASKED, text)
        elif member is not None:
            reading.fault(NOT_ASKED, shown(member))
    return reading
