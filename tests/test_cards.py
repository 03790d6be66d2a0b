"""Model cards: what they say is what the training read and did."""

from __future__ import annotations

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
