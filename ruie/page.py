"""A self-contained HTML page, built from elements that escape what is put into them.

Text becomes HTML only in ``tag``: nothing that a data set or a model says can reach the page
unescaped, and every element that is opened is closed. The page itself forbids the browser to load
anything and to run any script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from numbers import Integral

from ruie.style import SCRIPT, STYLE

VOID = ("meta", "br", "input")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(element: str, *children: object, **attributes: object) -> Html:
    """The element ``element``; children and attribute values are escaped unless they are ``Html``.

    An attribute that is None or False is left out, True has no value; ``class_`` means class.
    """
    given = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        given += " " + key.removesuffix("_").replace("_", "-")
        given += "" if value is True else f'="{html.escape(str(value))}"'
    inside = join(children)
    return Html(f"<{element}{given}>" + ("" if element in VOID else f"{inside}</{element}>"))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after the other, escaped unless they are ``Html``."""
    return Html(
        between.join(p if isinstance(p, Html) else html.escape(str(p), quote=False) for p in parts)
    )


def cell(value: object) -> Html:
    """A table cell: numbers to the right, fractions with one digit, None as a dash."""
    if isinstance(value, float):
        return tag("td", "-" if value != value else f"{value:,.1f}", class_="number")
    if isinstance(value, Integral):
        return tag("td", f"{value:,}", class_="number")
    return tag("td", "-" if value is None else value)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> Html:
    """A plain table; a column is headed like its first cell is set."""
    numeric = [isinstance(value, Integral | float) for value in rows[0]] if rows else []
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


def fold(summary: object, *content: object, open_: bool = False) -> Html:
    """Content under a line that opens and closes it."""
    return tag("details", tag("summary", summary), *content, open=open_)


def note(text: str) -> Html:
    return tag("p", text, class_="note")


def nothing(what: str) -> Html:
    return note(f"There is nothing here: no {what} was given.")


def document(title: str, about: str, sections: Sequence[tuple[str, str, Html]]) -> str:
    """The whole page; ``about`` is a line below its title, a section is its id, its heading and its
    content."""
    links = [tag("a", heading, href=f"#{name}") for name, heading, _ in sections]
    parts = [
        tag("section", tag("h2", heading), "\n", content, id=name)
        for name, heading, content in sections
    ]
    script = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    main = tag(
        "main", tag("h1", title), tag("p", about), tag("nav", *links), "\n", join(parts, "\n")
    )
    body = tag("body", main, tag("script", Html(SCRIPT)))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"
