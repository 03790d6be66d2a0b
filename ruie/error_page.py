"""The page of ERRORS rows: kinds by dataset, the error patterns of section 5.2, samples."""

from __future__ import annotations

from typing import Any

from ruie import markdown
from ruie.error_kinds import COPIED, CUT, FACTS, MISSED, SYMBOLIC, WRONG

#: By dataset ("NER film"), then by kind, an ERRORS row.
Found = dict[str, dict[str, dict[str, Any]]]
#: Most rows of a list, and the longest text in a cell.
MOST, WIDTH = 20, 160


def render(rows: list[dict[str, Any]]) -> str:
    """The page; a part for each system, LLM and k."""
    parts: dict[tuple[Any, ...], Found] = {}
    for r in rows:
        part = parts.setdefault((r["system"], r["llm"], r["k"]), {})
        part.setdefault(f"{r['task']} {r['dataset']}", {})[r["kind"]] = r
    lines = [
        "# Errors\n",
        "Items are compared as the strict scorer does. Each wrong item and each missed one has one "
        "kind, the first that applies in the order of the table; what stands below the sums counts "
        "beside them. docs/errors.md says what each kind means.\n",
    ]
    for (system, llm, k), found in parts.items():
        names = [name for name in (system, llm) if name]
        lines.append(f"## {', '.join([*names, f'k = {k}' if k is not None else 'any k'])}\n")
        lines += [_kinds(found), *_patterns(found), "### Samples\n", _samples(found)]
    return "\n".join(lines)


def _number(kinds: dict[str, dict[str, Any]], kind: str, column: str = "items") -> int:
    return int(kinds[kind][column]) if kind in kinds else 0


def _details(kinds: dict[str, dict[str, Any]], kind: str) -> dict[str, int]:
    return {d["what"]: d["count"] for d in kinds[kind]["details"]} if kind in kinds else {}


def _share(part: int, whole: int) -> str | None:
    return f"{100 * part / whole:.1f} %" if whole else None


def _kinds(found: Found) -> str:
    """Items of each kind by dataset, with the queries they are in below the sums."""

    def row(kind: str) -> list[object]:
        return [kind, *(f[kind]["items"] if kind in f else None for f in found.values())]

    def both(kind: str) -> list[object]:
        cells = (f.get(kind) for f in found.values())
        return [
            f"{kind} (queries)",
            *(f"{r['items']:,} ({r['queries']:,})" if r else None for r in cells),
        ]

    def total(name: str, kinds: tuple[str, ...]) -> list[object]:
        return [name, *(sum(_number(f, kind) for kind in kinds) for f in found.values())]

    table = [
        ["queries", *(_number(f, "expected", "queries") for f in found.values())],
        *map(row, ("expected", "said", "right", *WRONG)),
        total("all wrong", WRONG),
        *map(row, MISSED),
        total("all missed", MISSED),
        *map(both, FACTS[3:]),
    ]
    told = [line for line in table if any(cell is not None for cell in line[1:])]
    text = markdown.table(["Kind", *map(markdown.cell, found)], told)
    for kind, why in (
        (CUT, "no `finish_reason`"),
        (COPIED, "no `demonstrations`, or there was no `--pool` to look them up in"),
    ):
        without = [name for name, kinds in found.items() if kind not in kinds]
        if without:
            names = "every dataset" if len(without) == len(found) else ", ".join(without)
            text += f"\nWhat is {kind} cannot be told for {names}: the predictions have {why}.\n"
    return text


def _patterns(found: Found) -> list[str]:
    """The four error patterns of section 5.2."""

    def by_share(part: str, whole: str) -> list[list[object]]:
        """Dataset, whole, part, share and details of the part, the greatest share first."""
        numbers = [(name, _number(f, whole), _number(f, part)) for name, f in found.items()]
        asked = [n for n in numbers if n[1]]
        return [
            [name, n, m, _share(m, n), _top(_details(found[name], part))]
            for name, n, m in sorted(asked, key=lambda a: (-a[2] / a[1], a[0]))
        ]

    pairs = sorted(
        (-count, name, what)
        for name, kinds in found.items()
        for what, count in _details(kinds, "wrong label").items()
    )
    signs = []
    for name, kinds in found.items():
        d = _details(kinds, SYMBOLIC)
        sums = {w: d.get(f"right {w}", 0) + d.get(f"wrong {w}", 0) for w in ("here", "elsewhere")}
        shares = [_share(d.get(f"right {where}", 0), n) for where, n in sums.items()]
        if queries := _number(kinds, SYMBOLIC, "queries"):
            signs.append([name, queries, *shares])
    gaps = by_share("missed", "expected")
    words = by_share("pronoun missed", "pronoun expected")
    return [
        "### 1. Domain knowledge gaps\n",
        "Expected items that nothing in the answer comes near, by their share.\n",
        _table(["Dataset", "Expected", "Missed", "Share", "Labels"], gaps),
        "### 2. Label confusion\n",
        "The right spans under another label: expected -> said.\n",
        _table(["Dataset", "Labels", "Items"], [[n, w, -c] for c, n, w in pairs[:MOST]]),
        "### 3. Text formatting\n",
        "Precision on texts with many special symbols, and on all others.\n",
        _table(["Dataset", "Queries", "Precision there", "Precision elsewhere"], signs),
        "### 4. Pronoun handling\n",
        "Expected pronouns, and those that nothing in the answer comes near.\n",
        _table(["Dataset", "Expected", "Missed", "Share", "Pronouns"], words),
    ]


def _top(details: dict[str, int], most: int = 3) -> str:
    return _short(", ".join(f"{what} {count}" for what, count in [*details.items()][:most]))


def _samples(found: Found) -> str:
    rows = [
        [kind, name, e["query_id"], _short(e["said"]), _short(e["gold"])]
        for kind in (*WRONG, *MISSED, *FACTS)
        for name, kinds in found.items()
        for e in (kinds[kind]["examples"] if kind in kinds else [])
    ]
    return _table(["Kind", "Dataset", "Query", "Said", "Expected"], rows)


def _table(headers: list[str], rows: list[list[Any]]) -> str:
    return markdown.table(headers, rows) if rows else "Nothing.\n"


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
