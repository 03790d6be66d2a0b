"""The JSON lines of RelationPrompt (zero-shot relation extraction), one sentence a line.

``{"triplets": [{"tokens", "head": [token numbers], "tail": [token numbers], "label"}]}``; the
triplets of a line share their tokens. The head and the tail are taken where they are first
mentioned. Option ``join``: see ``tokens``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ruie.readers import Bad, Record, Source, checks, files, rows, tokens
from ruie.readers.fewrel import mention

SUFFIXES = (".jsonl", ".json")
TASKS = ("RE",)
OPTIONS = {"join": ()}


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    for where, value in rows.objects(file):
        if isinstance(value, Bad):
            yield value
            continue
        try:
            triplets = checks.members(value, "triplets")
            if not triplets:
                raise ValueError("'triplets' is empty")
            if any(t["tokens"] != triplets[0]["tokens"] for t in triplets):
                raise ValueError("the triplets differ in their tokens")
            text = tokens.Tokens(triplets[0]["tokens"], source.options.get("join", " "))
            notes: list[str] = []
            facts = [
                checks.fact(t["label"], *(mention(text, t[end], notes) for end in ("head", "tail")))
                for t in triplets
            ]
        except files.FAULTS as error:
            yield Bad(where, f"{files.why(error)}; expected a line of triplets")
        else:
            yield Record(where, text.text, facts, notes=notes)
