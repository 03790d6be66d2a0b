"""Some predictions to look at: text, gold, what each system answered, right and wrong marked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ruie import parquet, schemas, scorers
from ruie.examples import TASKS
from ruie.page import Html, join, nothing, tag


def chosen(paths: list[Path], samples: int, seed: int) -> list[dict[str, Any]]:
    """The PREDICTIONS rows of ``samples`` queries of each dataset: by a seeded hash of the query's
    id, so that all systems show the same queries and the order of files does not matter."""
    kept: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for path in paths:
        whole = parquet.read(path, schemas.PREDICTIONS)
        names = whole.select(["task", "dataset", "llm", "k", "system", "query_id"]).to_pylist()
        lots = [hashlib.sha256(f"{seed}:{r['query_id']}".encode()).hexdigest() for r in names]
        for at in sorted(range(len(lots)), key=lots.__getitem__):
            group = kept.setdefault(tuple(names[at].values())[:-1], {})
            if lots[at] in group:
                continue
            worst = max(group) if len(group) >= samples else ""
            if lots[at] < worst:
                del group[worst]
            if len(group) < samples:
                group[lots[at]] = whole.slice(at, 1).to_pylist()[0]
    return [group[lot] for group in kept.values() for lot in sorted(group)]


def items(found: set[scorers.Item], kind: str) -> Html:
    """Items of an answer as coloured marks; ``kind``: right, wrong, missed or empty."""
    sign = {"right": "✓ ", "wrong": "✗ ", "missed": "missed: "}.get(kind, "")
    marks = [
        tag("span", sign, f"{item[0] or '(no item)'}: ", ", ".join(item[1:]),
            class_=f"item {kind}".strip())
        for item in sorted(found)
    ]  # fmt: skip
    return join(marks, " ")


def answer_row(row: dict[str, Any]) -> Html:
    """One system's answer to a query, set against the gold answer."""
    name = f"{row['system'] or '-'}, k = {row['k'] if row['k'] is not None else '-'}"
    if row["error"]:
        said = tag("span", f"no answer: {row['error']}", class_="item wrong")
    else:
        answers = [row["prediction"] or "", row["gold"]]
        got, gold = (
            set(scorers.parse(a, row["task"], row["schema"], row["text"])) for a in answers
        )
        marks = [(got & gold, "right"), (got - gold, "wrong"), (gold - got, "missed")]
        said = join([items(found, kind) for found, kind in marks if found] or ["nothing"], " ")
        said = join([said, tag("span", row["prediction"] or "", class_="text")])
    ids = row["demonstrations"] or []
    used = tag(
        "details",
        tag("summary", len(ids)),
        *[tag("span", f"{i}. {name}", class_="ids") for i, name in enumerate(ids, 1)],
    )
    system = [name, *([tag("small", row["llm"])] if row["llm"] else [])]
    return tag("tr", tag("th", *system), tag("td", said), tag("td", used if ids else "-"))


def section(rows: list[dict[str, Any]], order: list[str]) -> Html:
    """A fold for each dataset; in it queries, and all systems' answers to each."""
    if not rows:
        return nothing("prediction")
    rows = sorted(
        rows,
        key=lambda r: (TASKS.index(r["task"]), r["dataset"], r["query_id"], r["llm"] or "",
                       r["k"] or 0, order.index(r["system"] or "")),
    )  # fmt: skip
    folds: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for r in rows:
        fold = folds.setdefault(f"{r['task']} {r['dataset']}", {})
        fold.setdefault(r["query_id"], []).append(r)
    text = (
        "The same few queries of each dataset for every system, drawn by the seed. Items are "
        "compared as the scorer does (letter case evened out): ✓ right, ✗ wrong, missed; below "
        "them the answer as it was given. Demonstrations in prompt order, the best last."
    )
    parts = [tag("p", text)]
    for name, queries in folds.items():
        inside = []
        for query, answers in queries.items():
            one = answers[0]
            gold = set(scorers.parse(one["gold"], one["task"], one["schema"], one["text"]))
            schema = [ln for ln in one["query"].split("\n") if ln.startswith("Schema:")]
            head = tag("tr", *[tag("th", h) for h in ("System", "Answer", "Demonstrations")])
            body = tag("tbody", *map(answer_row, answers))
            inside.append(
                tag(
                    "article",
                    tag("small", query),
                    tag("blockquote", one["text"]),
                    tag("small", *schema[:1]),
                    tag("p", "Gold: ", items(gold, "") or "nothing to be found"),
                    tag("div", tag("table", tag("thead", head), body), class_="wide"),
                )
            )
        summary = tag("summary", name, " ", tag("small", f"{len(queries)} queries"))
        parts.append(tag("details", summary, *inside, open=len(parts) == 1))
    return join(parts, "\n")
