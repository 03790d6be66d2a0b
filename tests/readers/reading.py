"""What the tests of several formats share: reading a small folder, and breaking what is read.
Nothing here is a test."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from ruie import readers
from ruie.cli import UserError
from ruie.examples import Example

#: Values that stand where others should.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.floats() | st.text(max_size=4)
    | st.sampled_from(["NA", "", "O", "B-a", "I-b", "\ud800", 10**30]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["tokens", "type", "start", "h"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


def write(file: Path, content: Any) -> Path:
    """Bytes and text as they are, all else as JSON; the folder."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file.parent


def read(
    name: str, path: Path, task: str, repair: bool = False, **source: Any
) -> tuple[list[Example], readers.Problems]:
    problems = readers.Problems(repair=repair)
    source = {"dataset": "toy", "split": "test", **source}
    return list(readers.get(name)(readers.Source(path, task, **source), problems)), problems


def found(examples: list[Example]) -> list[list[tuple[str, ...]]]:
    """Label and span texts of each example's annotations."""
    return [[(a.label, *(s.text for s in a.spans)) for a in e.annotations] for e in examples]


def refused(name: str, path: Path, task: str, *parts: str, **source: Any) -> None:
    """The reading ends in a ``UserError`` of one line that holds the parts."""
    with pytest.raises(UserError) as error:
        read(name, path, task, **source)
    assert len(str(error.value).splitlines()) == 1
    for part in parts:
        assert part in str(error.value)


def survives(name: str, path: Path, task: str, repair: bool, **source: Any) -> Any:
    """Examples that hold together and the problems, or None for a ``UserError`` of one line;
    anything else that is raised fails the test."""
    lines = ["no error"]
    try:
        examples, problems = read(name, path, task, repair, **source)
    except UserError as error:
        examples, lines = [], str(error).splitlines()
    assert len(lines) == 1
    if lines != ["no error"]:
        return None
    for e in examples:
        assert e.text.strip()
        e.text.encode()
        for a in e.annotations:
            assert a.label in e.schema
            assert len(a.spans) == (2 if task == "RE" else 1)
            assert all(s.text and e.text[s.start : s.end] == s.text for s in a.spans)
    return examples, problems


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside a JSON value."""
    out = [path] if path else []
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            out += _places(item, (*path, key))
    return out


@st.composite
def broken(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one to three values inside it replaced, repeated or deleted."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = _places(value)
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        holder = value
        for key in path:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "delete", "repeat"]))
        if how == "replace":
            holder[last] = draw(VALUES)
        elif how == "delete":
            del holder[last]
        elif isinstance(holder, list):
            holder.insert(draw(st.integers(0, len(holder))), copy.deepcopy(holder[last]))
    return value


@st.composite
def torn(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of a file cut, with others put in, or with a part of it repeated or left out."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.integers(0, len(content))) for _ in range(2))
        piece = draw(
            st.sampled_from([b"", b"\n", b"\t", b" ", b"#", b"\r\n", b"\xff", b"NaN", b'"', b"<e1>",
                             b"B-", b"I-x", b"-DOCSTART-", "é🙂\u2028".encode(), content])
            | st.binary(max_size=4)
        )  # fmt: skip
        content = content[:start] + piece + content[end if draw(st.booleans()) else start :]
    return content


def even(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


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


def counts(examples: list[Example]) -> tuple[int, int]:
    """Instances and annotations."""
    return len(examples), sum(len(e.annotations) for e in examples)


def said(records: list[Any], field: str) -> int:
    """How many annotations the records list, whatever they are worth."""
    lists = (r.get(field) for r in records if isinstance(r, dict))
    return sum(len(members) for members in lists if isinstance(members, list))


def labels(examples: list[Example]) -> Counter[str]:
    return Counter(a.label for e in examples for a in e.annotations)
