"""Figure 4: what is timed, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import causal, sample, write_examples

from ruie import parquet, schemas, speed
from ruie.backends import Settings
from ruie.cli import UserError

POOL = [sample(f"d{i}", f"Bob lives in town {i}.", ("person", "Bob")) for i in range(3)]
QUERIES = [sample(f"q{i}", f"Ana met friend {i}.", ("person", "Ana")) for i in range(4)]
RANKED = {q.id: [d.id for d in POOL] for q in QUERIES}


class Words:
    """A back end whose tokens are words; it answers three tokens and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[list[int]]] = []

    def tokenizer(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": list(range(len(text.split())))}

    def generate(self, prompts: list[list[int]]) -> list[tuple[str, int, str]]:
        self.asked.append(prompts)
        return [("None", 3, "stop")] * len(prompts)


def ticking() -> Iterator[float]:
    """A clock that is read before and after a call: 0.5 s for the first, 1.5 for the next, ..."""
    now, step = 0.0, 0.5
    while True:
        yield now
        now += step
        yield now
        now, step = now + 100, step + 1


def run(settings: Settings, ks: list[int], *datasets: list) -> tuple[Words, list[dict[str, Any]]]:
    backend, clock = Words(), ticking()
    rows = speed.run(backend, settings, datasets, {d.id: d for d in POOL}, RANKED, ks, "tiny",
                     lambda: next(clock))  # fmt: skip
    return backend, rows


def test_the_generation_alone_is_timed() -> None:
    backend, rows = run(
        Settings("vllm", "tiny"), [1, 2], QUERIES, [QUERIES[0]._replace(dataset="b")]
    )
    # one request to warm up, then each list with each k
    assert [len(prompts) for prompts in backend.asked] == [1, 4, 4, 1, 1]
    assert [(r["dataset"], r["k"], r["instances"], r["seconds"]) for r in rows] == [
        ("toy", 1, 4, 0.5), ("toy", 2, 4, 1.5), ("b", 1, 1, 2.5), ("b", 2, 1, 3.5),
    ]  # fmt: skip
    assert [r["completion_tokens"] for r in rows] == [12, 12, 3, 3]
    assert [r["prompt_tokens"] for r in rows] == [
        sum(map(len, prompts)) for prompts in backend.asked[1:]
    ]
    assert {(r["llm"], r["backend"], r["task"]) for r in rows} == {("tiny", "vllm", "NER")}


def test_a_query_that_is_too_long_is_not_counted() -> None:
    long = QUERIES[1]._replace(text="word " * 500)
    backend, rows = run(Settings("vllm", "tiny", max_input=400), [1], [QUERIES[0], long])
    assert [len(prompts) for prompts in backend.asked] == [1, 1]
    assert rows[0]["instances"] == 1


def test_the_sample_is_seeded_and_in_order() -> None:
    first = speed.sample(QUERIES, 2, 1)
    assert first == speed.sample(QUERIES, 2, 1)
    assert first == sorted(first, key=QUERIES.index)
    assert len({tuple(e.id for e in speed.sample(QUERIES, 2, seed)) for seed in range(20)}) > 1
    assert speed.sample(QUERIES, 9, 1) == QUERIES
    assert speed.sample([], 9, 1) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = causal(tmp_path / "model")
    queries = write_examples(QUERIES, tmp_path / "q.parquet")
    pool = write_examples(POOL, tmp_path / "p.parquet")
    ranked = [
        {"query_id": q, "demonstration_id": d, "rank": i, "score": 0.0}
        for q, ids in RANKED.items()
        for i, d in enumerate(ids)
    ]
    parquet.write(ranked, schemas.CANDIDATES, tmp_path / "d.parquet")
    words = [
        "--pool", pool, "--demonstrations", tmp_path / "d.parquet", "--sample", 2, "--backend",
        "transformers", "--dtype", "float32", "--model", model, "--max-new", 2, "--llm", "tiny",
        "--out", tmp_path / "s.parquet",
    ]  # fmt: skip
    speed.main([str(w) for w in ["--queries", queries, "--k", 0, 2, *words]])
    rows = parquet.read(tmp_path / "s.parquet", schemas.SPEED).to_pylist()
    assert [(r["k"], r["instances"]) for r in rows] == [(0, 2), (2, 2)]
    assert all(r["seconds"] > 0 for r in rows)
    assert rows[0]["prompt_tokens"] < rows[1]["prompt_tokens"]
    speed.main([str(w) for w in ["--queries", queries, "--k", 0, 2, "--quotes", *words]])
    quoted = parquet.read(tmp_path / "s.parquet", schemas.SPEED).to_pylist()
    assert all(q["prompt_tokens"] > r["prompt_tokens"] for q, r in zip(quoted, rows, strict=True))
    empty = write_examples([], tmp_path / "none.parquet")
    with pytest.raises(UserError, match="holds no query"):
        speed.main([str(w) for w in ["--queries", empty, "--k", 1, *words]])
    with pytest.raises(SystemExit):
        speed.main([str(w) for w in ["--queries", queries, "--k", -1, *words]])
    assert "--k must be 0 or more" in capsys.readouterr().err
