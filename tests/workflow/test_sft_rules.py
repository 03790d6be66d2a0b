"""Supervised systems in the workflow: what they plan, and what is refused before the plan."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

ROOT = Path(__file__).parents[2]
SYSTEMS = {
    "t5": {"retriever": "none", "format": "instructuie", "llm": "t5", "max_new": 50},
    "llama": {"retriever": "none", "format": "iepile", "llm": "llama", "backend": "transformers"},
}

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    made = {"t5": tiny.seq2seq(folder / "t5"), "llama": tiny.causal(folder / "llama")}
    return {name: {"path": str(path), "dtype": "float32"} for name, path in made.items()}


def planned(
    tmp_path: Path, models: dict[str, Any], *words: str, fails: bool = False, **changes: Any
) -> str:
    systems = {**SYSTEMS, **changes.pop("systems", {})}
    changed = {"models": models, "systems": systems, **changes}
    (tmp_path / "sft.yaml").write_text(yaml.safe_dump(changed))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--cores", "2", *words,
         "--configfile", "workflow/demo.yaml", str(tmp_path / "sft.yaml")],
        cwd=ROOT, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-4000:]
    return printed


def test_they_answer_once_and_are_scored_like_all(tmp_path: Path, models: dict[str, Any]) -> None:
    """Of the demo's five test sets each; not at every k, and without demonstrations."""
    printed = planned(tmp_path, models, evaluation={"systems": ["bm25", "t5", "llama"]})
    stats = dict(re.findall(r"^(\w+) +(\d+)$", printed.split("Job stats:")[1], re.M))
    sets = int(stats["infer_zero_shot"])
    assert int(stats["infer"]) == sets
    assert int(stats["infer_sft"]) == 2 * sets
    assert int(stats["evaluate"]) == 4 * sets
    assert int(stats["retrieve"]) == sets
    found = re.findall(r"^Shell command: python -m ruie\.sft\.infer (.*?) > ", printed, re.M)
    parser = importlib.import_module("ruie.sft.infer").parser()
    flags = [parser.parse_args(shlex.split(words)) for words in found]
    assert len(flags) == 2 * sets
    # the demo answers with 48 new tokens, by vLLM where nothing else is needed
    assert {(f.system, f.format, f.llm, f.backend, f.max_new, tuple(f.stop)) for f in flags} == {
        ("t5", "instructuie", "t5", "transformers", 50, ()),
        ("llama", "iepile", "llama", "transformers", 48, ()),
    }
    tables = re.findall(r"ruie\.tables --metrics (.*?) --counts", printed)
    assert tables
    assert all("/metrics/t5/t5/k0/" in words for words in tables)
    # they have LLMs of their own: nothing to compare them with
    compared = re.findall(r"ruie\.compare --counts (.*?) --", printed)
    assert compared
    assert not any("/t5/" in words for words in compared)


def test_tasks_narrow_what_is_asked(tmp_path: Path, models: dict[str, Any]) -> None:
    systems = {"u": {"retriever": "none", "format": "uie", "llm": "t5", "tasks": ["NER", "EET"]}}
    printed = planned(
        tmp_path, models, systems=systems,
        evaluation={"systems": ["u"], "zero_shot": False, "held_in": []},
    )  # fmt: skip
    out = set(re.findall(r"predictions/u/t5/k0/(\w+)\.parquet", printed))
    assert out == {"film", "science", "commodities_ed"}
    assert "infer_zero_shot" not in printed
    assert not re.search(r"^retrieve +\d", printed, re.M)


@pytest.mark.parametrize(
    ("system", "says"),
    [
        ({"format": "uie"}, r"systems\.s: dataset \w+: format uie has no prompt for relation"),
        ({"format": "yayi"}, r"systems\.s: dataset \w+: format yayi has no prompt for event det"),
        ({"format": "iepile", "llm": "none"}, r"systems\.s\.llm: 'none' is not defined"),
        ({"format": "gollie"}, r"config: systems\.s"),
        ({"format": "uie", "k": 3}, r"config: systems\.s"),
    ],
)
def test_faults_are_one_line_before_the_plan(
    tmp_path: Path, models: dict[str, Any], system: dict[str, Any], says: str
) -> None:
    systems = {"s": {"retriever": "none", "llm": "t5", **system}}
    printed = planned(tmp_path, models, fails=True, systems=systems, evaluation={"systems": ["s"]})
    assert re.search(says, printed), printed[-2000:]
    assert "Traceback" not in printed


def test_formats_of_the_schema_are_those_that_there_are() -> None:
    import json

    from ruie.sft.formats import FORMATS

    schema = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    kinds = schema["properties"]["systems"]["additionalProperties"]["allOf"]
    (mine,) = [
        e
        for e in (kind["then"] for kind in kinds)
        if e["properties"]["retriever"]["const"] == "none"
    ]
    assert mine["properties"]["format"]["enum"] == list(FORMATS)


def test_the_study_names_systems_that_table_1_knows() -> None:
    """Each with the tasks that its format has."""
    from ruie.sft.formats import FORMATS

    study = yaml.safe_load((ROOT / "workflow/studies/sft.yaml").read_text())
    paper = yaml.safe_load((ROOT / "workflow/paper/tables.yaml").read_text())
    rows = {r["system"] for r in paper["tables"]["1"]["rows"] if r.get("reported")}
    assert rows == set(study["systems"]) == set(study["evaluation"]["systems"])
    for entry in study["systems"].values():
        everything = FORMATS[entry["format"]].tasks
        assert tuple(entry.get("tasks", ("NER", "RE", "EET", "EEA"))) == everything
        assert entry["llm"] in study["models"]
