"""What constrained decoding allows: the definition beside every string, and both back ends."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from random import Random

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie import (
    answers,
    backends,
    constrain,
    engine,
    infer,
    parquet,
    prompt,
    readers,
    schemas,
    speed,
)  # fmt: skip
from ruie.backends import Request, Settings

END = 2  # the tiny tokenizers' end of text


def sentencepiece():
    """A tokenizer as SentencePiece makes them: a sign for the space, bytes for what is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [chr(c) for c in range(33, 127)] + ["\u2581"]
    words = ["\u2581None", "\u2581p", "person", "on", "er", "s:", "\u2581B", "ob", "ir", "; "]
    pieces = ["<pad>", "<s>", "</s>", "<unk>", *(f"<0x{b:02X}>" for b in range(256))]
    vocabulary = {p: i for i, p in enumerate(dict.fromkeys([*pieces, *letters, *words]))}
    t = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))  # noqa: S106
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    t.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=t, **names)


TOKENIZERS = {"bytes": tiny._causal_tokenizer(bos=True), "sentencepiece": sentencepiece()}
READERS = {name: constrain.reader(t, [END]) for name, t in TOKENIZERS.items()}
KINDS = pytest.mark.parametrize("kind", sorted(TOKENIZERS))


def matcher(grammar, kind="bytes"):
    from llguidance import LLMatcher

    return LLMatcher(READERS[kind], LLMatcher.grammar_from_lark(grammar), log_level=0)


def accepts(grammar, answer, kind="bytes"):
    """Whether the answer may be generated and may end there."""
    m, ids = matcher(grammar, kind), READERS[kind].tokenize_str(answer)
    return m.try_consume_tokens(ids) == len(ids) and m.is_accepting()


def walk(grammar, rng, kind="bytes", limit=60):
    """An answer of tokens drawn evenly from those allowed; from ``limit`` on it ends where it
    may."""
    m, ids = matcher(grammar, kind), []
    while True:
        bits = np.unpackbits(np.frombuffer(m.compute_bitmask(), np.uint8), bitorder="little")
        allowed = np.flatnonzero(bits).tolist()
        assert allowed
        assert not m.is_error(), m.get_error()
        assert (END in allowed) == m.is_accepting()
        token = END if END in allowed and len(ids) >= limit else rng.choice(allowed)
        if token == END:
            return TOKENIZERS[kind].decode(ids, clean_up_tokenization_spaces=False)
        ids.append(token)
        m.consume_token(token)


TEXT = "Alice, Bob; and Carl of New York, U.S. met Caf\u00e9's $5 (I \u2764\ufe0f NY)."
LABELS = ("lives in", "person")


@KINDS
@pytest.mark.parametrize(
    ("answer", "task"),
    [
        (" None", "NER"),
        (" None", "RE"),
        (" person: Alice.", "NER"),
        (" person: Alice; lives in: New York; person: Alice.", "NER"),  # repeated, as gold may
        (" person: Bob; and Carl; person: Bob.", "NER"),
        (" person: Alice, Bob; and Carl.", "NER"),
        (" person: U.S..", "NER"),
        (" person: U.S.", "NER"),  # the span is U.S
        (" person: $5; person: (I; person: 5; person: Caf\u00e9; person: Caf\u00e9's.", "NER"),
        (" person: \u2764\ufe0f NY).", "NER"),
        (" lives in: Alice, New York.", "RE"),
        (" lives in: Alice, Bob, Carl.", "RE"),  # Alice and Bob, Carl? or Alice, Bob and Carl
        (" person: Bob; and Carl, U.S.; lives in: Alice, Bob.", "RE"),
    ],
)
def test_accepted(answer, task, kind):
    if ", Bob, Carl" in answer:
        assert "Bob, Carl" not in TEXT
    assert accepts(constrain.grammar(task, LABELS, TEXT), answer, kind)


@KINDS
@pytest.mark.parametrize(
    ("answer", "task"),
    [
        ("", "NER"),
        (" ", "NER"),
        ("None", "NER"),  # the context ends in a colon
        (" None.", "NER"),
        (" none", "NER"),
        (" person: Alice", "NER"),  # Appendix D ends in a full stop
        (" person: Alice ", "NER"),
        (" person:  Alice.", "NER"),
        (" Person: Alice.", "NER"),
        (" place: Alice.", "NER"),
        (" person: Ali.", "NER"),
        (" person: lice.", "NER"),
        (" person: alice.", "NER"),
        (" person: Peter.", "NER"),
        (" person: Alice Bob.", "NER"),  # no comma between them
        (" person: Alice,  Bob.", "NER"),
        (" person: .", "NER"),
        (" person: ;.", "NER"),
        (" person: \ufe0f NY.", "NER"),  # begins with a mark
        (" person: Alice;person: Bob.", "NER"),
        (" person: Alice; None", "NER"),
        (" person: Alice.; person: Bob.", "NER"),
        (" person: Alice", "RE"),
        (" person: Alice.", "RE"),
        (" person: Alice, .", "RE"),
        (" person: Alice,Carl.", "RE"),
        (" person: Alice, Peter.", "RE"),
    ],
)
def test_refused(answer, task, kind):
    assert not accepts(constrain.grammar(task, LABELS, TEXT), answer, kind)


def test_a_span_does_not_run_into_what_reads_as_an_item():
    text = "seen; Person : Bob; other: x"
    g = constrain.grammar("NER", ("person",), text)
    assert accepts(g, " person: seen.")
    assert accepts(g, " person: Person : Bob; other.")  # "other" is no label
    assert not accepts(g, " person: seen; Person : Bob.")
    assert accepts(constrain.grammar("NER", ("place",), text), " place: seen; Person : Bob.")


def test_line_breaks_are_spaces_as_in_the_prompt():
    g = constrain.grammar("NER", ("a\nb",), "New\nYork\u2028City\there")
    assert accepts(g, " a b: New York City\there.")


@pytest.mark.parametrize(("labels", "text"), [((), "Bob"), (("person",), " .; \n"), (("  ",), "B")])
def test_without_labels_or_text_there_is_none(labels, text):
    g = constrain.grammar("NER", labels, text)
    assert {walk(g, Random(n)).split("\n")[0] for n in range(20)} == {" None"}


def test_what_ends_an_answer():
    def g(*stop):
        return constrain.grammar("NER", ("person",), "Bob met U.S.", stop=stop)

    assert accepts(g("\n"), " person: Bob.\n\nInput:")  # what follows is cut off
    assert accepts(g("\n"), " None\n")
    assert not accepts(g("\n"), " person: Bob\n")
    assert not accepts(g(), " None\n")
    assert accepts(g("\n\n", "END"), " NoneEND of it")
    assert not accepts(g("\n\n", "END"), " None\n")


def test_in_a_chat_no_space_needs_to_come_first():
    g = constrain.grammar("NER", ("person",), "Bob", chat=True)
    assert all(accepts(g, space + a) for space in ("", " ") for a in ("None", "person: Bob."))
    assert not accepts(g, "  None")


# The definition once more, string by string, and not by way of a grammar.


def _is_mark(c):
    return bool(re.match("[\u0301\ufe0f]", c))  # those of the alphabets below


def _spans(text, labels):
    def edge(i):
        left, right = text[i - 1 : i], text[i : i + 1]
        if not left or not right or left.isspace() or right.isspace():
            return True
        return not _is_mark(right) and not ((left.isalnum() or _is_mark(left)) and right.isalnum())

    item = re.compile(rf";\s*(?:{'|'.join(labels)})\s*:", re.IGNORECASE)
    found = {text[i:j] for j in range(len(text) + 1) for i in range(j) if edge(i) and edge(j)}
    return {
        s for s in found
        if s == s.strip() and s.strip(" \t.;\u037e") and not _begins_an_item(item, s, text)
    }  # fmt: skip


def _begins_an_item(item, span, text):
    """Whether every place of the span holds more of an item's beginning than its ``;``."""
    places = [m.start() for m in re.finditer(f"(?={re.escape(span)})", text)]
    return all(
        any(at <= m.start() < at + len(span) - 1 for m in item.finditer(text)) for at in places
    )


def _is_answer(answer, task, labels, text):
    if answer == " None":
        return True
    spans = _spans(text, labels)
    contents = {f"{h}, {t}" for h in spans for t in spans} if task == "RE" else spans
    items = {f"{label}: {content}" for label in labels for content in contents}
    if not (answer.startswith(" ") and answer.endswith(".")):
        return False
    body, todo, seen = answer[1:-1], [0], {0}
    while todo:
        at = todo.pop()
        for item in items:
            end = at + len(item)
            if body.startswith(item, at):
                if end == len(body):
                    return True
                if body.startswith("; ", end) and end + 2 not in seen:
                    seen.add(end + 2)
                    todo.append(end + 2)
    return False


ALPHABET = "ab1 .;,:\u00e9\u0301\U0001f600\t\u037e"
QUERIES = st.tuples(
    st.sampled_from(["NER", "RE", "EET", "EEA"]),
    st.sampled_from([("a",), ("a", "b1"), ("b", "a b", "None")]),
    st.text(ALPHABET, max_size=9),
)


@KINDS
@settings(max_examples=150)
@given(query=QUERIES, seed=st.integers(0, 10**6), data=st.data())
def test_the_grammar_is_the_definition(kind, query, seed, data):
    g = constrain.grammar(*query, stop=())
    answer = walk(g, Random(seed), kind, limit=8)
    assert _is_answer(answer, *query)
    i = data.draw(st.integers(0, len(answer)))
    more = data.draw(st.sampled_from(["", *ALPHABET, "; a: ", ", "]))
    changed = answer[:i] + more + answer[i + data.draw(st.integers(0, 2)) :]
    assert accepts(g, changed, kind) == _is_answer(changed, *query)


@settings(max_examples=150)
@given(query=QUERIES, data=st.data())
def test_every_answer_of_the_definition_is_in_the_grammar(query, data):
    task, labels, text = query
    spans = sorted(_spans(text, labels))
    if not spans:
        return
    names = st.sampled_from(labels)
    one = st.sampled_from(spans)
    content = st.tuples(one, one).map(", ".join) if task == "RE" else one
    items = data.draw(st.lists(st.tuples(names, content).map(": ".join), min_size=1, max_size=4))
    assert accepts(constrain.grammar(*query, stop=()), " " + "; ".join(items) + ".")


def assert_reads(answer, task, labels, text):
    """Labels of the schema and spans of the text, to the reader of answers."""
    source = answers.even(prompt.one_line(text))
    names = {answers.even_label(label) for label in labels}
    for label, *spans in answers.parse(answer, task, labels, text):
        assert label in names, answer
        assert len(spans) == (2 if task == "RE" else 1)
        assert all(span and span in source for span in spans), answer


@settings(max_examples=200)
@given(
    task=st.sampled_from(["NER", "RE", "EET", "EEA"]),
    labels=st.lists(st.text("abA_/-'\"\\ \u00e9", min_size=1, max_size=6), max_size=3),
    text=st.text(max_size=20) | st.text('ab"\\/ .,;:\n\x00\x1f\u1100\u1161I\u0307', max_size=20),
    seed=st.integers(0, 10**6),
)
def test_what_may_be_generated_is_read_as_labels_and_spans(task, labels, text, seed):
    g = constrain.grammar(task, labels, text)
    answer = walk(g, Random(seed)).split("\n")[0].strip(" ")
    assert_reads(answer, task, labels, text)
    assert constrain.finish(answer, "stop", task, labels, text) == (answer, None)


def _whole(span):
    letter = r"[^\W_]"
    before, after = f"(?<!{letter})" * span[0].isalnum(), f"(?!{letter})" * span[-1].isalnum()
    return before + re.escape(span) + after


def test_gold_of_the_real_data_is_accepted_where_its_spans_are_whole_words(shared):
    """Of all 42,837 instances 38 are refused: 37 have a span that is cut in a word, one an empty
    one. Here every 40th is tried."""
    seen = refused = 0
    for path in sorted((shared / "data" / "ie").glob("*/*/*.json")):
        folder, task = path.parent, path.parent.parent.name
        if path.stem not in ("train", "dev", "test"):
            continue
        source = readers.Source(folder, task, folder.name, path.stem)
        for e in list(readers.get("ie_instructions")(source, readers.Problems()))[::40]:
            text = prompt.one_line(e.text)
            spans = [prompt.one_line(s.text) for a in e.annotations for s in a.spans]
            whole = all(s.strip(".; ") and re.search(_whole(s), text) for s in spans)
            gold = prompt.answer(e)
            assert accepts(constrain.grammar(task, e.schema, e.text), " " + gold) == whole, e.id
            seen, refused = seen + 1, refused + (not whole)
            if whole:
                assert constrain.finish(gold, "stop", task, e.schema, e.text) == (gold, None)
    assert seen > 1000
    assert refused < seen / 100


@pytest.mark.parametrize(
    ("cut", "task", "kept"),
    [
        ("person: Bob; lives in: New York.", "NER", "person: Bob; lives in: New York."),
        ("person: Bob; lives in: New Yo", "NER", "person: Bob"),
        ("person: Bob; lives in: New", "NER", "person: Bob"),  # the last may go on
        ("person: Bob; liv", "NER", "person: Bob"),
        ("person: Bob; and Ca", "NER", "person: Bob"),
        ("person: Bo", "NER", ""),
        ("pers", "NER", ""),
        ("None", "NER", "None"),
        ("No", "NER", ""),
        ("", "NER", ""),
        ("lives in: Bob; and Carl, New", "RE", ""),
        ("lives in: Bob, U.S.; lives in: Bob; and", "RE", "lives in: Bob, U.S."),
    ],
)
def test_an_item_that_the_limit_cut_is_dropped(cut, task, kept):
    assert constrain.finish(cut, "length", task, LABELS, TEXT) == (kept, None)


@pytest.mark.parametrize("answer", ["", "person:", "person: ", "pers", "person: Peter."])
def test_an_answer_that_was_not_constrained_to_its_end_is_an_error(answer):
    text, error = constrain.finish(answer, "stop", "NER", LABELS, TEXT)
    assert text == ""
    assert error == f"could not be constrained: a text of {len(TEXT)} characters is too long for it"


def allowed(masks, *ids):
    import torch

    tokens = torch.tensor([list(ids)])
    scores = masks(tokens, torch.zeros(1, 510))  # wider than the vocabulary, as models may be
    return [i for i, s in enumerate(scores[0].tolist()) if s == 0]


def test_where_llguidance_gives_up_the_answer_ends():
    good = constrain.grammar("NER", ("a",), "b")
    (begin,) = READERS["bytes"].tokenize_str(" ")
    assert begin in allowed(constrain.Masks(READERS["bytes"], [good]), 5)
    # what it cannot read stands for what becomes too much for it
    masks = constrain.Masks(READERS["bytes"], ["start: missing"])
    assert [allowed(masks, 5), allowed(masks, 5, END)] == [[END], [END]]
    assert constrain.finish("", "stop", "NER", ("a",), "b")[1]


# The back ends.


def examples():
    rng = Random(3)
    words = " ".join(tiny.SENTENCES[:4]).split()
    out = []
    for i in range(12):
        text = " ".join(rng.sample(words, 9))
        task = ("NER", "RE", "EET")[i % 3]
        labels = rng.sample(["person", "lives in", "works for", "attack", "place"], 3)
        out.append(tiny.sample(f"q{i}", text, task=task, schema=tuple(labels)))
    return out


def fine(settings, found, asked):
    for a, r in zip(found, asked, strict=True):
        assert a.error is None
        assert_reads(a.text, r.task, r.labels, r.text)
        assert a.finish_reason == "length" or a.text == "None" or a.text.endswith(".")
        assert a.completion_tokens <= settings.max_new


@pytest.fixture(scope="module")
def asked():
    # the tiny models say little else where they may say None: without it there are spans to see
    return infer.requests(examples(), {}, {}, 0)[0]


@pytest.fixture
def without_none(monkeypatch):
    grammar = constrain.grammar
    monkeypatch.setattr(
        constrain, "grammar", lambda *a, **k: grammar(*a, **k).replace('("None" | ITEM', "(ITEM")
    )


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_transformers(tmp_path, asked, architecture, without_none):
    folder = tiny.causal(tmp_path, architecture)
    on = Settings("transformers", str(folder), "float32", max_new=60, constrained=True)
    backend = backends.load(on)
    found = backends.answer(backend, on, asked)
    fine(on, found, asked)
    assert len({a.text for a in found if a.text}) > 6
    # a row's neighbours and its padding on the left change nothing
    assert [backends.answer(backend, on, [r])[0] for r in asked[:4]] == found[:4]
    free = backends.answer(backend, replace(on, constrained=False), asked)
    assert not any(a.text == b.text for a, b in zip(free, found, strict=True))
    # and the constrained ones leave nothing behind
    assert free == backends.answer(
        backends.load(replace(on, constrained=False)), replace(on, constrained=False), asked
    )


VLLM = """
import json, sys
from ruie import backends
from ruie.backends import Request, Settings
requests = [Request(**r) for r in json.load(open(sys.argv[2]))]
found = {}
if __name__ == "__main__":
    for name in ("transformers", "vllm"):
        s = Settings(name, sys.argv[1], "float32", 900, 24, constrained=True)
        found[name] = [a.text for a in backends.answer(backends.load(s), s, requests)]
    print("FOUND" + json.dumps(found))
"""


@pytest.mark.vllm
def test_vllm_answers_as_transformers_does(tmp_path, asked):
    pytest.importorskip("vllm")
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(  # vLLM's kernels for CPUs need heads of 32
        vocab_size=500, hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, intermediate_size=64, max_position_embeddings=1024,
        pad_token_id=0, bos_token_id=1, eos_token_id=END, initializer_range=0.3,
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    TOKENIZERS["bytes"].save_pretrained(tmp_path)
    (tmp_path / "asked.json").write_text(json.dumps([asdict(r) for r in asked]))
    (tmp_path / "ask.py").write_text(VLLM)
    done = tiny.python(tmp_path / "ask.py", tmp_path, tmp_path / "asked.json", timeout=550)
    assert "FOUND" in done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout.split("FOUND")[1].split("\n")[0])
    assert found["vllm"] == found["transformers"]
    for text, r in zip(found["vllm"], asked, strict=True):
        assert_reads(text, r.task, r.labels, r.text)


def test_the_request_carries_its_language_through_the_shared_engine(asked, tmp_path):
    again = Request(**json.loads(json.dumps(asdict(asked[1]))))
    parts = [(r.task, r.labels, r.text) for r in (asked[1], again)]
    assert constrain.grammar(*parts[0]) == constrain.grammar(*parts[1])
    off = Settings("transformers", str(tmp_path))
    assert engine.socket_path(off) != engine.socket_path(replace(off, constrained=True))


def test_the_time_of_constrained_answers_is_taken(asked):
    class Echo:
        tokenizer = TOKENIZERS["bytes"]

        def generate(self, prompts, grammars=()):
            assert len(prompts) == len(grammars)
            return [(g, 1, "stop") for g in grammars]

    timed = speed.Timed(Echo())
    on = Settings("transformers", "tiny", constrained=True)
    found = backends.answer(timed, on, asked[:2])
    assert timed.seconds > 0
    assert all(a.error and a.finish_reason == "error" for a in found)  # a grammar is no answer


def test_the_command(tmp_path):
    tiny.causal(tmp_path / "llama")
    queries = examples()
    tiny.write_examples(queries, tmp_path / "q.parquet")
    infer.main([
        "--queries", str(tmp_path / "q.parquet"), "--backend", "transformers", "--model",
        str(tmp_path / "llama"), "--dtype", "float32", "--max-new", "30", "--k", "0",
        "--constrained", "--out", str(tmp_path / "out.parquet"),
    ])  # fmt: skip
    rows = parquet.read(tmp_path / "out.parquet", schemas.PREDICTIONS).to_pylist()
    assert len(rows) == len(queries)
    for row, q in zip(rows, queries, strict=True):
        assert row["error"] is None
        assert_reads(row["prediction"], q.task, q.schema, q.text)
