"""The ``source`` entries of a registry: what is read, what is refused here and by the schema."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import tiny
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ruie import sources
from ruie.cli import UserError

SHA = "0123456789abcdef" * 4
URL = "https://a.example/x/data.zip"
LISTED = {"licence": "MIT", "url": "https://a.example"}
ZIP = {**LISTED, "files": [{"url": URL}]}


def row(name="a", path="NER/a", **more):
    return {
        "name": name, "task": "NER", "path": path, "format": "ie_instructions", "held_out": False,
        "train": True, "evaluate": True, "repair": False, **more,
    }  # fmt: skip


def read(tmp_path, *rows):
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_dump({"datasets": list(rows)}))
    return sources.read(path)


def test_an_archive_fills_the_datasets_folder(tmp_path):
    source = {
        **LISTED,
        "files": [{"url": URL, "sha256": SHA.upper()}],
        "note": "the authors' own copy",
    }
    [d] = read(tmp_path, row(source=source))
    [file] = d.files
    assert (d.into, str(d.inner), d.licence, d.todo) == ("NER/a", ".", "MIT", None)
    assert (file.to, file.archive, file.sha256) == (".", "zip", SHA)
    assert file.key.endswith("-data.zip")


def test_several_files_and_one_archive_for_two_datasets(tmp_path):
    files = {
        **LISTED,
        "files": [
            {"url": "https://a.example/get?id=7", "to": "train.json", "sha256": SHA},
            {"url": "https://a.example/t%C3%A9st.json?raw=1"},
            {"url": "https://a.example/more.tar.gz", "to": "more"},
        ],
    }
    both = {**ZIP, "into": "both"}
    rows = [
        row(source=files),
        row("b", "both/x-1/b", source=both),
        row("c", "both/x-1/c", source=both),
        row("d", "NER/d", source={**LISTED, "manual": "ask for it"}),
        row("e", "NER/e"),
    ]
    a, b, c, d, e = read(tmp_path, *rows)
    assert [(f.to, f.archive) for f in a.files] == [
        ("train.json", "none"), ("tést.json", "none"), ("more", "tar")
    ]  # fmt: skip
    assert b.files == c.files
    assert (b.into, str(c.inner)) == ("both", "x-1/c")
    assert (d.files, d.todo, e.files, e.todo) == ((), "ask for it", (), None)


BAD = {
    "files and manual": {**ZIP, "manual": "x"},
    "neither": LISTED,
    "no file": {**ZIP, "files": []},
    "no address": {**ZIP, "files": [{"to": "x"}]},
    "file": {**ZIP, "files": [{"url": "file:///etc/hostname"}]},
    "user": {**ZIP, "files": [{"url": "https://me:secret@a.example/x.zip"}]},
    "sha256": {**ZIP, "files": [{"url": URL, "sha256": "abc"}]},
    "archive": {**ZIP, "archive": "rar"},
    "to above": {**ZIP, "files": [{"url": URL, "to": "../x"}]},
    "to absolute": {**ZIP, "files": [{"url": URL, "to": "/x"}]},
    "into above": {**ZIP, "into": "NER/../.."},
    "into absolute": {**ZIP, "into": "/NER"},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sources_are_refused_by_the_schema(tmp_path, case):
    with pytest.raises(UserError, match=r"registry\.yaml:\d+: datasets\.0\.source") as error:
        read(tmp_path, row(source=BAD[case]))
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "source",
    [{**ZIP, "extra": 1}, {**ZIP, "sha256": SHA}, {"files": ZIP["files"]},
     {**ZIP, "files": [{"url": URL, "x": 1}]}, {**LISTED, "manual": "x", "into": "y"}],
)  # fmt: skip
def test_the_schema_is_closed(tmp_path, source):
    with pytest.raises(UserError, match=r"registry\.yaml:\d+: datasets\.0\.source"):
        read(tmp_path, row(source=source))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([row(), row()], "name 'a' occurs twice"),
        ([row(source={**ZIP, "into": "RE"})], "path must lie in the folder"),
        ([row(source={**ZIP, "into": "."})], "path must lie in the folder"),
        ([row(path=".downloads/a", source=ZIP)], "must lie below"),
        ([row(source=ZIP), row("b", source={**ZIP, "files": [{"url": "https://b.example/x.zip"}]})],
         "a and b fill NER/a from different"),
        ([row(source={**ZIP, "files": [{"url": "https://a.example/%2e%2e"}]})], "must lie below"),
        ([row(source={**ZIP, "files": [{"url": "https://[a/x"}]})], "not an address"),
        ([row(source=ZIP), row("b", "NER/a/b", source=ZIP)], "NER/a/b of b lies in NER/a of a"),
        ([row(source={**ZIP, "files": [{"url": "https://a.example"}]})], "no file name"),
        ([row(source={**ZIP, "files": [{"url": "https://a.example/1/f"},
                                       {"url": "https://a.example/2/f"}]})],
         "two files of one name"),
        ([row(source={**ZIP, "files": ZIP["files"] * 2})], "two files of one name"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(tmp_path, rows, match):
    with pytest.raises(UserError, match=match):
        read(tmp_path, *rows)


def test_the_papers_sources_are_read():
    folder = tiny.ROOT / "workflow/datasets"
    paper = {d.name: d for d in sources.read(folder / "paper.yaml")}
    assert len(paper) == 49
    assert all(d.todo for d in paper.values() if not d.files)
    for row in yaml.safe_load((folder / "original.yaml").read_text())["datasets"]:
        d = paper[row["name"]]
        assert d.files
        # what is fetched lies where the original's row looks for it
        assert (d.path, d.into, str(d.inner)) == (row["path"], row["path"], ".")
    assert [(f.to, f.archive) for f in paper["rams_eae"].files] == [
        (".", "tar"), ("meta.json", "none")
    ]  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["files", "url", "to", "sha256", "licence", "manual", "into", "archive"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(source=VALUES, path=st.text(max_size=8) | VALUES)
def test_any_source_is_read_or_refused(source, path):
    with tempfile.TemporaryDirectory() as tmp:
        try:
            found = read(Path(tmp), row(path=path, source=source))
        except UserError:
            return
    assert all(f.to and ".." not in f.to.split("/") for d in found for f in d.files)
