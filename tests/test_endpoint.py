"""Where an endpoint is, and what it is asked."""

from __future__ import annotations

import json

import pytest
import tiny

from ruie import cli, endpoint, infer
from ruie.backends import Settings
from ruie.cli import UserError
from ruie.endpoint import Endpoint

SETTINGS = Settings("endpoint", "m", max_new=9, stop=("\n",), seed=5)
HOSTED = "https://api.example/v1"


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("A_KEY", " sk-very-secret\n")


def test_the_key_comes_from_the_environment(key):
    assert endpoint.secret(Endpoint(HOSTED, "A_KEY")) == "sk-very-secret"
    assert endpoint.secret(Endpoint("http://192.0.2.1:8000/v1")) is None
    for own in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"):
        assert endpoint.secret(Endpoint(own, "A_KEY")) == "sk-very-secret"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://api.example/v1", "https alone"),
        ("http://127.0.0.1.example/v1", "https alone"),
        ("http://localhost@api.example/v1", "user name"),
        ("https://me:sk-very-secret@api.example/v1", "user name"),
        ("https://api.example/v1?key=sk-very-secret", "nothing else"),
        ("ftp://api.example/v1", "nothing else"),
        ("https://", "nothing else"),
        ("https://[/v1", "nothing else"),
        ("https://api.example:port/v1", "nothing else"),
    ],
)
def test_an_address_that_could_give_the_key_away_is_refused(key, url, says):
    with pytest.raises(UserError, match=says) as caught:
        endpoint.secret(Endpoint(url, "A_KEY"))
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", " \n", "sk very-secret", "sk\u00e9very-secret"])
def test_a_key_that_is_missing_or_none_is_one_line(monkeypatch, value):
    monkeypatch.delenv("A_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    with pytest.raises(UserError, match="^A_KEY: ") as caught:
        endpoint.secret(Endpoint(HOSTED, "A_KEY"))
    assert "very-secret" not in str(caught.value)


def test_what_is_sent():
    want = {"model": "m", "temperature": 0, "max_tokens": 9, "stop": ["\n"], "seed": 5}
    where = Endpoint(HOSTED + "/")
    assert endpoint.body(where, SETTINGS, "Hi") == {**want, "prompt": "Hi"}
    assert endpoint.address(where, SETTINGS) == HOSTED + "/completions"
    chat = Settings("endpoint", "m", max_new=9, chat=True, stop=(), seed=5)
    turns = {"messages": [{"role": "user", "content": "Hi"}]}
    del want["stop"]
    assert endpoint.body(where, chat, "Hi") == {**want, **turns}
    assert endpoint.address(where, chat) == HOSTED + "/chat/completions"
    more = Endpoint(HOSTED, extra={"seed": None, "thinking": {"type": "disabled"}})
    del want["seed"]
    assert endpoint.body(more, chat, "Hi") == {**want, **turns, "thinking": {"type": "disabled"}}


def test_tokens_are_counted_or_estimated(tmp_path):
    folder = tiny.causal(tmp_path)
    text = "Rebels attacked the harbour in Malmö."
    plain = endpoint.counter(Endpoint(HOSTED, tokenizer=str(folder)), SETTINGS)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert plain(text) == len(tokenizer(text)["input_ids"])
    # 37 characters, one of two bytes: 38 / 3, rounded up
    assert endpoint.counter(Endpoint(HOSTED), SETTINGS)(text) == 13
    chat = Settings("endpoint", "m", chat=True)
    assert endpoint.counter(Endpoint(HOSTED), chat)(text) == 13 + 32
    # a tokenizer without a template counts the text, and the estimate the template
    with_chat = endpoint.counter(Endpoint(HOSTED, tokenizer=str(folder)), chat)
    assert with_chat(text) == plain(text) + 32
    tokenizer.chat_template = "USER {{ messages[0].content }} MODEL "
    tokenizer.save_pretrained(tmp_path / "chat")
    exact = endpoint.counter(Endpoint(HOSTED, tokenizer=str(tmp_path / "chat")), chat)
    written = tokenizer(f"USER {text} MODEL ", add_special_tokens=False)
    assert exact(text) == len(written["input_ids"])


def flags(*words):
    needed = ["--queries", "q", "--k", "0", "--model", "m", "--out", "o"]
    return infer.parser().parse_args([*needed, *words])


def test_flags():
    assert endpoint.settings(flags()) is None
    where, settings = endpoint.settings(
        flags("--endpoint", HOSTED, "--key", "A_KEY", "--llm", "b", "--prices", "a=1,2", "b=3,4,.5",
              "--deadline", "9", "--tries", "2", "--extra", json.dumps({"top_k": 1}), "--chat")
    )  # fmt: skip
    assert where == Endpoint(HOSTED, "A_KEY", None, 8, 9.0, 2, (3.0, 4.0, 0.5), {"top_k": 1})
    assert (settings.model, settings.backend, settings.chat) == ("m", "endpoint", True)
    # prices are of an entry of the configuration: without one nothing is summed
    assert endpoint.settings(flags("--endpoint", HOSTED, "--prices", "a=1,2"))[0].prices == ()


def test_what_needs_the_models_probabilities_is_refused():
    with pytest.raises(cli.UserError, match="--constrained: not with --endpoint"):
        endpoint.settings(flags("--endpoint", HOSTED, "--constrained"))


@pytest.mark.parametrize(
    "words",
    [["--prices", "a=1"], ["--prices", "a=1,x"], ["--prices", "a=1,-2"], ["--prices", "1,2"],
     ["--prices", "a=nan,1"], ["--extra", "[1]"], ["--extra", "{"], ["--extra", "[" * 100_000],
     ["--extra", '{"x": NaN}'],
     ["--deadline", "0"], ["--deadline", "inf"], ["--deadline", "x"], ["--tries", "0"]],
)  # fmt: skip
def test_flags_that_mean_nothing_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        flags("--endpoint", HOSTED, *words)
    assert f"argument {words[0]}" in capsys.readouterr().err


def test_a_folder_of_the_models_name_makes_no_difference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    found = endpoint.settings(flags("--endpoint", HOSTED))
    assert found is not None
    assert found[1].model == "m"


def test_an_endpoint_is_no_back_end_of_timing():
    from ruie import speed

    assert not {"endpoint", "key"} & {a.dest for a in speed.parser()._actions}
    assert isinstance(speed.parser(), cli.Parser)
