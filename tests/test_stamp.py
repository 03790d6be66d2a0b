"""What tables say of their making."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ruie import cli, parquet, schemas, stamp

REWARD = {"query_id": "q", "demonstration_id": "d", "reward": 0.5}


def written(path: Path, *read: Path, models: tuple[Path, ...] = (), result: bool = False) -> dict:
    """The stamp of a table that a stage writes after it has loaded and read."""

    def main() -> None:
        for model in models:
            stamp.model(model)
        for table in read:
            parquet.read(table, schemas.REWARDS)
        parquet.write([REWARD], schemas.REWARDS, path, result=result)

    cli.run(main)
    return stamp.read(pq.read_metadata(path).metadata)


def model(folder: Path, weights: bytes) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_a_table_names_the_versions_and_models_of_its_stage(tmp_path: Path) -> None:
    said = written(tmp_path / "t.parquet", models=(model(tmp_path / "lm", b"weights"),))
    assert said["versions"]["Python"] == [stamp.versions()["Python"]]
    assert "vllm" not in said["versions"] or said["versions"]["vllm"] != ["not installed"]
    files = {
        "config.json": hashlib.sha256(b"{}").hexdigest(),
        "model.safetensors": hashlib.sha256(b"weights").hexdigest(),
    }
    whole = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    # outside of the project's folder a model goes by its folder's name
    assert said["models"] == {"lm": [whole]}
    assert "config" not in said


def test_a_table_inherits_from_those_that_are_read(tmp_path: Path) -> None:
    """Two scorings by two states of a model meet in one table: it names both."""
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    one = written(first, models=(model(tmp_path / "lm", b"1"),))["models"]["lm"]
    (tmp_path / "lm/model.safetensors").write_bytes(b"2")
    other = written(second, models=(tmp_path / "lm",))["models"]["lm"]
    assert one != other
    both = written(tmp_path / "c.parquet", first, second)
    assert both["models"] == {"lm": sorted(one + other)}
    assert written(tmp_path / "d.parquet")["models"] == {}, "the last stage's are forgotten"


def test_a_trained_model_names_what_it_was_trained_on(tmp_path: Path) -> None:
    trained = model(tmp_path / "trained", b"t")

    def training() -> None:
        stamp.model(model(tmp_path / "teacher", b"1"))
        stamp.leave(trained)

    cli.run(training)
    assert set(written(tmp_path / "t.parquet", models=(trained,))["models"]) == {
        "trained",
        "teacher",
    }


def test_a_stream_is_stamped_with_what_was_read_meanwhile(tmp_path: Path) -> None:
    first = tmp_path / "a.parquet"
    written(first, models=(model(tmp_path / "lm", b"1"),))
    out = tmp_path / "b.parquet"

    def main() -> None:
        with parquet.writing(schemas.REWARDS, out) as add:
            for batch in parquet.batches(first, schemas.REWARDS, schemas.REWARDS.names):
                add(parquet.pa.table(batch))

    cli.run(main)
    assert list(stamp.read(pq.read_metadata(out).metadata)["models"]) == ["lm"]


def test_results_name_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stamp.CONFIG, "abc")
    assert written(tmp_path / "t.parquet", result=True)["config"] == "abc"
    # but not what long work follows: another configuration, the same bytes
    assert "config" not in written(tmp_path / "t.parquet")


def test_without_a_stage_there_is_no_stamp(tmp_path: Path) -> None:
    parquet.write([REWARD], schemas.REWARDS, tmp_path / "t.parquet")
    assert stamp.read(pq.read_metadata(tmp_path / "t.parquet").metadata) == {}


@pytest.mark.parametrize("said", [b"{", b"[]", b'{"models": {"lm": "x"}, "versions": 3}', b"\xff"])
def test_a_foreign_stamp_does_no_harm(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "t.parquet"
    schema = schemas.REWARDS.with_metadata({stamp.KEY: said})
    pq.write_table(parquet.pa.Table.from_pylist([REWARD], schema=schema), path)
    assert written(tmp_path / "u.parquet", path)["models"] == {}


def test_the_stamp_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = written(tmp_path / "t.parquet")
    stamp.main([str(tmp_path / "t.parquet")])
    assert json.loads(capsys.readouterr().out) == said
    parquet.write([REWARD], schemas.REWARDS, tmp_path / "u.parquet")
    with pytest.raises(cli.UserError, match=r"u\.parquet: carries no stamp"):
        stamp.main([str(tmp_path / "u.parquet")])


def test_small_files_are_hashed_whole_and_large_ones_in_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamp, "WHOLE", 100)
    monkeypatch.setattr(stamp, "HEAD", 10)
    monkeypatch.setattr(stamp, "PIECE", 4)
    monkeypatch.setattr(stamp, "PIECES", 2)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(range(100)))
    whole = hashlib.sha256(bytes(range(100))).hexdigest()
    assert stamp.fingerprint(path) == {"bytes": 100, "of": "file", "sha256": whole}
    data = bytes(range(104))
    path.write_bytes(data)
    # the first 10, then 4 at (104 - 4) / 2 and at 104 - 4
    pieces = hashlib.sha256(data[:10] + data[50:54] + data[100:]).hexdigest()
    assert stamp.fingerprint(path) == {"bytes": 104, "of": "samples", "sha256": pieces}
