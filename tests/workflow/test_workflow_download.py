"""``snakemake download``, which comes before there is any data."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from server import serving
from tiny import ROOT, environment

pytestmark = pytest.mark.workflow


def registry(url):
    common = {"task": "NER", "format": "ie_instructions", "train": True, "evaluate": True,
              "repair": False}  # fmt: skip
    return [
        {**common, "name": "open", "path": "all/open", "held_out": False,
         "source": {"licence": "MIT", "url": "https://a.example", "files": [{"url": url}],
                    "into": "all"}},
        {**common, "name": "closed", "path": "NER/closed", "held_out": True,
         "source": {"licence": "LDC", "url": "https://a.example", "manual": "ask the owner"}},
        {**common, "name": "other", "path": "NER/other", "held_out": True},
    ]  # fmt: skip


@pytest.fixture
def snakemake(tmp_path):
    """Run Snakemake in a copy of the workflow."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("workflow", "envs"):
        shutil.copytree(ROOT / name, tmp_path / name)

    def run(*targets):
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *targets, "--configfile",
             "mine.yaml"],
            cwd=tmp_path, env=environment(no_proxy="*"), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=100,
        )  # fmt: skip

    return run


def test_download_fetches_what_the_run_needs(tmp_path, snakemake):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("open/train.json", "[]")
    config = {"datasets": {"registry": "mine.registry.yaml", "include": ["open", "closed"]}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    with serving() as server:
        rows = registry(server.add("/d.zip", buffer.getvalue()))
        (tmp_path / "mine.registry.yaml").write_text(yaml.safe_dump({"datasets": rows}))
        done = snakemake("all")
        assert done.returncode != 0
        assert "no such data folder (dataset open, and 1 more)" in done.stdout
        assert "snakemake download" in done.stdout

        done = snakemake("download")
        assert done.returncode == 0, done.stdout
        assert "ask the owner" in done.stdout
        assert "other" not in done.stdout  # not in this run
        assert len(server.asked) == 1
        root = tmp_path / "data/original"
        assert (root / "all/open/train.json").read_text() == "[]"
        assert (tmp_path / "results/paper/downloads.parquet").is_file()
        assert "1 of 2 datasets" in (tmp_path / "results/paper/logs/download.log").read_text()

        server.pages.clear()
        shutil.rmtree(root / "all")
        done = snakemake("download")
        assert done.returncode != 0, done.stdout
        assert "HTTP 404" in done.stdout
