"""BM25 over real Lucene indexes, always in processes of their own (the Java machine stays out of
the tests' process)."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny

from ruie import parquet, prompt, schemas

RELATIONS = ("works for", "lives in")
POOL = [
    tiny.sample("n1", "Alice Smith visited Berlin on Monday.", ("person", "Alice Smith")),
    tiny.sample("n2", "Oil prices rose in London.", ("location", "London")),
    tiny.sample("n3", "The harbour of Berlin was closed.", ("location", "Berlin"), dataset="wiki"),
    tiny.sample("n4", "Nothing happened here at all today.", dataset="wiki"),
    tiny.sample("r1", "Alice visited Berlin and works for Acme.", ("works for", "Alice", "Acme"),
                task="RE", dataset="rel", schema=RELATIONS),
    tiny.sample("r2", "Bob lives in Lima.", ("lives in", "Bob", "Lima"), task="RE", dataset="rel",
                schema=RELATIONS),
    # the same text to Lucene, which drops case and punctuation, but not the same sentence
    *(tiny.sample(f"t{i:02}", f"Rebels attacked the bridge{'!' * (i + 1)}", dataset="tie")
      for i in reversed(range(30))),
]  # fmt: skip
QUERIES = [
    tiny.sample("q1", "alice  SMITH visited Berlin on Monday."),  # n1 but for case and spacing
    tiny.sample("q2", "Bob works for Shell in Lima.", task="RE", dataset="rel", schema=RELATIONS),
    tiny.sample("q3", "Rebels attacked a bridge.", dataset="tie"),
    tiny.sample("q4", '(AND) Berlin + "harbour* : [x TO y]~2 \\ ^', dataset="wiki"),
]
LONG = tiny.sample("long", " ".join(f"word{i}" for i in range(3000)) + " harbour")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pool and queries, and the indexes that ``python -m ruie.bm25`` writes of them."""
    folder = tmp_path_factory.mktemp("bm25")
    tiny.write_examples(POOL, folder / "pool.parquet")
    tiny.write_examples(QUERIES, folder / "queries.parquet")
    tiny.write_examples([LONG], folder / "long.parquet")
    for within in ("mixed", "task", "dataset"):
        done = tiny.python("-m", "ruie.bm25", "--pool", folder / "pool.parquet", "--range", within,
                           "--out", folder / "index" / within)  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    return folder


def retrieve(folder, *more, queries="queries.parquet", command=("-m", "ruie.retrieve")):
    within = more[more.index("--range") + 1] if "--range" in more else "mixed"
    out = folder / "out.parquet"
    out.unlink(missing_ok=True)
    done = tiny.python(*command, "--retriever", "bm25", "--queries", folder / queries,
                       "--pool", folder / "pool.parquet", "--index",
                       folder / "index" / within, *more, "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return parquet.read(out, schemas.CANDIDATES).to_pylist()


def of(rows, query):
    return [r for r in rows if r["query_id"] == query]


@pytest.fixture(scope="module")
def mixed(folder):
    return retrieve(folder, "--depth", "100")


def test_one_index_for_each_part_of_each_range(folder):
    assert sorted(str(p.relative_to(folder / "index")) for p in folder.glob("index/*/*")) == [
        "dataset/dataset-rel", "dataset/dataset-tie", "dataset/dataset-toy",
        "dataset/dataset-wiki", "mixed/mixed", "task/task-NER", "task/task-RE",
    ]  # fmt: skip
    left = {p.name for p in folder.iterdir()} - {"out.parquet"}
    assert left == {"pool.parquet", "queries.parquet", "long.parquet", "index"}


def test_queries_in_order_ranks_from_0_and_scores_falling(mixed):
    assert list(dict.fromkeys(r["query_id"] for r in mixed)) == ["q1", "q2", "q3", "q4"]
    for q in QUERIES:
        rows = of(mixed, q.id)
        assert [r["rank"] for r in rows] == list(range(len(rows)))
        scores = [r["score"] for r in rows]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > 0
    # the words decide: "alice", "visited" and "berlin" point to r1, "harbour" and "berlin" to n3
    assert of(mixed, "q1")[0]["demonstration_id"] == "r1"
    assert of(mixed, "q4")[0]["demonstration_id"] == "n3"
    assert {r["demonstration_id"] for r in of(mixed, "q2")[:2]} == {"r1", "r2"}


def test_the_query_itself_is_left_out_whatever_its_case_and_spacing(mixed):
    found = {r["demonstration_id"] for r in of(mixed, "q1")}
    assert "n1" not in found
    assert len(found) > 3
    assert "n1" in {r["demonstration_id"] for r in of(mixed, "q4")}  # another query may have it


def test_ties_are_broken_by_id_also_at_the_cut(folder, mixed):
    ties = [f"t{i:02}" for i in range(30)]
    assert [r["demonstration_id"] for r in of(mixed, "q3")[:30]] == ties
    # 30 documents tie, of which 5 are kept: the 5 first ids, though they were indexed last
    few = of(retrieve(folder, "--depth", "5"), "q3")
    assert [r["demonstration_id"] for r in few] == ties[:5]
    assert len({round(r["score"], 3) for r in few}) == 1


def test_the_range_task_looks_into_its_own_index(folder, mixed):
    rows = retrieve(folder, "--depth", "100", "--range", "task")
    for q in QUERIES:
        kinds = {r["demonstration_id"][0] for r in of(rows, q.id)}
        assert kinds == ({"r"} if q.task == "RE" else {"n", "t"})
    # of two RE samples both share "lives in" and "works for" (their schema), which are rare words
    # in the mixed pool: the statistics, and so the scores, differ
    scores = [{r["demonstration_id"]: r["score"] for r in of(t, "q2")} for t in (rows, mixed)]
    assert scores[0]["r2"] < scores[1]["r2"] - 0.5


def test_k1_and_b_reach_lucene(folder, mixed):
    rows = retrieve(folder, "--depth", "100", "--k1", "0.1", "--b", "1")
    assert of(rows, "q2")[0]["score"] != pytest.approx(of(mixed, "q2")[0]["score"], abs=1e-3)


def test_a_query_of_3000_distinct_words_does_not_crash(folder):
    rows = retrieve(folder, "--depth", "4", queries="long.parquet")
    assert len(rows) == 4
    assert rows[0]["demonstration_id"] == "n3"  # the one with a harbour


@pytest.mark.parametrize("within", ["mixed", "dataset"])
def test_queries_searched_one_at_a_time_find_the_same(folder, within):
    one = "from ruie import retrieve; retrieve.AT_ONCE = 1; retrieve.main()"
    options = ("--depth", "3", "--range", within)
    rows = retrieve(folder, *options, command=("-c", one))
    assert rows == retrieve(folder, *options)
    assert len({r["query_id"] for r in rows}) == len(QUERIES)


def test_a_range_that_the_pool_does_not_hold_is_a_user_error(folder):
    other = tiny.sample("q", "Someone said something.", dataset="unknown")
    tiny.write_examples([other], folder / "other.parquet")
    done = tiny.python("-m", "ruie.retrieve", "--retriever", "bm25", "--queries",
                       folder / "other.parquet", "--pool", folder / "pool.parquet", "--index",
                       folder / "index/dataset", "--range", "dataset", "--out",
                       folder / "none.parquet")  # fmt: skip
    (folder / "other.parquet").unlink()
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "dataset-unknown" in done.stderr
    assert not (folder / "none.parquet").exists()


PYSERINI = """
import json, sys
from ruie.bm25 import start_java
start_java()
from pyserini.search.lucene import LuceneSearcher
searcher = LuceneSearcher(sys.argv[1])
searcher.set_bm25(0.9, 0.4)
print(json.dumps([[[h.docid, h.score] for h in searcher.search(q, 100)]
                  for q in json.loads(sys.argv[2])]))
"""


def test_scores_equal_pyserinis_searcher(folder, mixed):
    texts = [prompt.render(q, ("task", "schema", "input")) for q in QUERIES]
    done = tiny.python("-c", PYSERINI, folder / "index" / "mixed" / "mixed", json.dumps(texts),
                       env=tiny.environment(OPENAI_API_KEY="none"))  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.strip().split("\n")[-1])
    for q, hits in zip(QUERIES, theirs, strict=True):
        want = {d: s for d, s in hits if (q.id, d) != ("q1", "n1")}
        ours = {r["demonstration_id"]: r["score"] for r in of(mixed, q.id)}
        assert ours == pytest.approx(want, abs=1e-5)


def test_an_index_that_is_not_whole_is_a_user_error(folder, tmp_path):
    """As a full disk leaves it: documents, and no list of segments."""
    broken = tmp_path / "mixed"
    shutil.copytree(folder / "index/mixed", broken)
    for path in broken.glob("mixed/segments*"):
        path.unlink()
    done = tiny.python("-m", "ruie.retrieve", "--retriever", "bm25", "--queries",
                       folder / "queries.parquet", "--pool", folder / "pool.parquet",
                       "--index", broken, "--range", "mixed", "--out", tmp_path / "o")  # fmt: skip
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"error: {broken / 'mixed'}: no whole index (")


def test_the_line_of_labels_adds_its_words_to_the_query(folder):
    """BM25 is a sum over words, so what two texts score is what they score one after the other."""

    def scores(*fields):
        rows = of(retrieve(folder, "--depth", "100", "--query-fields", *fields), "q2")
        return {r["demonstration_id"]: r["score"] for r in rows}

    sample = scores("task", "schema", "input")
    assert sample == {r["demonstration_id"]: r["score"] for r in of(retrieve(folder), "q2")}
    labels, both = scores("labels"), scores("labels", "task", "schema", "input")
    assert labels["r1"] > 0
    for i, score in both.items():
        assert score == pytest.approx(labels.get(i, 0) + sample.get(i, 0), rel=1e-5)


def test_an_index_of_labels_alone(folder, tmp_path):
    done = tiny.python("-m", "ruie.bm25", "--pool", folder / "pool.parquet", "--fields", "labels",
                       "--out", tmp_path / "index")  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = retrieve(folder, "--query-fields", "labels", "--index", tmp_path / "index")
    # no label and no word of a task is in both: q2 asks for relations, q1 for entities
    assert {r["demonstration_id"] for r in of(found, "q2")} == {"r1", "r2"}
    entities = {e.id for e in POOL if e.task == "NER"}
    assert {r["demonstration_id"] for r in of(found, "q1")} == entities - {"n1"}
