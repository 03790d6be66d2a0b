"""The transformers back end on a tiny Llama: greedy, stop strings, and the input budget."""

from __future__ import annotations

import pytest
import tiny

from ruie import backends, cli, devices, prompt
from ruie.backends import Request, Settings

PROMPTS = [
    "The president of Peru visited",
    "Oil",
    "Alice Smith works for Acme Corp in Paris and Bob lives in New York City. " * 4,
    "Rebels attacked the harbour near",
]
NEW = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp("llama"))


def settings(folder, **more):
    more = {"dtype": "float32", "max_new": NEW, "stop": (), **more}
    return Settings("transformers", str(folder), **more)


@pytest.fixture(scope="module")
def plain(folder):
    return backends.load(settings(folder))


@pytest.fixture(scope="module")
def ids(plain):
    return [plain.tokenizer(p)["input_ids"] for p in PROMPTS]


def generated(backend, ids):
    """What ``model.generate`` alone makes of one prompt: no batch, no padding."""
    import torch

    tokens = torch.tensor([ids])
    out = backend.model.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=NEW, do_sample=False
    )
    return out[0, len(ids) :].tolist()


@pytest.fixture(scope="module")
def alone(plain, ids):
    return [generated(plain, i) for i in ids]


@pytest.mark.parametrize("batch_tokens", [1, 30, 8192])
def test_batches_equal_generate_one_by_one(folder, ids, alone, batch_tokens):
    backend = backends.Transformers(settings(folder), batch_tokens)
    want = [(backend.tokenizer.decode(a), NEW, "length") for a in alone]
    assert backend.generate(ids) == want
    assert len({text for text, _, _ in want}) == len(PROMPTS)  # the prompts matter


@pytest.mark.parametrize("has", [True, False])
def test_numbers_that_the_processor_would_emulate_are_float32(folder, monkeypatch, has):
    monkeypatch.setattr(devices, "device", lambda: "cpu")
    monkeypatch.setattr(devices, "_has_bfloat16", lambda: has)
    found = backends.load(settings(folder, dtype="bfloat16"))
    assert str(found.model.dtype) == ("torch.bfloat16" if has else "torch.float32")
    assert found.settings.dtype == str(found.model.dtype).removeprefix("torch.")


def test_nothing_asked_nothing_answered(plain):
    assert plain.generate([]) == []


def test_greedy_is_the_most_likely_token_each_time(plain, ids, alone):
    """Without ``generate``: the whole sequence anew for each token."""
    import torch

    for start, new in zip(ids, alone, strict=True):
        so_far = list(start)
        for token in new:
            with torch.no_grad():
                logits = plain.model(torch.tensor([so_far]), use_cache=False).logits[0, -1]
            assert token == logits.argmax().item()
            so_far.append(token)


def first_with(backend, tokens, what):
    """How many tokens it takes until their text holds ``what``."""
    return next(n for n in range(len(tokens) + 1) if what in backend.tokenizer.decode(tokens[:n]))


def test_text_ends_before_the_first_stop_string(folder, plain, ids, alone):
    texts = [plain.tokenizer.decode(a) for a in alone]
    middle = plain.tokenizer.decode(alone[0][5:7])  # stops prompt 0 somewhere in its middle
    assert middle in texts[0]
    assert not all(middle in t for t in texts), "the others should run on"
    backend = backends.load(settings(folder, stop=("never seen", middle)))
    for (text, n, reason), whole, tokens in zip(backend.generate(ids), texts, alone, strict=True):
        if middle in whole:
            assert text == whole[: whole.index(middle)]
            assert (n, reason) == (first_with(plain, tokens, middle), "stop")
        else:
            assert (text, n, reason) == (whole, NEW, "length")


@pytest.fixture
def with_ends(folder, alone):
    """A back end whose model takes what prompt 0 says fifth for an end of text; ``where`` says
    whether the tokenizer knows, or the generation configuration alone."""

    def make(where):
        backend = backends.load(settings(folder))
        token = alone[0][4]
        if where == "tokenizer":
            backend.tokenizer.eos_token = backend.tokenizer.convert_ids_to_tokens(token)
            backend.model.generation_config.eos_token_id = token
        else:  # like Llama 3 and Gemma, whose chats end in a token of their own
            backend.model.generation_config.eos_token_id = [2, token]
        return backend, token

    return make


def test_the_tokenizers_end_token_ends_an_answer_though_the_models_settings_name_another(
    folder, ids, alone
):
    backend = backends.load(settings(folder))
    token = alone[0][4]
    backend.tokenizer.eos_token = backend.tokenizer.convert_ids_to_tokens(token)
    assert backend.model.generation_config.eos_token_id == 2
    text, n, reason = backend.generate(ids[:1])[0]
    at = alone[0].index(token)
    # the end is none of the text, and counted
    assert text == backend.tokenizer.decode(alone[0][:at])
    assert (n, reason) == (at + 1, "stop")


@pytest.mark.parametrize("where", ["tokenizer", "generation configuration"])
def test_an_end_token_ends_one_answer_and_not_its_neighbours(with_ends, ids, alone, where):
    backend, token = with_ends(where)
    found = backend.generate(ids)
    assert {reason for _, _, reason in found} == {"stop", "length"}
    for (text, n, reason), tokens in zip(found, alone, strict=True):
        if token in tokens:
            at = tokens.index(token)
            assert (text, n, reason) == (backend.tokenizer.decode(tokens[:at]), at + 1, "stop")
        else:
            assert (text, n, reason) == (backend.tokenizer.decode(tokens), NEW, "length")


def test_an_end_token_is_counted_also_where_it_is_the_last_that_there_may_be(with_ends, ids, alone):
    backend, token = with_ends("tokenizer")
    at = alone[0].index(token)
    backend.settings = settings(backend.settings.model, max_new=at + 1)
    assert backend.generate(ids[:1])[0][1:] == (at + 1, "stop")
    backend.settings = settings(backend.settings.model, max_new=at)
    assert backend.generate(ids[:1])[0][1:] == (at, "length")


def test_padding_is_not_counted_also_where_it_is_the_end_token(folder):
    """Models without a token to pad with are padded with their end."""
    backend = backends.load(settings(folder, stop=("!",)))
    oil, bang = (backend.tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("Oil", "!"))
    n = len(oil)
    backend.settings = settings(folder, stop=("!",), max_new=n + 9)
    for pad, end in ((2, 2), (0, 2)):
        # its own end, then padding; a stop string, then padding; neither
        assert backend._finish([*oil, end, *[pad] * 3], {2}, pad) == ("Oil", n + 1, "stop")
        stopped = [*oil, *bang, *[pad] * 3]
        assert backend._finish(stopped, {2}, pad) == ("Oil", n + len(bang), "stop")
        backend.settings = settings(folder, stop=("!",), max_new=n)
        assert backend._finish(oil, {2}, pad) == ("Oil", n, "length")
        assert backend._finish([*oil[:-1], end], {2}, pad)[1:] == (n, "stop")
        backend.settings = settings(folder, stop=("!",), max_new=n + 9)


class Spy:
    """A back end that writes down what it is asked."""

    def __init__(self, tokenizer):
        self.tokenizer, self.asked = tokenizer, []

    def generate(self, prompts):
        self.asked += prompts
        return [(f"  answer {i} ", 3, "stop") for i in range(len(prompts))]


DEMONSTRATIONS = [f"Input: sentence number {i} of this list.\nOutput: None" for i in range(3)]
QUERY = "Input: Alice visited Berlin.\nOutput:"


def ask(plain, folder, requests, **more):
    spy = Spy(plain.tokenizer)
    return spy, backends.answer(spy, settings(folder, **more), requests)


def test_the_budget_drops_the_least_relevant_demonstration_first(plain, folder):
    def n(kept):
        return len(plain.tokenizer(prompt.build("Do it.", kept, QUERY))["input_ids"])

    request = Request("Do it.", DEMONSTRATIONS, QUERY)
    # the best is the last: what goes first is the front
    for kept in (DEMONSTRATIONS, DEMONSTRATIONS[1:], DEMONSTRATIONS[2:], []):
        spy, answers = ask(plain, folder, [request], max_input=n(kept))
        text = plain.tokenizer.decode(spy.asked[0], skip_special_tokens=True)
        assert text == "\n\n".join(["Do it.", *kept, QUERY])
        assert spy.asked[0][0] == plain.tokenizer.bos_token_id
        assert (answers[0].used, answers[0].prompt_tokens) == (len(kept), n(kept))
        assert answers[0].error is None
    _, answers = ask(plain, folder, [request], max_input=n(DEMONSTRATIONS) - 1)
    assert answers[0].used == 2


def test_a_query_that_is_too_long_becomes_an_error_and_the_others_are_answered(plain, folder):
    requests = [Request("Do it.", [], QUERY), Request("Do it.", DEMONSTRATIONS, "Oil " * 200),
                Request("Do it.", [], "Output:")]  # fmt: skip
    spy, answers = ask(plain, folder, requests, max_input=100)
    assert len(spy.asked) == 2
    assert [a.text for a in answers] == ["answer 0", "", "answer 1"]
    assert [a.finish_reason for a in answers] == ["stop", "error", "stop"]
    assert answers[1].error == (
        f"instruction and query take {answers[1].prompt_tokens} tokens, over the 100 allowed"
    )
    assert answers[1].prompt_tokens > 200
    assert (answers[1].used, answers[1].completion_tokens) == (0, 0)
    assert answers[0].error is answers[2].error is None


def test_chat_wraps_the_prompt_once_and_counts_the_template(folder):
    backend = backends.load(settings(folder))
    backend.tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}USER {{ m.content }} END {% endfor %}"
        "{% if add_generation_prompt %}MODEL {% endif %}"
    )
    request = Request("Do it.", DEMONSTRATIONS[:1], QUERY)
    spy, answers = ask(backend, folder, [request], chat=True)
    text = backend.tokenizer.decode(spy.asked[0])
    body = "\n\n".join(["Do it.", DEMONSTRATIONS[0], QUERY])
    assert text.replace("<s> ", "<s>") == f"<s>USER {body} END MODEL "
    assert spy.asked[0].count(backend.tokenizer.bos_token_id) == 1
    n = answers[0].prompt_tokens
    assert n == len(spy.asked[0])
    assert ask(backend, folder, [request], chat=True, max_input=n)[1][0].used == 1
    assert ask(backend, folder, [request], chat=True, max_input=n - 1)[1][0].used == 0


def test_a_model_without_a_chat_template_cannot_chat(plain, folder):
    with pytest.raises(cli.UserError, match="has no chat template; set `chat` to false"):
        ask(plain, folder, [Request("Do it.", [], QUERY)], chat=True)


def test_a_model_of_fewer_positions_than_a_prompt_may_take_is_refused(tmp_path):
    short = tiny.causal(tmp_path / "neo", "gpt_neo", max_position_embeddings=64)
    backends.load(settings(short, max_input=64 - NEW))
    with pytest.raises(cli.UserError, match=f"64 tokens at most, not {65 - NEW} and {NEW}"):
        backends.load(settings(short, max_input=65 - NEW))


def test_an_empty_stop_string_is_refused(folder):
    p = cli.parser("")
    backends.add_arguments(p)
    words = ["--model", str(folder), "--stop"]
    assert backends.settings(p.parse_args(words)).stop == ()
    with pytest.raises(cli.UserError, match="an empty string would end every answer"):
        backends.settings(p.parse_args([*words, "\\n", ""]))


@pytest.mark.parametrize("stop", [("\n",), (), ("\n\n", "Input:", "END")])
@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("constrained", [True, False])
def test_flags_carry_the_settings_to_another_process(folder, stop, chat, constrained):
    asked = Settings(
        "transformers", str(folder.resolve()), "float16", 77, 8, chat, stop, 4, constrained
    )
    p = cli.parser("")
    backends.add_arguments(p)
    assert backends.settings(p.parse_args(backends.as_arguments(asked))) == asked


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory):
    return tiny.seq2seq(tmp_path_factory.mktemp("t5"))


@pytest.mark.parametrize("batch_tokens", [1, 8192])
def test_an_encoder_decoder_answers_as_generate_does(seq2seq, batch_tokens):
    """Prompts of one batch have other lengths: what fills them up changes nothing."""
    import torch

    backend = backends.Transformers(settings(seq2seq), batch_tokens)
    tokens = [backend.tokenizer(p)["input_ids"] for p in PROMPTS]
    assert {t[-1] for t in tokens} == {backend.tokenizer.eos_token_id}
    got = backend.generate(tokens)
    for ids, (text, n, reason) in zip(tokens, got, strict=True):
        whole = backend.model.generate(
            torch.tensor([ids]), max_new_tokens=NEW, do_sample=False, num_beams=1
        )[0].tolist()
        assert whole[0] == backend.tokenizer.pad_token_id  # the decoder's start
        new = [t for t in whole[1:] if t not in (0, 2)]
        assert text == backend.tokenizer.decode(new)
        assert (n, reason) == ((NEW, "length") if 2 not in whole[1:] else (whole.index(2),
                                                                          "stop"))  # fmt: skip
    assert len({text for text, _, _ in got}) > 1  # the prompts matter


def test_marks_of_an_encoder_decoders_answer_stay(seq2seq, plain):
    """UIE answers in special tokens; end and padding are none of the answer."""
    backend = backends.Transformers(settings(seq2seq))
    ids = backend.tokenizer("<extra_id_0>Peru<extra_id_1>")["input_ids"] + [0, 0]
    assert ids[-3:] == [2, 0, 0]
    text, n, reason = backend._finish(ids, {2}, 0)
    assert text.replace(" ", "") == "<extra_id_0>Peru<extra_id_1>"
    assert (n, reason) == (len(ids) - 2, "stop")
    # what a decoder alone says has none
    assert plain._finish([*plain.tokenizer("Peru")["input_ids"], 2], {2}, 0)[0] == "Peru"


def test_a_prompt_without_an_instruction_is_the_query_alone(seq2seq):
    seen = []

    class Recording:
        tokenizer = backends.load(settings(seq2seq)).tokenizer

        def generate(self, prompts):
            seen.extend(self.tokenizer.decode(p) for p in prompts)
            return [("", 0, "stop")] * len(prompts)

    backends.answer(Recording(), settings(seq2seq), [Request("", [], "<spot> place: Peru")])
    assert [s.replace(" ", "") for s in seen] == ["<spot>place:Peru</s>"]


def test_vllm_tells_how_much_its_prefix_cache_held(caplog):
    """The engine itself needs minutes; what it reports is made up here."""
    from types import SimpleNamespace as Made

    backend = object.__new__(backends.Vllm)
    output = Made(text="None", token_ids=[5], finish_reason="stop")
    done = [Made(outputs=[output], num_cached_tokens=n) for n in (None, 3, 2)]
    backend.engine = Made(reset_prefix_cache=lambda: None, generate=lambda *_, **__: done)
    backend.sampling = None
    caplog.set_level("INFO", "ruie")
    assert backend.generate([[1, 2], [1, 2, 3, 4], [1, 2, 3, 4]]) == [("None", 1, "stop")] * 3
    # 0 + 3 + 2 of 2 + 4 + 4
    assert "prefix cache: 5 of 10 prompt tokens (50.0 %) were in it" in caplog.text
    caplog.clear()
    assert backend.generate([]) == []
    assert caplog.text == ""


def test_vllm_gets_prompts_that_begin_alike_one_after_the_other(monkeypatch):
    """Answers, and the grammar of each, stay with their prompt."""
    import sys
    from types import SimpleNamespace as Made

    class Engine:
        asked: list[list[int]] = []

        def reset_prefix_cache(self):
            pass

        def generate(self, prompts, params, use_tqdm):
            done = []
            for i, p in enumerate(prompts):
                ids = p["prompt_token_ids"]
                self.asked.append(ids)
                grammar = params[i].structured_outputs if isinstance(params, list) else None
                output = Made(text=f"{ids} {grammar}", token_ids=ids, finish_reason="stop")
                done.append(Made(outputs=[output], num_cached_tokens=0))
            return done

    class Sampling:
        def clone(self):
            return Sampling()

    made = Made(StructuredOutputsParams=lambda grammar: grammar)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", made)
    backend = object.__new__(backends.Vllm)
    backend.engine, backend.sampling = Engine(), Sampling()
    prompts = [[1, 9, 5], [1, 2], [1, 9, 4], [1, 2, 7], [1, 9, 5]]
    for grammars in ((), ("a", "b", "c", "d", "e")):
        Engine.asked = []
        found = backend.generate(prompts, grammars)
        given = grammars or [None] * len(prompts)
        want = [(f"{p} {g}", len(p), "stop") for p, g in zip(prompts, given, strict=True)]
        assert found == want
        assert Engine.asked == [[1, 2], [1, 2, 7], [1, 9, 4], [1, 9, 5], [1, 9, 5]]
