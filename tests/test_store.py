"""The score store: nothing is lost, nothing is wrong, whoever writes, merges or dies meanwhile."""

from __future__ import annotations

import itertools
import json
import logging
import math
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import ABOUT, OTHER, PRINT, batch, make, rows, segments

from ruie import schemas, store
from ruie.cli import UserError
from ruie.store import Store, digest, key

# what a score is stored under


def test_digests_and_keys_tell_texts_apart() -> None:
    a, b = digest("a"), digest("b")
    assert len(a) == len(key(a, b)) == store.KEY_BYTES == 16
    assert len({a, b, digest("ab"), digest(""), digest("\ud800"), digest("\ud801")}) == 6
    cuts = [(a, b), (b, a), (a + b,), (a, b, b""), (b"", a, b), (a,), (b"",), ()]
    assert len({key(*cut) for cut in cuts}) == len(cuts)
    assert key(a, b) == key(digest("a"), digest("b"))


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors.index.json"):
        (folder / name).write_text(f"{{}} {name}")
    (folder / "model-1.safetensors").write_bytes(bytes(range(200)))
    (folder / "model-2.safetensors").write_bytes(bytes(range(100)))
    return folder


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "model.safetensors.index.json", "model-1.safetensors",
     "model-2.safetensors"],
)  # fmt: skip
def test_the_fingerprint_changes_with_one_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(store, "BLOCK", 64)  # so that a file takes several reads
    folder = model(tmp_path / "m")
    before = store.fingerprint(folder, "float32")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert store.fingerprint(folder, "float32") != before
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    monkeypatch.undo()
    assert store.fingerprint(folder, "float32") == before  # the size of a read does not count


def test_the_fingerprint_changes_with_dtype_version_names_and_new_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "m")
    seen = [store.fingerprint(folder, "float32"), store.fingerprint(folder, "bfloat16")]
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    seen.append(store.fingerprint(folder, "float32"))
    one, two = folder / "model-1.safetensors", folder / "model-2.safetensors"
    one.rename(folder / "x"), two.rename(one), (folder / "x").rename(two)
    seen.append(store.fingerprint(folder, "float32"))
    two.rename(folder / "model-3.safetensors")  # the same contents in the same order
    seen.append(store.fingerprint(folder, "float32"))
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    seen.append(store.fingerprint(folder, "float32"))
    assert len(set(seen)) == 6
    assert all(len(f) == 32 and int(f, 16) >= 0 for f in seen)


def test_the_fingerprint_stays_where_the_model_does_not_change(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    before = store.fingerprint(folder, "float32")
    (folder / "README.md").write_text("unrelated")
    (folder / "training.log").write_text("unrelated")
    assert store.fingerprint(folder, "float32") == before
    moved = folder.rename(tmp_path / "elsewhere")
    assert store.fingerprint(moved, "float32") == before


def test_a_folder_without_a_model_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        store.fingerprint(tmp_path / "missing", "float32")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds no"):
        store.fingerprint(tmp_path, "float32")
    (tmp_path / "model.safetensors").symlink_to("gone")
    with pytest.raises(UserError, match="model.safetensors: cannot be read"):
        store.fingerprint(tmp_path, "float32")


# what is stored and found


def test_what_is_added_is_found_by_any_process(tmp_path: Path) -> None:
    held = make(tmp_path, 1, 2)
    keys = [*batch(1)[0], *batch(2)[0], *batch(3)[0]]
    assert held.find(keys) == make(tmp_path).find(keys) == rows(1, 2)
    assert held.find(batch(2)[0][:1] * 3) == dict(list(rows(2).items())[:1])
    assert held.find([]) == {}
    assert not held.faulty
    assert json.loads((tmp_path / PRINT / "about.json").read_text()) == ABOUT
    assert sorted(p.suffix for p in held.folder.iterdir()) == [".json", ".parquet", ".parquet"]


def test_about_is_written_once(tmp_path: Path) -> None:
    make(tmp_path)
    Store(tmp_path, PRINT, {"model": "the same under another name"})
    assert json.loads((tmp_path / PRINT / "about.json").read_text()) == ABOUT


@given(
    st.lists(
        st.dictionaries(
            st.binary(min_size=16, max_size=16),
            st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**31 - 1)),
            max_size=8,
        ),
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=30)
def test_any_keys_and_scores(batches: list[dict[bytes, tuple[float, int]]], merged: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held = make(Path(folder))
        expected: dict[bytes, tuple[float, int]] = {}
        for some in batches:
            held.add(list(some), [s for s, _ in some.values()], [t for _, t in some.values()])
            for k, row in some.items():
                expected[k] = min(expected.get(k, row), row)
        if merged:
            held.merge()
            assert len(segments(held)) <= 1
        found = held.find([*expected, digest("never added")])
    assert found == expected


def test_the_lowest_of_several_scores_counts_merged_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    k = digest("k")
    names = itertools.count()
    for order, scores in enumerate(itertools.permutations([-1.5, -1.25, -1.75])):
        held = Store(tmp_path / str(order), PRINT, ABOUT)
        # names in the order of adding, so that each score stands in the first and last segment
        monkeypatch.setattr(
            store.uuid, "uuid4", lambda: type("U", (), {"hex": f"{next(names):032x}"})
        )
        for score in scores:
            held.add([k], [score], [3])
        assert held.find([k]) == {k: (-1.75, 3)}
        held.merge()
        assert held.find([k]) == {k: (-1.75, 3)}


def test_a_store_larger_than_what_is_searched_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = make(tmp_path, *range(7))  # 5 rows each: searched as 10 + 10 + 10 + 5
    monkeypatch.setattr(store, "SEARCHED", 10)
    assert [len(t) for t in held._tables()] == [10, 10, 10, 5]
    assert held.find([k for n in range(9) for k in batch(n)[0]]) == rows(*range(7))


@pytest.mark.parametrize(
    ("keys", "scores", "tokens"),
    [
        ([b"k" * 16], [math.nan], [1]),
        ([b"k" * 16], [-math.inf], [1]),
        ([b"k" * 16, b"l" * 16], [-1.0, math.inf], [1, 1]),
        ([b"k" * 16], [-1.0, -1.0], [1]),
        ([b"k" * 16], [-1.0], []),
        ([b"k" * 16], [None], [1]),
        ([None], [-1.0], [1]),
        ([b"k" * 15], [-1.0], [1]),
        ([b"k" * 16], [-1.0], [2**31]),
    ],
)
def test_bad_rows_are_refused_and_nothing_is_written(
    tmp_path: Path, keys: list[bytes], scores: list[float], tokens: list[int]
) -> None:
    held = make(tmp_path)
    with pytest.raises(ValueError):  # noqa: PT011 (of this module and of Arrow)
        held.add(keys, scores, tokens)
    held.add([], [], [])
    assert segments(held) == []


def test_two_models_never_mix(tmp_path: Path) -> None:
    held, other = make(tmp_path, 1), Store(tmp_path, OTHER, ABOUT)
    keys, scores, tokens = batch(1)
    assert other.find(keys) == {}
    other.add(keys, [s - 1 for s in scores], tokens)
    assert held.find(keys) == rows(1)
    assert other.find(keys) == {k: (s - 1, t) for k, (s, t) in rows(1).items()}
    for path in segments(other):  # not even by a slip of the hand
        shutil.copy(path, held.folder)
    assert held.find(keys) == rows(1)
    assert len(held.faulty) == 1
    for name in ("", "..", "../" + PRINT, PRINT + "/x", PRINT.replace("0", "G"), PRINT[1:]):
        with pytest.raises(ValueError, match="no fingerprint"):
            Store(tmp_path, name, ABOUT)


# segments that cannot be read


def foreign(held: Store, path: Path) -> dict[str, Any]:
    """Files that are no segment of this store, by name: a function that writes each."""
    keys, scores, tokens = batch(2)
    good = pa.table([pa.array(keys, pa.binary(16)), scores, pa.array(tokens, pa.int32())],
                    schema=schemas.STORE)  # fmt: skip
    whole = segments(held)[0].read_bytes()
    nulls = pa.table([good["key"], [*scores[:4], None], good["tokens"]], schema=schemas.STORE)
    wide = good.set_column(2, "tokens", good["tokens"].cast(pa.int64()))
    words = good.set_column(1, "score", good["score"].cast(pa.string()))
    return {
        "empty": lambda: path.write_bytes(b""),
        "garbage": lambda: path.write_bytes(random.Random(0).randbytes(1000)),
        "torn": lambda: path.write_bytes(whole[: len(whole) // 2]),
        "headless": lambda: path.write_bytes(whole[len(whole) // 2 :]),
        "folder": path.mkdir,
        "other table": lambda: pq.write_table(pa.table({"x": [1]}), path),
        "no rows": lambda: pq.write_table(good.slice(0, 0), path),
        "unsealed": lambda: pq.write_table(good, path),
        "wide tokens": lambda: pq.write_table(wide, path),
        "words": lambda: pq.write_table(words, path),
        "null score": lambda: pq.write_table(
            nulls.replace_schema_metadata({"digest": held._digest(nulls)}), path
        ),
        "odd seal": lambda: pq.write_table(
            good.replace_schema_metadata({b"digest": b"\xff\xfe"}), path
        ),
    }


@pytest.mark.parametrize("kind", [
    "empty", "garbage", "torn", "headless", "folder", "other table", "no rows", "unsealed",
    "wide tokens", "words", "null score", "odd seal",
])  # fmt: skip
def test_a_foreign_segment_is_named_once_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    held = make(tmp_path, 1)
    path = held.folder / "foreign.parquet"
    foreign(held, path)[kind]()
    keys = batch(1)[0] + batch(2)[0]
    with caplog.at_level(logging.WARNING):
        assert held.find(keys) == held.find(keys) == rows(1)
    assert [r.getMessage().split(": ")[0] for r in caplog.records] == [str(path)]
    assert "\n" not in caplog.records[0].getMessage()
    assert held.faulty == {"foreign.parquet"}
    held.add(*batch(2))  # computed again
    assert held.find(keys) == rows(1, 2)


@given(st.data())
@settings(max_examples=150)
def test_a_damaged_segment_never_gives_a_wrong_score(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        held = make(Path(folder), 1)
        content = bytearray(segments(held)[0].read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        end = data.draw(st.integers(at, min(len(content), at + 20)))
        content[at:end] = data.draw(st.binary(max_size=20))
        segments(held)[0].write_bytes(content)
        found = held.find(batch(1)[0])
        # damage that changes no row (a spare byte, or nothing changed) may pass
        assert found == (rows(1) if not held.faulty else {})


def test_scores_that_are_not_finite_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = make(tmp_path, 1)
    keys, scores, tokens = batch(2)
    scores[1:4] = [math.nan, math.inf, -math.inf]
    columns = [pa.array(keys, pa.binary(16)), scores, pa.array(tokens, pa.int32())]
    path = held._write(pa.table(columns, schema=schemas.STORE))  # as a faulty writer would
    with caplog.at_level(logging.WARNING):
        found = held.find(batch(1)[0] + keys)
    assert found == rows(1) | {keys[i]: rows(2)[keys[i]] for i in (0, 4)}
    assert held.faulty == {path.name}
    assert "not finite" in caplog.text


def test_a_segment_that_another_process_merges_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = make(tmp_path, 1, 2, 3), make(tmp_path)
    before = segments(writer)
    opened: list[str] = []
    real = pq.ParquetFile

    def merged_first(path: Path) -> Any:
        opened.append(Path(path).name)
        if len(opened) == 2:  # one of the three has been read, this one is listed
            monkeypatch.undo()
            writer.merge()
            monkeypatch.setattr(pq, "ParquetFile", merged_first)
        return real(path)

    monkeypatch.setattr(pq, "ParquetFile", merged_first)
    assert reader.find([k for n in (1, 2, 3) for k in batch(n)[0]]) == rows(1, 2, 3)
    assert opened == [p.name for p in [*before, *segments(writer)]]  # 3 old names, then the new one
    assert not reader.faulty


def test_a_listed_segment_that_is_not_there_does_not_keep_find_waiting(tmp_path: Path) -> None:
    held = make(tmp_path, 1)
    (held.folder / "ghost.parquet").symlink_to("gone")
    assert held.find(batch(1)[0]) == rows(1)
    assert not held.faulty


def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: is no folder; set scoring.store to one"):
        Store(tmp_path / "file", "0" * 32, {})
    held = Store(tmp_path / "store", "0" * 32, {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(UserError, match="cannot be written: No space left.*start again"):
        held.add([bytes(16)], [-1.0], [3])
