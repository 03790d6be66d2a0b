"""A language model behind an endpoint in the workflow: a local server stands in for it."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import answering
import pandas as pd
import pytest
import yaml
from answering import Step, said

ROOT = Path(__file__).parents[2]
SECRET = "sk-very-secret-0123456789"  # noqa: S105
PREDICTIONS = "results/demo/predictions/zero_shot/far/k0/film.parquet"
METRICS = "results/demo/metrics/zero_shot/far/k0/film.parquet"

pytestmark = pytest.mark.workflow


class Project:
    """A copy of the workflow whose only language model for inference is the server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.odd = folder, True
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("workflow", "ruie", "envs", "profiles"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)

    def script(self, request: dict, before: int) -> Step:
        """One query is refused as long as the server is odd."""
        if self.odd and before == 0 and request["seed"] == 42 and not self.refused:
            self.refused.append(answering.prompt_of(request))
            return Step(400, {"error": {"message": "odd"}})
        return said("None", chat=True)

    def start(self, server: answering.Server) -> None:
        self.server, self.refused = server, []

    def snakemake(
        self, *words: str, fails: bool = False, secret: str | None = SECRET, **changes: object
    ) -> str:
        """Run it; ``changes`` to the entry of the server, or to a section of the configuration."""
        config = yaml.safe_load((ROOT / "workflow/demo.yaml").read_text())
        far = {"endpoint": self.server.url, "name": "hosted/model", "key": "FAR_KEY",
               "chat": True, "prices": {"prompt": 100, "completion": 1000.5}}  # fmt: skip
        for section in ("candidates", "scoring", "inference", "evaluation"):
            config[section] |= changes.pop(section, {})  # type: ignore[arg-type]
        config["models"] = {"far": {**far, **changes}}
        config["evaluation"] = {"llms": ["far"], "systems": ["bm25"], **config["evaluation"]}
        config["evaluation"]["llms"] = ["far"]
        (self.folder / "far.yaml").write_text(yaml.safe_dump(config))
        env = {name: value for name, value in os.environ.items() if name != "FAR_KEY"}
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *words, "--configfile", "far.yaml"],
            cwd=self.folder, text=True, capture_output=True, timeout=300,
            env=env | ({"FAR_KEY": secret} if secret is not None else {}),
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, printed[-4000:]
        # Snakemake's own "Traceback:" names the rules that a fault came through
        assert "Traceback (most" not in printed
        return printed


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("project"))
    with answering.serving(made.script) as server:
        made.start(server)
        yield made


def test_a_missing_key_stops_before_the_first_job(project: Project) -> None:
    for secret in (None, " "):
        printed = project.snakemake(PREDICTIONS, fails=True, secret=secret)
        assert "FAR_KEY: not set; export the key of the endpoint" in printed
    assert not (project.folder / "results/demo/data").exists()
    project.snakemake(PREDICTIONS, "-n", secret=None)  # a dry run needs none


def test_errors_are_refused_until_they_are_asked_again(project: Project) -> None:
    log = project.folder / "results/demo/logs/infer/zero_shot/far/k0/film.log"
    printed = project.snakemake(METRICS, fails=True)
    assert re.search(r"error: \S+: has no answer \(HTTP 400: odd\)", printed)
    rows = pd.read_parquet(project.folder / PREDICTIONS)
    # demo.yaml: 3 queries of each dataset
    assert len(rows) == len(project.server.asked) == 3
    assert rows.error.dropna().tolist() == ["HTTP 400: odd"]
    assert rows[rows.error.notna()].prediction.tolist() == [""]
    assert f"delete {PREDICTIONS} and run again" in log.read_text()
    (project.folder / PREDICTIONS).unlink()
    project.snakemake(METRICS)
    assert project.server.times[project.refused[0]] == 2
    assert len(project.server.asked) == 4
    rows = pd.read_parquet(project.folder / PREDICTIONS)
    assert rows.error.isna().all()
    assert set(rows.llm) == {"far"}
    assert [path.name for path in (project.folder / PREDICTIONS).parent.iterdir()] == [
        "film.parquet"
    ]
    # 3 answers of 7 and 3 tokens: 3 * (7 * 100 + 3 * 1000.5) / 1e6
    assert "21 prompt tokens (12 of them cached) and 9 completion tokens; cost 0.0111" in (
        log.read_text()
    )
    assert {path for path, _, _ in project.server.asked} == {"/v1/chat/completions"}
    assert {h["authorization"] for _, h, _ in project.server.asked} == {f"Bearer {SECRET}"}
    assert {request["model"] for _, _, request in project.server.asked} == {"hosted/model"}


def test_the_key_is_in_no_file_of_the_run(project: Project) -> None:
    found = [p for p in project.folder.rglob("*") if p.is_file() and "very-secret" in
             p.read_bytes().decode("latin-1")]  # fmt: skip
    assert found == []
    assert len(list((project.folder / ".snakemake").rglob("*"))) > 3


def test_what_changes_no_answer_asks_for_none(project: Project) -> None:
    printed = project.snakemake(
        METRICS, "-n", inference={"concurrency": 2, "deadline": 9, "tries": 1}, secret=None,
        prices={"prompt": 1, "completion": 2, "cached": 0.5},
    )  # fmt: skip
    assert "Nothing to be done" in printed
    printed = project.snakemake(METRICS, "-n", extra={"top_k": 1})
    assert re.search(r"^infer_zero_shot +1$", printed, re.M)


def test_the_jobs_need_no_gpu_and_no_model_and_their_flags_are_read(project: Project) -> None:
    extra = {"thinking": {"type": "off it's"}}
    printed = project.snakemake("-n", "-p", "evaluation", extra=extra, tokenizer="some/model",
                                evaluation={"systems": ["bm25"], "k": [2]})  # fmt: skip
    jobs = re.split(r"\n *(?:local)?rule ", printed)
    jobs = [job for job in jobs if job.startswith("infer")]
    # of each of the datasets to evaluate one without and one with demonstrations
    assert jobs
    assert len(jobs) % 2 == 0
    for job in jobs:
        resources = re.search(r"resources: (.*)", job)[1]  # type: ignore[index]
        assert "endpoint=1" in resources
        assert "gpu=1" not in resources
        command = re.search(r"^Shell command: python -m ruie.infer (.*?) > ", job, re.M)
        args = (
            importlib.import_module("ruie.infer")
            .parser()
            .parse_args(
                shlex.split(command[1])  # type: ignore[index]
            )
        )
        assert (args.endpoint, args.key) == (project.server.url, "FAR_KEY")
        assert (args.model, args.tokenizer, args.extra) == ("hosted/model", "some/model", extra)
        assert (args.concurrency, args.deadline, args.tries) == (8, 300, 6)
        assert args.prices == [("far", (100.0, 1000.5))]
    assert not re.search(r"^(model|score) ", printed, re.M)


def test_a_tokenizer_may_be_that_of_another_model(project: Project) -> None:
    printed = project.snakemake("-n", "-p", METRICS, tokenizer="minilm")
    assert re.search(r"^model +1$", printed, re.M)
    assert "--tokenizer models/minilm " in printed


def test_times_of_an_endpoint_are_no_figure(project: Project) -> None:
    printed = project.snakemake("-n", "paper", evaluation={"systems": ["bm25"]})
    assert not re.search(r"^(speed|figure4) ", printed, re.M)
    printed = project.snakemake("-n", "results/demo/paper/speed/vllm.parquet", fails=True)
    assert "models.far: is an endpoint; a model of your own is needed here" in printed


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "sk-very-secret-0123456789"}, r"models\.far\.key: must be the name of an env"),
        ({"key": "verysecret"}, r"models\.far\.key: must be the name of an environment variable"),
        ({"endpoint": "http://far.example/v1"}, r"models\.far: http://far.example/v1: a key is se"),
        ({"endpoint": "https://me:very-secret@far.example/v1"}, r"config: models\.far"),
        ({"endpoint": "far.example/v1"}, r"config: models\.far"),
        ({"tokenizer": "nothing"}, r"models\.far\.tokenizer: 'nothing' is neither one of the mod"),
        ({"tokenizer": "far"}, r"models\.far: is an endpoint; a model of your own"),
        ({"prices": {"prompt": 1}}, r"config: models\.far"),
        ({"scoring": {"llm": "far"}}, r"scoring\.llm: 'far' is an endpoint, which answers and no"),
        ({"inference": {"deadline": 0}}, r"config: inference\.deadline: 0 is less than"),
    ],
)  # fmt: skip
def test_config_faults_are_one_line(project: Project, changes: dict, says: str) -> None:
    printed = project.snakemake("-n", METRICS, fails=True, **changes)
    assert re.search(says, printed), printed[-3000:]
    assert "very" not in printed.replace(str(project.folder), "").replace("every", "")
