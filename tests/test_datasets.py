"""The registries as data: the paper's 39 datasets, where their originals lie."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
import yaml

from ruie import registry
from ruie.cli import UserError
from ruie.readers import FORMATS, Problems, Source, get

WORKFLOW = Path(__file__).parents[1] / "workflow"
REGISTRIES = sorted((WORKFLOW / "datasets").glob("*.yaml"))


def rows(name: str) -> list[dict]:
    return yaml.safe_load((WORKFLOW / f"datasets/{name}.yaml").read_text())["datasets"]


PAPER, ORIGINAL = rows("paper"), rows("original")
BY_NAME = {row["name"]: row for row in PAPER}


def group(row: dict) -> str:
    """Table 11's task: it counts event detection and argument extraction as one."""
    return {"EET": "EE", "EEA": "EE"}.get(row["task"], row["task"])


def dataset(row: dict) -> tuple[str, str]:
    """The dataset that a row is of: the two rows of an event dataset are one, and so are CrossNER's
    five parts. ACE 2005, CASIE and others may serve several tasks; each is a dataset of its own."""
    name = re.sub("_(ed|eae)$", "", row["name"]) if group(row) == "EE" else row["name"]
    return group(row), "crossner" if name.startswith("crossner_") else name


@pytest.mark.parametrize("path", REGISTRIES, ids=lambda path: path.stem)
def test_registry_is_read(path):
    assert list(registry.load(path)) == [row["name"] for row in rows(path.stem)]


# The paper
def test_counts_are_the_papers():
    # Table 11 has 19 + 5 + 2 NER lines, 8 + 2 RE lines and 4 + 3 EE lines: 43; CrossNER's five are
    # one dataset: 39. Six of the seven EE datasets have arguments and so a second row: 43 + 6 = 49.
    assert len(PAPER) == 49
    assert Counter(row["task"] for row in PAPER) == {"NER": 26, "RE": 10, "EET": 7, "EEA": 6}
    sets = {dataset(row): row["held_out"] for row in PAPER}
    assert len(sets) == 39
    assert Counter((task, held_out) for (task, _), held_out in sets.items()) == {
        ("NER", False): 19,
        ("NER", True): 3,  # CrossNER, MIT Movie, MIT Restaurant
        ("RE", False): 8,
        ("RE", True): 2,
        ("EE", False): 4,
        ("EE", True): 3,
    }
    # section 4.1: 31 held-in, 8 held-out
    assert (19 + 8 + 4, 3 + 2 + 3) == (31, 8)
    # appendix A: 22 NER, 10 RE, and 7 for events
    assert Counter(task for task, _ in sets) == {"NER": 22, "RE": 10, "EE": 7}


def test_rows_of_one_dataset_agree():
    for row in PAPER:
        other = next(r for r in PAPER if dataset(r) == dataset(row))
        assert row["held_out"] == other["held_out"]
        if row["task"] == "EEA":
            pair = BY_NAME[row["name"].replace("_eae", "_ed")]
            assert (row["paper"], row["source"]) == (pair["paper"], pair["source"])
            assert PurePosixPath(row["path"]).name == PurePosixPath(pair["path"]).name
    alone = [r["name"] for r in PAPER if r["task"] == "EET"]
    alone = [n for n in alone if n.replace("_ed", "_eae") not in BY_NAME]
    assert alone == ["genia_event_ed"]
    assert BY_NAME["genia_event_ed"]["paper"]["schema"] == "5(0)"  # no roles, no EEA row


def test_roles_are_the_papers():
    # Table 11 ticks Evaluation for all and Training for the held-in; section 4.1 takes the training
    # sets of both for the pool, which is what `train` says
    assert all(row["evaluate"] and row["train"] for row in PAPER)
    assert all((row["paper"]["train"] is None) == row["held_out"] for row in PAPER)


def test_table_11_word_for_word(shared):
    text = (shared / "paper" / "ruie.txt").read_text(encoding="utf-8")
    table = text[text.index("Task Dataset #Schema") : text.index("Table 11:")]
    line = re.compile(r"^(.+?)(†?) (\d+(?:\(\d+\))?) (\d+|-) (\d+)$", re.M)
    ticks = [part.count("√") for part in line.split(table)[6::6]]
    found = [
        (bool(dagger), schema, None if train == "-" else int(train), int(test))
        for _, dagger, schema, train, test in line.findall(table)
    ]
    mine = [row for row in PAPER if row["task"] != "EEA"]
    assert len(found) == len(ticks) == len(mine) == 43
    for row, (held_out, *counts), tick in zip(mine, found, ticks, strict=True):
        paper = row["paper"]
        assert (row["held_out"], str(paper["schema"]), paper["train"], paper["test"]) == (
            held_out,
            *counts,
        ), row["name"]
        assert tick == (1 if held_out else 2), row["name"]


def test_held_in_and_held_out_are_disjoint():
    inside, outside = ([r for r in PAPER if r["held_out"] == held] for held in (False, True))
    assert len(inside) + len(outside) == 49
    for of in (dataset, lambda r: r["name"].casefold(), lambda r: r["path"].casefold()):
        assert not {of(r) for r in inside} & {of(r) for r in outside}
    paths = [PurePosixPath(row["path"]) for row in PAPER]
    assert len(set(paths)) == 49
    # nor does one folder lie in another, whose files it would read
    assert not [p for p in paths if set(p.parents) & set(paths)]


# Sources
@pytest.mark.parametrize("row", PAPER, ids=lambda row: row["name"])
def test_source(row):
    source = row["source"]
    assert source["licence"].strip()
    assert source["url"].startswith("http")
    assert ("files" in source) != ("manual" in source)
    assert row["format"] in FORMATS
    if "form" in row:
        assert row["form"] in FORMATS
    else:
        said = source.get("manual", "") + row.get("note", "")
        assert re.search("(?i)no +format +reads|as bio", said)
    places = [file.get("to", PurePosixPath(file["url"]).name) for file in source.get("files", ())]
    assert len(set(places)) == len(places)
    for file in source.get("files", ()):
        if "githubusercontent" in file["url"] or "/archive/" in file["url"]:
            # a commit, not a branch that moves
            assert re.search(r"/[0-9a-f]{40}[/.]", file["url"])


def test_checksums_are_those_of_the_files_at_hand(shared):
    at_hand = {}
    for listing in sorted((shared / "data" / "raw").glob("*/SOURCE.txt")):
        repository = commit = ""
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("repository: "):
                repository = line.removeprefix("repository: https://github.com/")
            elif line.startswith("commit: "):
                commit = line.removeprefix("commit: ")
            elif found := re.match(r"  (.+?)  <-  (.+?)  \(", line):
                url = f"https://raw.githubusercontent.com/{repository}/{commit}/{found[2]}"
                at_hand[url] = listing.parent / found[1]
    checked = 0
    for row in PAPER:
        for file in row["source"].get("files", ()):
            if "sha256" in file:
                data = at_hand[file["url"]].read_bytes()
                assert hashlib.sha256(data).hexdigest() == file["sha256"], file["url"]
                checked += 1
    # 3 CrossNER, 2 Broad Tweet, 3 CoNLL04, GENIA's and SciERC's types, twice (ED, EAE) RAMS'
    # types and 3 of WikiEvents: 3 + 2 + 3 + 1 + 1 + 2 * (1 + 3)
    assert checked == 18


# Originals
def test_originals_are_the_rows_with_files_and_a_format():
    expected = [r["name"] for r in PAPER if "form" in r and "files" in r["source"]]
    assert [row["name"] for row in ORIGINAL] == expected
    for row in ORIGINAL:
        paper = BY_NAME[row["name"]]
        assert row["format"] == paper["form"]
        for key in ("task", "path", "held_out", "evaluate"):
            assert row[key] == paper[key], row["name"]
        # train: false only where no training file is known
        assert row["train"] == ("train" in row["files"])


@pytest.mark.parametrize("row", ORIGINAL, ids=lambda row: row["name"])
def test_files_of_an_original_are_fetched(row):
    files = BY_NAME[row["name"]]["source"]["files"]
    places = [file["to"] for file in files if "to" in file]
    archives = [file for file in files if "to" not in file]
    globs = [glob for split in row["files"].values() for glob in split]
    assert "test" in row["files"]
    assert len(set(globs)) == len(globs)  # no file in two splits
    for glob in globs:
        assert fnmatch.filter(places, glob) or (archives and "/" in glob)
    for option in ("ontology", "names"):
        assert row.get("options", {}).get(option) in (None, *places)


@pytest.mark.parametrize(
    "row", [row for row in ORIGINAL if "labels" in row], ids=lambda row: row["name"]
)
def test_renamed_labels_are_as_many_as_the_paper_counts(row):
    names = [name for name in row["labels"].values() if name is not None]
    assert len(set(names)) == len(names)
    schema = str(BY_NAME[row["name"]]["paper"]["schema"])
    assert len(names) == int(schema.split("(")[0])


#: Rows whose files are in no archive: the folder that holds these files' heads, their names there.
HEADS = {
    "broad_tweet": ("Broad_Tweet_Corpus", "{}"),
    "wikiann_en": ("WikiANN_en", "data__wikiann__en__{}"),
    "anatem": ("AnatEM", "data__AnatEM-IOB__{}"),
    "bc5cdr": ("bc5cdr", "data__BC5CDR-IOB__{}"),
    "genia_ner": ("GENIA_NER", "{}"),
    "harveyner": ("HarveyNER", "data__tweets__tweets.{}"),
    "crossner_ai": ("CrossNER_ai", "{}"),
    "ade": ("ADE_corpus", "{}"),
    "conll04": ("conll04", "{}"),
    "kbp37": ("kbp37", "{}"),
    "scierc": ("SciERC", "{}"),
    "semeval_re": ("semval-RE", "{}"),
}


@pytest.mark.parametrize("name", HEADS)
def test_an_original_is_read_with_the_papers_schema(name, shared, tmp_path):
    row = next(row for row in ORIGINAL if row["name"] == name)
    folder, spelling = HEADS[name]
    for file in BY_NAME[name]["source"]["files"]:
        at_hand = spelling.format(PurePosixPath(file["url"]).name.removeprefix("tweets."))
        (tmp_path / file["to"]).symlink_to(shared / "data" / "raw" / folder / at_hand)
    labels, options = row.get("labels"), row.get("options", {})
    for split in row["files"]:
        problems = Problems(repair=True)
        source = Source(tmp_path, row["task"], name, split, row["files"], labels, options)
        try:
            found = list(get(row["format"])(source, problems))
        except UserError as error:
            pytest.fail(str(error))
        # at least 100 records (CrossNER trains on so many), few of them cut or faulty
        assert len(found) >= 100
        assert sum(len(example.annotations) for example in found) > 100
        assert len(found[0].schema) == BY_NAME[name]["paper"]["schema"]
        assert not [what for what in problems.counts if "unknown label" in what]
