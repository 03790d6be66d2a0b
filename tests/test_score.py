"""Scoring a plan: equation 1 from the text up, the store, kills, shards, numbers that are none."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time

import pytest
import tiny

from ruie import cli, gather, parquet, plan, prompt, schemas, score, store
from ruie.cli import UserError
from ruie.lm import LanguageModel
from ruie.pieces import Pieces
from ruie.plan import Form

POOL = [
    tiny.sample("p1", "Bob lives in Paris.", ("person", "Bob"), ("location", "Paris")),
    tiny.sample("p2", "Oil prices rose."),
    tiny.sample("p3", "Rebels attacked the harbour near Aden. " * 40, ("location", "Aden")),
    tiny.sample("p4", "Bob works for BP.", ("works for", "Bob", "BP"), task="RE"),
]
QUERIES = [
    tiny.sample("q1", "Alice visited Berlin on Monday.", ("person", "Alice")),
    tiny.sample("q2", "Alice works for Acme.", ("works for", "Alice", "Acme"), task="RE"),
    tiny.sample("q3", "Shell rose.", ("location", "Shell")),
    tiny.sample("q4", "Bob lives in Paris.", ("person", "Bob"), ("location", "Paris")),
]
POOL_BY_ID = {e.id: e for e in POOL}
QUERIES_BY_ID = {e.id: e for e in QUERIES}
# tasks interleaved; q4 is the text of p1: a demonstration that gives the answer away
PAIRS = [("q1", "p2"), ("q2", "p4"), ("q1", "p1"), ("q3", "p4"), ("q2", "p1"), ("q1", "p3"),
         ("q4", "p1"), ("q3", "p3")]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp("llama") / "a model")


@pytest.fixture(scope="module")
def model(folder):
    return LanguageModel(folder, "float32", batch_tokens=200)


class Files:
    """A scoring run's tables in a folder, and its commands."""

    def __init__(self, where, folder, pairs=PAIRS, queries=QUERIES, pool=POOL, *more):
        self.where, self.folder, self.more = where, folder, more
        where.mkdir(exist_ok=True)
        tables = [{"query_id": q, "demonstration_id": d, "rank": i, "score": 0.0}
                  for i, (q, d) in enumerate(pairs)]  # fmt: skip
        parquet.write(tables, schemas.CANDIDATES, where / "c.parquet")
        tiny.write_examples(list(queries), where / "q.parquet")
        tiny.write_examples(list(pool), where / "p.parquet")
        self.sides = ["--queries", str(where / "q.parquet"), "--pool", str(where / "p.parquet"),
                      "--model", str(folder)]  # fmt: skip

    def plan(self, *more):
        plan.main(["--candidates", str(self.where / "c.parquet"), *self.sides, *more, *self.more,
                   "--out", str(self.where / "plan.parquet")])  # fmt: skip
        return parquet.read(self.where / "plan.parquet", schemas.PLAN)

    def words(self, out, *more, held="store"):
        return ["--plan", str(self.where / "plan.parquet"), *self.sides, "--dtype", "float32",
                "--store", str(self.where / held), *more, *self.more,
                "--out", str(self.where / out)]  # fmt: skip

    def score(self, out, *more, held="store"):
        score.main(self.words(out, *more, held=held))
        return parquet.read(self.where / out, schemas.SCORES)


@pytest.fixture
def files(tmp_path, folder):
    return Files(tmp_path / "run", folder)


def expected(folder, model, q, shown, form=Form()):  # noqa: B008
    """Equation 1 in float64 from the text up: the prompt of section 3.2 written out."""
    query = QUERIES_BY_ID[q]
    demonstrations = [form.demonstration(POOL_BY_ID[d]) + "\n\n" for d in shown]
    head = prompt.INSTRUCTIONS[query.task] + "\n\n" + "".join(demonstrations) + form.query(query)
    pair = model.pieces.whole(head, prompt.answer(query))
    return tiny.log_likelihoods(folder, [pair])[0], len(pair.ids) - pair.start


def test_scores_are_equation_1(files, folder, model):
    table = files.plan()
    scores = gather.run(table, [files.score("s.parquet")]).to_pylist()
    assert [(r["query_id"], r["demonstration_id"]) for r in scores] == PAIRS
    for row, (q, d) in zip(scores, PAIRS, strict=True):
        mean, tokens = expected(folder, model, q, [d])
        assert row["score"] == pytest.approx(mean, abs=1e-4)
        assert row["tokens"] == tokens > 0
    assert len({round(r["score"], 6) for r in scores}) == len(scores)


def test_others_stand_before_the_candidate(files, folder, model):
    table = files.plan("--context", "2")
    scores = gather.run(table, [files.score("s.parquet")]).to_pylist()
    # q1 was given p2, p1 and p3, in this order: the best next to the candidate
    before = {("q1", "p2"): ["p3", "p1"], ("q1", "p1"): ["p3", "p2"], ("q1", "p3"): ["p1", "p2"],
              ("q2", "p4"): ["p1"], ("q2", "p1"): ["p4"], ("q3", "p4"): ["p3"],
              ("q3", "p3"): ["p4"], ("q4", "p1"): []}  # fmt: skip
    for row in scores:
        q, d = row["query_id"], row["demonstration_id"]
        mean, tokens = expected(folder, model, q, [*before[q, d], d])
        assert row["score"] == pytest.approx(mean, abs=1e-4)
        assert row["tokens"] == tokens
    # the store tells them from the same pairs alone, but for the one that is alone in both
    files.plan()
    alone = files.score("alone.parquet").to_pylist()
    other = {(r["query_id"], r["demonstration_id"]): r["score"] for r in scores}
    same = [r for r in alone if r["score"] == other[r["query_id"], r["demonstration_id"]]]
    assert [r["query_id"] for r in same] == ["q4"]


def test_a_query_is_tokenised_once_in_all_windows(files, monkeypatch):
    assert files.plan("--batch-tokens", "1")["window"].to_numpy().max() > 2
    once = files.score("once.parquet")
    seen = []
    plain = Pieces.queries

    def record(self, queries, answers):
        seen.extend(queries)
        return plain(self, queries, answers)

    monkeypatch.setattr(Pieces, "queries", record)
    assert files.score("again.parquet", held="other").equals(once)
    # q1 and q2 have pairs in several windows
    assert sorted(seen) == sorted(prompt.query(q) for q in QUERIES)


def test_without_the_demonstration_where_it_is_too_long(files, folder, model):
    table = files.plan("--max-length", "450")
    rows = gather.run(table, [files.score("s.parquet")]).to_pylist()
    for at, q in ((5, "q1"), (7, "q3")):
        bare, tokens = expected(folder, model, q, [])
        assert rows[at]["score"] == pytest.approx(bare, abs=1e-4)
        assert rows[at]["tokens"] == tokens
        assert abs(bare - expected(folder, model, q, ["p3"])[0]) > 1e-3


@pytest.mark.parametrize("flags", [["--keywords"], ["--quotes"], ["--keywords", "--quotes"]])
def test_forms_of_the_prompt(files, folder, model, flags):
    form = Form("--keywords" in flags, "--quotes" in flags)
    files.plan(*flags)
    row = files.score("s.parquet", *flags).to_pylist()[0]
    q, d = row["query_id"], row["demonstration_id"]
    want = expected(folder, model, q, [d], form)[0]
    assert row["score"] == pytest.approx(want, abs=1e-4)
    assert abs(want - expected(folder, model, q, [d])[0]) > 1e-4


def test_chat(tmp_path):
    folder = tiny.causal(tmp_path / "chat")
    (folder / "chat_template.jinja").write_text(
        "<s>{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    )
    files = Files(tmp_path / "run", folder, PAIRS, QUERIES, POOL, "--chat")
    files.plan()
    row = files.score("s.parquet").to_pylist()[0]
    query, shown = QUERIES_BY_ID[row["query_id"]], POOL_BY_ID[row["demonstration_id"]]
    model = LanguageModel(folder, "float32", chat=True)
    context = prompt.build(
        prompt.INSTRUCTIONS[query.task], [prompt.render(shown)], prompt.query(query)
    )
    pair = model.pieces.whole(context, prompt.answer(query))
    text = model.pieces.tokenizer.decode(pair.ids)
    assert text.startswith("<s>[user]Please")
    assert text.endswith(f"Output:[assistant]{prompt.answer(query)}")
    assert row["score"] == pytest.approx(tiny.log_likelihoods(folder, [pair])[0], abs=1e-4)


def test_any_number_of_shards_gives_the_same_bytes(files):
    table = files.plan("--batch-tokens", "4")  # 64 tokens of work a window: several windows
    assert table["window"].to_pylist()[-1] >= 3
    whole = files.score("whole.parquet", "--batch-tokens", "64", held="a")
    for n in (2, 5, 11):  # 11: some shards are empty
        parts = [
            files.score(f"{i}.parquet", "--shard", str(i), "--shards", str(n),
                        "--batch-tokens", "64", held=f"of{n}")
            for i in range(n)
        ]  # fmt: skip
        assert gather.run(table, parts).equals(gather.run(table, [whole]))
    with pytest.raises(UserError, match="--shard 8 is not one of 8"):
        files.score("x.parquet", "--shard", "8", "--shards", "8")


def test_what_is_stored_is_not_scored_again(files, monkeypatch, caplog):
    caplog.set_level("INFO")
    files.plan()
    first = files.score("a.parquet")
    with monkeypatch.context() as m:
        m.setattr("ruie.lm.LanguageModel", None)  # no model is needed
        assert files.score("b.parquet").equals(first)
    assert "8 pairs, all in the store" in caplog.text
    # one more candidate: only that is scored, whatever else has been
    more = Files(files.where, files.folder, [*PAIRS, ("q3", "p1")])
    more.plan()
    caplog.clear()
    again = more.score("c.parquet")
    assert "9 pairs, 8 of them in the store; 1 prompts to score, in float32" in caplog.text
    key = ["query_id", "demonstration_id"]
    old = {tuple(r[k] for k in key): r for r in first.to_pylist()}
    new = {tuple(r[k] for k in key): r for r in again.to_pylist()}
    assert {k: v for k, v in new.items() if k in old} == old
    assert len(new) == 9


def test_another_model_finds_nothing(files, tmp_path, caplog):
    caplog.set_level("INFO")
    files.plan()
    first = files.score("a.parquet")
    other = Files(files.where, tiny.causal(tmp_path / "other", "gpt_neox"))
    other.plan()
    caplog.clear()
    second = other.score("b.parquet")
    assert "8 pairs, 0 of them in the store" in caplog.text
    assert first["score"].to_pylist() != second["score"].to_pylist()
    assert len(list((files.where / "store").iterdir())) == 2


def test_the_answer_is_part_of_the_key(files):
    rows = files.plan().slice(0, 1)
    changed = {k: e._replace(annotations=()) for k, e in QUERIES_BY_ID.items()}
    keys = {
        score.Texts(rows, queries, POOL_BY_ID, form).keys(frame)[0]
        for queries in (QUERIES_BY_ID, changed)
        for form in (Form(), Form(quotes=True))
        for frame in (("", ""), ("a", "b"), ("ab", ""))
    }
    assert len(keys) == 2 * 2 * 3


def many(where, folder):
    queries = [tiny.sample(f"q{i}", f"Alice number {i} visited Berlin.", ("person", "Alice"))
               for i in range(12)]  # fmt: skip
    pool = [tiny.sample(f"p{i}", f"Bob has {i} friends in Paris.", ("person", "Bob"))
            for i in range(12)]  # fmt: skip
    return Files(where, folder, [(q.id, d.id) for q in queries for d in pool], queries, pool)


def test_killed_anywhere_it_ends_the_same(tmp_path, folder):
    files = many(tmp_path / "run", folder)
    files.plan("--batch-tokens", "60")
    small = ("--batch-tokens", "60")
    whole = files.score("whole.parquet", *small, held="undisturbed")
    before = 0
    for stop in (1, 9, 30):  # killed after so many further batches, a moment later or earlier
        command = [sys.executable, "-m", "ruie.score", *files.words("killed.parquet", *small)]
        job = subprocess.Popen(command, env=tiny.environment(), stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 100
            while job.poll() is None and time.monotonic() < end:
                if len(list((files.where / "store").glob("*/*.parquet"))) >= before + stop:
                    break
                time.sleep(0.002)
        finally:
            os.kill(job.pid, signal.SIGKILL)
            assert job.wait() == -signal.SIGKILL  # it was still at work
        before = len(list((files.where / "store").glob("*/*.parquet")))
        assert not (files.where / "killed.parquet").exists()
    held = sum(map(len, map(parquet.read_any, (files.where / "store").glob("*/*.parquet"))))
    assert 0 < held < whole.num_rows
    assert files.score("killed.parquet", *small).equals(whole)
    rows = [parquet.read_any(p) for p in (files.where / "store").glob("*/*.parquet")]
    keys = [k for table in rows for k in table["key"].to_pylist()]
    assert len(keys) == len(set(keys)) == whole.num_rows  # nothing was scored twice


def test_scores_that_are_not_finite_are_an_error_after_the_others_are_kept(files, folder, model):
    class Overflowing:
        """The third pair of each window has no score."""

        pieces, useful, computed, halved = model.pieces, 0, 0, 0

        def score(self, pairs, wanted=None):
            for positions, means in model.score(pairs, wanted):
                bad = (math.nan, -math.inf)[len(pairs) % 2]
                yield positions, [bad if p == 2 else m
                                  for p, m in zip(positions, means, strict=True)]  # fmt: skip

    rows = files.plan()
    texts = score.Texts(rows, QUERIES_BY_ID, POOL_BY_ID, Form())
    held = store.Store(files.where / "store", "0" * 32, {})
    run = score.Run(texts, texts.keys(("", "")), held)
    assert sum(run.score(Overflowing())) == 8
    third = rows.to_pylist()[2]
    name = f"{third['query_id']} with {third['demonstration_id']}"
    with pytest.raises(UserError, match=f"1 scores are not finite, first {name}; use another"):
        run.table()
    assert len(held.find(run.keys)) == 7


def test_a_model_that_cannot_share_is_refused(files, model):
    texts = score.Texts(files.plan(), QUERIES_BY_ID, POOL_BY_ID, Form())
    run = score.Run(texts, texts.keys(("", "")), store.Store(files.where / "s", "0" * 32, {}))

    class Other:
        pieces, useful, computed, halved = model.pieces, 0, 0, 0

        def score(self, pairs, wanted=None):
            yield from model.score(pairs, wanted)

        def reference(self, pair):
            return model.reference(pair) - 0.01

    with pytest.raises(UserError, match="with shared prefixes, .* without; this model cannot"):
        score.check(run, Other(), run.missing(), "float32")
    assert score.check(run, model, run.missing(), "float32") > 0


def test_an_unknown_id_is_named(files):
    rows = files.plan()
    with pytest.raises(UserError, match="the plan: query .q1. is not in its table"):
        score.Texts(rows, {}, POOL_BY_ID, Form())


def test_durations():
    assert [cli.duration(s) for s in (0, 59.4, 61, 3600, 7505)] == [
        "0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip
