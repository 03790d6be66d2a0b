"""UIE (Lu et al. 2022): a schema of spots and associations in, a structure of brackets out.

Facts of the format, from universal-ie/UIE: special tokens README.md; the prefix
``DynamicSSIGenerator.full_spot`` and ``full_asoc`` of uie/seq2seq/data_collator/
meta_data_collator.py (sorted names, no ``<asoc>`` without associations), its spaces as in
inference.py; the structure and the mending of unclosed brackets and unknown signs
uie/extraction/predict_parser. Spots are entity or event types, associations the roles of an event.
A relation's spots would be entity types, which relation datasets here do not have: no RE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ruie.answers import IGNORED, even, even_label
from ruie.examples import Example
from ruie.sft.reading import Reading, says_nothing

TASKS = ("NER", "EET", "EEA")
OPEN, CLOSE, TEXT, SPAN, NULL = (f"<extra_id_{n}>" for n in (0, 1, 2, 5, 6))
_TOKENS = re.compile(r"(<extra_id_\d+>)")
UNKNOWN = "<unk>"
MOST_UNKNOWN = 3  # in one span: each widens the search through the input


@dataclass
class Node:
    """A bracket: its label, its span (None without one) and the brackets in it."""

    label: str = ""
    span: str | None = None
    inner: list[Node] = field(default_factory=list)

    def shown(self) -> str:
        parts = [self.label.strip(), (self.span or "").strip(), *(n.shown() for n in self.inner)]
        return " ".join(filter(None, parts))


def prompts(example: Example) -> list[str]:
    event = example.event
    spots, asocs = ([event.type], example.schema) if event else (example.schema, ())
    names = "".join(f"<spot> {name}" for name in sorted(dict.fromkeys(spots)))
    names += "".join(f"<asoc> {name}" for name in sorted(dict.fromkeys(asocs)))
    return [f"{names}{TEXT} {example.text}"]


def read(answers: Sequence[str], example: Example) -> Reading:
    """Spots of NER and EET; for EEA the associations of the given event: of the spots with its
    trigger, else of all of its type, as UIE's own measure does not look at triggers."""
    reading = Reading()
    if says_nothing(answers[0]):
        reading.notes["nothing said"] += 1
        return reading
    spots = _cleaned(_spots(answers[0], reading), example.text, reading)
    if example.event is None:
        for node in spots:
            reading.items.append((node.label, node.span or ""))
            reading.notes["association not asked for"] += len(node.inner)
        return reading
    given, trigger = even_label(example.event.type), even(example.event.trigger.text)
    mine = [node for node in spots if even_label(node.label) == given]
    for node in spots:
        if even_label(node.label) != given:
            reading.fault("another event type", node.shown())
    with_trigger = [node for node in mine if even(node.span or "") == trigger]
    reading.notes["event with another trigger"] += len(mine) - len(with_trigger)
    for node in with_trigger or mine:
        for asoc in _cleaned(node.inner, example.text, reading):
            reading.items.append((asoc.label, asoc.span or ""))
            for deeper in asoc.inner:
                reading.fault("bracket too deep", deeper.shown())
    return reading


def _cleaned(nodes: Sequence[Node], text: str, reading: Reading) -> list[Node]:
    """The brackets that say something: a label with a span. A rejected label (``<extra_id_6>``)
    says nothing, one without a span is a fault."""
    out = []
    for node in nodes:
        if node.span is None:
            reading.fault("bracket without a span", node.shown())
        elif node.span.strip() != NULL:
            out.append(Node(node.label.strip(), _known(node.span.strip(), text), node.inner))
    return out


def _spots(text: str, reading: Reading) -> list[Node]:
    """The brackets within the outermost one; those left open are closed."""
    stack: list[Node] = []
    root: Node | None = None
    outside = []
    for token in _TOKENS.split(text):
        if root and not stack:
            outside.append(token)
        elif token == OPEN:
            node = Node()
            if stack:
                stack[-1].inner.append(node)
            root = root or node
            stack.append(node)
        elif not stack:
            outside.append(token)
        elif token == CLOSE:
            stack.pop()
        elif token == SPAN and stack[-1].span is None:
            stack[-1].span = ""
        elif stack[-1].span is None:
            stack[-1].label += token
        else:
            stack[-1].span += token
    reading.notes["unclosed bracket"] += len(stack)
    said = "".join(outside).strip()
    if even(said) not in IGNORED:
        reading.fault("text outside the brackets", said)
    if root is None:
        return []
    if even(root.label + (root.span or "")) not in IGNORED:
        reading.fault("text outside the brackets", f"{root.label} {root.span or ''}")
    return root.inner


def _known(span: str, text: str) -> str:
    """A span with signs that the vocabulary lacks (``<unk>``) as the input has it, if it does."""
    parts = span.split(UNKNOWN)
    if not 1 < len(parts) <= MOST_UNKNOWN + 1:
        return span
    found = re.search(r"\s?\S{1,8}\s?".join(re.escape(part.strip()) for part in parts), text)
    return found[0].strip() if found else span
