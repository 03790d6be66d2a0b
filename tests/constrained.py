"""What the tests of constrained answers share: tiny tokenizers, and what an answer must read as."""

from __future__ import annotations

import tiny

from ruie import answers, constrain, prompt

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


def assert_reads(answer, task, labels, text):
    """Labels of the schema and spans of the text, to the reader of answers."""
    source = answers.even(prompt.one_line(text))
    names = {answers.even_label(label) for label in labels}
    for label, *spans in answers.parse(answer, task, labels, text):
        assert label in names, answer
        assert len(spans) == (2 if task == "RE" else 1)
        assert all(span and span in source for span in spans), answer
