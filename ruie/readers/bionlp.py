"""BioNLP shared-task stand-off: ``x.txt``, ``x.a1`` (given entities) and ``x.a2`` (the rest).

The lines are brat's, and so are the tasks and the option ``unit``: see ``ruie.readers.brat``. A
document without ``.a2``, as in a blind test set, serves NER alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ruie.readers import Source
from ruie.readers.brat import standoff
from ruie.readers.documents import Instance
from ruie.readers.sentences import UNITS

SUFFIXES = (".a1",)
TASKS = ("NER", "RE", "EET", "EEA")
OPTIONS = {"unit": UNITS}


def records(file: Path, source: Source) -> Iterator[Instance]:
    annotations = [file, file.with_suffix(".a2")]
    if source.task == "NER" and not annotations[1].exists():
        annotations.pop()
    yield from standoff(file.with_suffix(".txt"), annotations, source)
