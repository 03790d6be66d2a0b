"""What the tests of the report share: its inputs, and a reader of its page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

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
    return {
        "system": system, "llm": "lm", "k": k, "task": task, "dataset": dataset,
        "scorer": "strict", "n": n, "precision": f1, "recall": f1, "f1": f1, "f1_low": f1 - 1,
        "f1_high": f1 + 1,
    }  # fmt: skip


def results(held_out: bool = True) -> pd.DataFrame:
    rows = [
        metrics("none", 0, "NER", "film", 10.0),
        metrics("none", 0, "NER", "news", 20.0, 60),
        metrics("none", 0, "RE", "film", 5.0),
        metrics("bm25", 4, "NER", "film", 40.0),
        metrics("bm25", 4, "NER", "news", 61.25, 60),
        metrics("bm25", 4, "RE", "film", 5.0),
    ]
    return tables.run(pd.DataFrame(rows), held_out, ["none", "bm25"])


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
    parquet.write(steps, schemas.TRAINING, log)
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
    (folder / "config.yaml").write_text(f"run: {BAD}\n")
    return [
        "--tables", str(folder / "heldout.parquet"),
        "--training", f"reward={log}", f"{BAD}={log}",
        "--data", str(folder / "data.parquet"),
        "--predictions", str(folder / "predictions.parquet"),
        "--config", str(folder / "config.yaml"), "--title", f"run {BAD}",
    ]  # fmt: skip


def make(flags: list[str], folder: Path, plots: bool = False) -> str:
    more = ["--plots", str(folder / "plots")] if plots else []
    report.main([*flags, "--out", str(folder / "report.html"), *more])
    return (folder / "report.html").read_text(encoding="utf-8")
