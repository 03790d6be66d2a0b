"""The targets of the paper's tables: what they plan, and a table from results that are there."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ruie import parquet, schemas

ROOT = Path(__file__).parents[2]
RESULT = {
    "system": "ruie", "llm": "gemma-3-270m", "k": 4, "task": "RE", "dataset": "history",
    "range": "mixed", "scorer": "strict", "held_out": True, "n": 3, "precision": 20.0,
    "recall": 20.0, "f1": 20.0, "f1_low": None, "f1_high": None,
}  # fmt: skip

pytestmark = pytest.mark.workflow


def snakemake(folder: Path, *words: str, fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *words], cwd=folder, text=True,
        capture_output=True, timeout=300,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-4000:]
    return printed


def planned(folder: Path, *words: str) -> set[str]:
    """Rules of a dry run."""
    printed = snakemake(folder, "-n", *words)
    return set(re.findall(r"^(\w+) +\d+$", printed.split("Job stats:")[1], re.M)) - {"total"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow with the result tables of a finished run, and of another one."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "ruie", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for run, scoring, f1 in (("demo", "gemma-3-270m", 20.0), ("other", "neo", 30.0)):
        for side in ("heldout", "heldin"):
            path = folder / f"results/{run}/tables/{side}.parquet"
            rows = [{**RESULT, "f1": f1}] if side == "heldout" else []
            parquet.write(rows, schemas.RESULTS, path)
        config = folder / f"results/{run}/config.json"
        config.write_text(json.dumps({"scoring": {"llm": scoring}}))
    return folder


def overrides(folder: Path, **changes: object) -> list[str]:
    """The demo with other settings."""
    config = yaml.safe_load((ROOT / "workflow/demo.yaml").read_text())
    for section, values in changes.items():
        config[section] = {**config[section], **values}
    (folder / "changed.yaml").write_text(yaml.safe_dump(config))
    return ["--configfile", "changed.yaml"]


def test_rendered_flags_are_what_each_stage_reads() -> None:
    printed = snakemake(
        ROOT, "-n", "-p", "--forceall", "paper", "--configfile", "workflow/demo.yaml"
    )
    commands = re.findall(r"^Shell command: python -m ruie\.(\w+) (.*?) > ", printed, re.M)
    mine = [c for c in commands if c[0] in ("paper", "figures", "spread", "speed")]
    assert sorted(stage for stage, _ in mine) == [
        "figures", "figures", *["paper"] * 10, "speed", "speed", "spread",
    ]  # fmt: skip
    for stage, words in mine:
        importlib.import_module(f"ruie.{stage}").parser().parse_args(shlex.split(words))


def test_a_target_plans_no_more_than_it_needs(project: Path) -> None:
    demo = ["--configfile", "workflow/demo.yaml"]
    assert planned(project, "table11", *demo) == {"normalize", "statistics", "table11"}
    both = planned(project, "table10", "figure4", *demo)
    assert {"score", "gather", "spread", "table10", "speed", "figure4"} <= both
    assert not {"train_reward", "infer"} & both


def test_what_needs_other_data_is_left_out_of_paper(project: Path) -> None:
    """Nothing is trained, so nothing is scored; none of the datasets to time is evaluated."""
    words = overrides(
        project, evaluation={"systems": ["bm25"]}, speed={"datasets": ["ace2004", "news"]}
    )
    rules = planned(project, "paper", *words)
    assert {"table11", "figure3", "paper_table"} <= rules
    assert not {"table10", "score", "figure4", "speed"} & rules
    # by its name it is made all the same, of gaps
    assert planned(project, "figure4", *words) == {"figure4"}


def test_tables_of_two_runs(project: Path) -> None:
    names = {"neo": "gpt-neo-2.7b", "history": "fewrel"}
    words = overrides(project, paper={"runs": ["results/other"], "rename": names})
    paths = [f"results/demo/paper/{name}.parquet" for name in ("table7", "figure3")]
    snakemake(project, *paths, "--allowed-rules", "paper_table", "figure3", *words)
    found = pd.read_parquet(project / paths[0]).set_index(["row", "column"])
    assert found.loc[("GPTNeo", "RE"), ["ours", "found", "wanted"]].tolist() == [30.0, 1, 2]
    assert found.loc[("gemma-3-270m", "RE"), "ours"] == 20.0
    assert "20.00 (1/2)" in (project / "results/demo/paper/table7.md").read_text()
    assert (project / "results/demo/paper/table7.tex").is_file()
    found = pd.read_parquet(project / paths[1]).set_index(["row", "column"])
    assert found.loc[("k = 4", "held-out RE"), "ours"] == 20.0
    for end in ("svg", "png"):
        assert (project / f"results/demo/paper/figure3.{end}").is_file()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"paper": {"runs": ["results/none"]}}, r"paper\.runs: results/none holds no config"),
        ({"speed": {"system": "rui"}}, r"speed\.system: 'rui' is not defined"),
        ({"speed": {"k": [17]}}, r"speed\.k: \[17\] is above evaluation\.depth, 16"),
    ],
)
def test_config_faults_are_one_line(project: Path, changes: dict, says: str) -> None:
    printed = snakemake(project, "-n", "table1", *overrides(project, **changes), fails=True)
    assert re.search(says, printed), printed[-3000:]
    assert "Traceback" not in printed


def test_studies_of_tables_7_and_8_name_the_papers_models() -> None:
    """Each on top of the demo's data; an endpoint needs no model's files."""
    printed = snakemake(
        ROOT, "-n", "--forceall", "table8", "--configfile", "workflow/demo.yaml",
        "workflow/studies/table8.yaml",
    )  # fmt: skip
    asked = set(re.findall(r"^ +wildcards: .*\bllm=([\w.-]+), k=", printed, re.M))
    assert asked == {
        "llama-3.1-8b-instruct", "llama-3-8b-instruct", "qwen1.5-7b-chat", "qwen1.5-14b-chat",
        "deepseek-chat",
    }  # fmt: skip
    printed = snakemake(
        ROOT, "-n", "scores", "--configfile", "workflow/demo.yaml", "workflow/studies/table7.yaml"
    )
    assert "results/gptneo/scores/gpt-neo-2.7b.parquet" in printed
