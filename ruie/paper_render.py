"""A table of the paper and ours, for people: in Markdown, and in LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ruie import cli, markdown
from ruie.paper_data import Table, column_id, title

LEGEND = (
    "ours: this project's; paper: as printed; difference: ours - paper, where ours is complete. "
    "(3/5): the mean of those 3 of 5 datasets that have a result; –: no result."
)
BOLD = "Bold: the best of our complete numbers."
SIGNS = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
        "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
        "–": "--", "−": "$-$", "†": r"\dag{}", "τ": r"$\tau$",
        "[": "{[}", "]": "{]}",  # after \\ a bracket would be an argument
    }
)  # fmt: skip
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Cells = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """A row in up to three lines, ours, the paper's and the difference: what it is, and a text for
    each column with whether it is the best. ``note``: number of its footnote, or None."""

    name: str
    group: str
    note: int | None
    lines: list[tuple[str, list[tuple[str, bool]]]]


@dataclass(frozen=True)
class Header:
    name: str
    group: str
    note: int | None


def footnotes(table: Table) -> dict[str, int]:
    """Notes of columns and rows, numbered as they come."""
    notes = [entry["note"] for entry in [*table["columns"], *table["rows"]] if "note" in entry]
    return {note: i for i, note in enumerate(dict.fromkeys(notes), 1)}


def headers(table: Table, cells: Cells) -> list[Header]:
    """The columns in the order of the cells."""
    known, notes = {column_id(c): c for c in table["columns"]}, footnotes(table)
    out = []
    for name in dict.fromkeys(c["column"] for c in cells):
        column = known.get(name, {"name": name})
        out.append(
            Header(column["name"], column.get("group", ""), notes.get(column.get("note", "")))
        )
    return out


def rows(table: Table, cells: Cells) -> list[Row]:
    """The rows of PAPER cells; a line of blanks alone is left out, a gap of ours is not."""
    known, notes = {row["name"]: row for row in table["rows"]}, footnotes(table)
    best, digits = _best(table.get("best"), cells), table.get("digits", 2)
    out = []
    for name, members in groupby(enumerate(cells), key=lambda pair: pair[1]["row"]):
        pairs = list(members)
        found = []
        if any(c["wanted"] is not None for _, c in pairs):
            found.append(("ours", [(_ours(c, digits), i in best) for i, c in pairs]))
        row = known.get(name, {})
        for what in ("paper", "difference"):
            if any(c[what] is not None for _, c in pairs):
                sign = "+" if what == "difference" else ""
                texts = [_number(c[what], digits, sign) for _, c in pairs]
                said = "reported" if what == "paper" and row.get("reported") else what
                found.append((said, [(text, False) for text in texts]))
        out.append(Row(name, row.get("group", ""), notes.get(row.get("note", "")), found))
    return out


def _ours(c: Mapping[str, Any], digits: int) -> str:
    if c["wanted"] is None:
        return ""
    if not c["found"]:
        return "–"
    part = "" if c["found"] == c["wanted"] else f" ({c['found']}/{c['wanted']})"
    return _number(c["ours"], digits) + part


def _number(value: float | None, digits: int, sign: str = "") -> str:
    if value is None:
        return ""
    text = f"{value:{sign},.{digits}f}"
    # what shows as nothing is neither above nor below it
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", "−")


def _best(along: str | None, cells: Cells) -> set[int]:
    """Places of the best of ours in each column (or ``row``), where there are two to compare; a
    mean of some of its datasets alone compares with nothing."""
    values: dict[str, dict[int, float]] = {}
    for i, c in enumerate(cells):
        if along and c["found"] and c["found"] == c["wanted"]:
            values.setdefault(c[along], {})[i] = round(c["ours"], 2)
    return {
        i
        for mine in values.values()
        for i, value in mine.items()
        if len(set(mine.values())) > 1 and value == max(mine.values())
    }


def _remarks(table: Table) -> list[str]:
    ours = [table["ours"]] if table.get("ours") else []
    return [LEGEND + (f" {BOLD}" if table.get("best") else ""), *ours, *table.get("notes", [])]


def to_markdown(number: str, table: Table, cells: Cells) -> str:
    def marked(name: str, note: int | None) -> str:
        return markdown.cell(name) + (str(note).translate(SUPERSCRIPTS) if note else "")

    heads = headers(table, cells)
    lines = [
        ["", "", *(marked(f"{h.group} {h.name}".strip(), h.note) for h in heads)],
        ["---", "---", *["---:"] * len(heads)],
    ]
    group = ""
    for row in rows(table, cells):
        if row.group != group:
            group = row.group
            lines.append([f"*{markdown.cell(group)}*", "", *[""] * len(heads)])
        for i, (what, texts) in enumerate(row.lines):
            name = "" if i else marked(row.name, row.note)
            lines.append([name, what, *(f"**{t}**" if best else t for t, best in texts)])
    parts = [f"# {title(number)}", markdown.cell(table["caption"])]
    parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts += [markdown.cell(text) for text in _remarks(table)]
    notes = footnotes(table).items()
    parts += [f"{str(i).translate(SUPERSCRIPTS)} {markdown.cell(note)}" for note, i in notes]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """A text in which nothing is a command to LaTeX."""
    return " ".join(text.split()).translate(SIGNS)


def to_latex(number: str, table: Table, cells: Cells) -> str:
    def marked(name: str, note: int | None) -> str:
        return escaped(name) + (rf"\textsuperscript{{{note}}}" if note else "")

    def line(*cells: str) -> str:
        return " & ".join(cells) + r" \\"

    heads, found = headers(table, cells), rows(table, cells)
    body = []
    if any(h.group for h in heads):
        upper, rules, at = ["", ""], [], 3
        for group, members in groupby(heads, key=lambda h: h.group):
            n = len(list(members))
            upper.append(rf"\multicolumn{{{n}}}{{c}}{{{escaped(group)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + n - 1}}}" if group else "")
            at += n
        body += [line(*upper), "".join(rules)]
    body.append(line("", "", *(marked(h.name, h.note) for h in heads)))
    group = ""
    for i, row in enumerate(found):
        if row.group != group or not i:
            body.append(r"\midrule")
        if row.group != group:
            group = row.group
            text = rf"\multicolumn{{{len(heads) + 2}}}{{l}}{{\textit{{{escaped(group)}}}}}"
            body.append(line(text))
        for j, (what, texts) in enumerate(row.lines):
            shown = [rf"\textbf{{{escaped(t)}}}" if best else escaped(t) for t, best in texts]
            body.append(line("" if j else marked(row.name, row.note), what, *shown))
    notes = footnotes(table).items()
    remarks = [escaped(text) for text in _remarks(table)]
    remarks += [rf"\textsuperscript{{{i}}} {escaped(note)}" for note, i in notes]
    return "\n".join(
        [
            rf"% {title(number)}; needs \usepackage{{booktabs}}",
            r"\begin{table*}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{ll{'r' * len(heads)}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escaped(table['caption'])} {' '.join(remarks)}}}",
            r"\end{table*}",
            "",
        ]
    )


def add_arguments(p: cli.Parser) -> None:
    """Flags of ``write``."""
    p.add_argument("--markdown", type=Path, help="file for people")
    p.add_argument("--latex", type=Path, help="file for a document with booktabs")


def write(number: str, table: Table, cells: Cells, args: Any) -> None:
    """The renderings that the flags name."""
    if args.markdown:
        markdown.write(to_markdown(number, table, cells), args.markdown)
    if args.latex:
        markdown.write(to_latex(number, table, cells), args.latex)
