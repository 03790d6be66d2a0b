"""The paper's numbers in the repository, and the reading of ours."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from paper_help import frame, result, write_run

from ruie import paper_data
from ruie.cli import UserError
from ruie.examples import TASKS

ROOT = Path(paper_data.__file__).resolve().parents[1]
FILE = yaml.safe_load(paper_data.DATA.read_text(encoding="utf-8"))
TABLES = FILE["tables"]
RESULTS = ("1", "2", "3", "4", "5", "6", "7", "8")


def column(number: str, name: str) -> list[float | None]:
    """The printed values of a column, its rows' order."""
    place = [paper_data.column_id(c) for c in TABLES[number]["columns"]].index(name)
    return [row["values"][place] for row in TABLES[number]["rows"]]


def row(number: str, name: str) -> dict[str, float | None]:
    values = next(r["values"] for r in TABLES[number]["rows"] if r["name"] == name)
    return dict(zip(map(paper_data.column_id, TABLES[number]["columns"]), values, strict=True))


def test_the_file_is_of_its_schema_and_the_schema_is_closed() -> None:
    rules = json.loads((ROOT / "workflow/schemas/paper.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    check = jsonschema.Draft202012Validator(rules)
    check.validate(FILE)
    for place in (FILE["tables"]["1"], FILE["tables"]["1"]["rows"][0], FILE["tables"]["1"]["cell"]):
        place["bold"] = True
        try:
            assert not check.is_valid(FILE)
        finally:
            del place["bold"]


def test_all_tables_are_there_and_can_be_loaded() -> None:
    assert set(TABLES) == {*RESULTS, "10", "11", "figure3", "figure4"}
    assert paper_data.load("1")["rows"][0]["name"] == "UIE"
    assert [paper_data.title(n) for n in ("1", "figure3")] == ["Table 1", "Figure 3"]


@pytest.mark.parametrize("number", TABLES)
def test_rows_have_a_value_for_each_column_and_names_of_their_own(number: str) -> None:
    table = TABLES[number]
    assert {len(r["values"]) for r in table["rows"]} <= {len(table["columns"])}
    for names in (
        [paper_data.column_id(c) for c in table["columns"]],
        [r["name"] for r in table["rows"]],
    ):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("number", RESULTS)
def test_every_cell_says_what_it_is_in_names_that_exist(number: str) -> None:
    """Datasets of the registry, of the task; systems and language models of config.yaml."""
    registry = yaml.safe_load((ROOT / "workflow/datasets/paper.yaml").read_text())["datasets"]
    tasks = {r["name"]: r["task"] for r in registry}
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    table = TABLES[number]
    for c in table["columns"]:
        for r in table["rows"]:
            what = {"scoring": "llama-3-8b", **table["cell"], **c, **r}
            assert {tasks[name] for name in what["datasets"]} == {what["task"]}
            assert what["task"] in TASKS
            if not what.get("reported"):
                assert what["system"] in config["systems"]
                assert {what["llm"], what["scoring"]} <= set(FILE["models"])


def test_the_models_are_those_of_the_config() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    hub = {name: entry.get("hub") for name, entry in config["models"].items()}
    for name, address in FILE["models"].items():
        if "/" in address:
            assert hub[name] == address


def test_held_out_columns_are_the_held_out_datasets() -> None:
    registry = yaml.safe_load((ROOT / "workflow/datasets/paper.yaml").read_text())["datasets"]
    wanted = {r["name"] for r in registry if r["held_out"]}
    for number in ("1", "6", "7", "8"):
        named = {name for c in TABLES[number]["columns"] for name in c["datasets"]}
        assert named == wanted
    held_in = {r["name"] for r in registry if not r["held_out"]} - {"genia_event_ed"}
    named = {name for n in "2345" for r in TABLES[n]["rows"] for name in r["datasets"]}
    assert named == held_in


# Printed numbers have two digits: a mean of printed parts is off by 0.005 at most, and its rounding
# adds as much.
OFF = 0.01 + 1e-9


@pytest.mark.parametrize("group", ["RE", "ED", "EAE"])
def test_table_1_averages_are_those_of_its_columns(group: str) -> None:
    parts = [
        column("1", paper_data.column_id(c))
        for c in TABLES["1"]["columns"]
        if c["group"] == group and c["name"] != "average"
    ]
    checked = 0
    for *mine, printed in zip(*parts, column("1", f"{group} average"), strict=True):
        if printed is not None:
            assert abs(sum(mine) / len(mine) - printed) <= OFF
            checked += 1
    assert checked >= 10  # UIE has none for relations


@pytest.mark.parametrize("number", ["2", "3", "4", "5"])
@pytest.mark.parametrize("name", ["SOTA", "E5", "BM25", "RUIE"])
def test_held_in_averages_are_those_of_their_rows(number: str, name: str) -> None:
    *parts, printed = column(number, name)
    assert abs(sum(parts) / len(parts) - printed) <= OFF
    rows = TABLES[number]["rows"]
    assert rows[-1]["datasets"] == [r["datasets"][0] for r in rows[:-1]]


def test_what_the_notes_say_of_the_papers_arithmetic() -> None:
    ruie, ablated = row("1", "RUIE"), row("6", "RUIE")
    for name in ("RE", "ED", "EAE"):
        assert ablated[name] == ruie[f"{name} average"]
    assert ablated["NER without MIT"] == ruie["NER CrossNER"]
    # of seven test sets five are CrossNER's; of three datasets one is
    for system, model, seven, three in (
        ("RUIE", "LLaMA3.1-8b", 75.32, 69.66),
        ("RUIE-Deepseek", "Deepseek", 78.84, 73.56),
    ):
        crossner, whole = row("1", system)["NER CrossNER"], row("8", model)["NER"]
        assert (7 * whole - 5 * crossner) / 2 == pytest.approx(seven, abs=0.006)
        assert (3 * whole - crossner) / 2 == pytest.approx(three, abs=0.006)
    # 14.89 is not the distance to the best of the instruction-tuned models
    assert ruie["RE average"] - row("1", "LLaMA2-IEPILE")["RE average"] == pytest.approx(14.89)
    assert max(v for v in column("1", "RE average")[:4] if v) == row("1", "YAYI-UIE")["RE average"]
    assert column("4", "BM25") == column("5", "E5")
    assert row("4", "average")["RUIE"] - row("4", "average")["BM25"] == pytest.approx(1.02)
    assert row("4", "average")["RUIE"] - 45.66 == pytest.approx(1.35)

    # four columns: Qwen1.5's gain, and that of LLaMA3.1, which the text has right
    def gain(a: str, b: str) -> float:
        names = ("NER", "RE", "ED", "EAE")
        return sum(row("8", b)[n] - row("8", a)[n] for n in names) / 4

    assert gain("Qwen1.5-7b", "Qwen1.5-14b") == pytest.approx(7.725)
    assert gain("LLaMA3-8b", "LLaMA3.1-8b") == pytest.approx(0.87)


def test_the_numbers_are_as_printed(shared: Path) -> None:
    """Each row of the file as a row of the paper's text."""
    text = " ".join((shared / "paper/ruie.txt").read_text().split())

    def printed(values: list[float | None]) -> str:
        return " ".join("-" if v is None else f"{v:.2f}" for v in values)

    for r in TABLES["1"]["rows"]:
        ner, _, *rest = r["values"]
        pairs = [f"{a:.2f} / {b:.2f}" for a, b in zip(rest[3:7], rest[7:], strict=True)]
        assert f"{r['name']} {printed([ner, *rest[:3]])} {' '.join(pairs)}" in text
    for number in "2345":
        for r in TABLES[number]["rows"]:
            assert printed(r["values"]) in text
    for number in "678":
        for r in TABLES[number]["rows"]:
            ner, _, re, ed, eae = r["values"]
            assert f"{r['name']} {printed([ner, re])} {ed:.2f} / {eae:.2f}" in text
    for r in TABLES["10"]["rows"]:
        assert f"{r['name']} {printed(r['values'])}" in text
    assert "approximately 1.9 times faster than k-shot = 8" in text


def test_numbers_are_of_single_datasets_under_the_first_scorer() -> None:
    rows = frame(
        result(f1=1.0), result(f1=2.0, scorer="soft"), result(f1=3.0, dataset="average"),
        result(f1=float("nan"), dataset="wiki_zsl"),
    )  # fmt: skip
    for scorer, f1 in ((None, 1.0), ("soft", 2.0)):
        found = paper_data.numbers([("neo", rows)], scorer, {})
        assert list(found.columns) == paper_data.COLUMNS
        assert found[["scoring", "dataset", "f1"]].to_numpy().tolist() == [["neo", "fewrel", f1]]
    assert len(paper_data.numbers([("neo", rows)], "exact", {})) == 0
    assert list(paper_data.numbers([], None, {}).columns) == paper_data.COLUMNS


def test_the_first_of_two_numbers_counts_and_that_is_said(caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
    first = frame(result(f1=1.0), result(f1=2.0, dataset="wiki_zsl"))
    again = frame(result(f1=9.0), result(f1=2.0, dataset="wiki_zsl"), result("e5", f1=4.0))
    found = paper_data.numbers([("a", first), ("a", again)], None, {})
    assert found["f1"].tolist() == [1.0, 2.0, 4.0]
    assert "1 results are given again" in caplog.text
    # another scoring LLM's result is another result
    assert len(paper_data.numbers([("a", first), ("b", again)], None, {})) == 5


def test_names_are_changed_to_the_papers() -> None:
    names = paper_data.renamed(["mine=ruie", "few=fewrel", "neo=gpt-neo-2.7b"])
    found = paper_data.numbers([("neo", frame(result("mine", "few")))], None, names)
    got = found.loc[0, ["scoring", "system", "dataset"]].tolist()
    assert got == ["gpt-neo-2.7b", "ruie", "fewrel"]
    for wrong in ("mine", "=ruie", "mine="):
        with pytest.raises(UserError, match="is not of the form"):
            paper_data.renamed([wrong])


def test_a_runs_folder(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", "neo", frame(result()))
    [(scoring, rows)] = paper_data.run_folder(folder)
    assert (scoring, rows["f1"].tolist()) == ("neo", [50.0])
    (folder / "tables/heldout.parquet").unlink()
    with pytest.raises(UserError, match="holds no result table of this version"):
        paper_data.run_folder(folder)


@given(
    st.binary(max_size=40)
    | st.sampled_from([b"[]", b'{"scoring": []}', b'{"scoring": {"llm": 1}}'])
)
def test_a_config_that_is_none_is_one_line(tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("run")
    with pytest.raises(UserError, match="name the folder of a finished run"):
        paper_data.scoring_llm(folder)
    (folder / "config.json").write_bytes(content)
    with pytest.raises(UserError, match="does not say which LLM scored"):
        paper_data.scoring_llm(folder)
