"""The stage on tiny models: table, texts, and the way by hand."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sft_samples import EEA, EET, NER, RE

from ruie import evaluate, parquet, schemas
from ruie.backends import Answer
from ruie.cli import UserError
from ruie.sft import by_hand, infer

QUERIES = [NER, NER._replace(id="n2", schema=tuple("abcdefghi"))]


@pytest.fixture
def queries(tmp_path):
    return tiny.write_examples(QUERIES, tmp_path / "test.parquet")


def arguments(tmp_path, queries, name, model):
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out.parquet"
    return ["--queries", str(queries), "--format", name, "--model", str(model), "--system", "mine",
            "--llm", "tiny", "--backend", "transformers", "--dtype", "float32", "--max-new", "6",
            "--texts", str(texts), "--out", str(out)]  # fmt: skip


@pytest.mark.parametrize(("name", "prompts"), [("uie", 2), ("instructuie", 2), ("iepile", 3)])
def test_a_model_answers_and_is_scored(tmp_path, queries, name, prompts):
    """Nine labels take two prompts of IEPile (6 and 3), three take one."""
    make = tiny.causal if name == "iepile" else tiny.seq2seq
    infer.main(arguments(tmp_path, queries, name, make(tmp_path / "model")))
    table = parquet.read(tmp_path / "out.parquet", schemas.PREDICTIONS).to_pandas()
    assert table["query_id"].tolist() == ["n", "n2"]
    assert set(table["k"]) == {0}
    assert set(table["system"]) == {"mine"}
    assert table["query"][0].startswith("Task: Named Entity Recognition\nSchema: [person, place")
    assert table["gold"][0] == "person: Bob; place: Paris, Texas."
    assert table["error"].isna().all()
    lines = [json.loads(s) for s in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert [(r["query_id"], r["part"]) for r in lines][: prompts - 1] == [
        ("n", 0), ("n2", 0), ("n2", 1)
    ][: prompts - 1]  # fmt: skip
    assert len(lines) == prompts
    # the same scorer; the texts read again give the same table
    evaluate.main(["--predictions", str(tmp_path / "out.parquet"), "--scorer", "strict", "official",
                   "--resamples", "0", "--out", str(tmp_path / "metrics.parquet")])  # fmt: skip
    assert len(pd.read_parquet(tmp_path / "metrics.parquet")) == 2
    twin = tmp_path / "again.parquet"
    by_hand.main(["--queries", str(queries), "--format", name, "--texts",
                  str(tmp_path / "texts.jsonl"), "--out", str(twin)])  # fmt: skip
    again = pd.read_parquet(twin)
    assert again["prediction"].tolist() == table["prediction"].tolist()


def test_a_task_is_refused_before_a_model_is_loaded(tmp_path):
    queries = tiny.write_examples([EET], tmp_path / "test.parquet")
    with pytest.raises(UserError, match="format yayi has no prompt for event detection"):
        infer.main(arguments(tmp_path, queries, "yayi", tmp_path / "nowhere"))


def test_vllm_is_refused_for_encoder_decoders(tmp_path, queries, capsys):
    words = arguments(tmp_path, queries, "uie", tmp_path / "nowhere")
    words[words.index("transformers")] = "vllm"
    with pytest.raises(SystemExit):
        infer.main(words)
    assert "encoder-decoder models need --backend transformers" in capsys.readouterr().err


def test_parts_are_merged():
    """Tokens are summed, the worst reason counts, an error of one part is the query's."""
    good = Answer('{"a": ["Bob"]}', 0, 10, 3, "stop")
    cut = Answer('{"b": ["Bob', 0, 12, 4, "length")
    wrong = Answer("", 0, 99, 0, "error", "too long")
    out, notes = infer.merged(
        [QUERIES[1], QUERIES[0], NER], [[good, cut], [good, wrong], [good]], "iepile"
    )
    assert out[0].text == '[unreadable] {"b": ["Bob; a: Bob.'
    assert (out[0].prompt_tokens, out[0].completion_tokens) == (22, 7)
    assert (out[0].finish_reason, out[0].error) == ("length", None)
    assert (out[1].text, out[1].error, out[1].finish_reason) == (
        "", "prompt 2 of 2: too long", "error",
    )  # fmt: skip
    assert out[2].text == "a: Bob."
    assert dict(notes) == {"not JSON": 1}


def hand(tmp_path, queries, *more):
    by_hand.main(["--queries", str(queries), "--format", "iepile", "--texts",
                  str(tmp_path / "texts.jsonl"), *more])  # fmt: skip


def test_prompts_by_hand_and_texts_back(tmp_path, queries):
    hand(tmp_path, queries)
    lines = [json.loads(s) for s in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert [r["text"] for r in lines] == [None] * 3
    assert lines[0]["prompt"] == infer.prompts(QUERIES, "iepile")[0][0]
    for r, text in zip(lines, ['{"person": ["Bob"]}', "{}", None], strict=True):
        r["text"] = text
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines[::-1])))
    hand(tmp_path, queries, "--out", str(tmp_path / "out.parquet"))
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert table["prediction"].tolist() == ["person: Bob.", ""]
    assert table["error"].isna().tolist() == [True, False]
    assert table["error"][1] == "prompt 2 of 2: the model gave no text"


LINES = [json.dumps({"query_id": q, "part": p, "text": "{}"})
         for q, p in (("n", 0), ("n2", 0), ("n2", 1))]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (LINES[:2], "lacks prompt 1 of query 'n2', and 0 more"),
        ([*LINES, LINES[0]], "#3: query 'n' has prompt 0 twice"),
        ([*LINES, LINES[0].replace('"n"', '"x"')], "#3: no prompt 0 of query 'x' was asked"),
        (["["], "#0: not a line of JSON"), (["[]"], "#0: not an object"),
        ([LINES[0].replace("0", "true")], "#0: needs query_id"),
        ([LINES[0].replace('"{}"', "{}")], "#0: needs query_id"),
    ],
)  # fmt: skip
def test_texts_that_do_not_fit_are_one_line(tmp_path, lines, says):
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    asked = infer.prompts(QUERIES, "iepile")
    with pytest.raises(UserError, match=says):
        by_hand.read_texts(tmp_path / "t.jsonl", QUERIES, asked)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        by_hand.read_texts(tmp_path / "none.jsonl", QUERIES, infer.prompts(QUERIES, "iepile"))


@given(at=st.integers(0, 130), cut=st.integers(0, 40), put=st.binary(max_size=6))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_of_texts_is_read_or_refused(tmp_path, at, cut, put):
    whole = "\n".join(LINES).encode()
    (tmp_path / "t.jsonl").write_bytes(whole[:at] + put + whole[at + cut :])
    try:
        parts = by_hand.read_texts(tmp_path / "t.jsonl", QUERIES, infer.prompts(QUERIES, "iepile"))
    except UserError:
        return
    assert [len(p) for p in parts] == [1, 2]


def test_all_tasks_of_instructuie_are_asked():
    asked = infer.prompts([NER, RE, EET, EEA], "instructuie")
    assert [len(each) for each in asked] == [1, 1, 1, 1]
