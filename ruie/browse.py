"""Predictions to look at: each text with what is right, wrong and missed marked in it, the
demonstrations of the answer, and why each of them was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruie import marks, parquet, schemas, shown
from ruie.examples import TASKS, Example
from ruie.page import Html, fold, join, note, nothing, scrolling, tag
from ruie.prompt import answer as gold_answer
from ruie.prompt import schema as schema_line

Pair = tuple[str, str]


@dataclass(frozen=True)
class Why:
    """What is known of demonstrations. ``retrieved``: (rank from 0, score) of pairs by the system
    that ranked them; ``bm25``: the name of BM25 in it; ``llm``, ``reward``: scores of pairs."""

    pool: dict[str, Example] = field(default_factory=dict)
    retrieved: dict[str, dict[Pair, tuple[int, float | None]]] = field(default_factory=dict)
    bm25: str = ""
    llm: dict[Pair, float] = field(default_factory=dict)
    reward: dict[Pair, float] = field(default_factory=dict)


def why(
    rows: list[dict[str, Any]],
    pool: Path | None,
    ranked: Sequence[tuple[str, Path]],
    bm25: str,
    llm: Path | None,
    reward: Path | None,
) -> Why:
    """What the tables say of the demonstrations in ``rows``: EXAMPLES, CANDIDATES by system, SCORES
    and REWARDS, each only if given."""
    queries = {r["query_id"] for r in rows}
    key = ("query_id", "demonstration_id")
    retrieved: dict[str, dict[Pair, tuple[int, float | None]]] = {}
    for system, path in ranked:
        mine = retrieved.setdefault(system, {})
        for r in shown.of_ids([path], schemas.CANDIDATES, "query_id", queries):
            mine[r["query_id"], r["demonstration_id"]] = (r["rank"], r["score"])
    scores = []
    for table, schema, column in ((llm, schemas.SCORES, "score"), (reward, schemas.REWARDS,
                                                                   "reward")):  # fmt: skip
        found = parquet.read(table, schema).to_pylist() if table else []
        scores.append({(r[key[0]], r[key[1]]): float(r[column]) for r in found})
    known = shown.by_id([pool], [d for _, d in shown.pairs(rows)]) if pool else {}
    return Why(known, retrieved, bm25, *scores)


def items(kind: str, found: list[tuple[str, ...]]) -> Html:
    """Items as coloured marks outside the text; ``kind`` of ``marks.SIGNS``."""
    return join(
        [
            tag("span", marks.caption(kind, item[0] or "no item"), ": ", ", ".join(item[1:]),
                class_=f"item {kind}")
            for item in found
        ],
        " ",
    )  # fmt: skip


def ranked_at(known: dict[Pair, tuple[int, float | None]], pair: Pair) -> tuple[str, str]:
    """Rank from 1 and score as text. A pair that is not there is behind all that are."""
    if pair not in known:
        depth = sum(query == pair[0] for query, _ in known)
        return (f"> {depth}" if depth else "-"), "-"
    rank, score = known[pair]
    return str(rank + 1), "-" if score is None else f"{score:.3f}"


def demonstrations(row: dict[str, Any], reasons: Why) -> Html:
    """The demonstrations of an answer in prompt order, with what is known of each."""
    ids = row["demonstrations"] or []
    if not ids:
        return note("No demonstrations.")
    own = reasons.retrieved.get(row["system"] or "")
    bm25 = reasons.retrieved.get(reasons.bm25) if row["system"] != reasons.bm25 else None
    heads = ["Rank", "Score"] * (own is not None) + ["BM25 rank"] * (bm25 is not None)
    heads += ["Reward*"] * bool(reasons.reward) + ["LLM score*"] * bool(reasons.llm)
    body = []
    for place, i in enumerate(ids, 1):
        pair = (row["query_id"], i)
        known: list[str] = []
        if own is not None:
            known += ranked_at(own, pair)
        if bm25 is not None:
            known.append(ranked_at(bm25, pair)[0])
        for scores in (reasons.reward, reasons.llm):
            if scores:
                known.append(f"{scores[pair]:.3f}" if pair in scores else "-")
        said: list[object] = [tag("span", i, class_="ids")]
        if example := reasons.pool.get(i):
            said += [
                tag("span", "Schema: ", schema_line(example), class_="ids"),
                tag("div", marks.marked(example.text, marks.of_example(example))),
                tag("div", "Output: ", gold_answer(example)),
            ]
        cells = [tag("td", value, class_="number") for value in known]
        body.append(tag("tr", tag("td", place, class_="number"), tag("td", *said, class_="text"),
                        *cells))  # fmt: skip
    head = [tag("th", "In the prompt", class_="number"), tag("th", "Demonstration")]
    head += [tag("th", name, class_="number") for name in heads]
    table = scrolling(Html(), tag("thead", tag("tr", *head)), join(body, "\n"))
    dropped = f", {row['dropped']} dropped to fit" if row["dropped"] else ""
    return fold(f"{len(ids)} demonstrations{dropped}", table)


def answer(row: dict[str, Any], reasons: Why) -> Html:
    """One system's answer to a query, set against the gold answer."""
    groups = marks.compared(row)
    name = f"{row['system'] or '-'}, k = {row['k'] if row['k'] is not None else '-'}"
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in groups.items())
    head = [tag("b", name), " "] + [tag("small", f"{row['llm']}; ")] * bool(row["llm"])
    parts: list[object] = [tag("div", *head, tag("small", counts))]
    if row["error"]:
        parts.append(tag("p", tag("span", f"no answer: {row['error']}", class_="item wrong")))
    parts.append(tag("p", marks.marked(row["text"], marks.of_items(row["text"], groups)),
                     class_="text"))  # fmt: skip
    others = {kind: marks.absent(row["text"], found) for kind, found in groups.items()}
    if any(others.values()):
        shown = [items(kind, found) for kind, found in others.items() if found]
        parts.append(tag("p", tag("small", "not to be marked: "), join(shown, " ")))
    if not row["error"]:
        parts.append(tag("p", "Answer: ", row["prediction"] or "(empty)", class_="said text"))
    parts.append(demonstrations(row, reasons))
    bad = bool(row["error"] or groups["wrong"] or groups["missed"])
    return tag("div", *parts, class_="answer", data_system=row["system"] or "-", data_wrong=bad)


def chooser(datasets: Sequence[str], systems: Sequence[str]) -> Html:
    """The filter, which the page's script shows and works."""

    def select(name: str, every: str, names: Sequence[str]) -> Html:
        options = [tag("option", every, value=""), *(tag("option", n, value=n) for n in names)]
        return tag("label", name.capitalize(), " ", tag("select", *options, name=name))

    return tag(
        "form",
        select("dataset", "all", datasets),
        select("system", "all", systems),
        tag("label", tag("input", type="checkbox", name="wrong"), " only with something wrong"),
        tag("output", id="filter-shown"),
        id="filter",
        hidden=True,
    )


TEXT = (
    "The same few queries of each dataset for every system, drawn by the seed. Answers are "
    "compared as the strict scorer does (letter case evened out) and name strings, not places: "
    "each occurrence of a string is marked."
)
REASONS = (
    "Demonstrations stand in prompt order, the best last. Rank and score are those of the system's "
    "own retrieval, each on its own scale; “> n” is behind the n that were kept."
)
GOLD = (
    "* Reward and LLM score (mean log p of the right answer, equation 1) look at the gold answer "
    "of the query. They show what the models think of a demonstration afterwards: none was chosen "
    "by them."
)


def section(rows: list[dict[str, Any]], order: list[str], reasons: Why) -> Html:
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
        mine = folds.setdefault(f"{r['task']} {r['dataset']}", {})
        mine.setdefault(r["query_id"], []).append(r)
    legend = [tag("mark", name, class_=kind) for kind, name in
              (("right", "✓ right"), ("wrong", "✗ wrong"), ("missed", "missed"))]  # fmt: skip
    parts = [tag("p", TEXT, " ", join(legend, " ")), tag("p", REASONS)]
    if reasons.llm or reasons.reward:
        parts.append(tag("p", GOLD))
    if not reasons.pool:
        parts.append(note("Demonstrations by id only: no pool was given."))
    if not reasons.retrieved:
        parts.append(note("Without rank and score: no retrieved candidates were given."))
    parts.append(chooser(list(folds), list(dict.fromkeys(r["system"] or "-" for r in rows))))
    for number, (name, queries) in enumerate(folds.items()):
        inside = [query(answers, reasons) for answers in queries.values()]
        size = "1 query" if len(queries) == 1 else f"{len(queries)} queries"
        head = join([name, " ", tag("small", size)])
        parts.append(
            tag("details", tag("summary", head), *inside, open=not number, data_dataset=name)
        )
    return join(parts, "\n")


def query(answers: list[dict[str, Any]], reasons: Why) -> Html:
    """A query with its gold answer marked, and the answers to it."""
    one = answers[0]
    gold = marks.compared({**one, "error": None, "prediction": one["gold"]})["right"]
    schema = [line for line in one["query"].split("\n") if line.startswith("Schema:")]
    text = marks.marked(one["text"], marks.of_items(one["text"], {"gold": gold}))
    return tag(
        "article",
        tag("small", one["query_id"]),
        tag("blockquote", text, class_="text"),
        tag("div", tag("small", *schema[:1]), class_="text"),
        tag("div", tag("small", "Gold: ", one["gold"]), class_="text"),
        *(answer(row, reasons) for row in answers),
        class_="query",
    )
