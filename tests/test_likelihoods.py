"""Means of likelihoods, and differences from a reference."""

from __future__ import annotations

import pytest

from ruie import likelihoods, parquet, schemas
from ruie.cli import UserError


def scores(system, dataset, values, task="NER", k=4, unanswered=0):
    """A row for each value; the last ``unanswered`` have no answer."""
    return [
        {"query_id": f"{dataset}/{i:03d}", "system": system, "llm": "lm", "k": k, "task": task,
         "dataset": dataset, "answered": i < len(values) - unanswered, "used": k,
         "prompt_tokens": 9, "tokens": 3, "score": value}
        for i, value in enumerate(values)
    ]  # fmt: skip


def run(tmp_path, *parts, systems=("bm25", "ruie"), reference="bm25", more=()):
    paths = []
    for i, part in enumerate(parts):
        paths.append(str(tmp_path / f"{i}.parquet"))
        parquet.write(part, schemas.LIKELIHOOD, paths[-1])
    out = tmp_path / "out.parquet"
    likelihoods.main(["--tables", *paths, "--systems", *systems, "--reference", reference,
                      "--resamples", "200", "--out", str(out), *more])  # fmt: skip
    return parquet.read(out, schemas.LIKELIHOODS).to_pylist()


def chosen(rows, **wanted):
    found = [r for r in rows if all(r[name] == value for name, value in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_means_and_averages(tmp_path):
    found = run(
        tmp_path,
        scores("bm25", "film", [-1.0, -3.0, -2.0], unanswered=1),  # answered: -2, all: -2
        scores("ruie", "film", [-1.0, -2.0, -6.0], unanswered=1),  # answered: -1.5, all: -3
        scores("bm25", "news", [-4.0, -6.0]),  # -5
        scores("ruie", "news", [-3.0, -5.0]),  # -4
        scores("bm25", "events", [-1.0, -1.0], task="EET"),
        scores("ruie", "events", [-2.0, -2.0], task="EET"),
        more=["--held-out"],
    )
    film = chosen(found, system="ruie", dataset="film", queries="all")
    assert (film["n"], film["score"], film["difference"]) == (3, -3.0, -1.0)
    assert (film["reference"], film["held_out"]) == ("bm25", True)
    assert film["low"] <= film["difference"] <= film["high"]
    answered = chosen(found, system="ruie", dataset="film", queries="answered")
    assert (answered["n"], answered["score"], answered["difference"]) == (2, -1.5, 0.5)
    without = chosen(found, system="ruie", dataset="film", queries="unanswered")
    assert (without["n"], without["score"], without["difference"]) == (1, -6.0, -4.0)
    # the task's datasets: (-3 - 4) / 2 and (-2 - 5) / 2; only film has queries without an answer
    ner = chosen(found, system="ruie", task="NER", dataset="average", queries="all")
    assert (ner["n"], ner["score"], ner["difference"]) == (5, -3.5, 0.0)
    gone = chosen(found, system="ruie", task="NER", dataset="average", queries="unanswered")
    assert (gone["n"], gone["score"]) == (1, -6.0)
    # the tasks: (-3.5 - 2) / 2 and (-3.5 - 1) / 2
    whole = chosen(found, system="ruie", task="all", queries="all")
    assert (whole["n"], whole["score"], whole["difference"]) == (7, -2.75, -0.5)
    events = chosen(found, system="ruie", dataset="events", queries="all")
    # always 1 below: no spread, and no resample on the other side, 2 * (0 + 1) / (200 + 1)
    assert (events["low"], events["high"]) == (-1.0, -1.0)
    assert events["p"] == pytest.approx(2 / 201)
    reference = chosen(found, system="bm25", dataset="film", queries="all")
    nothing = ("reference", "difference", "low", "high", "p")
    assert [reference[name] for name in nothing] == [None] * 5
    assert reference["score_low"] <= -2.0 <= reference["score_high"]
    assert not [r for r in found if r["dataset"] == "news" and r["queries"] == "unanswered"]
    order = [r["system"] for r in found if r["dataset"] == "film" and r["queries"] == "all"]
    assert order == ["bm25", "ruie"]


def test_other_k_apart_and_no_intervals(tmp_path):
    found = run(
        tmp_path,
        scores("bm25", "film", [-1.0]), scores("ruie", "film", [-2.0]),
        scores("bm25", "film", [-5.0], k=8), scores("ruie", "film", [-3.0], k=8),
        more=["--resamples", "0"],
    )  # fmt: skip
    by_k = [chosen(found, system="ruie", dataset="film", k=k, queries="all") for k in (4, 8)]
    assert [r["difference"] for r in by_k] == [-1.0, 2.0]
    for name in ("score_low", "score_high", "low", "high", "p"):
        assert by_k[0][name] is None


def test_what_has_no_score_is_left_out_for_all(tmp_path, caplog):
    found = run(
        tmp_path, scores("bm25", "film", [-1.0, None]), scores("ruie", "film", [-2.0, None])
    )
    assert chosen(found, system="ruie", dataset="film", queries="all")["n"] == 1
    assert "2 scores are missing: these queries are too long" in caplog.text


def test_what_cannot_be_compared_is_one_line(tmp_path):
    film = scores("bm25", "film", [-1.0, -2.0])
    with pytest.raises(UserError, match=r"film/000: bm25 \(k = 4\) has it twice; give each run"):
        run(tmp_path, film, film)
    with pytest.raises(UserError, match="film/001: ruie has no score of it, others do; give runs"):
        run(tmp_path, film, scores("ruie", "film", [-1.0]))
    with pytest.raises(UserError, match=r"--reference oracle: is none of \['bm25', 'ruie'\]"):
        run(tmp_path, film, reference="oracle")
    with pytest.raises(UserError, match="k = 4, lm: ruie has no scores; give them too"):
        run(tmp_path, film, reference="ruie")
    with pytest.raises(UserError, match="--systems lacks bm25, which has scores; name it"):
        run(tmp_path, film, systems=("ruie",), reference="ruie")
