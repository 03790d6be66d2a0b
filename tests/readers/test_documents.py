"""Documents cut into instances: offsets, and what crosses a border."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ruie.cli import UserError
from ruie.readers import Bad, Fact, Mention, Skip, Source
from ruie.readers.documents import Document, DocumentEvent, cut, ontology, tokens, type_name

TEXT = "Ann met Bo.\nCy left."
UNITS = [(0, 11), (12, 20)]


def fact(label: str, *words: str) -> Fact:
    return Fact(label, tuple(Mention(w, TEXT.index(w), TEXT.index(w) + len(w)) for w in words))


def run(task: str, **parts):
    return list(cut(Document(TEXT, **parts), UNITS, task, Path("d.txt")))


def test_offsets_become_those_of_the_unit():
    first, second = run("NER", entities=[fact("person", "Cy"), fact("person", "Bo")])
    assert (first.text, first.facts) == ("Ann met Bo.", [Fact("person", (Mention("Bo", 8, 10),))])
    # Cy stands at 12 of the document, and at 12 - 12 = 0 of the second unit
    assert (second.text, second.facts) == ("Cy left.", [Fact("person", (Mention("Cy", 0, 2),))])
    assert [first.where, second.where] == ["d.txt#0", "d.txt#1"]


def test_a_relation_between_sentences_is_counted():
    kept, crossing = fact("knows", "Ann", "Bo"), fact("knows", "Ann", "Cy")
    first, second = run("RE", relations=[kept, crossing])
    assert [f.label for f in first.facts] == ["knows"]
    assert list(first.losses) == ["relation between sentences left out"]
    assert not first.notes
    assert not second.facts


def test_an_argument_in_another_sentence_is_counted():
    event = DocumentEvent(fact("meet", "met"), [fact("who", "Ann"), fact("who", "Cy")])
    (record,) = run("EEA", events=[event])
    assert (record.event.label, record.text) == ("meet", "Ann met Bo.")
    assert [m.text for f in record.facts for m in f.mentions] == ["Ann"]
    assert list(record.losses) == ["argument in another sentence left out"]
    assert not record.notes


def test_what_is_said_of_the_document_goes_with_its_first_instance():
    first, second = run("NER", notes=["a note"], losses=["a loss"])
    assert (first.notes, first.losses) == (["a note"], ["a loss"])
    assert (second.notes, second.losses) == ([], [])


def test_a_document_without_an_event_is_skipped():
    assert run("EEA", notes=["a note"]) == [
        Skip("d.txt#0", "document without an instance", ["a note"], [])
    ]
    assert len(run("EET")) == 2  # sentences in which there is nothing to find


def test_what_stands_in_no_unit_is_bad():
    outside = Fact("person", (Mention("Dee", 30, 33),))
    bad, *rest = run("NER", entities=[outside])
    assert isinstance(bad, Bad)
    assert "'Dee' [30, 33] is outside the text" in bad.why
    assert len(rest) == 2


def test_tokens_stand_between_single_spaces():
    assert tokens(["Zoë", "🎉", "!"]) == ("Zoë 🎉 !", [(0, 3), (4, 5), (6, 7)])


def test_coarse_types_and_the_ontology(tmp_path):
    given = [["a.b", ["who"]], ["a.c", ["who", "where"]], ["d", []]]
    (tmp_path / "o.json").write_text(json.dumps(given))
    fine = Source(tmp_path, "EEA", "d", "test", options={"ontology": "o.json"})
    coarse = Source(tmp_path, "EEA", "d", "test", options={"ontology": "o.json", "types": "coarse"})
    assert type_name("a.b.c", fine) == "a.b.c"
    assert type_name("a.b.c", coarse) == "a"
    assert ontology(fine) == {"a.b": ["who"], "a.c": ["who", "where"], "d": []}
    # a.b and a.c are one type, with the roles of both
    assert ontology(coarse) == {"a": ["who", "where"], "d": []}
    (tmp_path / "o.json").write_text("[3]")
    with pytest.raises(UserError, match=r"o\.json: must be .*, and not empty"):
        ontology(fine)
