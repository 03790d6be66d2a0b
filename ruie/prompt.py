"""Sample format (Appendix D, Table 12), instructions (Appendix E, Table 13) and the prompt.

There is one builder: scoring (section 3.2) and inference read the same text. Whitespace between
the context and the answer belongs to the answer, so the context ends in ``Output:`` and what is
scored is what the model would generate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ruie.examples import Annotation, Example
from ruie.keywords import keyword_spans, tag

NONE = "None"
#: Fields of a sample in the order of Table 12.
FIELDS = ("task", "schema", "input", "output")
#: The same for an encoder, which cuts what is too long at its end: a schema, alike in all samples
#: of a dataset, can have more tokens than an encoder reads (RAMS' 139 event types).
ENCODED = ("task", "input", "output", "schema")
#: Fields that a retriever's text can have.
RETRIEVAL_FIELDS = ("labels", *FIELDS)

TASK_NAMES = {
    "NER": "Named Entity Recognition",
    "RE": "Relation Extraction",
    "EET": "Event Detection",
    "EEA": "Event argument extraction",
}

INSTRUCTIONS = {
    "NER": """Please analyze the given schema and extract all named entities from the provided \
input. Follow these instructions carefully:
1. Output Format: Present the extracted entities in this structured format: "EntityType1: \
EntityName1; EntityType2: EntityName2; ...".
2. Include Only Present Entities: Only output entities that actually exist in the input. Ignore \
any entities that are not mentioned.
3. No Entities Response: If the input contains no named entities, respond with "None".
4. Examples Handling: If examples are provided for reference, use them to understand the \
annotation criteria, but do not extract entities from these examples.""",
    "RE": """Please analyze the given sentence and extract subjects and objects that have a \
specific relation, according to the provided schema. Follow these guidelines:
1. Output Format: Format your output as follows: "relation1: subject1, object1; relation2: \
subject2, object2; ...".
2. Include Only Present Relations: Only output relations that actually exist in the input. Ignore \
any relations that are not mentioned.
3. No Relations Response: If the sentence contains no relations, respond with "None".
4. Example Usage: If examples are provided, use them to understand the annotation criteria. Do \
not extract relations from these examples.""",
    "EET": """Please analyze the given schema and extract all event triggers from the provided \
input. Follow these instructions carefully:
1. Output Format: Present the extracted triggers in this structured format: "EventType1: \
TriggerName1; EventType2: TriggerName2; ...".
2. Include Only Present Triggers: Only output triggers that actually exist in the input. Ignore \
any triggers that are not mentioned.
3. No Triggers Response: If the input contains no event triggers, respond with "None".
4. Examples Handling: If examples are provided for reference, use them to understand the \
annotation criteria, but do not extract triggers from these examples.""",
    "EEA": """Please extract and list arguments of specified types for a given event type and \
trigger, according to the provided schema. Follow these instructions carefully:
1. Output Format: Format your output as follows: "ArgumentType1: argument1; ArgumentType2: \
argument2; ...".
2. Include Only Present Arguments: Only include event arguments that are present in the input \
sentence. Ignore any event arguments that are not mentioned.
3. No Arguments Response: If the sentence contains no event arguments, respond with "None".
4. Example Usage: If examples are provided, use them to understand the annotation criteria. Do \
not extract event arguments from these examples.""",
}


_BREAKS = {ord(c): " " for c in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"}


def one_line(text: str) -> str:
    """Line breaks as spaces, one for one, so that offsets stay and a sample stays four lines."""
    # no line break is printable, and most texts are: this test is much faster than a translation
    return text if text.isprintable() else text.translate(_BREAKS)


def _item(annotation: Annotation) -> str:
    label, spans = annotation
    if len(spans) == 1:
        return f"{label}: {spans[0].text}"
    return f"{label}: " + ", ".join([s.text for s in spans])


def answer(example: Example) -> str:
    """The Output field: ``label: span; label: span.`` in annotation order, or ``None``."""
    if not example.annotations:
        return NONE
    return one_line("; ".join(map(_item, example.annotations))) + "."


def schema(example: Example) -> str:
    """The Schema field: a list of labels; for EEA the given event and its roles."""
    labels = "[" + one_line(", ".join(example.schema)) + "]"
    if example.event is None:
        return labels
    given = f"{example.event.type}: {one_line(example.event.trigger.text)}"
    return f'Given event trigger: "{given}"; Candidate arguments: {labels}'


def labels(example: Example) -> str:
    """Task and labels of the schema in one line, in the prompt's order; for EEA the given event's
    type and its roles. No part of a prompt: retrieval alone reads it (docs/beyond.md)."""
    of = f" of {example.event.type}" if example.event else ""
    return one_line(f"{TASK_NAMES[example.task]}{of}: {', '.join(example.schema)}")


def render(
    example: Example, fields: Sequence[str] = FIELDS, keywords: bool = False, quotes: bool = False
) -> str:
    """The named fields of a sample, one a line, in the order given.

    ``keywords`` tags the gold spans of the Input field (section 3.3: "only applies to the input
    field of the example", Figure 2); ``quotes`` puts it into quotation marks, as the published
    code does.
    """
    text = one_line(example.text)
    if keywords:
        text = tag(text, keyword_spans(example))
    parts = {
        "labels": lambda: labels(example),
        "task": lambda: f"Task: {TASK_NAMES[example.task]}",
        "schema": lambda: f"Schema: {schema(example)}",
        "input": lambda: f'Input: "{text}"' if quotes else f"Input: {text}",
        "output": lambda: f"Output: {answer(example)}",
    }
    return "\n".join(parts[field]() for field in fields)


def query(example: Example, keywords: bool = False, quotes: bool = False) -> str:
    """A sample whose answer is to be given: it ends in ``Output:``."""
    return render(example, FIELDS[:3], keywords, quotes) + "\nOutput:"


def build(instruction: str, demonstrations: Sequence[str], query: str) -> str:
    """Instruction, demonstrations (the least relevant first, the best next to the query), query,
    separated by blank lines. A supervised model's prompt (ruie/sft) has no instruction of ours."""
    return "\n\n".join([*([instruction] if instruction else []), *demonstrations, query])


def fit(
    instruction: str,
    demonstrations: Sequence[str],
    query: str,
    count_tokens: Callable[[str], int],
    budget: int,
) -> tuple[str, int]:
    """The prompt within ``budget`` tokens and how many demonstrations it uses.

    Whole demonstrations are dropped, the least relevant first; the instruction and the query are
    never cut. A prompt that is too long without any demonstration is returned as it is: whether
    the model can take it is for the caller to say.
    """
    kept = list(demonstrations)
    prompt = build(instruction, kept, query)
    while kept and count_tokens(prompt) > budget:
        kept.pop(0)
        prompt = build(instruction, kept, query)
    return prompt, len(kept)
