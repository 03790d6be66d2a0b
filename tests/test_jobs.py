"""What is left to do: the dry run's counts, and hours only where jobs were timed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruie import jobs, parquet, schemas
from ruie.cli import UserError

STATS = """Building DAG of jobs...
Job stats:
job              count
-------------  -------
score                3
train_reward         2
table                1
all                  1
total                7

Job stats:
job              count
score                3
total                3
"""


def benchmark(path: Path, seconds: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t3.5\n")


def test_the_first_counts_are_read() -> None:
    assert jobs.counted(STATS) == {"score": 3, "train_reward": 2, "table": 1}
    assert jobs.counted("Nothing to be done (all requested files are present)") == {}
    with pytest.raises(UserError, match="no job counts"):
        jobs.counted("?")


def test_hours_are_the_mean_of_the_finished_times_cards(tmp_path: Path) -> None:
    benchmark(tmp_path / "score/lm-0.tsv", "1000")
    benchmark(tmp_path / "score/lm-1.tsv", "2000")
    benchmark(tmp_path / "table/heldin.tsv", "7")
    benchmark(tmp_path / "train_reward/keywords.tsv", "1800")
    score, reward, table, encode = jobs.left(
        {"score": 3, "train_reward": 2, "table": 1, "encode": 4},
        {"score": 1, "train_reward": 2, "encode": 1},
        tmp_path,
    )
    assert (score.timed, score.seconds, score.gpu_hours) == (2, 1500, 3 * 1500 / 3600)
    # two trainings of half an hour on two cards
    assert reward.gpu_hours == 2.0
    # no GPU, and none timed
    assert (table.gpus, table.gpu_hours) == (0, None)
    assert (encode.timed, encode.seconds, encode.gpu_hours) == (0, None, None)
    lines = jobs.page([score, reward, table, encode], None).splitlines()
    assert lines[1].split() == ["score", "3", "1.25", "1500", "s", "a", "job,", "mean", "of", "2"]
    assert lines[3].split() == ["table", "1"]
    assert lines[4].split() == ["encode", "4", "no", "rate", "known"]
    assert lines[5].split() == ["total", "10"]


def test_without_times_of_its_own_a_run_has_those_of_others_and_says_so(tmp_path: Path) -> None:
    benchmark(tmp_path / "paper/logs/score/lm-0.tsv", "7200")
    benchmark(tmp_path / "demo/logs/score/lm-0.tsv", "10")
    benchmark(tmp_path / "small/logs/score/lm-0.tsv", "30")
    benchmark(tmp_path / "small/logs/encode.tsv", "5")
    planned = {"score": 4, "encode": 1}
    own, encode = jobs.left(planned, dict.fromkeys(planned, 1), tmp_path / "paper/logs")
    assert (own.seconds, own.gpu_hours, own.runs) == (7200, 8.0, ())
    assert (encode.seconds, encode.runs) == (5, ("small",))
    new, _ = jobs.left(planned, dict.fromkeys(planned, 1), tmp_path / "new/logs")
    # one of 7,200 s, one of 10 and one of 30
    assert (new.timed, new.runs) == (3, ("demo", "paper", "small"))
    assert new.seconds == pytest.approx(7240 / 3)
    assert "2413 s a job, mean of 3 in demo, paper, small" in jobs.page([new], None)


def test_answers_of_each_kind_are_timed_apart(tmp_path: Path) -> None:
    benchmark(tmp_path / "infer/zero_shot/lm/k0/film.tsv", "1")
    benchmark(tmp_path / "infer/bm25/lm/k8/film.tsv", "2")
    benchmark(tmp_path / "infer/t5/lm/k0/film.tsv", "3")
    assert jobs.times(tmp_path, "infer_zero_shot") == [1]
    assert jobs.times(tmp_path, "infer") == [2]
    assert jobs.times(tmp_path, "infer_sft") == [3]


def test_the_scoring_is_summed_where_it_is_planned(tmp_path: Path) -> None:
    path = tmp_path / "counts.parquet"
    assert jobs.scoring(path) is None
    row = dict.fromkeys(schemas.PLANNED.names, 0) | {"task": "NER", "dataset": "a"}
    row |= {"pairs": 5, "prompts": 4, "tokens": 30, "work": 20}
    parquet.write([row, row | {"dataset": "b", "work": 1}], schemas.PLANNED, path)
    assert jobs.scoring(path) == {"pairs": 10, "prompts": 8, "tokens": 60, "work": 21}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(content=st.binary(max_size=200))
def test_any_benchmark_file_gives_times_or_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "score.tsv").write_bytes(content)
    assert all(seconds >= 0 for seconds in jobs.times(tmp_path, "score"))


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ('WorkflowError in file "a.smk", line 9:\nnowhere: no folder\n  File "a.smk"\nUsing a '
         "profile.\n", "nowhere: no folder"),
        ("Building DAG of jobs...\nMissingRuleException:\n", "MissingRuleException:"),
        ("Using a profile.\nkilled\n", "killed"),
        ("", "no word"),
    ],
)  # fmt: skip
def test_a_failed_dry_run_says_why(printed, said):
    assert jobs.reason(printed) == said
