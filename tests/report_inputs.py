"""What the tests of the report share: its inputs, and a reader of its page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tiny import sample, write_examples

from ruie import parquet, report, schemas, tables

BAD = "<script>alert('x')</script> & \"y\""
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that elements are balanced and ids are unique; keeps rows of cells, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.best: list[str] = []
        self.classes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        assert len(set(self.ids)) == len(self.ids), "an id is used twice"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on")], "a script in an attribute"
        self.ids += [v for k, v in attrs if k == "id" and v]
        self.links += [v for k, v in attrs if k in ("href", "src", "xlink:href") and v]
        self.classes.append((given.get("class") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if self.classes:
            kinds, said = self.classes[-1]
            self.classes[-1] = (kinds, said + data)

    def marked(self, kind: str) -> list[str]:
        """Texts that begin elements of a class."""
        return [said.strip() for kinds, said in self.classes if kind in kinds.split()]


def metrics(system: str, k: int, task: str, dataset: str, f1: float, n: int = 20) -> dict[str, Any]:
    """A RESULTS row without ``held_out``; the interval reaches from 2 below to 3 above."""
    return {
        "system": system, "llm": "lm", "k": k, "task": task, "dataset": dataset,
        "range": "same-task" if k else None, "scorer": "strict", "n": n, "precision": f1,
        "recall": f1, "f1": f1, "f1_low": f1 - 2, "f1_high": f1 + 3,
    }  # fmt: skip


def averaged(rows: list[dict[str, Any]], held_out: bool) -> pd.DataFrame:
    """RESULTS of rows: each run's rows of a task are followed by their mean."""
    frame = pd.DataFrame(rows)
    parts = []
    for _, part in frame.groupby(["system", "llm", "k", "task", "scorer"], sort=False):
        means = part[["precision", "recall", "f1", "f1_low", "f1_high"]].mean().to_dict()
        mean = {**part.iloc[0], **means, "dataset": tables.AVERAGE, "n": part["n"].sum()}
        parts += [part, pd.DataFrame([mean])]
    return pd.concat(parts, ignore_index=True).assign(held_out=held_out)[schemas.RESULTS.names]


def results(held_out: bool = True) -> pd.DataFrame:
    rows = [
        metrics("none", 0, "NER", "film", 10.0),
        metrics("none", 0, "NER", "news", 20.0, 60),
        metrics("none", 0, "RE", "film", 5.0),
        metrics("bm25", 4, "NER", "film", 40.0),
        metrics("bm25", 4, "NER", "news", 61.25, 60),
        metrics("bm25", 4, "RE", "film", 5.0),
    ]
    return averaged(rows, held_out)


def write_results(frame: pd.DataFrame, path: Path) -> Path:
    table = pa.Table.from_pandas(frame, schemas.RESULTS, preserve_index=False)
    parquet.write(table, schemas.RESULTS, path)
    return path


def prediction(query: int, system: str = "bm25", **changes: Any) -> dict[str, Any]:
    return {
        "query_id": f"film/test/{query:06d}", "system": system, "llm": "lm", "k": 4, "task": "NER",
        "dataset": "film", "schema": ["person", "place"], "text": "Ada met Bo in Rome.",
        "query": "Task: NER\nSchema: [person, place]\nInput: Ada met Bo in Rome.\nOutput:",
        "gold": "person: Ada; person: Bo.", "prediction": "person: Ada; place: Rome",
        "demonstrations": ["film/train/000007", "film/train/000001"], "dropped": 1,
        "prompt_tokens": 100, "completion_tokens": 6, "finish_reason": "stop", "error": None,
        **changes,
    }  # fmt: skip


#: What ruie.provenance writes.
FACTS = {
    "commit": "abc123",
    "versions": {"Python": "3.0", "ruie": "0.0"},
    "machine": {"processor": "two wheels", "GPUs": "none"},
    "models": {
        "lm": {
            "folder": "models/lm",
            "files": {"config.json": {"bytes": 12, "of": "file", "sha256": "00ff"}},
        }
    },
}


def write_details(folder: Path) -> list[str]:
    """COMPARISONS, LABELS, ERRORS, SPEED and LEARNING tables, and the flags that take them."""
    key = {"system": "bm25", "llm": "lm", "k": 4, "task": "NER", "dataset": "film"}
    counts = {"tp": 2.0, "fp": 1.0, "fn": 1.0, "precision": 66.67, "recall": 66.67, "f1": 66.67}
    difference = {"reference": "none", "scorer": "strict", "held_out": True, "n": 20,
                  "difference": 30.0, "low": 12.25, "high": 44.0, "p": 0.0004}  # fmt: skip
    error = {
        "kind": "wrong label", "items": 3, "queries": 2,
        "details": [{"what": "person for place", "count": 2}, {"what": BAD, "count": 1}],
        "examples": [{"query_id": "film/test/000001", "said": "person: Rome", "gold": BAD}],
    }  # fmt: skip
    seconds = {"llm": "lm", "backend": "vllm", "task": "NER", "dataset": "film", "instances": 20,
               "prompt_tokens": 2000, "completion_tokens": 100}  # fmt: skip
    written: dict[str, tuple[pa.Schema, list[dict[str, Any]]]] = {
        "comparisons": (schemas.COMPARISONS, [
            {**key, **difference},
            {**key, **difference, "dataset": tables.AVERAGE, "p": 0.25},
            {**key, **difference, "task": "all", "dataset": tables.AVERAGE, "p": 0.25},
            {**key, **difference, "held_out": False, "dataset": tables.AVERAGE, "p": 0.5},
        ]),
        "labels": (schemas.LABELS, [{**key, **counts, "label": name} for name in ("place", "")]),
        "errors": (schemas.ERRORS, [{**key, **error}, {**key, **error, "dataset": "news"}]),
        "planned": (schemas.PLANNED, [
            {"task": "NER", "dataset": "film", "queries": 6, "pairs": 48, "prompts": 31,
             "shortened": 5, "skipped": 8, "skipped_queries": 1, "tokens": 4000, "work": 1500},
        ]),
        "speed": (schemas.SPEED, [{**seconds, "k": 0, "seconds": 5.0},
                                  {**seconds, "k": 4, "seconds": 10.0}]),
    }  # fmt: skip
    learned = {"against": "llm", "measure": "auc", "task": "all", "n": 12, "value": 0.75,
               "low": 0.625, "high": 0.875}  # fmt: skip
    written["learning"] = (schemas.LEARNING, [{**learned, "ranker": name} for name in ("r", BAD)])
    flags = []
    for name, (schema, rows) in written.items():
        parquet.write(rows, schema, folder / f"{name}.parquet")
        flags += [f"--{name}", str(folder / f"{name}.parquet")]
    return flags


def write_reasons(folder: Path) -> list[str]:
    """A pool, what two systems retrieved and both models' scores, and the flags that take them."""
    pool = [
        sample("film/train/000001", "Cy saw Oslo.", ("person", "Cy"), ("place", "Oslo"),
               schema=("person", "place")),
        sample("film/train/000007", "Nothing here."),
        sample("film/train/000009", "Never shown."),
    ]  # fmt: skip
    write_examples(pool, folder / "pool.parquet")
    pairs = [{"query_id": f"film/test/{q:06d}", "demonstration_id": f"film/train/{d:06d}"}
             for q in (0, 1, 3) for d in (1, 7)]  # fmt: skip
    own = [{**p, "rank": i % 2, "score": 0.5 - i % 2} for i, p in enumerate(pairs)]
    # BM25 kept a single demonstration of each query, and the other one at that
    other = [{**p, "rank": 0, "score": 9.0} for p in pairs[1::2]]
    for name, rows in (("bm25", other), ("ruie", own)):
        parquet.write(rows, schemas.CANDIDATES, folder / f"{name}.parquet")
    scores = [{**p, "score": -0.25, "tokens": 3} for p in pairs]
    parquet.write(scores, schemas.SCORES, folder / "scores.parquet")
    rewards = [{**p, "reward": 1.125} for p in pairs]
    parquet.write(rewards, schemas.REWARDS, folder / "rewards.parquet")
    return [
        "--pool", str(folder / "pool.parquet"),
        "--why", f"bm25={folder / 'bm25.parquet'}", f"ruie={folder / 'ruie.parquet'}",
        "--llm-scores", str(folder / "scores.parquet"),
        "--reward-scores", str(folder / "rewards.parquet"),
    ]  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """The flags of a report in which every section has something."""
    folder = tmp_path / "in"
    write_results(results(), folder / "heldout.parquet")
    steps = [
        dict.fromkeys(schemas.TRAINING.names) | {"step": i, "loss": 2.0 / i, "accuracy": i / 50}
        for i in range(1, 51)
    ]
    log = folder / "training.parquet"
    steps[24]["mrr"], steps[49]["mrr"] = 0.25, 0.5
    parquet.write(steps, schemas.TRAINING, log)
    pace = folder / "pace.parquet"
    seconds = [{"step": i, "seconds": 2.0, "samples_per_s": float(i)} for i in range(1, 51)]
    parquet.write(seconds, schemas.PACE, pace)
    counts = {"instances": 7, "annotations": 9, "wrong offsets (found by literal search)": 3}
    rows = [
        {"dataset": "film", "task": "NER", "split": "train", "what": what, "count": n,
         "outcome": "mended" if "(" in what else "", "example": f"a.json#0: {BAD}"}
        for what, n in counts.items()
    ]  # fmt: skip
    parquet.write(rows, schemas.REPORT, folder / "data.parquet")
    answers = [
        prediction(0, text=BAD, prediction=BAD, demonstrations=[BAD]),
        prediction(1, prompt_tokens=201, finish_reason="length"),
        prediction(1, "none", k=0, demonstrations=[], dropped=0, error="too long"),
    ]
    parquet.write(answers, schemas.PREDICTIONS, folder / "predictions.parquet")
    (folder / "config.json").write_text(json.dumps({"run": BAD, "seed": 42}, indent=1))
    (folder / "provenance.json").write_text(json.dumps(FACTS))
    return [
        "--tables", str(folder / "heldout.parquet"),
        "--training", f"reward={log}", f"{BAD}={log}", "--pace", f"reward={pace}",
        "--data", str(folder / "data.parquet"),
        "--predictions", str(folder / "predictions.parquet"),
        "--config", str(folder / "config.json"),
        "--provenance", str(folder / "provenance.json"),
        *write_details(folder), "--title", f"run {BAD}",
    ]  # fmt: skip


def make(flags: list[str], folder: Path, plots: bool = False) -> str:
    more = ["--plots", str(folder / "plots")] if plots else []
    report.main([*flags, "--out", str(folder / "report.html"), *more])
    return (folder / "report.html").read_text(encoding="utf-8")
