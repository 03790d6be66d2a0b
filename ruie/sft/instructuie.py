"""InstructUIE: an instruction, options, the text; answers as in Appendix D.

Facts of the format, from BeyonderXX/InstructUIE: the first zero-shot instruction of each task in
configs/instruction_config.json (its scripts ask with ``instruction_strategy single``) and the
``load_*_dataset`` functions of src/uie_dataset.py, both at commit 1f55925; no task and no dataset
name in the prompt (scripts/eval_flan-t5.sh). The trigger of a given event is not in the prompt,
although its instruction speaks of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ruie.answers import IGNORED, SEPARATOR, even, even_label, parse
from ruie.examples import Example
from ruie.sft.reading import Reading, held, says_nothing

TASKS = ("NER", "RE", "EET", "EEA")
INSTRUCTIONS = {
    "NER": "Please list all entity words in the text that fit the category.Output format is "
    '"type1: word1; type2: word2". \n',
    "RE": "Given a phrase that describes the relationship between two words, extract the words and "
    "the lexical relationship between them. The output format should be "
    '"relation1: word1, word2; relation2: word3, word4". \n',
    "EET": "Please tell me event type and its trigger word from given type options. Output format "
    'is "type: trigger".  ',
    "EEA": "Given event type and trigger, please tell me the arguments of all the listed option. "
    'Output format is "name1: role1; name2: role2". \n',
}
#: What stands for an apostrophe in the triggers and event types that it was trained on.
APOSTROPHE = "#$%#"


def prompts(example: Example) -> list[str]:
    event = f"Event type: {example.event.type} \n  " if example.event else ""
    options = ", ".join(example.schema)
    return [
        f"{INSTRUCTIONS[example.task]}{event}Option: {options} \nText: {example.text} \nAnswer:"
    ]


def read(answers: Sequence[str], example: Example) -> Reading:
    """``type: span; type: span``, ``relation: head, tail``; for EEA ``name: role; name: role``."""
    reading, text = Reading(), answers[0]
    if says_nothing(text):
        reading.notes["nothing said"] += not text.strip()
        return reading
    if example.task == "EEA":
        _read_arguments(text, example, reading)
        return reading
    reading.written = text.replace(APOSTROPHE, "'") if example.task == "EET" else text
    items = parse(reading.written, example.task, example.schema, example.text)
    reading.notes["no label of the schema"] += sum(not label for label, *_ in items)
    return reading


def _read_arguments(text: str, example: Example, reading: Reading) -> None:
    """A name goes on over ``;`` and line breaks as far as the input holds it."""
    roles = {even_label(role): role for role in example.schema}
    open_parts: list[str] = []
    # separators are kept, at the odd places, for a name that holds one
    for part in _with_separators(text):
        name, colon, role = part.rpartition(":")
        known = roles.get(even_label(role)) if colon else None
        if known is None:
            open_parts.append(part)
            continue
        joined = "".join([*open_parts, name])
        if open_parts and held(joined, example.text):
            name = joined
        else:
            _unread(open_parts, reading)
            name = name.lstrip(";\n")
        open_parts = []
        reading.items.append((known, name.strip()))
    _unread(open_parts, reading)


def _with_separators(text: str) -> list[str]:
    """The parts of a text, each but the first with the separator before it."""
    starts = [0, *(found.start() for found in SEPARATOR.finditer(text))]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def _unread(parts: Sequence[str], reading: Reading) -> None:
    for part in parts:
        if even(part.lstrip(";\n")) not in IGNORED:
            reading.fault("no role of the schema", part.lstrip(";\n"))
