"""Model cards: what they say is what the training read and did."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tiny
import yaml
from trainings import retriever

from ruie import parquet, schemas


def parts(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_cards_of_both(data, trained):
    folder, reward_log, retriever_log = trained
    for name, log, base in (("reward", reward_log, "cross"), ("retriever", retriever_log, "bert")):
        head, body = parts(folder / name)
        assert head["base_model"] == base
        assert head["library_name"] == "sentence-transformers"
        # 12 queries, none held aside; all are of one made-up dataset
        assert "12 queries and " in body
        # a query has 14 candidates: 3 positives and the last 6 but those with its own answer
        pairs = int(re.search(r"in (\d+) pairs", body)[1])
        assert 12 * 4 <= pairs <= 12 * 9
        assert "0 queries were held aside" in body
        assert "| NER | toy | 12 |" in body
        first, last = (f"{log[i]['loss']:.4f}" for i in (0, -1))
        assert f"| loss | {first} | {last} |" in body
        assert "mrr |" not in body
        assert "| --learning-rate | 0.002 |" in body
        assert "| --steps | 12 |" in body
        # nothing of this machine's folders
        assert str(data) not in body
        assert str(folder) not in body
    assert "| --tau | 0.1 |" in body
    assert "| distill |" in body


def test_what_is_odd_in_a_name_is_escaped(data, tmp_path):
    import shutil

    odd = tmp_path / 'a "b" | c: d'
    shutil.copytree(data / "bert", odd)
    retriever(data, tmp_path / "r", "--model", odd, "--query-prefix", "a | b\n`c`", "--watch", 5,
              steps=2)  # fmt: skip
    head, body = parts(tmp_path / "r")
    assert head["base_model"] == odd.name
    assert "| --query-prefix | a \\| b \\`c\\` |" in body
    log = parquet.read(tmp_path / "r.parquet", schemas.TRAINING).to_pylist()
    assert f"| mrr | {log[-1]['mrr']:.4f} | {log[-1]['mrr']:.4f} |" in body
    assert "11 queries and " in body
    assert "1 queries were held aside" in body


def snippets(folder, body, name):
    """What the card's ways of loading compute, each run as a user would."""
    out = []
    for code in re.findall(r"```python\n(.*?)```", body, re.DOTALL):
        code = code.replace("path/of/this/folder", str(folder))
        last = {"retriever": "query", "reward": "model.predict([(sample, sample)])"}[name]
        if "sentence_transformers" not in code:
            last = {"retriever": "vectors[0]", "reward": "scores"}[name]
        done = tiny.python("-c", f"{code}\nprint(({last}).tolist())")
        assert done.returncode == 0, done.stderr
        out.append([float(x) for x in done.stdout.strip().splitlines()[-1][1:-1].split(",")])
    return out


@pytest.mark.parametrize("options", [[], ["--pooling", "cls", "--no-normalize"]])
def test_what_the_retrievers_card_tells_users_to_run(data, tmp_path, options):
    # the prefix has what would end a code block or a string, and ends with a blank
    retriever(data, tmp_path / "r", *options, "--query-prefix", 'Peru 🙂```"\n: ', steps=2)
    _, body = parts(tmp_path / "r")
    known, plain = snippets(tmp_path / "r", body, "retriever")
    np.testing.assert_allclose(plain, known, atol=1e-5)
    assert (abs(np.linalg.norm(plain) - 1) < 1e-5) == (not options)


def test_what_the_reward_models_card_tells_users_to_run(trained):
    folder = trained[0] / "reward"
    known, plain = snippets(folder, parts(folder)[1], "reward")
    assert known == pytest.approx(plain, abs=1e-5)
