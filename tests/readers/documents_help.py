"""Reading hand-made and real documents in tests. Nothing here is a test."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from ruie import readers
from ruie.cli import UserError
from ruie.examples import Example


def read(
    format: str,
    path: Path,
    task: str,
    split: str = "train",
    files: Sequence[str] | None = None,
    labels: Mapping[str, str | None] | None = None,
    repair: bool = False,
    **options: str,
) -> tuple[list[Example], dict[str, int]]:
    """Examples and what was counted."""
    named = None if files is None else {split: files}
    source = readers.Source(path, task, "toy", split, named, labels, options)
    problems = readers.Problems(repair=repair)
    return list(readers.get(format)(source, problems)), dict(problems.counts)


def refused(format: str, path: Path, task: str, *parts: str, **more: Any) -> None:
    """The reading ends in a UserError of one line that holds the parts."""
    with pytest.raises(UserError) as error:
        read(format, path, task, **more)
    assert len(str(error.value).splitlines()) == 1
    for part in parts:
        assert part in str(error.value)


def found(examples: Sequence[Example]) -> list[Any]:
    """For each example: text, given event, (label, span text, ...) of the annotations."""
    return [
        (
            e.text,
            e.event and (e.event.type, e.event.trigger.text),
            [(a.label, *(s.text for s in a.spans)) for a in e.annotations],
        )
        for e in examples
    ]


def sound(examples: Sequence[Example], task: str) -> None:
    """What holds of every example that a reader yields."""
    for e in examples:
        assert e.text.strip()
        assert (e.event is not None) == (task == "EEA")
        spans = [s for a in e.annotations for s in a.spans] + ([e.event.trigger] if e.event else [])
        assert all(s.text and e.text[s.start : s.end] == s.text for s in spans)
        assert all(a.label in e.schema for a in e.annotations)
        assert all(len(a.spans) == (2 if task == "RE" else 1) for a in e.annotations)


def survives(format: str, path: Path, task: str, repair: bool, **options: str) -> None:
    """Sound examples, or a UserError of one line that names the data; nothing else."""
    said = None
    try:
        examples, _ = read(format, path, task, repair=repair, **options)
        sound(examples, task)
    except UserError as error:
        said = str(error)
    assert said is None or (len(said.splitlines()) == 1 and str(path) in said)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.integers() | st.floats()
    | st.text(max_size=6) | st.sampled_from(["", "NA", "\ud800", "😀"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    out = [path] if path else []
    for key, item in inner if isinstance(value, dict | list) else ():
        out += _places(item, (*path, key)) if isinstance(item, dict | list) else [(*path, key)]
    return out


@st.composite
def corrupted_json(draw: Any, value: Any) -> bytes:
    """The value with one to three parts replaced, doubled or deleted; now and then its text is cut
    short or written in another encoding, and NaN stands in it as Python writes it."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        holder = value
        for key in path:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "delete", "double"]))
        if change == "replace":
            holder[last] = draw(_JSON)
        elif change == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            del holder[last]
    return draw(corrupted_bytes(json.dumps(value).encode(), seldom=True))


@st.composite
def corrupted_bytes(draw: Any, data: bytes, seldom: bool = False) -> bytes:
    """The data cut short, or with some bytes replaced by others."""
    if seldom and draw(st.integers(0, 5)):
        return data
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        put = draw(st.sampled_from([b"", b"\xff", b" ", b"\n", b"\t", b";", b"9", b"-1", b":"]))
        data = data[:at] + put + data[at + draw(st.integers(0, 2)) :]
    return data


def _even(text: str) -> str:
    return " ".join(text.split())


def agreement(examples: Sequence[Example], folder: Path) -> tuple[int, int]:
    """Against a conversion in the IE_INSTRUCTIONS layout: instances that both hold, and those of
    them with the same (label, span text) set. EET instances are paired by text (a text held twice
    may agree with either), EEA ones by text, event type and trigger's text, if there is one
    such pair only."""
    theirs = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        if path.name != "labels.json":
            for record in json.loads(path.read_text()):
                events, text = record["events"], _even(record["sentence"])
                if folder.parent.name == "EET":
                    labels = {(e["type"], _even(e["trigger"])) for e in events}
                    theirs[text, None].append(labels)
                else:
                    labels = {(a["role"], _even(a["name"])) for a in events[0]["arguments"]}
                    place = (events[0]["type"], events[0]["trigger"], events[0]["pos"][0])
                    theirs[text, place].append(labels)
    both = same = 0
    for e in examples:
        place = e.event and (e.event.type, e.event.trigger.text, e.event.trigger.start)
        pairs = theirs.get((_even(e.text), place), [])
        both += bool(pairs)
        same += {(a.label, _even(a.spans[0].text)) for a in e.annotations} in pairs
    return both, same
