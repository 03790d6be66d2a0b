"""IEPile (LLaMA2-IEPILE) and OneKE: JSON in, JSON out, a few labels at a time.

Facts of the format, from zjunlp/IEPile: instructions ie2instruction/convert/utils/instruction.py;
groups of labels ``multischema_split_by_num_test`` in ie2instruction/convert_func.py, their size and
alphabetical order README.md 3.5.1; event arguments ``EEAProcesser.get_final_schemas`` and
``EEAConverter`` (convert/processer, convert/converter); template ``llama2`` of
src/datamodule/template.py, which README.md names for LLaMA2-IEPILE; for OneKE the prompt of
OneKE.md. The tokenizer writes the start token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ruie.answers import even_label
from ruie.examples import Example
from ruie.sft.json_answers import (
    NOT_ASKED,
    NOTHING,
    add_labelled,
    add_relation,
    get,
    texts,
    whole,
)
from ruie.sft.reading import Reading
from ruie.sft.values import Fields, Value, shown

TASKS = ("NER", "RE", "EET", "EEA")
INSTRUCTIONS = {
    "NER": "You are an expert in named entity recognition. Please extract entities that match the "
    "schema definition from the input. Return an empty list if the entity type does not exist. "
    "Please respond in the format of a JSON string.",
    "RE": "You are an expert in relationship extraction. Please extract relationship triples that "
    "match the schema definition from the input. Return an empty list for relationships that do "
    "not exist. Please respond in the format of a JSON string.",
    "EET": "You are an expert in event extraction. Please extract event types and event trigger "
    "words from the input that conform to the schema definition. Return an empty list for "
    "non-existent events. Please respond in the format of a JSON string.",
    "EEA": "You are an expert in event argument extraction. Please extract event arguments and "
    "their roles from the input that conform to the schema definition, which already includes "
    "event trigger words. If an argument does not exist, return NAN or an empty dictionary. Please "
    "respond in the format of a JSON string.",
}
#: Labels in one prompt.
SPLIT = {"NER": 6, "RE": 4, "EET": 4}
LLAMA2_SYSTEM = (
    "You are a helpful, respectful and honest assistant. "
    "Always answer as helpfully as possible, while being safe. "
    "Your answers should not include any harmful, unethical, "
    "racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "If a question does not make any sense, or is not factually coherent, "
    "explain why instead of answering something not correct. "
    "If you don't know the answer to a question, please don't share false information."
)
ONEKE_SYSTEM = "You are a helpful assistant. 你是一个乐于助人的助手。"


def groups(labels: Sequence[str], size: int) -> list[list[str]]:
    """Labels in alphabetical order, ``size`` at a time; a rest of less than half is put to the last
    group."""
    ordered = sorted(dict.fromkeys(labels))
    full = max(len(ordered) // size, 1) * size
    out = [ordered[i : i + size] for i in range(0, full, size)]
    if len(ordered) - full >= max(1, size // 2):
        out.append(ordered[full:])
    else:
        out[-1] += ordered[full:]
    return out


def instructions(example: Example) -> list[str]:
    """The JSON strings of a query, one for each group of labels."""
    asked: list[list[Any]]
    if example.event is None:
        asked = list(groups(example.schema, SPLIT[example.task]))
    else:
        event = {"event_type": example.event.type, "trigger": [example.event.trigger.text],
                 "arguments": list(example.schema)}  # fmt: skip
        asked = [[event]]
    instruction = INSTRUCTIONS[example.task]
    return [
        json.dumps(
            {"instruction": instruction, "schema": schema, "input": example.text},
            ensure_ascii=False,
        )
        for schema in asked
    ]


def prompts(example: Example) -> list[str]:
    return [
        f"[INST] <<SYS>>\n{LLAMA2_SYSTEM}\n<</SYS>>\n\n{text} [/INST]"
        for text in instructions(example)
    ]


def oneke_prompts(example: Example) -> list[str]:
    return [
        f"[INST] <<SYS>>\n{ONEKE_SYSTEM}\n<</SYS>>\n\n{text}[/INST]"
        for text in instructions(example)
    ]


def read(answers: Sequence[str], example: Example) -> Reading:
    """NER ``{type: [entity]}``, RE ``{relation: [{"subject", "object"}]}``, EET ``{type:
    [trigger]}``, EEA ``{type: [{role: argument or arguments}]}``; all groups together."""
    reading = Reading()
    for text in answers:
        value = whole(text, reading)
        if example.task in ("NER", "EET"):
            add_labelled(value, reading)
        elif isinstance(value, Fields):
            for label, members in value.pairs:
                for member in members if isinstance(members, list) else [members]:
                    _add(label, member, example, reading)
        elif value is not None and value != []:
            reading.fault(NOT_ASKED, shown(value))
    return reading


def _add(label: str, member: Value, example: Example, reading: Reading) -> None:
    """A relation, or the arguments of an event."""
    if member is None or (isinstance(member, str) and member.strip() in NOTHING):
        return
    if not isinstance(member, Fields):
        reading.fault(NOT_ASKED, f"{label}: {shown(member)}")
    elif example.task == "RE":
        add_relation(label, get(member, "subject"), get(member, "object"), member, reading)
    elif example.event is not None and even_label(label) != even_label(example.event.type):
        reading.fault("arguments of another event", f"{label}: {shown(member)}")
    else:
        arguments = get(member, "arguments")
        fields = arguments if isinstance(arguments, Fields) else member
        for role, value in fields.pairs:
            reading.items += [(role, span) for span in texts(role, value, reading)]
