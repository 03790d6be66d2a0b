"""The plan of a scoring run against a count of its tokens one by one."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from ruie import examples, parquet, plan, prompt, schemas, trie
from ruie.cli import UserError
from ruie.pieces import Pieces

LONG = "Rebels attacked the harbour near Aden. " * 20
WORDS = ["Alice", "Berlin", "Oil", "Alice Smith works", "Bob", "Paris on Monday", "Alice"]
POOL = [
    tiny.sample(f"p{i}", w, dataset="toy" if i % 2 else "other",
                schema=("person",) if i % 3 else ("person", "location"))
    for i, w in enumerate([*WORDS, LONG])
]  # fmt: skip
QUERIES = [
    tiny.sample(f"q{i}", f"{w} rose.", ("person", w.split()[0]), task="RE" if i % 3 == 2 else "NER")
    for i, w in enumerate(WORDS)
]


QUERY = {q.id: q for q in QUERIES}


@pytest.fixture(scope="module")
def pieces():
    return Pieces(tiny._causal_tokenizer(bos=True), "toy")


def candidates(pairs):
    return pa.Table.from_pylist(
        [{"query_id": q, "demonstration_id": d, "rank": i, "score": 0.0}
         for i, (q, d) in enumerate(pairs)],
        schema=schemas.CANDIDATES,
    )  # fmt: skip


BY_ID = {d.id: d for d in POOL}
EVERY = [(q.id, d.id) for q in QUERIES for d in POOL]


def planned(pieces, pairs=EVERY, max_length=4000, batch_tokens=16, **more):
    return both(pieces, pairs, max_length, batch_tokens, **more)[0]


def both(pieces, pairs, max_length, batch_tokens, **more):
    table, counts = plan.run(candidates(pairs), QUERIES, POOL, pieces, plan.Form(), max_length,
                             batch_tokens, **more)  # fmt: skip
    assert (table.schema, counts.schema) == (schemas.PLAN, schemas.PLANNED)
    return table.to_pylist(), counts.to_pylist()


def whole(pieces, row):
    query = next(q for q in QUERIES if q.id == row["query_id"])
    own = [row["demonstration_id"]] if row["shown"] else []
    shown = [prompt.render(BY_ID[d]) for d in (*(row.get("context") or ()), *own)]
    context = prompt.build(prompt.INSTRUCTIONS[query.task], shown, prompt.query(query))
    return pieces.whole(context, prompt.answer(query))


def test_order_tokens_and_work_are_those_of_the_texts(pieces):
    rows = planned(pieces)
    assert sorted(r["row"] for r in rows) == list(range(len(EVERY)))
    assert all(EVERY[r["row"]] == (r["query_id"], r["demonstration_id"]) for r in rows)
    pairs = [whole(pieces, r) for r in rows]
    assert [r["tokens"] for r in rows] == [len(p.ids) for p in pairs]
    before = None
    for row, pair in zip(rows, pairs, strict=True):
        if before is None:
            shared = 0
        elif (pair.ids.tolist(), pair.start) == (before[1].ids.tolist(), before[1].start):
            shared = len(pair.ids)
        else:
            shared = trie.shared(before[1].ids, pair.ids)
            # two tasks are planned as if they shared nothing; the token before an answer is each
            # pair's own
            task = [next(q.task for q in QUERIES if q.id == r["query_id"])
                    for r in (before[0], row)]  # fmt: skip
            shared = min(shared, pair.start - 1, before[1].start - 1) if task[0] == task[1] else 0
        assert row["work"] == len(pair.ids) - shared
        before = row, pair
    # within a task, sorted as the tokens are: nobody shares more with an earlier pair
    assert sum(r["work"] for r in rows) < sum(r["tokens"] for r in rows) / 3


def test_the_same_prompt_is_scored_once(pieces):
    # p0 and p6 are the same text with schemas of the same length; q0 and q6 are the same text
    rows = [r for r in planned(pieces) if r["query_id"] in ("q0", "q6")]
    free = [r for r in rows if not r["work"]]
    assert free
    assert {(r["query_id"], r["demonstration_id"]) for r in free} <= {
        (q, d) for q in ("q0", "q6") for d in (p.id for p in POOL)
    }
    windows = {}
    for r in planned(pieces):
        ids = tuple(whole(pieces, r).ids)
        assert windows.setdefault(ids, r["window"]) == r["window"]  # where its twin is


def test_windows_are_of_like_work_and_keep_a_demonstration_together(pieces, monkeypatch):
    monkeypatch.setattr(plan, "LEAST_WINDOWS", 1)
    rows = planned(pieces, batch_tokens=40)  # 640 tokens of work
    size = 40 * plan.WINDOW_BATCHES
    work: dict[int, int] = {}
    for r in rows:
        work[r["window"]] = work.get(r["window"], 0) + r["work"]
    assert [r["window"] for r in rows] == sorted(r["window"] for r in rows)
    assert len(work) == rows[-1]["window"] + 1 > 2
    of: dict[tuple[str, str], set[int]] = {}
    for r in rows:
        task = next(q.task for q in QUERIES if q.id == r["query_id"])
        of.setdefault((task, r["demonstration_id"]), set()).add(r["window"])
    assert {len(windows) for windows in of.values()} == {1}
    largest = max(sum(r["work"] for r in rows if r["demonstration_id"] == p.id) for p in POOL)
    assert all(w < size + largest for w in work.values())


def test_a_small_run_has_windows_for_many_shards(pieces):
    rows = planned(pieces, batch_tokens=40)
    work = sum(r["work"] for r in rows)
    assert 40 * plan.LEAST_WINDOWS < work < 40 * plan.LEAST_WINDOWS * plan.WINDOW_BATCHES
    # two tasks of 8 demonstrations, which are worth about a 32nd of the work each and stay whole
    assert rows[-1]["window"] + 1 == 16
    whole_batches = planned(pieces, batch_tokens=work // 2)
    assert whole_batches[-1]["window"] + 1 <= 3  # never less than a batch


def test_a_large_group_is_cut(pieces):
    rows = planned(pieces, batch_tokens=1)  # 16 tokens of work
    assert len({r["window"] for r in rows if r["demonstration_id"] == "p1"}) > 1


def test_a_demonstration_over_the_limit_is_left_out(pieces, caplog):
    caplog.set_level("INFO")
    limit = max(r["tokens"] for r in planned(pieces) if r["demonstration_id"] != "p7")
    rows = planned(pieces, max_length=limit)  # inclusive
    assert {r["demonstration_id"] for r in rows if not r["shown"]} == {"p7"}
    assert "7 pairs are over the limit: scored without their demonstration" in caplog.text
    assert all(r["tokens"] == len(whole(pieces, r).ids) for r in rows)
    fewer = planned(pieces, max_length=limit - 1)
    assert sum(not r["shown"] for r in fewer) > 7


def test_a_query_over_the_limit_is_skipped_and_named(pieces, caplog):
    bare = {q.id: len(whole(pieces, {"query_id": q.id, "demonstration_id": "", "shown": False}).ids)
            for q in QUERIES}  # fmt: skip
    limit = sorted(bare.values())[3]
    rows = planned(pieces, max_length=limit)
    kept = {q for q, n in bare.items() if n <= limit}
    assert {r["query_id"] for r in rows} == kept
    gone = len(QUERIES) - len(kept)
    assert f"{8 * gone} pairs of {gone} queries are skipped" in caplog.text
    first = next(q for q in QUERIES if q.id not in kept)
    assert f"first {first.id} (toy.json#{first.id})" in caplog.text
    with pytest.raises(UserError, match="no pair is left to score; raise --max-length"):
        planned(pieces, max_length=3)


def test_what_becomes_of_each_dataset_s_pairs_is_counted(pieces):
    bare = {q.id: len(whole(pieces, {"query_id": q.id, "demonstration_id": "", "shown": False}).ids)
            for q in QUERIES}  # fmt: skip
    limit = max(bare.values()) - 1  # the longest query is skipped
    rows, counts = both(pieces, EVERY, limit, 16)
    task = {q.id: q.task for q in QUERIES}
    assert [(c["task"], c["dataset"]) for c in counts] == [("NER", "toy"), ("RE", "toy")]
    for c in counts:
        mine = [r for r in rows if task[r["query_id"]] == c["task"]]
        gone = [q for q, n in bare.items() if n > limit and task[q] == c["task"]]
        assert c == {
            "task": c["task"], "dataset": "toy",
            "queries": sum(t == c["task"] for t in task.values()),
            "pairs": len(mine) + 8 * len(gone),
            "prompts": len({(tuple(p.ids), p.start) for p in (whole(pieces, r) for r in mine)}),
            "shortened": sum(not r["shown"] for r in mine),
            "skipped": 8 * len(gone), "skipped_queries": len(gone),
            "tokens": sum(r["tokens"] for r in mine), "work": sum(r["work"] for r in mine),
        }  # fmt: skip
    assert sum(c["skipped_queries"] for c in counts) >= 1
    assert sum(c["shortened"] for c in counts) >= 1


def test_no_candidates(pieces):
    with pytest.raises(UserError, match="no pair is left"):
        planned(pieces, [])


@pytest.mark.parametrize("pair", [("q9", "p0"), ("q0", "p9")])
def test_an_unknown_id_is_named(pieces, pair):
    with pytest.raises(UserError, match=r"'[qp]9' of the candidates is not in its table"):
        planned(pieces, [*EVERY, pair])


def test_a_sample_is_seeded_and_each_query_s_own(pieces):
    def drawn(pairs, seed=3):
        return {(r["query_id"], r["demonstration_id"])
                for r in planned(pieces, pairs, sample=3, seed=seed)}  # fmt: skip

    some = drawn(EVERY)
    assert {q: sum(a == q for a, _ in some) for q in {q for q, _ in EVERY}} == dict.fromkeys(
        (q.id for q in QUERIES), 3
    )
    assert some == drawn(EVERY) != drawn(EVERY, seed=4)
    # without one query the draws of the others are the same
    assert drawn([p for p in EVERY if p[0] != "q0"]) == {p for p in some if p[0] != "q0"}
    assert len(planned(pieces, EVERY[:2], sample=3)) == 2  # no more than there are
    # more of each query, or more candidates, keep what was drawn as far as they can
    assert some < {
        (r["query_id"], r["demonstration_id"]) for r in planned(pieces, sample=5, seed=3)
    }
    fewer = drawn([p for p in EVERY if p[1] != "p7"])
    assert {p for p in some if p[1] != "p7"} < fewer


def test_the_first_candidates_stand_before_each(pieces):
    rows = planned(pieces, before=2)
    assert sorted(r["row"] for r in rows) == list(range(len(EVERY)))
    for r in rows:
        # candidates are in the pool's order, and the best stands next to the candidate
        first = [d.id for d in POOL if d.id != r["demonstration_id"]][:2]
        assert r["context"] == first[::-1]
    pairs = [whole(pieces, r) for r in rows]
    assert [r["tokens"] for r in rows] == [len(p.ids) for p in pairs]
    # prompts that begin alike stand together, so most of each is shared; what two of different
    # beginnings share is counted in whole demonstrations, so never too much of it
    for n in range(1, len(rows)):
        (b, a), (before, row) = pairs[n - 1 : n + 1], rows[n - 1 : n + 1]
        twins = (a.ids.tolist(), a.start) == (b.ids.tolist(), b.start)
        most = len(a.ids) if twins else min(trie.shared(a.ids, b.ids), a.start - 1, b.start - 1)
        shared = row["tokens"] - row["work"]
        same = row["context"] == before["context"]
        assert shared <= most
        if same and QUERY[row["query_id"]].task == QUERY[before["query_id"]].task:
            assert shared == most
    assert sum(r["work"] for r in rows) < sum(r["tokens"] for r in rows) / 3
    # what is drawn has nothing to do with it: the first of all stand before
    some = planned(pieces, before=2, sample=3, seed=3)
    assert {(r["query_id"], r["demonstration_id"], *r["context"]) for r in some} < {
        (r["query_id"], r["demonstration_id"], *r["context"]) for r in rows
    }


def test_what_stands_before_is_left_out_first(pieces, caplog):
    caplog.set_level("INFO")
    alone = {(r["query_id"], r["demonstration_id"]): r["tokens"] for r in planned(pieces)}
    limit = max(n for (_, d), n in alone.items() if d != "p7") + 10
    rows = planned(pieces, max_length=limit, before=2)
    # p7 does not fit even alone: nothing is shown at all, as without a context
    assert {r["demonstration_id"] for r in rows if not r["shown"]} == {"p7"}
    assert {len(r["context"]) for r in rows if not r["shown"]} == {0}
    assert all(r["tokens"] == len(whole(pieces, r).ids) <= limit for r in rows)
    fewer = [r for r in rows if r["shown"] and len(r["context"]) < 2]
    assert fewer
    for r in fewer:
        longer = [d.id for d in POOL if d.id != r["demonstration_id"]][len(r["context"])]
        assert len(whole(pieces, {**r, "context": [longer, *r["context"]]}).ids) > limit


def test_without_a_demonstration_nothing_stands_before(pieces):
    rows = planned(pieces, before=2, zero_shot=True)
    assert len(rows) == len(QUERIES)
    assert {r["shown"] for r in rows} == {False}
    assert not any(r["context"] for r in rows)
    assert {r["context"] for r in planned(pieces)} == {None}


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.data())
def test_lowest_is_the_minimum_of_each_range(values, data):
    at = st.integers(0, len(values) - 1)
    ranges = data.draw(st.lists(st.tuples(at, at).filter(lambda r: r[0] < r[1]), min_size=1))
    low, high = (np.array(side) for side in zip(*ranges, strict=True))
    assert plan.lowest(np.array(values), low, high).tolist() == [
        min(values[a + 1 : b + 1]) for a, b in ranges
    ]


def test_command(tmp_path, pieces):
    folder = tiny.causal(tmp_path / "llama")
    parquet.write(candidates(EVERY), schemas.CANDIDATES, tmp_path / "c.parquet")
    for name, members in (("q", QUERIES), ("p", POOL)):
        tiny.write_examples(members, tmp_path / f"{name}.parquet")
    plan.main([
        "--candidates", str(tmp_path / "c.parquet"), "--queries", str(tmp_path / "q.parquet"),
        "--pool", str(tmp_path / "p.parquet"), "--model", str(folder), "--sample", "2",
        "--out", str(tmp_path / "plan.parquet"),
    ])  # fmt: skip
    assert parquet.read(tmp_path / "plan.parquet", schemas.PLAN).num_rows == 2 * len(QUERIES)
    assert len(examples.read(tmp_path / "q.parquet")) == len(QUERIES)


def test_prompts_longer_than_the_model_reads_are_refused(tmp_path):
    tiny.causal(tmp_path / "neo", "gpt_neo")
    most = json.loads((tmp_path / "neo" / "config.json").read_text())["max_position_embeddings"]
    plan.positions(str(tmp_path / "neo"), most)
    with pytest.raises(
        UserError, match=f"reads {most} tokens at most, not --max-length {most + 1}"
    ):
        plan.positions(str(tmp_path / "neo"), most + 1)


def test_zero_shot_is_each_query_once_and_nothing_shown(pieces):
    rows, counts = both(pieces, EVERY, 4000, 16, zero_shot=True)
    assert sorted(r["query_id"] for r in rows) == sorted(q.id for q in QUERIES)
    assert not any(r["shown"] for r in rows)
    assert [r["tokens"] for r in rows] == [len(whole(pieces, r).ids) for r in rows]
    assert sum(c["pairs"] for c in counts) == len(QUERIES)
    assert sum(c["shortened"] for c in counts) == 0
