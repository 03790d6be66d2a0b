"""Breaking what is read: hypothesis strategies for damaged values and files, and what must hold of
whatever is read from them. Nothing here is a test."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from reading import read

from ruie.cli import UserError
from ruie.examples import Example
from ruie.readers import Problems

#: Values that stand where others should. NaN comes with ``torn``: a list of records ends there.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.text(max_size=4)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["NA", "", "O", "B-a", "I-b", "\ud800", "\x00", "😀", "Ana", 10**30, [0, 4]]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["tokens", "type", "start", "end", "h"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
PIECES = [
    b"", b"\n", b"\t", b" ", b"#", b"\r\n", b"\xff", b"\x00", b"NaN", b'"', b"]", b'{"text": 1,',
    b";", b":", b"9", b"-1", b"<e1>", b"B-", b"I-x", b"-DOCSTART-", "é🙂\u2028".encode(),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside a JSON value."""
    out = [path] if path else []
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            out += places(item, (*path, key))
    return out


@st.composite
def broken(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one to three values inside it replaced, repeated or deleted."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        paths = places(value)
        if not paths:
            break
        *path, last = draw(st.sampled_from(paths))
        holder = value
        for key in path:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "delete", "repeat"]))
        if how == "replace":
            holder[last] = copy.deepcopy(draw(VALUES))
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
        piece = draw(st.sampled_from([*PIECES, content]) | st.binary(max_size=4))
        content = content[:start] + piece + content[end if draw(st.booleans()) else start :]
    return content


@st.composite
def corrupted(draw: st.DrawFn, value: Any) -> bytes:
    """A broken JSON value as a file has it, now and then torn as well."""
    content = json.dumps(draw(broken(value))).encode()
    return content if draw(st.integers(0, 5)) else draw(torn(content))


def sound(examples: Sequence[Example], task: str) -> None:
    """What holds of every example that a reader yields."""
    for e in examples:
        assert e.text.strip()
        assert (e.event is not None) == (task == "EEA")
        trigger = [e.event.trigger] if e.event else []
        spans = [*trigger, *(s for a in e.annotations for s in a.spans)]
        assert all(s.text and e.text[s.start : s.end] == s.text for s in spans)
        assert all(a.label in e.schema for a in e.annotations)
        assert all(len(a.spans) == (2 if task == "RE" else 1) for a in e.annotations)
        kind = [e.event.type] if e.event else []
        for text in (e.text, e.source, *e.schema, *kind, *(s.text for s in spans)):
            text.encode()  # so that it can be written


def survives(
    format: str, path: Path, task: str, repair: bool, **more: Any
) -> tuple[list[Example], Problems] | None:
    """Sound examples and the problems, or None for a ``UserError`` of one line that names the
    data; anything else that is raised fails the test."""
    try:
        examples, problems = read(format, path, task, repair, **more)
    except UserError as error:
        message = str(error)
    else:
        sound(examples, task)
        for what, first in problems.first.items():
            (what + first).encode()
        return examples, problems
    assert len(message.splitlines()) == 1
    assert str(path) in message
    message.encode()
    return None


def attempt(
    content: bytes, name: str, format: str, task: str, repair: bool = False, **more: Any
) -> list[Example] | None:
    """The examples of one file with this content, as ``survives`` has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        outcome = survives(format, path, task, repair, **more)
    return outcome and outcome[0]
