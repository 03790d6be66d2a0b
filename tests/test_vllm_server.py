"""A real vLLM server on loopback, of a tiny model made on the fly.

It takes a minute or more to start, so it is asked for by name: `make test-serve`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from importlib import metadata

import pytest
import tiny
import torch
from transformers import AutoTokenizer, GenerationConfig

from ruie import asking, backends, prompt
from ruie.backends import Request, Settings
from ruie.cli import UserError
from ruie.endpoint import Endpoint

pytestmark = pytest.mark.serve

START_SECONDS = 550.0
NEW = 12
ENGINE = []
REQUESTS = [
    Request("Do it.", ["Input: Oil.\nOutput: None"], f"Input: {text}\nOutput:")
    for text in (*tiny.SENTENCES[:4], "Malmö, 東京 and 🙂.")
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    # vLLM's CPU attention knows no head as small as those of the other tests
    folder = tiny.causal(tmp_path_factory.mktemp("llama"), head_dim=64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}USER {{ m.content }} END {% endfor %}"
        "{% if add_generation_prompt %}MODEL {% endif %}"
    )
    tokenizer.save_pretrained(folder)
    # a further end of text, as Llama 3 has one for chats: what the first prompt says fourth
    plain = backends.load(Settings("transformers", str(folder), "float32", 200, NEW))
    ids = backends.token_ids(tokenizer, False, prompt.build("Do it.", *parts(REQUESTS[0])))
    new = plain.model.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False)
    GenerationConfig(
        bos_token_id=1, pad_token_id=0, eos_token_id=[2, int(new[0, -1])]
    ).save_pretrained(folder)
    return folder


def parts(request):
    return request.demonstrations, request.query


def command():
    """`vllm serve`, or what it runs: under the CPU build, a package of another name, the command
    itself fails at looking its version up."""
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return ["vllm.entrypoints.openai.api_server", "--model"]
    return ["vllm.entrypoints.cli.main", "serve"]


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    pytest.importorskip("vllm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "server.log"
    with open(log, "wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", *command(), str(model), "--served-model-name", "tiny",
             "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32",
             "--max-model-len", "256", "--enforce-eager", "--enable-prompt-tokens-details"],
            stdout=out, stderr=out, start_new_session=True,
            env=tiny.environment(VLLM_API_KEY="own", VLLM_CPU_KVCACHE_SPACE="1",
                                 VLLM_NO_USAGE_STATS="1"),
        )  # fmt: skip
    try:
        limit = time.monotonic() + START_SECONDS
        while True:
            assert server.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < limit, log.read_text()[-4000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=10)


@pytest.mark.parametrize("chat", [False, True])
def test_the_server_answers_as_the_model_does_here(model, url, tmp_path, monkeypatch, chat):
    monkeypatch.setenv("A_KEY", "own")
    own = Settings("transformers", str(model), "float32", 200, NEW, chat, ("\n",))
    want = backends.answer(backends.load(own), own, REQUESTS)
    where = Endpoint(url, "A_KEY", str(model))
    asked = Settings("endpoint", "tiny", max_input=200, max_new=NEW, chat=chat)
    found = asking.answer(where, asked, REQUESTS, tmp_path / "journal")
    assert [a.error for a in found] == [None] * len(REQUESTS)
    # the prompt is the same to the token; so is the text, both greedy in float32, but for half a
    # character at its end, which a server keeps back
    assert [a.prompt_tokens for a in found] == [a.prompt_tokens for a in want]
    assert [a.text.rstrip("\ufffd") for a in found] == [a.text.rstrip("\ufffd") for a in want]
    assert len({a.text for a in found}) == len(REQUESTS)
    assert {a.finish_reason for a in found} <= {"stop", "length"}
    # a server and this process count the same tokens, the end's own included
    assert [a.finish_reason for a in found] == [a.finish_reason for a in want]
    assert [a.completion_tokens for a in found] == [a.completion_tokens for a in want]
    assert all(0 < a.completion_tokens <= NEW for a in found)


def test_an_end_token_and_a_stop_string_are_counted_alike_everywhere(model, url, tmp_path,
                                                                     monkeypatch):  # fmt: skip
    """The end is among what is generated; a stop string is what an answer says in its middle."""
    monkeypatch.setenv("A_KEY", "own")
    free = Settings("transformers", str(model), "float32", 200, NEW, stop=())
    here = backends.load(free)
    whole = backends.answer(here, free, REQUESTS)
    assert "stop" in {a.finish_reason for a in whole}, "one should come to its end"
    longest = max(whole, key=lambda a: len(a.text)).text
    stop = longest[len(longest) // 2 :][:3]
    for stops in ((), (stop,)):
        own = replace(free, stop=stops)
        here.settings = own
        want = backends.answer(here, own, REQUESTS)
        engine = replace(own, backend="vllm")
        offline = backends.answer(loaded(engine), engine, REQUESTS)
        asked = replace(own, backend="endpoint", model="tiny")
        where = Endpoint(url, "A_KEY", str(model))
        served = asking.answer(where, asked, REQUESTS, tmp_path / f"{len(stops)}")
        counts = [
            [(a.completion_tokens, a.finish_reason) for a in answers]
            for answers in (want, offline, served)
        ]
        assert counts[0] == counts[1] == counts[2], stops
    assert sum(n for n, _ in counts[0]) < sum(a.completion_tokens for a in whole)


def loaded(settings):
    """vLLM in this process, once: its sampling follows the settings."""
    if not ENGINE:
        ENGINE.append(backends.load(settings))
    ENGINE[0].sampling.stop = list(settings.stop)
    return ENGINE[0]


def test_its_faults_are_told(model, url, tmp_path, monkeypatch):
    long = Request("Do it.", [], "Oil " * 300)
    monkeypatch.setenv("A_KEY", "own")
    where, asked = Endpoint(url, "A_KEY"), Settings("endpoint", "tiny", max_new=NEW)
    (answer,) = asking.answer(where, asked, [long], tmp_path / "a")
    assert (answer.text, answer.finish_reason) == ("", "error")
    assert answer.error.startswith("HTTP 400: ")
    with pytest.raises(UserError, match="HTTP 404: no such address or model"):
        asking.answer(where, Settings("endpoint", "other"), REQUESTS, tmp_path / "b")
    monkeypatch.setenv("A_KEY", "wrong")
    with pytest.raises(UserError, match="HTTP 401: the key is not accepted"):
        asking.answer(where, asked, REQUESTS, tmp_path / "c")
