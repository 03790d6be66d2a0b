"""What both trainings read: who is held aside, and whose texts are needed."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pyarrow as pa
import pytest
from trainings import arguments

from ruie import aside, groups, parquet, schemas, train_reward, training
from ruie.cli import UserError


def test_queries_are_held_aside_by_the_llm_s_table(data, tmp_path):
    """The reward model may have ranked queries that the LLM could not score."""
    words = [*arguments(data, "cross", tmp_path / "r", "--watch", 5), "--queries",
             data / "pool.parquet"]  # fmt: skip
    args = train_reward.parser().parse_args([str(w) for w in words])
    rows = parquet.read(data / "scores.parquet", schemas.SCORES)
    # 12 queries of the LLM's, and 12 more that are ranked as these are
    more = [f"e{int(q[1:]) + 12}" for q in rows["query_id"].to_pylist()]
    others = rows.set_column(0, "query_id", pa.array(more))
    wider = groups.Rankings(pa.concat_tables([rows, others]), "score")
    given = training.samples(args)
    (hidden,) = aside.held_aside(given.preference.queries, 5, 5)
    assert len(aside.held_aside(wider.queries, 5, 5)) == 2
    found = training.read(args, given, wider)
    assert [r.query_id for r in found.watched] == [hidden]
    assert {c.query_id for c in found.members} == set(wider.queries) - {hidden}
    drawn = {d for c in found.members for d in (*c.positives, *c.negatives)}
    assert set(found.shown) == drawn | set(found.watched[0].demonstrations)
    assert set(found.asked) == set(wider.queries)


def test_another_seed_can_hold_the_same_queries_aside(data, tmp_path):
    def watched(*words):
        more = arguments(data, "cross", tmp_path / "r", "--watch", 5, *words)
        args = train_reward.parser().parse_args([str(w) for w in more])
        return [r.query_id for r in training.read(args, training.samples(args)).watched]

    # one of 12 queries is a tenth, so seeds differ often: nine others, and each with the first's
    first = watched("--seed", 5)
    assert any(watched("--seed", n) != first for n in range(6, 15))
    assert all(watched("--seed", n, "--watch-seed", 5) == first for n in range(6, 15))


def test_candidates_of_other_datasets_can_be_ranked_last(data, tmp_path):
    """The published code takes 100 off their scores; what the LLM said stays what it was."""
    pool = parquet.read(data / "pool.parquet", schemas.EXAMPLES).to_pylist()
    for n, row in enumerate(pool):
        row["dataset"] = "other" if n % 2 else row["dataset"]
    parquet.write(pool, schemas.EXAMPLES, tmp_path / "pool.parquet")
    dataset = {row["id"]: row["dataset"] for row in pool}
    words = arguments(data, "cross", tmp_path / "r", "--pool", tmp_path / "pool.parquet")

    def samples(*more):
        return training.samples(train_reward.parser().parse_args([str(w) for w in (*words, *more)]))

    raw = samples()
    assert raw.preference is raw.scores
    given = samples("--other-datasets", -100)
    assert list(given.scores) == list(raw.scores)
    for before, after in zip(raw.scores, given.preference, strict=True):
        own = given.queries[before.query_id].dataset
        scored = dict(zip(before.demonstrations, before.scores, strict=True))
        same = [d for d in before.demonstrations if dataset[d] == own]
        others = [d for d in before.demonstrations if dataset[d] != own]
        assert same
        assert others
        assert after.query_id == before.query_id
        assert after.demonstrations == [*same, *others]
        assert after.scores == pytest.approx(
            [*(scored[d] for d in same), *(scored[d] - 100 for d in others)]
        )


def refused(data, out, says, *more):
    words = [str(w) for w in arguments(data, "cross", out, "--steps", 1, *more)]
    args = train_reward.parser().parse_args(words)
    with pytest.raises(UserError, match=says):
        train_reward.prepare(args)


def test_nothing_but_a_model_is_ever_replaced(data, tmp_path, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(data, own)
    refused(own, own, r"own: would be replaced, and --queries lies there")
    (own / "old.parquet").write_bytes(b"")
    refused(data, own, "--log lies there", "--log", own / "old.parquet")
    (own / "old.parquet").unlink()
    refused(data, tmp_path / "m", "--checkpoints lies there", "--checkpoints", tmp_path / "m")
    refused(data, tmp_path / "m", "--checkpoints lies there", "--checkpoints", tmp_path / "m" / "c")
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    refused(data, tmp_path / "here", "the folder you are in")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    refused(data, tmp_path / "thesis", "is there and is no model")
    (tmp_path / "file").write_text("")
    refused(data, tmp_path / "file", "is there and is no model")
    refused(data, tmp_path / "file" / "m", "cannot be written")
    assert sorted(p.name for p in own.iterdir()) == sorted(p.name for p in data.iterdir())
    # an empty folder and a model's are free to take, and the look leaves nothing behind
    (tmp_path / "free").mkdir()
    out = tmp_path / "free" / "empty"
    out.mkdir()
    words = [str(w) for w in arguments(data, "cross", out, "--steps", 1)]
    training.check(train_reward.parser().parse_args(words))
    (out / "config.json").write_text("{}")
    training.check(train_reward.parser().parse_args(words))
    assert [p.name for p in (tmp_path / "free").iterdir()] == ["empty"]


@pytest.mark.parametrize("flag", ["--learning-rate=-1", "--learning-rate=nan", "--max-grad-norm=-1",
                                  "--learning-rate=0"])  # fmt: skip
def test_numbers_that_cannot_be_are_refused(data, tmp_path, flag, capsys):
    words = [str(w) for w in arguments(data, "cross", tmp_path / "r")]
    with pytest.raises(SystemExit):
        train_reward.parser().parse_args([*words, flag])
    assert "is no number" in capsys.readouterr().err


def test_processes_that_do_not_know_of_each_other(data, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.Accelerator", lambda **_: SimpleNamespace(num_processes=1))
    refused(data, tmp_path / "r", "2 processes were started, and each would train alone")


@pytest.mark.parametrize("column", ["query_id", "demonstration_id"])
def test_tables_that_do_not_belong_together_are_one_line(data, tmp_path, column):
    rows = parquet.read(data / "scores.parquet", schemas.SCORES).to_pylist()
    rows[7][column] = "stranger"
    parquet.write(rows, schemas.SCORES, tmp_path / "scores.parquet")
    refused(data, tmp_path / "r", r"scores\.parquet: .* 'stranger' is not in its table",
            "--scores", tmp_path / "scores.parquet")  # fmt: skip


def test_a_model_with_too_few_positions_is_refused(data, tmp_path):
    refused(data, tmp_path / "r", r"--max-length 4096: .* has \d+ positions", "--max-length", 4096)
