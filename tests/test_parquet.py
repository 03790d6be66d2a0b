"""Checked and atomic reading and writing of the tables between stages."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ruie import examples, parquet, schemas
from ruie.cli import UserError

REWARD = {"query_id": "q", "demonstration_id": "d", "reward": 0.5}
CANDIDATE = {"query_id": "q", "demonstration_id": "d", "rank": 0, "score": 1.5}
SCHEMAS = [
    name
    for name in dir(schemas)
    if name.isupper() and isinstance(getattr(schemas, name), pa.Schema)
]


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_schemas_were_found():
    assert {"EXAMPLES", "CANDIDATES", "SCORES", "PREDICTIONS", "METRICS", "RESULTS"} <= set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_round_trip_of_no_rows_and_of_nulls(name, tmp_path):
    schema = getattr(schemas, name)
    for rows in ([], [dict.fromkeys(schema.names)]):
        written = parquet.write(rows, schema, tmp_path / "t.parquet")
        back = parquet.read(tmp_path / "t.parquet", schema)
        assert back.schema.equals(schema)
        assert back.to_pylist() == written.to_pylist() == rows


def test_round_trip_keeps_any_text(tmp_path, make_example):
    rows = examples.to_table([make_example("Zoë — 東京;\n$5 🎉", ("person", "Zoë"))]).to_pylist()
    parquet.write(rows, schemas.EXAMPLES, tmp_path / "t.parquet")
    assert parquet.read(tmp_path / "t.parquet", schemas.EXAMPLES).to_pylist() == rows


def test_same_rows_same_bytes(tmp_path):
    for name in ("a/x.parquet", "b/y.parquet"):
        parquet.write([CANDIDATE] * 50, schemas.CANDIDATES, tmp_path / name)
    assert (tmp_path / "a/x.parquet").read_bytes() == (tmp_path / "b/y.parquet").read_bytes()


def test_a_table_is_cast_and_put_in_order(tmp_path):
    table = pa.table({"reward": [1], "demonstration_id": ["d"], "query_id": ["q"]})
    parquet.write(table, schemas.REWARDS, tmp_path / "t.parquet")
    back = pq.read_table(tmp_path / "t.parquet")
    assert back.schema.names == ["query_id", "demonstration_id", "reward"]
    assert back.to_pylist() == [{**REWARD, "reward": 1.0}]


@pytest.mark.parametrize(
    "row",
    [
        {"query_id": "q", "demonstration_id": "d"},
        {**REWARD, "extra": 1},
        {**REWARD, "reward": "high"},
        {**REWARD, "query_id": 3},
    ],
    ids=["missing", "extra", "mistyped number", "mistyped string"],
)
def test_a_row_of_another_form_is_an_error(row, tmp_path):
    with pytest.raises((ValueError, TypeError)):
        parquet.write([row], schemas.REWARDS, tmp_path / "t.parquet")
    assert files(tmp_path) == []


def test_the_error_names_file_and_columns(tmp_path):
    with pytest.raises(ValueError, match=r"t\.parquet: columns \['extra', 'reward'\]"):
        parquet.write(
            [{"query_id": "q", "demonstration_id": "d", "extra": 1}],
            schemas.REWARDS,
            tmp_path / "t.parquet",
        )


def test_every_row_is_checked_not_only_the_first(tmp_path):
    odd = {"query_id": "q", "oops": 3}
    with pytest.raises((ValueError, TypeError)):
        parquet.write([REWARD, odd], schemas.REWARDS, tmp_path / "t.parquet")


def test_a_table_lacking_a_column_is_an_error(tmp_path):
    with pytest.raises((KeyError, ValueError)):
        parquet.write(pa.table({"query_id": ["q"]}), schemas.REWARDS, tmp_path / "t.parquet")
    assert files(tmp_path) == []


def test_a_table_with_an_extra_column_is_an_error(tmp_path):
    table = pa.Table.from_pylist([{**REWARD, "extra": 1}])
    with pytest.raises(ValueError, match="extra"):
        parquet.write(table, schemas.REWARDS, tmp_path / "t.parquet")


def test_a_failed_write_leaves_the_old_table_and_no_half(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    parquet.write([REWARD], schemas.REWARDS, path)
    before = path.read_bytes()

    def broken(*_, **__):
        assert files(tmp_path) != ["t.parquet"], "the half is written in place"
        raise OSError("No space left on device")

    monkeypatch.setattr(parquet.pq.ParquetWriter, "write_table", broken)
    with pytest.raises(OSError, match="No space"):
        parquet.write([REWARD, REWARD], schemas.REWARDS, path)
    assert files(tmp_path) == ["t.parquet"]
    assert path.read_bytes() == before


def test_replacing_removes_the_part_when_interrupted(tmp_path):
    def interrupted():
        with parquet.replacing(tmp_path / "new" / "f") as part:
            part.write_text("half")
            assert part.parent == tmp_path / "new"  # same file system: the move is atomic
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(tmp_path / "new") == []


def test_replacing_says_what_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    of_file = "a file is in the place of its folder"
    for place, why in {"file/t": of_file, "file/a/t": of_file, "folder": "it is a folder"}.items():
        with pytest.raises(UserError, match=f"{place}: cannot be written: {why}"):
            parquet.write([REWARD], schemas.REWARDS, tmp_path / place)
    assert files(tmp_path) == ["file", "folder"]


def test_replacing_two_processes_write_apart(tmp_path, monkeypatch):
    names = []
    for process in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        with parquet.replacing(tmp_path / "f") as part:
            part.write_text(str(process))
            names.append(part.name)
    assert len(set(names)) == 2
    assert (tmp_path / "f").read_text() == "2"


def told(error, *parts):
    for part in parts:
        assert str(part) in str(error.value)


def test_reading_a_missing_file(tmp_path):
    with pytest.raises(UserError) as error:
        parquet.read(tmp_path / "t.parquet", schemas.REWARDS)
    told(error, tmp_path / "t.parquet", "no such file", "run the stage")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}", b"PAR1" + bytes(100) + b"PAR1"])
def test_reading_what_is_not_parquet(content, tmp_path):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(UserError) as error:
        parquet.read(tmp_path / "t.parquet", schemas.REWARDS)
    told(error, tmp_path / "t.parquet", "not a readable Parquet file", "delete it")


def test_reading_a_truncated_table(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write([REWARD], schemas.REWARDS, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="not a readable Parquet file"):
        parquet.read(path, schemas.REWARDS)


def test_a_turned_bit_is_not_read_as_a_value(tmp_path):
    path = tmp_path / "t.parquet"
    rows = [{**REWARD, "reward": i / 4} for i in range(12)]
    table = parquet.write(rows, schemas.REWARDS, path)
    whole = path.read_bytes()
    refused = 0
    for bit in range(0, 8 * len(whole), 3):
        spoiled = bytearray(whole)
        spoiled[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoiled)
        try:
            assert parquet.read(path, schemas.REWARDS).equals(table), bit
        except UserError:
            refused += 1
    # what nobody reads does no harm, such as statistics; but the pages are more than that
    assert refused > len(whole)


def test_reading_another_stages_table(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write([CANDIDATE], schemas.CANDIDATES, path)
    with pytest.raises(UserError) as error:
        parquet.read(path, schemas.REWARDS)
    told(error, path, "['reward']", "another stage")


def test_reading_a_column_of_another_type(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{**REWARD, "reward": "high"}]), path)
    with pytest.raises(UserError) as error:
        parquet.read(path, schemas.REWARDS)
    told(error, path)


def test_reading_some_columns(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write([CANDIDATE], schemas.CANDIDATES, path)
    table = parquet.read(path, schemas.CANDIDATES, ["score", "query_id"])
    assert table.to_pylist() == [{"query_id": "q", "score": 1.5}]
    pq.write_table(table, path)
    with pytest.raises(UserError, match="rank"):
        parquet.read(path, schemas.CANDIDATES, ["rank"])


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    path = tmp_path / "k=8" / "query_id=x" / "t.parquet"
    parquet.write([REWARD], schemas.REWARDS, path)
    assert parquet.read(path, schemas.REWARDS).to_pylist() == [REWARD]


def test_a_folder_name_does_not_stand_in_for_a_missing_column(tmp_path):
    path = tmp_path / "reward=1" / "t.parquet"
    parquet.write([CANDIDATE], schemas.CANDIDATES, path)
    with pytest.raises(UserError, match=r"columns \['reward'\] are missing"):
        parquet.read(path, schemas.REWARDS)


def test_a_large_table_piece_by_piece(tmp_path, make_example):
    members = [make_example(f"Zoë {i}", id=f"d/train/{i:06d}") for i in range(5)]
    path = tmp_path / "t.parquet"
    parquet.write(examples.to_table(members), schemas.EXAMPLES, path)
    found = list(parquet.batches(path, schemas.EXAMPLES, ["text", "id"], 2))
    assert [b.num_rows for b in found] == [2, 2, 1]
    assert [b.schema.names for b in found] == [["id", "text"]] * 3
    assert [t for b in found for t in b.column("text").to_pylist()] == [e.text for e in members]


def test_what_cannot_be_read_piece_by_piece(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(UserError, match="no such file"):
        list(parquet.batches(path, schemas.EXAMPLES, ["id"]))
    path.write_bytes(b"PAR1 no PAR1")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        list(parquet.batches(path, schemas.EXAMPLES, ["id"]))
    pq.write_table(pa.table({"id": [1], "text": ["a"]}), path)
    with pytest.raises(
        UserError, match=r"columns \['id', 'split'\] are missing or of another type"
    ):
        list(parquet.batches(path, schemas.EXAMPLES, ["id", "text", "split"]))


def test_no_other_module_opens_a_table_unchecked():
    """But the score store, whose segments have a digest of their own (ruie/store.py)."""
    package = Path(parquet.__file__).parent
    opening = re.compile(r"\b(ParquetFile|read_table|read_parquet|ParquetDataset)\(")
    found = {p.name for p in package.rglob("*.py") if opening.search(p.read_text())}
    assert found == {"parquet.py", "store.py"}
