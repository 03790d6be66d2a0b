"""The JSON of GLiNER and GLiNER-relex: a list of sentences with spans by token numbers.

``{"tokenized_text": [...], "ner": [[start, end (included), type]], "relations": [[head, tail,
type]]}``, head and tail numbers of ``ner``. A span that stands there once for each of its relations
is one entity. Options: ``join``, see ``tokens``; ``reverse``: relation types, comma between, whose
head and tail change places (``*`` for all).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.readers import Bad, Fact, Mention, Record, Source, checks, files, tokens

SUFFIXES = (".json",)
TASKS = ("NER", "RE")
OPTIONS = {"join": (), "reverse": ()}


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    reverse = {label.strip() for label in source.options.get("reverse", "").split(",")} - {""}
    for number, record in enumerate(files.array(file)):
        where = f"{file}#{number}"
        try:
            text = tokens.Tokens(record["tokenized_text"], source.options.get("join", " "))
            facts = [_entity(text, *_three(e, "ner")) for e in checks.members(record, "ner")]
            if source.task == "RE":
                mentions = [entity.mentions[0] for entity in facts]
                relations = [_three(r, "relations") for r in checks.members(record, "relations")]
                facts = [_relation(mentions, reverse, *relation) for relation in relations]
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record of GLiNER")
            continue
        once = list(dict.fromkeys(facts))
        notes = ["repeated annotation left out"] * (len(facts) - len(once))
        yield Record(where, text.text, once, notes=notes)


def _three(value: Any, field: str) -> tuple[Any, Any, Any]:
    if not isinstance(value, list) or len(value) != 3:
        raise TypeError(f"a member of {field!r} is not a list of three")
    return value[0], value[1], value[2]


def _entity(text: tokens.Tokens, start: Any, end: Any, label: Any) -> Fact:
    return checks.fact(label, text.mention(start, end + 1 if type(end) is int else end))


def _relation(entities: list[Mention], reverse: set[str], head: Any, tail: Any, label: Any) -> Fact:
    ends = [tokens.member(entities, head), tokens.member(entities, tail)]
    fact = checks.fact(label, *ends)
    return fact._replace(mentions=tuple(ends[::-1])) if reverse & {fact.label, "*"} else fact
