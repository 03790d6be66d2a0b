"""What made a run: fingerprints, the commit, the machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import ruie
from ruie import cli, provenance


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(cli.UserError, match="no model there"):
        provenance.model(tmp_path)


def test_the_commit_is_that_of_the_folder_itself(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *own, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    (tmp_path / "inside").mkdir()
    assert provenance.commit(tmp_path / "inside").startswith("none")
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "a")
    head = git("rev-parse", "HEAD")
    assert provenance.commit(tmp_path) == head
    (tmp_path / "a").write_text("2")
    assert provenance.commit(tmp_path) == f"{head} with changes"
    assert provenance.commit(tmp_path / "inside").startswith("none")


def test_seeds_by_their_place() -> None:
    config = {"seed": 42, "training": {"seed": 7, "steps": 3}, "seeds": [1]}
    assert provenance.seeds(config) == {"seed": 42, "training.seed": 7}
    assert provenance.seeds(["seed"]) == {}


def test_the_file_names_versions_machine_and_models(tmp_path: Path) -> None:
    folder = tmp_path / "lm"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    provenance.main(["--models", f"a model={folder}", "--out", str(tmp_path / "p.json")])
    facts = json.loads((tmp_path / "p.json").read_text())
    assert facts["versions"]["ruie"] == ruie.__version__
    assert set(facts["machine"]) == {"platform", "processor", "cores", "memory", "GPUs"}
    assert facts["models"]["a model"]["files"]["config.json"]["bytes"] == 2
    # a command that is not there, or fails, says nothing
    assert provenance.said("no-such-command-anywhere") is None
    assert provenance.said("git", "no-such-word") is None
