"""A self-contained HTML page, built from elements that escape what is put into them.

Text becomes HTML only in ``tag``: nothing that a data set or a model says can reach the page
unescaped, and every element that is opened is closed.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

VOID = ("meta", "br")
STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6470; --paper: #ffffff;
  --panel: #f5f6f8; --line: #d5d9df; --link: #0b5cad; --good: #d9f2df; --good-ink: #0f5323;
  --bad: #fbdedb; --bad-ink: #8a1a12; --best: #e3eefb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #9aa4b1; --paper: #14171a;
  --panel: #1e2328; --line: #3a424b; --link: #7ab8ff; --good: #17402a; --good-ink: #a8e6bb;
  --bad: #4f201d; --bad-ink: #ffb9b2; --best: #1d3653; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
a { color: var(--link); }
nav a { display: inline-block; margin: 0 1rem .2rem 0; }
p { margin: .4rem 0; max-width: 48rem; }
article p { max-width: none; }
.note, small, caption, figcaption { color: var(--soft); font-size: .86rem; }
.wide { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .3rem; }
th, td { padding: .28rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; background: var(--panel); font-weight: 600; }
thead th.number { white-space: normal; }
th small { display: block; font-weight: 400; white-space: nowrap; }
tbody th { font-weight: 500; white-space: nowrap; position: sticky; left: 0;
  background: var(--paper); }
tbody td:first-child { white-space: nowrap; }
th.number, td.number { text-align: right; white-space: nowrap; }
th.group { text-align: center; }
th.first, td.first { border-left: 1px solid var(--line); }
td.average { font-weight: 600; }
td.best { background: var(--best); font-weight: 700; }
tbody tr:hover > td { background: var(--panel); }
tbody tr:hover > td.best { background: var(--best); }
figure { margin: .8rem 0 1.2rem; }
svg { max-width: 100%; height: auto; color: var(--ink); }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 4px;
  padding: .8rem; overflow: auto; max-height: 32rem; font-size: .82rem; line-height: 1.4; }
details { border: 1px solid var(--line); border-radius: 4px; margin: .4rem 0;
  padding: .3rem .8rem; }
summary { cursor: pointer; }
article { border-top: 1px solid var(--line); margin: .6rem 0 0; padding: .5rem 0; }
article table { width: 100%; }
blockquote { margin: .3rem 0; padding: .3rem .8rem; border-left: 3px solid var(--line);
  overflow-wrap: anywhere; }
.text, .ids { overflow-wrap: anywhere; }
td .text { display: block; color: var(--soft); font-size: .82rem; white-space: pre-wrap; }
td details { border: 0; padding: 0; margin: 0; }
.ids { display: block; font-size: .78rem; color: var(--soft); }
.item { display: inline-block; margin: .05rem .25rem .15rem 0; padding: 0 .4rem;
  border: 1px solid var(--line); border-radius: 3px; overflow-wrap: anywhere; }
.right { background: var(--good); color: var(--good-ink); border-color: transparent; }
.wrong { background: var(--bad); color: var(--bad-ink); border-color: transparent; }
.missed { border-style: dashed; color: var(--soft); }
@media print { details { break-inside: avoid; }
  .wide, pre { overflow: visible; max-height: none; } }
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Html:
    """The element ``name``; children and attribute values are escaped unless they are ``Html``.

    An attribute that is None or False is left out, True has no value; ``class_`` means class.
    """
    given = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        given += " " + key.rstrip("_").replace("_", "-")
        given += "" if value is True else f'="{html.escape(str(value))}"'
    inside = join(children)
    return Html(f"<{name}{given}>" + ("" if name in VOID else f"{inside}</{name}>"))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after the other, escaped unless they are ``Html``."""
    return Html(
        between.join(p if isinstance(p, Html) else html.escape(str(p), quote=False) for p in parts)
    )


def cell(value: object) -> Html:
    """A table cell: numbers to the right, fractions with one digit, None as a dash."""
    if isinstance(value, float):
        return tag("td", "-" if value != value else f"{value:,.1f}", class_="number")
    if isinstance(value, int):
        return tag("td", f"{value:,}", class_="number")
    return tag("td", "-" if value is None else value)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> Html:
    """A plain table; a column is headed like its first cell is set."""
    numeric = [isinstance(value, int | float) for value in rows[0]] if rows else []
    head = [
        tag("th", name, class_="number" if right else None)
        for name, right in zip(headers, numeric, strict=True)
    ]
    body = join((tag("tr", *map(cell, row)) for row in rows), "\n")
    return scrolling(
        tag("caption", caption) if caption else Html(), tag("thead", tag("tr", *head)), body
    )


def scrolling(caption: Html, head: Html, rows: Html) -> Html:
    """A table that scrolls by itself where it is wider than the page."""
    inside = tag("table", caption, head, tag("tbody", rows))
    return tag("div", inside, class_="wide", tabindex="0")


def nothing(what: str) -> Html:
    return tag("p", f"There is nothing here: no {what} was given.", class_="note")


def document(title: str, sections: Sequence[tuple[str, str, Html]]) -> str:
    """The whole page; a section is its id, its heading and its content."""
    links = [tag("a", heading, href=f"#{name}") for name, heading, _ in sections]
    parts = [
        tag("section", tag("h2", heading), "\n", content, id=name)
        for name, heading, content in sections
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    main = tag("main", tag("h1", title), tag("nav", *links), "\n", join(parts, "\n"))
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', main), lang='en')}\n"
