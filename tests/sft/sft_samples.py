"""One query of each task, and what all families share in their tests."""

from __future__ import annotations

import tiny

from ruie.answers import parse
from ruie.sft import reading
from ruie.sft.formats import FORMATS

TEXT = "Alice Smith; of Acme Corp hired Bob in Paris, Texas."
NER = tiny.sample("n", TEXT, ("person", "Bob"), ("place", "Paris, Texas"),
                  schema=("person", "place", "group"))  # fmt: skip
RE = tiny.sample("r", TEXT, ("works for", "Alice Smith", "Acme Corp"), task="RE",
                 schema=("works for", "born in"))  # fmt: skip
EET = tiny.sample("t", TEXT, ("Start Job", "hired"), task="EET", schema=("Start Job", "Attack"))
EEA = tiny.sample("a", TEXT, ("person", "Bob"), ("employer", "Acme Corp"), task="EEA",
                  schema=("person", "employer", "place"), event=("Start Job", "hired"))  # fmt: skip
SAMPLES = {"NER": NER, "RE": RE, "EET": EET, "EEA": EEA}


def answered(name, example, *texts):
    """The answer of Appendix D, and what was odd."""
    found = FORMATS[name].read(texts, example)
    said = reading.answer(found, example)
    return said, dict(+found.notes)


def items(name, example, *texts):
    said, _ = answered(name, example, *texts)
    return parse(said, example.task, example.schema, example.text)
