"""What both trainings read: who is held aside, and whose texts are needed."""

from __future__ import annotations

import pyarrow as pa
from trainings import arguments

from ruie import aside, groups, parquet, schemas, train_reward, training


def test_queries_are_held_aside_by_the_llm_s_table(data, tmp_path):
    """The reward model may have ranked queries that the LLM could not score."""
    words = [*arguments(data, "cross", tmp_path / "r", "--watch", 5), "--queries",
             data / "pool.parquet"]  # fmt: skip
    args = train_reward.parser().parse_args([str(w) for w in words])
    rows = parquet.read(data / "scores.parquet", schemas.SCORES)
    preference = groups.Rankings(rows, "score")
    # 12 queries of the LLM's, and 12 more that are ranked as these are
    more = [f"e{int(q[1:]) + 12}" for q in rows["query_id"].to_pylist()]
    others = rows.set_column(0, "query_id", pa.array(more))
    wider = groups.Rankings(pa.concat_tables([rows, others]), "score")
    (hidden,) = aside.held_aside(preference.queries, 5, 5)
    assert len(aside.held_aside(wider.queries, 5, 5)) == 2
    found = training.read(args, wider, preference)
    assert [r.query_id for r in found.watched] == [hidden]
    assert {c.query_id for c in found.members} == set(wider.queries) - {hidden}
    drawn = {d for c in found.members for d in (*c.positives, *c.negatives)}
    assert set(found.shown) == drawn | set(found.watched[0].demonstrations)
    assert set(found.asked) == set(wider.queries)
