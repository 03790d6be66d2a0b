"""The JSON of FewRel: ``{relation: [{"tokens", "h": [name, id, [[token numbers]]], "t"}]}``.

The head and the tail are taken where they are first mentioned. Options: ``names``, a JSON file
``{relation: name or [name, description]}`` below the data folder, for relations that are numbers
(``pid2name.json``); ``join``, see ``tokens``. A file is one object, held in memory while it is
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruie.cli import UserError
from ruie.readers import Bad, Mention, Record, Source, checks, files, tokens

SUFFIXES = (".json",)
TASKS = ("RE",)
OPTIONS = {"names": (), "join": ()}


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    names = _names(source)
    relations = files.document(file)
    if not isinstance(relations, dict) or not all(isinstance(v, list) for v in relations.values()):
        raise UserError(f"{file}: must hold an object with a list of records for each relation")
    number = -1
    for relation, members in relations.items():
        for member in members:
            number += 1
            where = f"{file}#{number}"
            notes: list[str] = []
            label = names.get(relation, relation)
            if names and relation not in names:
                notes.append(f"relation {relation!r} has no name: it stays as it is")
            try:
                text = tokens.Tokens(member["tokens"], source.options.get("join", " "))
                ends = [mention(text, member[end][2], notes) for end in ("h", "t")]
                fact = checks.fact(label, *ends)
            except files.FAULTS as error:
                yield Bad(where, f"{files.why(error)}; expected a record of FewRel")
            else:
                yield Record(where, text.text, [fact], notes=notes)


def mention(text: tokens.Tokens, numbers: Any, notes: list[str]) -> Mention:
    """The first run of token numbers, of the first list where there are lists of them; a note where
    there is more."""
    nested = isinstance(numbers, list) and numbers and isinstance(numbers[0], list)
    first = numbers[0] if nested else numbers
    if not isinstance(first, list) or not all(type(n) is int for n in first):
        raise TypeError(f"token numbers must be a list of whole numbers, not {first!r}")
    if not first:
        raise ValueError("an entity without any token")
    run = next((i for i, n in enumerate(first) if n != first[0] + i), len(first))
    if run < len(first) or (nested and len(numbers) > 1):
        notes.append("entity of several mentions: the first is taken")
    return text.mention(first[0], first[0] + run)


def _names(source: Source) -> dict[str, str]:
    if "names" not in source.options:
        return {}
    folder = source.path if source.path.is_dir() else source.path.parent
    path = folder / source.options["names"]
    given = files.document(path)
    found = {}
    for relation, name in given.items() if isinstance(given, dict) else ():
        found[relation] = name[0] if isinstance(name, list) and name else name
    if not found or not all(isinstance(name, str) for name in found.values()):
        raise UserError(f"{path}: must hold an object that names each relation; correct it")
    return found
