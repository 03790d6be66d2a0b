"""The JSON of SpERT: a list of sentences with entities by token numbers and relations by entities.

``{"tokens": [...], "entities": [{"type", "start", "end" (excluded)}], "relations": [{"type",
"head", "tail"}]}``, head and tail numbers of entities; in place of ``entities`` there may be
``tags`` (see ``tokens.spans``). A file ``*types.json`` beside them, ``{"entities": {type: ...},
"relations": {type: ...}}``, gives the schema. Option ``join``: see ``tokens``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, Record, Schema, Source, checks, files, tokens

SUFFIXES = (".json",)
TASKS = ("NER", "RE")
OPTIONS = {"join": ()}
BESIDE = ("*types.json",)


def schema(source: Source) -> Schema | None:
    """What the one file of types says; None without it, or with several."""
    folder = source.path if source.path.is_dir() else source.path.parent
    found = sorted(folder.glob(BESIDE[0]))
    if len(found) != 1:
        return None
    types = files.document(found[0])
    part = "entities" if source.task == "NER" else "relations"
    if not isinstance(types, dict) or not isinstance(types.get(part), dict):
        raise UserError(f"{found[0]}: must hold an object of types as {part!r}; correct it")
    try:
        return [checks.string(label) for label in types[part]] or None
    except ValueError:
        raise UserError(
            f"{found[0]}: a type is no text (half a surrogate pair); correct it"
        ) from None


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    for number, record in enumerate(files.array(file)):
        where = f"{file}#{number}"
        try:
            text = tokens.Tokens(record["tokens"], source.options.get("join", " "))
            entities, notes = _entities(record, text)
            facts = entities if source.task == "NER" else _relations(record, entities)
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a {source.task} record of SpERT")
        else:
            yield Record(where, text.text, facts, notes=notes)


def _list(record: Any, field: str) -> list[Any]:
    # files without relations say {} as well
    return [] if record[field] == {} else checks.members(record, field)


def _entities(record: Any, text: tokens.Tokens) -> tuple[list[Fact], list[str]]:
    if "entities" in record or "tags" not in record:
        found = [(e["type"], e["start"], e["end"]) for e in _list(record, "entities")]
        notes: list[str] = []
    else:
        tags = _list(record, "tags")
        if len(tags) != len(text.tokens):
            raise ValueError(f"{len(tags)} tags for {len(text.tokens)} tokens")
        found, notes = tokens.spans(tags)
    return [checks.fact(label, text.mention(start, end)) for label, start, end in found], notes


def _relations(record: Any, entities: list[Fact]) -> list[Fact]:
    mentions: list[Mention] = [entity.mentions[0] for entity in entities]
    return [
        checks.fact(
            r["type"], tokens.member(mentions, r["head"]), tokens.member(mentions, r["tail"])
        )
        for r in _list(record, "relations")
    ]
