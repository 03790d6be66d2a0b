"""From ranked demonstrations to prompts, and from answers to the table."""

from __future__ import annotations

import pytest
import tiny

from ruie import infer, parquet, prompt, schemas
from ruie.backends import Answer
from ruie.cli import UserError

POOL = [
    tiny.sample("d1", "Bob lives in Paris.", ("person", "Bob")),
    tiny.sample("d2", "Oil prices rose in London.", ("location", "London")),
    tiny.sample("d3", "Shell rose."),
]
QUERIES = [
    tiny.sample("q1", "Alice visited Berlin.", ("person", "Alice"), ("location", "Berlin")),
    tiny.sample("q2", "Rebels attacked the harbour.", ("attack", "attacked"), task="EET",
                schema=("attack",), dataset="news"),
]  # fmt: skip
BY_ID = {e.id: e for e in POOL}


def test_k_0_asks_without_demonstrations_and_without_a_pool():
    asked, used = infer.requests(QUERIES, {}, {}, 0)
    assert used == [[], []]
    assert [r.demonstrations for r in asked] == [[], []]
    assert asked[0].instruction == prompt.INSTRUCTIONS["NER"]
    assert asked[1].instruction == prompt.INSTRUCTIONS["EET"]
    assert asked[0].query == (
        "Task: Named Entity Recognition\nSchema: [person, location]\n"
        "Input: Alice visited Berlin.\nOutput:"
    )


def test_the_best_demonstration_stands_last():
    ranked = {"q1": ["d2", "d3", "d1"], "q2": ["d1", "d2", "d3"]}
    asked, used = infer.requests(QUERIES, BY_ID, ranked, 2)
    assert used == [["d3", "d2"], ["d2", "d1"]]
    assert asked[0].demonstrations == [prompt.render(POOL[2]), prompt.render(POOL[1])]
    assert all("<Keyword>" not in d for r in asked for d in r.demonstrations)
    # more wanted than there are: all of them
    assert infer.requests(QUERIES, BY_ID, ranked, 9)[1][0] == ["d1", "d3", "d2"]


def test_quotes_are_in_demonstrations_query_and_table():
    asked, used = infer.requests(QUERIES[:1], BY_ID, {"q1": ["d2"]}, 1, quotes=True)
    assert asked[0].demonstrations == [prompt.render(POOL[1], quotes=True)]
    assert '\nInput: "Oil prices rose in London."\n' in asked[0].demonstrations[0]
    assert asked[0].query.endswith('\nInput: "Alice visited Berlin."\nOutput:')
    key = {"system": "s", "llm": "m", "k": 1}
    (row,) = infer.rows(QUERIES[:1], asked, used, [Answer("", 1, 9, 1, "stop")], key)
    # the text stays as it is, for scorers look spans up in it
    assert (row["query"], row["text"]) == (asked[0].query, "Alice visited Berlin.")


def test_a_query_without_demonstrations_is_a_user_error():
    with pytest.raises(UserError, match="q2: the demonstrations hold none"):
        infer.requests(QUERIES, BY_ID, {"q1": ["d1"]}, 1)


def test_rows_name_the_demonstrations_that_were_used():
    answers = [Answer("person: Alice.", 1, 50, 4, "stop"), Answer("", 0, 90, 0, "error", "long")]
    key = {"system": "s", "llm": "m", "k": 2}
    ranked = {"q1": ["d2", "d3"], "q2": ["d1", "d2"]}
    rows = infer.rows(QUERIES, *infer.requests(QUERIES, BY_ID, ranked, 2), answers, key)
    # the first in the prompt is the least relevant and was dropped; with nothing used none is left
    assert [r["demonstrations"] for r in rows] == [["d2"], []]
    assert [r["dropped"] for r in rows] == [1, 2]
    assert rows[0]["gold"] == "person: Alice; location: Berlin."
    assert [r["error"] for r in rows] == [None, "long"]
    assert [r["dataset"] for r in rows] == ["toy", "news"]
    assert all(set(r) == set(schemas.PREDICTIONS.names) for r in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("infer")
    tiny.causal(folder / "llama")
    tiny.write_examples(QUERIES, folder / "queries.parquet")
    tiny.write_examples(POOL, folder / "pool.parquet")
    # rows in no order: the rank decides
    ranked = {"q1": ["d2", "d3", "d1"], "q2": ["d1", "d2", "d3"]}
    rows = [
        {"query_id": q, "demonstration_id": d, "rank": i, "score": -float(i)}
        for q, ids in ranked.items() for i, d in enumerate(ids)
    ]  # fmt: skip
    parquet.write(rows[::-1], schemas.CANDIDATES, folder / "c.parquet")
    return folder


def run(folder, *more):
    out = folder / "out.parquet"
    infer.main([
        "--queries", str(folder / "queries.parquet"), "--backend", "transformers", "--model",
        str(folder / "llama"), "--dtype", "float32", "--max-new", "6", "--system", "bm25", "--llm",
        "tiny", *more, "--out", str(out),
    ])  # fmt: skip
    return parquet.read(out, schemas.PREDICTIONS).to_pylist()


def shots(folder):
    return ["--pool", str(folder / "pool.parquet"), "--demonstrations", str(folder / "c.parquet")]


def test_the_command_from_tables_to_table(folder):
    rows = run(folder, "--k", "2", *shots(folder))
    assert [r["query_id"] for r in rows] == ["q1", "q2"]
    assert [r["demonstrations"] for r in rows] == [["d3", "d2"], ["d2", "d1"]]
    assert {(r["system"], r["llm"], r["k"], r["dropped"]) for r in rows} == {("bm25", "tiny", 2, 0)}
    bare = run(folder, "--k", "0")
    assert [r["demonstrations"] for r in bare] == [[], []]
    assert bare[0]["prompt_tokens"] < rows[0]["prompt_tokens"]
    assert all(0 < r["completion_tokens"] <= 6 for r in [*rows, *bare])
    quoted = run(folder, "--k", "2", "--quotes", *shots(folder))
    assert 'Input: "Alice visited Berlin."' in quoted[0]["query"]
    assert quoted[0]["prompt_tokens"] > rows[0]["prompt_tokens"]


def test_a_tight_budget_drops_the_least_relevant_one(folder):
    whole = run(folder, "--k", "2", *shots(folder))[0]["prompt_tokens"]
    row = run(folder, "--k", "2", *shots(folder), "--max-input", str(whole - 1))[0]
    assert (row["demonstrations"], row["dropped"]) == (["d2"], 1)


def test_the_pool_is_read_for_what_is_shown_alone(folder, tmp_path, monkeypatch):
    """A pool may hold a million samples, and Python objects of them all take many gigabytes."""
    made = []
    from_table = infer.examples.from_table
    monkeypatch.setattr(
        infer.examples, "from_table", lambda t: made.extend(found := from_table(t)) or found
    )
    run(folder, "--k", "1", *shots(folder))
    assert sorted(e.id for e in made) == ["d1", "d2", "q1", "q2"]


def test_a_demonstration_of_another_pool_is_a_user_error(folder, tmp_path):
    other = tiny.write_examples(POOL[1:], tmp_path / "other.parquet")
    words = ["--pool", str(other), "--demonstrations", str(folder / "c.parquet")]
    with pytest.raises(UserError, match="other.parquet: holds no sample 'd1'"):
        run(folder, "--k", "2", *words)


def test_a_demonstration_twice_is_a_user_error(folder, tmp_path):
    rows = parquet.read(folder / "c.parquet", schemas.CANDIDATES).to_pylist()
    parquet.write([*rows, {**rows[0], "rank": 9}], schemas.CANDIDATES, tmp_path / "c.parquet")
    words = [
        "--pool",
        str(folder / "pool.parquet"),
        "--demonstrations",
        str(tmp_path / "c.parquet"),
    ]
    with pytest.raises(UserError, match="c.parquet: names a demonstration twice"):
        run(folder, "--k", "1", *words)


def test_k_above_0_without_demonstrations_is_refused(folder, capsys):
    with pytest.raises(SystemExit):
        run(folder, "--k", "1")
    assert "needs --demonstrations and --pool" in capsys.readouterr().err


def test_the_command_by_score(folder):
    # the scores are -rank, so nothing changes
    rows = [run(folder, "--k", "2", *shots(folder), *more) for more in ([], ["--by-score"])]
    assert rows[0] == rows[1]
