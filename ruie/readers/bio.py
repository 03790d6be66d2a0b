"""Tokens and tags in columns, one token a line: CoNLL, TSV, CoNLL-U; IOB1, IOB2, BILOU, BIOES.

Columns stand between tabs or spaces, sentences between blank lines. ``-DOCSTART-`` lines end a
sentence. A line that begins with ``#`` is a comment where it has not the columns of a token.
Options:
``token``, ``tag``  columns, by number (from 1, or from the end: -1) or by the name that the first
    line or ``# global.columns =`` gives them. Without: the first column, or the second where the
    first numbers the tokens (CoNLL-U), and the last; a first line that then holds names of columns
    (``token``, ``tag``) is skipped.
``scheme``  ``iob1``: I- begins a span; ``io``: tags are labels (without: see ``tokens.spans``).
``label``  the label of tags that are letters alone (B, I, O).
``join``  what stands between tokens in the text (one space).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruie.cli import UserError
from ruie.readers import Bad, Record, Source, checks, files, tokens

SUFFIXES = (".bio", ".bioes", ".conll", ".conllu", ".iob", ".iob2", ".tsv", ".txt")
TASKS = ("NER",)
OPTIONS = {"token": (), "tag": (), "scheme": ("", "iob1", "io"), "label": (), "join": ()}
DOCUMENT = "-DOCSTART-"
NAMES = re.compile(r"#\s*global\.columns\s*=")
#: What files with a line of column names call those of the token and of its tag.
TOKEN_NAMES = {"token", "tokens", "word", "words", "form", "text"}
TAG_NAMES = {"tag", "tags", "ner", "ner_tag", "ner_tags", "entity", "label", "labels", "bio", "iob"}
#: Numbers of multiword tokens (1-2) and of empty nodes (1.1), whose words are not the sentence's.
NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")

#: Numbered lines without a blank one between.
Block = list[tuple[int, str]]


@dataclass(frozen=True)
class Layout:
    """How a file's lines are laid out; ``first``: the number of the first line of columns;
    ``header``: of the line of column names, or 0."""

    tabs: bool
    width: int
    numbered: bool
    token: int
    tag: int
    first: int
    header: int

    def fields(self, line: str) -> list[str]:
        return _fields(line, self.tabs)


def records(file: Path, source: Source) -> Iterator[Record | Bad]:
    layout = _layout(file, source)
    if layout is None:
        return
    number, notes = 0, list[str]()
    for block in _blocks(file):
        where = f"{file}#{number}"
        try:
            words, tags = _columns(block, layout, notes, source)
            if not words:
                continue  # a document's first line, a comment: its notes go to the next sentence
            text = tokens.Tokens(words, source.options.get("join", " "))
            found, broken = tokens.spans(
                tags, source.options.get("scheme", ""), source.options.get("label", "")
            )
            facts = [checks.fact(label, text.mention(*ends)) for label, *ends in found]
        except ValueError as error:
            yield Bad(where, f"{error}{_hint(block, layout, source)}")
        else:
            yield Record(where, text.text, facts, notes=(*notes, *broken))
        number, notes = number + 1, []


def _blocks(file: Path) -> Iterator[Block]:
    block: Block = []
    for number, line in files.lines(file):
        if block and (not line.strip() or line.startswith(DOCUMENT)):
            yield block
            block = []
        if line.strip():
            block.append((number, line))
    if block:
        yield block


def _fields(line: str, tabs: bool) -> list[str]:
    # a token may hold a space that is none of ASCII's, so no str.split()
    return line.split("\t") if tabs else re.split("[ \t]+", line.strip(" \t"))


def _columns(
    block: Block, layout: Layout, notes: list[str], source: Source
) -> tuple[list[str], list[str]]:
    """Words and tags of a sentence; adds to the notes. ``ValueError`` for a line of wrong width."""
    words, tags = [], []
    for number, line in block:
        fields = layout.fields(line)
        if line.startswith(DOCUMENT):
            notes.append(f"{DOCUMENT} line skipped")
        elif line.startswith("#") and _is_comment(fields, layout, source):
            notes.append("comment line skipped")
        elif len(fields) != layout.width:
            raise ValueError(
                f"line {number} has {len(fields)} columns, the file's first {layout.width}"
            )
        elif layout.numbered and NO_WORD.fullmatch(fields[0]):
            notes.append("line of a multiword token or an empty node skipped")
        elif not fields[layout.token].strip():
            notes.append("line without a token left out")
        elif number == layout.header:
            notes.append("line of column names skipped")
        else:
            words.append(fields[layout.token])
            tags.append(fields[layout.tag].strip(" "))
    return words, tags


def _hint(block: Block, layout: Layout, source: Source) -> str:
    """What to do where the file's first line may be none of its sentence."""
    lines = [line for number, line in block if number == layout.first != layout.header]
    if not lines or _is_tag(layout.fields(lines[0])[layout.tag], source):
        return ""
    return (
        f"; if line {layout.first} names the columns, name those of the token and the tag with the "
        "options token= and tag="
    )


def _is_tag(tag: str, source: Source) -> bool:
    try:
        tokens.spans([tag.strip(" ")], source.options.get("scheme", ""), "any")
    except ValueError:
        return False
    return True


def _is_comment(fields: list[str], layout: Layout, source: Source) -> bool:
    """Whether a line that begins with ``#`` cannot be a token's, which may well begin so."""
    if layout.numbered or len(fields) != layout.width:
        return True
    # no comment is as wide as the tokens by chance where tabs cut it
    return not layout.tabs and not _is_tag(fields[layout.tag], source)


def _layout(file: Path, source: Source) -> Layout | None:
    """From the first sentence of more than one token; None for a file without any line."""
    names: list[str] = []
    tabs, width, begins, header, numbered = False, 0, 0, 0, False
    by_name = [o for o in ("token", "tag") if not _is_number(source.options.get(o, "1"))]
    for block in _blocks(file):
        rows = []
        for number, line in block:
            if named := NAMES.match(line):
                names = line[named.end() :].split()
            elif not line.startswith(DOCUMENT) and (line[0] != "#" or "\t" in line):
                if not width:
                    tabs = "\t" in line
                    top, begins = [f.strip() for f in _fields(line, tabs)], number
                    width = len(top)
                    if (by_name and not names) or _names_columns(top, source):
                        names, header = names or top, number
                        continue
                rows.append(_fields(line, tabs)[0])
        rows = [r for r in rows if not NO_WORD.fullmatch(r) and not r.startswith("#")]
        if len(rows) > 1:
            numbered = width > 2 and any(
                rows == [str(first + i) for i in range(len(rows))] for first in (0, 1)
            )
            break
    if not width:
        return None
    if width < 2:
        raise UserError(
            f"{file}: must hold a token and its tag on each line, between tabs or spaces; its "
            "first line has one column"
        )
    token = source.options.get("token", "2" if numbered else "1")
    tag = source.options.get("tag", "-1")
    names = names[:width]
    return Layout(
        tabs=tabs,
        width=width,
        numbered=numbered,
        token=_place(file, "token", token, names, width),
        tag=_place(file, "tag", tag, names, width),
        first=begins,
        header=header,
    )


def _names_columns(fields: list[str], source: Source) -> bool:
    """Whether a file's first line names its columns."""
    tag = source.options.get("tag", "-1")
    place = int(tag) - (int(tag) > 0) if _is_number(tag) else -1
    names = [field.lower() for field in fields]
    known = -len(names) <= place < len(names) and names[place] in TAG_NAMES
    return known and not TOKEN_NAMES.isdisjoint(names)


def _is_number(value: str) -> bool:
    return re.fullmatch("-?[0-9]{1,4}", value) is not None


def _place(file: Path, option: str, value: str, names: list[str], width: int) -> int:
    """The column that an option means, from 0."""
    if not _is_number(value):
        if value not in names:
            raise UserError(
                f"{file}: option {option}: no column is called {value!r}; there are: "
                f"{', '.join(map(repr, names))}"
            )
        return names.index(value)
    place = int(value)
    if place == 0 or abs(place) > width:
        raise UserError(
            f"{file}: option {option}: there is no column {value}; columns are 1 to {width}"
        )
    return place - 1 if place > 0 else width + place
