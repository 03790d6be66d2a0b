"""Tokens and tags in columns."""

from __future__ import annotations

import tempfile
from pathlib import Path

import breaking
import pytest
import reading
from hypothesis import given
from hypothesis import strategies as st

from ruie.examples import Annotation, Example, Span
from ruie.readers import tokens

PLAIN = "Zoë\tB-PER\nLee\tI-PER\nin\tO\n🙂\tO\nRome\tB-LOC\n\nNo\tO\n\n\nOslo\tB-LOC\n"


def read(folder, content, name="test.tsv", **source):
    return reading.read("bio", reading.write(folder / name, content), "NER", **source)


def test_sentences_ids_and_offsets(tmp_path):
    examples, problems = read(tmp_path, PLAIN)
    schema = ("LOC", "PER")
    # "Zoë Lee in 🙂 Rome": Zoë Lee 0-7, in 8-10, the emoji 11-12, Rome 13-17
    people = Annotation("PER", (Span("Zoë Lee", 0, 7),))
    rome, oslo = (
        Annotation("LOC", (Span("Rome", 13, 17),)),
        Annotation("LOC", (Span("Oslo", 0, 4),)),
    )
    assert examples == [
        Example(
            f"toy/test/00000{i}", "NER", "toy", "test", text, schema, found, None, f"test.tsv#{i}"
        )
        for i, (text, found) in enumerate(
            [("Zoë Lee in 🙂 Rome", (people, rome)), ("No", ()), ("Oslo", (oslo,))]
        )
    ]  # fmt: skip
    assert not problems.counts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test.conll", PLAIN.replace("\n", "\r\n")),
        ("test.bio", PLAIN.replace("\t", " ")),
        ("test.txt", PLAIN.replace("\t", "  NN I-NP ")),  # four columns, as in CoNLL-2003
        ("a-test-b.tsv", "\ufeff" + PLAIN),
        ("gold_test.tsv", PLAIN.replace("\n\n", "\n \t \n")),
    ],
)
def test_the_same_in_other_files(tmp_path, name, content):
    examples, problems = read(tmp_path, content, name)
    assert [e.text for e in examples] == ["Zoë Lee in 🙂 Rome", "No", "Oslo"]
    assert reading.found(examples) == [[("PER", "Zoë Lee"), ("LOC", "Rome")], [], [("LOC", "Oslo")]]
    assert not problems.counts


NUMBERED = (
    "# sent_id = 1\n# text = Al del Sol\n1\tAl\tB-PER\n2-3\tdel\t_\n2\tde\tO\n3\tel\tO\n"
    "3.1\tx\t_\n4\tSol\tB-LOC\n\n# sent_id = 2\n1\t#\tB-TAG\n"
)


@pytest.mark.parametrize("first", ["", "0\tHi\tO\n\n"])
def test_numbered_tokens(tmp_path, first):
    examples, problems = read(tmp_path, first + NUMBERED, "test.conllu")
    assert [e.text for e in examples] == ["Hi"] * bool(first) + ["Al de el Sol", "#"]
    assert reading.found(examples)[-2:] == [[("PER", "Al"), ("LOC", "Sol")], [("TAG", "#")]]
    # three comments; 2-3 is no word of its own, and 3.1 an empty node
    assert problems.counts == {
        "comment line skipped": 3,
        "line of a multiword token or an empty node skipped": 2,
    }


def test_numbers_from_0_and_comments_as_wide_as_tokens(tmp_path):
    content = "# global\tcomment\tO\n0\tAl\tB-PER\n1\tran\tO\n#\tanother\tO\n"
    examples, problems = read(tmp_path, content)
    assert [e.text for e in examples] == ["Al ran"]
    assert problems.counts == {"comment line skipped": 2}


def test_a_number_as_the_first_word_numbers_nothing(tmp_path):
    # numbers that do not count the tokens, one-word sentences, two columns: all are words
    for content in ("1 CD O\n\n1 CD O\nof NN O\n", "0 O\n1 O\n2 O\n"):
        examples, _ = read(tmp_path, content, labels={"x": "x"})
        assert examples[-1].text == ("1 of" if "CD" in content else "0 1 2")


@pytest.mark.parametrize("cut", ["\t", " "])
def test_a_hash_begins_tokens_as_well_as_comments(tmp_path, cut):
    content = "# a sentence of three\n#\tO\n#tag\tB-X\n# two\nend\tO\n\n".replace("\t", cut)
    examples, problems = read(tmp_path, content)
    assert [e.text for e in examples] == ["# #tag end"]
    # "# two" is as wide as a token's line where spaces cut, but "two" is no tag
    assert problems.counts == {"comment line skipped": 2}


@pytest.mark.parametrize("cut", ["\t", " "])
def test_document_starts_are_skipped_and_end_a_sentence(tmp_path, cut):
    content = "-DOCSTART-\tO\n\na\tO\n-DOCSTART-\tO\nb\tB-X\n\n".replace("\t", cut)
    examples, problems = read(tmp_path, content)
    assert [(e.text, e.source) for e in examples] == [("a", "test.tsv#0"), ("b", "test.tsv#1")]
    assert problems.counts == {"-DOCSTART- line skipped": 2}


def test_columns_by_number_and_by_name(tmp_path):
    body = "O\tN\ta\nB-X\tN\tb\n"
    for content, options in [
        (body, {"token": "3", "tag": "1"}),
        (body, {"token": "-1", "tag": "-3"}),
        ("ner\tpos\tword\n" + body, {"token": "word", "tag": "ner"}),
        ("# global.columns = NER POS FORM\n" + body, {"token": "FORM", "tag": "NER"}),
    ]:
        examples, _ = read(tmp_path, content, **options)
        assert [e.text for e in examples] == ["a b"]
        assert reading.found(examples) == [[("X", "b")]]


@pytest.mark.parametrize(
    ("header", "cut"),
    [("token\ttag", "\tO"), ("word pos ner", " N O"), ("Word POS NER_tags", " N O"),
     ("word\ttag\n", "\tO")],
)  # fmt: skip
def test_a_line_of_column_names_is_no_token(tmp_path, header, cut):
    line = f"Rome{cut}".removesuffix("O") + "B-LOC\n"
    examples, problems = read(tmp_path, f"{header}\nin{cut}\n{line}\nup{cut}\n")
    assert [(e.text, e.source) for e in examples] == [
        ("in Rome", "test.tsv#0"),
        ("up", "test.tsv#1"),
    ]
    assert reading.found(examples) == [[("LOC", "Rome")], []]
    assert problems.counts == {"line of column names skipped": 1}


def test_names_of_columns_beside_numbers(tmp_path):
    examples, _ = read(tmp_path, "id\tform\tner\n1\tAl\tB-PER\n2\tran\tO\n")
    assert reading.found(examples) == [[("PER", "Al")]]
    assert examples[0].text == "Al ran"


@pytest.mark.parametrize("first", ["word\tO", "tag\tO", "word\tB-X"])
def test_a_token_may_be_called_word(tmp_path, first):
    examples, problems = read(tmp_path, f"{first}\nend\tB-X\n")
    assert examples[0].text == f"{first.split()[0]} end"
    assert not problems.counts


NAMED = {"token": "Wort", "tag": "Art"}


def test_a_first_line_that_may_name_columns_is_hinted_at(tmp_path):
    hint = "if line 2 names the columns, name those of the token and the tag with the options"
    folder = reading.write(tmp_path / "test.tsv", "\nWort\tArt\nRom\tB-LOC\n\nin\tX\n")
    reading.refused("bio", folder, "NER", "test.tsv#0", "tag 'Art' is neither O nor", hint)
    examples, problems = reading.read("bio", folder, "NER", repair=True, **NAMED)
    assert [e.text for e in examples] == ["Rom"]
    assert hint not in problems.first_bad  # of the other sentence


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"token": "0"}, ("option token", "no column 0", "1 to 2")),
        ({"tag": "3"}, ("option tag", "no column 3")),
        ({"tag": "-3"}, ("option tag", "no column -3")),
        ({"tag": "ner"}, ("option tag", "no column is called 'ner'", "'Zoë', 'B-PER'")),
        ({"colour": "1"}, ("option 'colour'", "token, tag, scheme, label, join")),
        ({"scheme": "bilou"}, ("option scheme", "iob1 or io")),
    ],
)
def test_options_that_cannot_be(tmp_path, options, parts):
    folder = reading.write(tmp_path / "test.tsv", PLAIN)
    reading.refused("bio", folder, "NER", *parts, **options)


def test_schemes(tmp_path):
    iob1 = "a\tI-X\nb\tB-X\nc\tO\n"
    examples, problems = read(tmp_path, iob1, scheme="iob1")
    assert reading.found(examples) == [[("X", "a"), ("X", "b")]]
    assert not problems.counts
    examples, problems = read(tmp_path, iob1)
    assert reading.found(examples) == [[("X", "a"), ("X", "b")]]
    assert problems.counts == {tokens.NO_START: 1}
    examples, problems = read(tmp_path, "a\tX\nb\tX\nc\tO\n", scheme="io")
    assert reading.found(examples) == [[("X", "a b")]]


def test_letters_alone_need_a_label(tmp_path):
    folder = reading.write(tmp_path / "test.tsv", "BRCA1\tB\ngene\tI\n")
    reading.refused("bio", folder, "NER", "test.tsv#0", "no label", "label=")
    examples, _ = reading.read("bio", folder, "NER", label="gene")
    assert reading.found(examples) == [[("gene", "BRCA1 gene")]]


def test_tokens_without_spaces_between(tmp_path):
    examples, _ = read(tmp_path, "東\tB-LOC\n京\tI-LOC\nへ\tO\n", join="")
    assert examples[0].text == "東京へ"
    assert examples[0].annotations[0].spans == (Span("東京", 0, 2),)


def test_spaces_that_are_not_ascii_stand_inside_tokens(tmp_path):
    examples, _ = read(tmp_path, "a\u00a0b\u2028c B-X\nd O\n")
    assert reading.found(examples) == [[("X", "a\u00a0b\u2028c")]]


def test_a_line_without_a_token_is_left_out(tmp_path):
    examples, problems = read(tmp_path, "a\tB-X\n\tI-X\n \tI-X\nb\tI-X\n")
    assert reading.found(examples) == [[("X", "a b")]]
    assert problems.counts == {"line without a token left out": 2}


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("York", ("line 3 has 1 columns, the file's first 2",)),
        ("York\tNN\tI-X", ("line 3 has 3 columns, the file's first 2",)),
        ("York\tcity", ("tag 'city' is neither O nor",)),
        ("#York\tcity", ("tag 'city' is neither O nor",)),
        ("York\t", ("tag '' is neither O nor",)),
    ],
)
def test_a_bad_line_costs_its_sentence(tmp_path, line, parts):
    folder = reading.write(tmp_path / "test.tsv", f"a\tO\n\n{line}\nb\tO\n\nc\tB-X\n")
    reading.refused("bio", folder, "NER", "test.tsv#1", "unreadable record", *parts)
    examples, problems = reading.read("bio", folder, "NER", repair=True)
    assert [e.text for e in examples] == ["a", "c"]
    assert problems.counts == {"unreadable record (record left out)": 1}


def test_files_that_are_none_of_the_format(tmp_path):
    folder = reading.write(tmp_path / "test.txt", '[{"tokens":["a"]}]')
    reading.refused("bio", folder, "NER", "test.txt", "a token and its tag", "one column")
    folder = reading.write(tmp_path / "test.txt", b"caf\xe9\tO\n")
    reading.refused("bio", folder, "NER", "test.txt", "not UTF-8")
    for content in ("", "\n \n", "# a comment\n"):
        folder = reading.write(tmp_path / "test.txt", content)
        assert reading.read("bio", folder, "NER")[0] == []


@pytest.mark.parametrize("task", ["RE", "EET", "EEA"])
def test_entities_alone(tmp_path, task):
    folder = reading.write(tmp_path / "test.tsv", PLAIN)
    reading.refused("bio", folder, task, f"holds no {task}; use it for NER")


@given(st.data(), st.sampled_from([PLAIN, PLAIN.replace("\t", " "), NUMBERED]), st.booleans())
def test_torn_files_are_refused_or_read(data, content, repair):
    content = data.draw(breaking.torn(content.encode()))
    options = data.draw(
        st.dictionaries(st.sampled_from(["token", "tag"]), st.sampled_from(["1", "-1", "Zoë", ""]))
        | st.sampled_from([{"scheme": "io"}, {"scheme": "iob1"}, {"label": "x"}, {"join": ""}])
    )
    with tempfile.TemporaryDirectory() as folder:
        path = reading.write(Path(folder) / "test.tsv", content)
        breaking.survives("bio", path, "NER", repair, **options)


#: Folder of the release -> (original files, label names, (instances, annotations, known sentences)
#: of train, dev and test).
REAL = {
    "AnatEM": ("AnatEM", None, [(1043, 627, 405), (889, 552, 117), (1077, 692, 129)]),
    "bc5cdr": ("bc5cdr", None, [(855, 1861, 381), (899, 1944, 42), (881, 1720, 71)]),
    "Broad Tweet Corpus": (
        "Broad_Tweet_Corpus",
        {"PER": "person", "LOC": "location", "ORG": "organization"},
        [(4281, 5087, 1603), (1725, 2875, 169), (1407, 2906, 205)],
    ),
}
TWEETS = {"train": ["[abeg].conll"], "dev": ["h.conll"], "test": ["f.conll"]}


@pytest.mark.parametrize("dataset", REAL)
def test_real_files_agree_with_their_release(shared, dataset):
    """The original files are heads and the release a sample: the sentences of both are compared."""
    folder, names, expected = REAL[dataset]
    known = reading.release(shared, f"NER/{dataset}", "train", "dev", "test")
    for split, figures in zip(("train", "dev", "test"), expected, strict=True):
        examples, problems = reading.read(
            "bio", shared / "data" / "raw" / folder, "NER", split=split, labels=names,
            files=TWEETS if names else None,
        )  # fmt: skip
        both, differing = reading.compare(examples, known)
        assert (*reading.counts(examples), both) == figures
        assert differing == []
        assert set(problems.counts) <= {"line without a token left out"}


@pytest.mark.parametrize(
    ("split", "figures", "lost"),
    [("train", (100, 532, 100), 1), ("dev", (350, 1549, 200), 3), ("test", (431, 1809, 300), 5)],
)
def test_a_release_that_lost_spans_at_the_end_of_sentences(shared, split, figures, lost):
    names = {"programlang": "program language", "misc": "else", "organisation": "organization"}
    raw = shared / "data" / "raw" / "CrossNER_ai"
    plain, _ = reading.read("bio", raw, "NER", split=split)
    names = {label: names.get(label, label) for label in plain[0].schema}
    examples, problems = reading.read("bio", raw, "NER", split=split, labels=names)
    assert not problems.counts
    both, differing = reading.compare(examples, reading.release(shared, "NER/CrossNER_AI", split))
    assert (*reading.counts(examples), both) == figures
    assert len(differing) == lost
    for example, mine, theirs in differing:
        last = example.annotations[-1]
        assert last.spans[0].end == len(example.text)
        assert mine - {(last.label, last.spans[0].text)} in theirs
