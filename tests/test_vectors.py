"""The table of a pool's vectors: written and read in pieces, refused where it is something else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ruie import vectors
from ruie.cli import UserError


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)


@pytest.fixture
def path(numbers, tmp_path):
    return tiny.write_vectors(tmp_path / "v.parquet", numbers)


def test_write_and_read_back(path, numbers):
    ids, found = vectors.read(path)
    assert ids == [f"d/train/{i:06d}" for i in range(10)]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, numbers)
    assert vectors.width(path) == 4
    # the bytes of float32 numbers, as the module says
    assert pq.read_table(path)["vector"][7].as_py() == numbers[7].tobytes()


def test_row_groups_are_small_whatever_is_written_at_once(tmp_path, monkeypatch, numbers):
    monkeypatch.setattr(vectors, "ROW_GROUP", 4 * 4 * 5)  # 5 rows of 4 float32
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers, at_once=10)
    data = pq.ParquetFile(path).metadata
    assert [data.row_group(g).num_rows for g in range(data.num_row_groups)] == [5, 5]


@given(wanted=st.lists(st.booleans(), min_size=10, max_size=10), rows=st.integers(1, 12))
def test_blocks_hold_what_is_wanted_with_its_row_numbers(tmp_path_factory, wanted, rows):
    numbers = np.arange(40, dtype=np.float32).reshape(10, 4)
    path = tiny.write_vectors(tmp_path_factory.getbasetemp() / "blocks.parquet", numbers)
    found = list(vectors.blocks(path, np.array(wanted), rows))
    assert all(0 < len(block) == len(here) <= rows for here, block in found)
    at = [i for here, _ in found for i in here]
    assert at == [i for i, w in enumerate(wanted) if w]
    assert [n for _, block in found for n in block[:, 0]] == [4 * i for i in at]


def test_row_groups_without_anything_wanted_are_not_read(tmp_path, monkeypatch, numbers):
    monkeypatch.setattr(vectors, "ROW_GROUP", 4 * 4 * 3)  # 3 rows of 4 float32
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers)
    # groups of 3, 3, 3 and 1 rows: of 4 rows at a time, 3-5 and 9 make one piece
    wanted = np.isin(np.arange(10), [4, 9])
    assert [here.tolist() for here, _ in vectors.blocks(path, wanted, 4)] == [[4, 9]]


def test_a_failure_leaves_no_table(tmp_path, numbers):
    def interrupted():
        with vectors.writing(tmp_path / "v.parquet", 4) as add:
            add(["a"], numbers[:1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_vectors_that_do_not_fit_the_ids_are_a_fault(tmp_path, numbers):
    for ids, some in ((["a"], numbers[:2]), (["a"], numbers[:1, :3])):
        with vectors.writing(tmp_path / "v.parquet", 4) as add:
            add(["a"], numbers[:1])
            with pytest.raises(ValueError, match="width 4"):
                add(ids, some)


@pytest.mark.parametrize("ids", [["a", "b"], ["a", "c", "b"], ["a", "b", "d"], []])
def test_vectors_of_another_pool(tmp_path, numbers, ids):
    path = tiny.write_vectors(tmp_path / "v.parquet", numbers[:3], ["a", "b", "c"])
    vectors.check(path, pa.array(["a", "b", "c"]))
    with pytest.raises(UserError, match="another pool; encode this pool again"):
        vectors.check(path, pa.array(ids, pa.string()))


@pytest.mark.parametrize(
    "table",
    [
        {"id": ["a"]},
        {"id": [1], "vector": pa.array([b"1234"], pa.binary(4))},
        {"id": ["a"], "vector": [[1.0]]},
        {"id": ["a"], "vector": pa.array([b"12345"], pa.binary(5))},
    ],
)
def test_another_table_is_refused(tmp_path, table):
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    with pytest.raises(UserError, match="not a table of vectors"):
        vectors.read(tmp_path / "v.parquet")


def test_a_missing_vector_and_a_missing_file(tmp_path):
    table = pa.table({"id": ["a", "b"], "vector": pa.array([b"1234", None], pa.binary(4))})
    pq.write_table(table, tmp_path / "v.parquet")
    with pytest.raises(UserError, match="a vector is missing; encode the pool again"):
        vectors.read(tmp_path / "v.parquet")
    with pytest.raises(UserError, match="no such file"):
        vectors.width(tmp_path / "w.parquet")


@given(data=st.data())
def test_a_corrupt_file_is_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    numbers = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    whole = tiny.write_vectors(folder / "whole.parquet", numbers).read_bytes()
    if data.draw(st.booleans()):
        spoiled = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        spoiled = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    path = folder / "spoiled.parquet"
    path.write_bytes(spoiled)
    ids = pa.array([f"d/train/{i:06d}" for i in range(10)])
    said = str(path)
    try:
        vectors.check(path, ids)
        found = list(vectors.blocks(path, np.ones(10, bool), 4))
    except UserError as error:
        said = str(error)
    else:
        assert all(block.shape[1] for _, block in found)
    assert str(path) in said
    assert "\n" not in said
