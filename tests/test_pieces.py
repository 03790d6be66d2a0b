"""Pieces put together are the whole prompt tokenised as one string."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruie import prompt
from ruie.cli import UserError
from ruie.pieces import Pieces

TEMPLATE = (
    "{% for m in messages %}<s>[{{ m.role }}]\n{{ m.content | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
words = st.text(max_size=40)


@pytest.fixture(scope="module", params=["start token", "none", "chat"])
def pieces(request):
    tokenizer = tiny._causal_tokenizer(bos=request.param != "none")
    if request.param == "chat":
        tokenizer.chat_template = TEMPLATE
    return Pieces(tokenizer, "toy", chat=request.param == "chat")


def joined(pieces, query, *shown):
    parts = [pieces.instruction(prompt.INSTRUCTIONS[query.task])]
    parts += pieces.demonstrations([prompt.render(e) for e in shown])
    tail = pieces.queries([prompt.query(query)], [prompt.answer(query)])[0]
    start = sum(map(len, parts)) + tail.start
    return np.concatenate([*parts, tail.ids]), start


def whole(pieces, query, *shown):
    context = prompt.build(
        prompt.INSTRUCTIONS[query.task], [prompt.render(e) for e in shown], prompt.query(query)
    )
    return pieces.whole(context, prompt.answer(query))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(words, words, words, words), st.sampled_from(["NER", "RE"]), st.booleans())
def test_pieces_are_the_whole(pieces, texts, task, bare):
    query = tiny.sample("q", texts[0] + "Alice", ("person", "Alice"), task=task)
    shown = tiny.sample("d", texts[1], task=task, schema=(texts[2], texts[3]))
    demonstrations = [] if bare else [shown]
    ids, start = joined(pieces, query, *demonstrations)
    want = whole(pieces, query, *demonstrations)
    assert ids.tolist() == want.ids.tolist()
    assert start == want.start


def test_the_split_is_where_the_context_ends(pieces):
    query = tiny.sample("q", "Alice visited Berlin.", ("person", "Alice"))
    pair = whole(pieces, query)
    lead = "" if pieces.chat else " "  # plain: the blank after Output: is the model's to write
    assert pieces.tokenizer.decode(pair.ids[pair.start :]) == lead + "person: Alice."
    text = pieces.tokenizer.decode(pair.ids[: pair.start])
    assert text.endswith("[assistant]\n" if pieces.chat else "Output:")


def test_a_token_across_the_border_counts_to_the_answer():
    # a template that ends with the prompt: nothing parts it from an answer that goes on in its word
    tokenizer = tiny._causal_tokenizer(bos=False)
    tokenizer.chat_template = "{{ messages[0].content }}"
    pieces = Pieces(tokenizer, "toy", chat=True)
    assert len(tokenizer.tokenize(" entities")) == 1
    for pair in (pieces.whole("Task: all ent", "ities are"),
                 *pieces.queries(["Task: all ent"], ["ities are"])):  # fmt: skip
        assert tokenizer.decode(pair.ids[pair.start :]) == " entities are"


def test_no_answer_has_no_token(pieces):
    for pair in (pieces.whole("Task: x", ""), *pieces.queries(["Task: x"], [""])):
        assert pair.start == len(pair.ids)


def test_a_start_token_is_written_once():
    for bos in (True, False):
        pieces = Pieces(tiny._causal_tokenizer(bos=bos), "toy")
        ids, _ = joined(pieces, tiny.sample("q", "Oil."))
        assert (ids == 1).sum() == bos


def test_no_texts(pieces):
    assert pieces.demonstrations([]) == []
    assert pieces.queries([], []) == []


class Odd:
    """A tokenizer of which some things are other than they are."""

    def __init__(self, **odd):
        self.__dict__.update(odd)
        self.real = tiny._causal_tokenizer(bos=False)

    def __getattr__(self, name):
        return getattr(self.real, name)

    def __call__(self, *args, **options):
        return self.real(*args, **options)


def broken(*_, **__):
    from jinja2 import Template

    return Template("{% if %}").render()


@pytest.mark.parametrize(
    ("odd", "chat", "said"),
    [
        ({"is_fast": False}, False, "no fast tokenizer"),
        ({"get_vocab": lambda: {"\u010aTask": 3}}, False, "over a line break"),
        ({"get_vocab": lambda: {"x\nT": 3}}, False, "over a line break"),
        ({}, True, "no chat template"),
        ({"chat_template": "x", "apply_chat_template": lambda *_, **__: "x"}, True, "hides"),
        ({"apply_chat_template": broken}, True, r"no chat template \(Expected an expression"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(odd, chat, said):
    with pytest.raises(UserError, match=f"model toy: .*{said}"):
        Pieces(Odd(**odd), "toy", chat)


def test_an_end_token_is_no_part_of_an_answer():
    from tokenizers import processors

    ended = tiny._causal_tokenizer(bos=True)
    ended.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert ended("Oil")["input_ids"][-1] == 2
    found, plain = (
        whole(Pieces(t, "toy"), tiny.sample("q", "Oil rose.", ("person", "Oil")))
        for t in (ended, tiny._causal_tokenizer(bos=True))
    )
    assert found.ids.tolist() == plain.ids.tolist()
    assert found.start == plain.start < len(plain.ids)
