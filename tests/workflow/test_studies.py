"""The small study's configurations plan what they say, over the real data."""

from __future__ import annotations

import re

import pytest
import yaml

from .dry_run import ROOT, commands, snakemake

SMALL = ("--configfile", "workflow/demo.yaml", "workflow/studies/small.yaml")


def registry(name: str) -> dict[str, dict]:
    rows = yaml.safe_load((ROOT / "workflow/datasets" / name).read_text())["datasets"]
    return {row["name"]: row for row in rows}


def test_settings_are_chosen_without_a_held_out_dataset() -> None:
    every, left_out = registry("ie_sample.yaml"), registry("ie_sample_left_out.yaml")
    held_in = {name for name, row in every.items() if not row["held_out"]}
    assert set(left_out) == held_in
    asked = {name: row for name, row in left_out.items() if row["evaluate"]}
    # what is asked does not train, and is of the dev sets
    assert all(row["held_out"] and row["files"]["test"] == ["dev.json"] for row in asked.values())
    assert {row["task"] for row in asked.values()} == {"NER", "RE", "EET", "EEA"}
    training = {row["task"] for name, row in left_out.items() if name not in asked}
    assert training == {"NER", "RE", "EET", "EEA"}
    same = ("task", "path", "format", "train", "repair")
    assert all(left_out[name][key] == every[name][key] for name in left_out for key in same)


def test_the_left_out_study_reads_no_test_set(shared) -> None:
    printed = snakemake(
        "likelihoods", *SMALL, "workflow/studies/left_out.yaml",
        "--config", f"datasets={{root: {shared / 'data/ie'}}}",
    )  # fmt: skip
    assert "/dev.json" in printed
    assert "/test.json" not in printed
    assert "results/small-study/" not in printed
    asked = [words for stage, _, words in commands(printed) if stage == "likelihood"]
    # six systems, five datasets, k = 4
    assert len(asked) == 30


@pytest.mark.parametrize(
    ("study", "target", "result"),
    [
        ((), "evaluation", "tables/heldout.parquet"),
        (("workflow/studies/beyond.yaml",), "evaluation", "tables/heldout.parquet"),
        (("workflow/studies/chain.yaml",), "chain", "chain.parquet"),
        ((), "depth", "depth.parquet"),
    ],
)
def test_the_studies_plan_their_tables(shared, study, target, result) -> None:
    printed = snakemake(
        target, *SMALL, *study, "--config", f"datasets={{root: {shared / 'data/ie'}}}"
    )
    made = re.findall(r"^ +output: (.*)", printed, re.M)
    assert any(f"results/small-study/{result}" in outputs.split(", ") for outputs in made)


def test_the_originals_are_those_of_the_samples() -> None:
    study = yaml.safe_load((ROOT / "workflow/studies/small_original.yaml").read_text())
    names = study["datasets"]["include"]
    sample, original = registry("ie_sample.yaml"), registry("original.yaml")
    assert sorted(names) == sorted(name.lower() for name in sample)
    held_out = {name.lower() for name, row in sample.items() if row["held_out"]}
    assert {name for name in names if original[name]["held_out"]} == held_out
    small = yaml.safe_load((ROOT / "workflow/studies/small.yaml").read_text())
    assert set(small["evaluation"]["held_in"]) < set(names)


def test_beyond_keeps_the_systems_of_small() -> None:
    """A list replaces a list, and the tables are of the systems that are asked."""
    small, beyond = (
        yaml.safe_load((ROOT / f"workflow/studies/{name}.yaml").read_text())["evaluation"]
        for name in ("small", "beyond")
    )
    assert set(small["systems"]) < set(beyond["systems"])


def test_the_pages_name_tables_that_are_here() -> None:
    """In a clone, that is: what git ignores is missing there."""
    tables = ROOT / "results/small-study"
    folders = "chain-[a-z0-9-]+|first|left-out|rounds|scores|rewards|demonstrations|likelihood|plots"
    pages = [tables / "README.md", *sorted((ROOT / "docs").glob("study*.md"))]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(rf"`((?:{folders})/[^`\s.]*)", page.read_text())
    }
    assert len(named) > 10
    assert [pair for pair in named if not any(tables.glob(pair[1].rstrip("/") + "*"))] == []


def test_the_pages_link_to_what_is_here() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "results/small-study/README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    links = {
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text())
        if "://" not in target
    }
    assert len(links) > 50
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []
