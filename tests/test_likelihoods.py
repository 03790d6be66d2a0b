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


def test_intervals_are_of_the_same_queries(tmp_path):
    """Values far apart, differences that are not: only a paired resample tells them."""
    spread = [float(v) for v in range(0, -200, -5)]
    found = run(
        tmp_path,
        scores("bm25", "film", spread), scores("ruie", "film", [v - 10 for v in spread]),
        scores("bm25", "news", spread), scores("ruie", "news", [v + 4 for v in spread]),
        scores("bm25", "tied", spread, task="RE"),
        scores("ruie", "tied", [v + (-1) ** i for i, v in enumerate(spread)], task="RE"),
    )  # fmt: skip
    film = chosen(found, system="ruie", dataset="film", queries="all")
    assert (film["low"], film["high"]) == pytest.approx((-10, -10))
    assert film["p"] == pytest.approx(2 / 201)
    # around the system's own mean, not the reference's: 10 apart, 0 to -195 in 40 steps of 5 has a
    # deviation of 57.7, a mean of 40 one of 9.1
    assert film["score_low"] < film["score"] < film["score_high"]
    reference = chosen(found, system="bm25", dataset="film", queries="all")
    for end in ("score", "score_low", "score_high"):
        assert film[end] == pytest.approx(reference[end] - 10)
    assert film["score_high"] - film["score_low"] == pytest.approx(4 * 9.1, rel=0.2)
    # two datasets drawn each by itself: 1 / sqrt 2 of the width
    average = chosen(found, system="ruie", task="NER", dataset="average", queries="all")
    width = average["score_high"] - average["score_low"]
    assert width == pytest.approx(4 * 9.1 / 2**0.5, rel=0.2)
    assert (average["low"], average["high"]) == pytest.approx((-3, -3))
    # as often above as below
    tied = chosen(found, system="ruie", dataset="tied", queries="all")
    assert tied["difference"] == pytest.approx(0)
    assert tied["low"] < 0 < tied["high"]
    assert tied["p"] > 0.5


def test_the_seed_draws_and_other_systems_do_not(tmp_path):
    parts = [scores(s, "film", [float(-((7 * i + n) % 13)) for i in range(20)])
             for n, s in enumerate(("bm25", "ruie", "random"))]  # fmt: skip

    def ruie(*more, systems=("bm25", "ruie", "random")):
        kept = [part for part in parts if part[0]["system"] in systems]
        found = run(tmp_path, *kept, systems=systems, more=more)
        return chosen(found, system="ruie", dataset="film", queries="all")

    first = ruie("--seed", "1")
    assert ruie("--seed", "1") == first
    assert ruie("--seed", "1", systems=("ruie", "bm25")) == first
    other = ruie("--seed", "2")
    assert (other["low"], other["high"]) != (first["low"], first["high"])
    assert other["difference"] == first["difference"]


def test_what_has_no_score_is_left_out_for_all(tmp_path, caplog):
    found = run(
        tmp_path, scores("bm25", "film", [-1.0, None]), scores("ruie", "film", [-2.0, None])
    )
    assert chosen(found, system="ruie", dataset="film", queries="all")["n"] == 1
    assert "2 rows have no score and are left out, first film/001 of bm25: too lo" in caplog.text


def test_what_cannot_be_compared_is_one_line(tmp_path):
    film = scores("bm25", "film", [-1.0, -2.0])
    with pytest.raises(UserError, match=r"film/000: bm25 \(k = 4\) has it twice; give each run"):
        run(tmp_path, film, film)
    with pytest.raises(UserError, match="film/001: ruie has no score of it, others do; give runs"):
        run(tmp_path, film, scores("ruie", "film", [-1.0]))
    with pytest.raises(UserError, match="news/000: ruie has no score of it, others do; give runs"):
        run(tmp_path, film, scores("bm25", "news", [-1.0]), scores("ruie", "film", [-1.0, -1.0]))
    with pytest.raises(UserError, match=r"--reference oracle: is none of \['bm25', 'ruie'\]"):
        run(tmp_path, film, reference="oracle")
    with pytest.raises(UserError, match="ruie has no score with k = 4 of lm; give it, too"):
        run(tmp_path, film)
    at_8 = scores("bm25", "film", [-1.0, -2.0], k=8)
    with pytest.raises(UserError, match="ruie has no score with k = 8 of lm; give it, too"):
        run(tmp_path, film, scores("ruie", "film", [-1.0, -1.0]), at_8)
    with pytest.raises(UserError, match="--systems lacks bm25, which has scores; name it"):
        run(tmp_path, film, systems=("ruie",), reference="ruie")
    with pytest.raises(UserError, match="--systems bm25 bm25: names one twice; name each once"):
        run(tmp_path, film, systems=("bm25", "bm25"))
    with pytest.raises(UserError, match="no row has a score; give other runs"):
        run(tmp_path, scores("bm25", "film", [None]))
    with pytest.raises(UserError, match="film/000: its task is POS; give one of"):
        run(tmp_path, scores("bm25", "film", [-1.0], task="POS"))
    unsaid = [row | {"answered": None} for row in scores("ruie", "film", [-1.0])]
    with pytest.raises(UserError, match="film/000: ruie does not say whether it has an answer; ru"):
        run(tmp_path, scores("bm25", "film", [-1.0]), unsaid)
