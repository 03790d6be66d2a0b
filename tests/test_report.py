"""The report: a page that holds what the tables hold, and the same numbers on a terminal."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from ruie import browse, charts, cli, headline, page, parquet, report, tables

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
        "system": system, "llm": "lm", "k": k, "task": task, "dataset": dataset, "n": n,
        "precision": f1, "recall": f1, "f1": f1,
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
    table = pa.Table.from_pandas(frame, parquet.RESULTS, preserve_index=False)
    parquet.write(table, parquet.RESULTS, path)
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
        dict.fromkeys(parquet.TRAINING.names) | {"step": i, "loss": 2.0 / i, "accuracy": i / 50}
        for i in range(1, 51)
    ]
    log = folder / "training.parquet"
    parquet.write(steps, parquet.TRAINING, log)
    counts = {"instances": 7, "annotations": 9, "wrong offsets (found by literal search)": 3}
    rows = [
        {"dataset": "film", "task": "NER", "split": "train", "what": what, "count": n,
         "outcome": "mended" if "(" in what else "", "example": f"a.json#0: {BAD}"}
        for what, n in counts.items()
    ]  # fmt: skip
    parquet.write(rows, parquet.REPORT, folder / "data.parquet")
    answers = [
        prediction(0, text=BAD, prediction=BAD, demonstrations=[BAD]),
        prediction(1, prompt_tokens=201, finish_reason="length"),
        prediction(1, "none", k=0, demonstrations=[], dropped=0, error="too long"),
    ]
    parquet.write(answers, parquet.PREDICTIONS, folder / "predictions.parquet")
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


def test_page_is_balanced_escaped_and_alone(inputs: list[str], tmp_path: Path) -> None:
    text = make(inputs, tmp_path)
    read = Page(text)
    assert "script" not in read.names
    assert read.text.count(BAD) >= 6  # title, training, data, text, answer, config
    assert read.links
    assert all(link.startswith("#") for link in read.links), "the page asks for something else"
    for link in read.links:
        assert link[1:] in read.ids, f"{link} leads nowhere"
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_page_holds_the_numbers(inputs: list[str], tmp_path: Path) -> None:
    read = Page(make(inputs, tmp_path))
    assert ["none", "0", "10.00", "20.00", "15.00", "5.00", "5.00"] in read.rows
    assert ["bm25", "4", "40.00", "61.25", "50.62", "5.00", "5.00"] in read.rows
    # equal values are not marked: neither is the best
    assert read.marked("best") == ["40.00", "61.25", "50.62"]
    header = ["filmn = 20 †", "newsn = 60", "averagen = 80", "filmn = 20 †", "averagen = 20 †"]
    assert header in read.rows
    assert headline.NOISE in read.text
    assert ["NER", "film", "train", "7", "9", "-", "-", "3"] in read.rows
    what = "wrong offsets (found by literal search)"
    assert ["NER", "film", "train", what, "3", f"a.json#0: {BAD}"] in read.rows
    assert ["lm", "4", "bm25", "2", "1", "150.5", "6.0", "12", "2", "length 1, stop 1", "0"] \
        in read.rows  # fmt: skip
    assert ["lm", "0", "none", "1", "1", "100.0", "6.0", "6", "0", "stop 1", "1"] in read.rows
    assert "reward: 50 steps; loss 0.913 in the first tenth of the steps, 0.042" in read.text
    assert ["ruie", report.ruie.__version__] in read.rows
    assert ["pandas", pd.__version__] in read.rows


def test_large_datasets_are_not_called_noise(tmp_path: Path) -> None:
    frame = results().assign(n=50)
    write_results(frame, tmp_path / "t.parquet")
    assert headline.NOISE not in make(["--tables", str(tmp_path / "t.parquet")], tmp_path)


def test_items_are_marked_as_the_scorer_counts_them(tmp_path: Path) -> None:
    parquet.write([prediction(3)], parquet.PREDICTIONS, tmp_path / "p.parquet")
    read = Page(make(["--predictions", str(tmp_path / "p.parquet")], tmp_path))
    assert read.marked("right") == ["✓ person: ada"]
    assert read.marked("wrong") == ["✗ place: rome"]
    assert read.marked("missed") == ["missed: person: bo"]
    assert read.marked("ids") == ["1. film/train/000007", "2. film/train/000001"]
    assert "Schema: [person, place]" in read.text


def test_an_error_is_shown_in_place_of_the_answer(inputs: list[str], tmp_path: Path) -> None:
    assert "no answer: too long" in Page(make(inputs, tmp_path)).marked("wrong")


def test_same_inputs_same_bytes(inputs: list[str], tmp_path: Path) -> None:
    texts = [make(inputs, tmp_path / name, plots=True) for name in "ab"]
    assert texts[0] == texts[1]
    first, second = (sorted((tmp_path / name / "plots").iterdir()) for name in "ab")
    # two training names of the same table, and the averages; each as PNG and SVG
    assert len(first) == 6
    assert [f.name for f in first] == [f.name for f in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        assert one.read_bytes().startswith(b"\x89PNG" if one.suffix == ".png" else b"<?xml")


def test_the_chart_shows_the_averages_in_the_text_colour(inputs: list[str], tmp_path: Path) -> None:
    text = make(inputs, tmp_path)
    drawn = text[text.index("<svg") : text.index("</svg>")]
    assert [f">{n}<" in drawn for n in ("15.0", "50.6", "bm25, k = 4", "NER", "RE")] == [True] * 5
    assert "currentColor" in drawn
    assert charts.INK not in text


@pytest.mark.parametrize("missing", ["tables", "training", "data", "predictions", "config"])
def test_each_input_may_be_missing(missing: str, inputs: list[str], tmp_path: Path) -> None:
    at = inputs.index(f"--{missing}")
    end = next((i for i in range(at + 1, len(inputs)) if inputs[i].startswith("--")), len(inputs))
    read = Page(make([*inputs[:at], *inputs[end:]], tmp_path))
    said = read.text.count("There is nothing here")
    assert said == {"tables": 2, "predictions": 2}.get(missing, 1)


def test_nothing_at_all_is_a_page(tmp_path: Path) -> None:
    read = Page(make(["--tables", "--training", "--data", "--predictions"], tmp_path, True))
    assert read.text.count("There is nothing here") == 7
    sections = ["results", "averages", "training", "data", "inference", "predictions", "provenance"]
    assert read.ids == sections
    assert not (tmp_path / "plots").exists()


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    for flag in ("--tables", "--data", "--predictions", "--config"):
        with pytest.raises(cli.UserError, match="no such file"):
            make([flag, str(tmp_path / "none")], tmp_path)
    with pytest.raises(SystemExit):
        make(["--training", "without-a-name"], tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_results_that_contradict_are_refused() -> None:
    twice = pd.concat([results(), results().assign(f1=1.0)])
    with pytest.raises(cli.UserError, match="two different results"):
        list(headline.panels(twice))
    assert len(list(headline.panels(pd.concat([results(), results()])))) == 1


def test_samples_are_the_same_queries_for_all_systems(tmp_path: Path) -> None:
    paths = []
    for system in ("none", "bm25"):
        paths.append(tmp_path / f"{system}.parquet")
        rows = [prediction(i, system) for i in range(20)]
        parquet.write(rows, parquet.PREDICTIONS, paths[-1])

    def queries(seed: int, order: int = 1) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in browse.chosen(paths[::order], 3, seed):
            found.setdefault(row["system"], set()).add(row["query_id"])
        return found

    first = queries(0)
    assert [len(ids) for ids in first.values()] == [3, 3]
    assert first["none"] == first["bm25"]
    assert first == queries(0, -1)
    assert len({tuple(sorted(queries(seed)["none"])) for seed in range(5)}) > 1


def test_print_table(tmp_path: Path) -> None:
    out = io.StringIO()
    report.print_table(results(), "Held-out", file=out)
    lines = [line.split() for line in out.getvalue().split("\n")]
    assert lines[0] == ["Held-out:", "F1", "in", "percent"]
    assert ["NER", "RE"] in lines
    assert ["film", "news", "avg", "film", "avg"] in lines
    assert ["system", "k", "n=20", "n=60", "n=80", "n=20", "n=20"] in lines
    assert ["none", "0", "10.00", "20.00", "15.00", "5.00", "5.00"] in lines
    assert ["bm25", "4", "40.00*", "61.25*", "50.62*", "5.00", "5.00"] in lines


def test_print_table_keeps_to_the_width() -> None:
    rows = [
        metrics(system, 4, task, f"some_long-name_of_set{i}", 10.0 * i + len(task))
        for system in ("one", "two")
        for task in ("NER", "RE", "EET", "EEA")
        for i in range(9)
    ]
    frame = tables.run(pd.DataFrame(rows), False, [])
    printed = {}
    for width in (60, 100):
        out = io.StringIO()
        report.print_table(frame, "x", file=out, width=width)
        table = out.getvalue().split("\n\n*")[0]
        assert max(map(len, table.split("\n"))) <= width
        values = [line.split()[2:] for line in table.split("\n") if line.startswith("one")]
        printed[width] = [value for block in values for value in block]
    assert len(printed[60]) == 4 * 10
    assert printed[60] == printed[100]


def test_print_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        str(write_results(results(held_out), tmp_path / f"{held_out}.parquet"))
        for held_out in (False, True)
    ]
    report.main(["--print", *names, "--html", "results/report.html"])
    said = capsys.readouterr().out
    assert said.index("Held-out datasets") < said.index("Held-in datasets")
    assert said.count("61.25*") == 2
    assert said.endswith("\nreport: results/report.html\n")
    report.main(["--print", names[0]])
    assert "report:" not in capsys.readouterr().out


def test_elements_escape_text_and_attributes() -> None:
    assert page.tag("p", BAD, title=BAD, hidden=False, open=True) == (
        '<p title="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;y&quot;" open>'
        "&lt;script&gt;alert('x')&lt;/script&gt; &amp; \"y\"</p>"
    )
    assert page.tag("p", page.tag("b", "<")) == "<p><b>&lt;</b></p>"
