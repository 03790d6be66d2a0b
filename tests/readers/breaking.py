"""Reading in tests of formats, and ways to break a file. Nothing here is a test."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ruie import readers
from ruie.cli import UserError


def read(path: Path, format: str, task: str = "NER", repair: bool = False, labels=None, **options):
    """Examples of a file, or of a folder's test split, and what was counted."""
    problems = readers.Problems(repair=repair)
    source = readers.Source(path, task, "own", "test", labels=labels, options=options)
    return list(readers.get(format)(source, problems)), problems


def said(examples) -> list[Any]:
    """Text, given event and (label, start, end, ...) of each example, to compare by eye."""
    found = []
    for e in examples:
        facts = [(a.label, *(n for s in a.spans for n in (s.start, s.end))) for a in e.annotations]
        event = e.event and (e.event.type, e.event.trigger.start, e.event.trigger.end)
        found.append((e.text, *([event] if event else []), facts))
    return found


def attempt(content: bytes, name: str, format: str, task: str, **more):
    """Examples or None of a file with this content; each is sound, and what is raised is one line
    for the user."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            found, message = read(path, format, task, **more)[0], ""
        except UserError as error:
            found, message = None, str(error)
    if found is None:
        assert len(message.splitlines()) == 1
        assert name in message
        return None
    for e in found:
        spans = [s for a in e.annotations for s in a.spans] + ([e.event.trigger] if e.event else [])
        assert all(s.text and e.text[s.start : s.end] == s.text for s in spans)
        assert all(a.label in e.schema for a in e.annotations)
        json.dumps(e.text).encode()
    return found


def lines(*records: Any) -> bytes:
    return "".join(json.dumps(r) + "\n" for r in records).encode()


_odd = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.just(10**30), st.just(1.5),
    st.text(max_size=3),
    st.sampled_from(["\ud83d", "\x00", "Ana", "😀", [], {}, [[]], [0, 4], {"start": 0, "end": 3}]),
)  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, records: list[Any]) -> list[Any]:
    """The records with one to three of their parts changed, removed or doubled."""
    records = copy.deepcopy(records)
    for _ in range(draw(st.integers(1, 3))):
        at: Any = records
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(at[key], (dict, list)) or draw(st.integers(0, 3)) == 0:
                change = draw(st.sampled_from(["put", "remove", "double"]))
                if change == "put":
                    at[key] = copy.deepcopy(draw(_odd))
                elif change == "remove":
                    del at[key]
                elif isinstance(at, list):
                    at.append(copy.deepcopy(at[key]))
                break
            at = at[key]
    return records


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes cut short, or with something else in the middle."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    middle = draw(
        st.sampled_from([b"", b"\xff", b"NaN", b'"', b"\x00", b"\n", b'{"text": 1,', b"]"])
    )
    return content[:start] + middle + (b"" if draw(st.booleans()) else content[end:])
