"""Reading in tests of formats: a small folder written and read, what was found in it, and how that
agrees with a release of the same data. Nothing here is a test."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ruie import readers
from ruie.cli import UserError
from ruie.examples import Example


def write(file: Path, content: Any) -> Path:
    """Bytes and text as they are, all else as JSON; the folder."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file.parent


def lines(*records: Any) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(r) + "\n" for r in records).encode()


def read(
    format: str,
    path: Path,
    task: str,
    repair: bool = False,
    split: str = "test",
    files: Mapping[str, Sequence[str]] | None = None,
    labels: Mapping[str, str | None] | None = None,
    **options: str,
) -> tuple[list[Example], readers.Problems]:
    """Examples of a file or of a folder's split, and what was counted."""
    problems = readers.Problems(repair=repair)
    source = readers.Source(path, task, "toy", split, files, labels, options)
    return list(readers.get(format)(source, problems)), problems


def refused(format: str, path: Path, task: str, *parts: str, **more: Any) -> None:
    """The reading ends in a ``UserError`` of one line that holds the parts."""
    with pytest.raises(UserError) as error:
        read(format, path, task, **more)
    assert len(str(error.value).splitlines()) == 1
    for part in parts:
        assert part in str(error.value)


def found(examples: Sequence[Example]) -> list[list[tuple[str, ...]]]:
    """Label and span texts of each example's annotations."""
    return [[(a.label, *(s.text for s in a.spans)) for a in e.annotations] for e in examples]


def instances(examples: Sequence[Example]) -> list[Any]:
    """Text, given event, and label and span texts of each example."""
    events = [e.event and (e.event.type, e.event.trigger.text) for e in examples]
    return list(zip((e.text for e in examples), events, found(examples), strict=True))


def said(examples: Sequence[Example]) -> list[Any]:
    """Text, given event if there is one, and (label, start, end, ...) of each example."""
    out = []
    for e in examples:
        facts = [(a.label, *(n for s in a.spans for n in (s.start, s.end))) for a in e.annotations]
        event = e.event and (e.event.type, e.event.trigger.start, e.event.trigger.end)
        out.append((e.text, *([event] if event else []), facts))
    return out


def counts(examples: Sequence[Example]) -> tuple[int, int]:
    """Instances and annotations."""
    return len(examples), sum(len(e.annotations) for e in examples)


def labels(examples: Sequence[Example]) -> Counter[str]:
    return Counter(a.label for e in examples for a in e.annotations)


def listed(records: Sequence[Any], field: str) -> int:
    """How many annotations the records list, whatever they are worth."""
    lists = (r.get(field) for r in records if isinstance(r, dict))
    return sum(len(members) for members in lists if isinstance(members, list))


def even(text: str) -> str:
    return " ".join(text.split())


Sets = set[tuple[str, ...]]


def release(shared: Path, folder: str, *splits: str) -> dict[str, list[Sets]]:
    """Sentence -> annotations of its records in the processed data."""
    out: dict[str, list[Sets]] = {}
    for split in splits:
        for r in json.loads((shared / "data" / "ie" / folder / f"{split}.json").read_text("utf-8")):
            members = [(e["type"], e["name"]) for e in r.get("entities", [])]
            members += [
                (e["type"], e["head"]["name"], e["tail"]["name"]) for e in r.get("relations", [])
            ]
            out.setdefault(even(r["sentence"]), []).append(set(members))
    return out


def compare(
    examples: list[Example], known: dict[str, list[Sets]]
) -> tuple[int, list[tuple[Example, Sets, list[Sets]]]]:
    """The number of examples whose sentence is known, and those with other annotations than every
    record of their sentence."""
    both = [(e, set(found([e])[0]), known[even(e.text)]) for e in examples if even(e.text) in known]
    return len(both), [(e, mine, theirs) for e, mine, theirs in both if mine not in theirs]


def agreement(examples: Sequence[Example], folder: Path) -> tuple[int, int]:
    """Against a conversion in the IE_INSTRUCTIONS layout: instances that both hold, and those of
    them with the same (label, span text) set. EET instances are paired by text (a text held twice
    may agree with either), EEA ones by text, event type and trigger's text, if there is one
    such pair only."""
    theirs = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        if path.name != "labels.json":
            for record in json.loads(path.read_text()):
                events, text = record["events"], even(record["sentence"])
                if folder.parent.name == "EET":
                    labels = {(e["type"], even(e["trigger"])) for e in events}
                    theirs[text, None].append(labels)
                else:
                    labels = {(a["role"], even(a["name"])) for a in events[0]["arguments"]}
                    place = (events[0]["type"], events[0]["trigger"], events[0]["pos"][0])
                    theirs[text, place].append(labels)
    both = same = 0
    for e in examples:
        place = e.event and (e.event.type, e.event.trigger.text, e.event.trigger.start)
        pairs = theirs.get((even(e.text), place), [])
        both += bool(pairs)
        same += {(a.label, even(a.spans[0].text)) for a in e.annotations} in pairs
    return both, same
