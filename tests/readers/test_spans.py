"""The plainest form for own data: JSON lines, a JSON list, CSV."""

from __future__ import annotations

import json

import pytest
from breaking import attempt, broken, torn
from hypothesis import given
from hypothesis import strategies as st
from reading import lines, read, said

from ruie.cli import UserError

#        0123456789012345 the smiling face is one character
TEXT = "Zoë 😀 met Ana."
ZOE, ANA = {"start": 0, "end": 3}, {"start": 10, "end": 13}
RECORDS = {
    "NER": {
        "text": TEXT,
        "spans": [{**ANA, "label": "person"}, {"text": "Zoë", "label": "person"}],
    },
    "RE": {
        "text": TEXT,
        "relations": [{"head": {"text": "Ana", **ANA}, "tail": ZOE, "label": "met"}],
    },
    "EET": {"text": TEXT, "events": [{"trigger": {"start": 6, "end": 9}, "label": "meeting"}]},
    "EEA": {
        "text": TEXT,
        "event": {"trigger": {"text": "met"}, "label": "meeting"},
        "arguments": [{**ZOE, "label": "guest"}],
    },
}  # fmt: skip
EXPECTED = {
    "NER": (TEXT, [("person", 10, 13), ("person", 0, 3)]),
    "RE": (TEXT, [("met", 10, 13, 0, 3)]),
    "EET": (TEXT, [("meeting", 6, 9)]),
    "EEA": (TEXT, ("meeting", 6, 9), [("guest", 0, 3)]),
}
CSV = 'text,start,end,label\n"Ana, 23",0,3,person\nNobody.,,,\n"Ana, 23",5,7,age\n'


def put(folder, content, name="own.jsonl"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("task", RECORDS)
def test_json_lines_and_a_json_list(tmp_path, task):
    for name, content in (
        ("own.jsonl", lines(RECORDS[task])),
        ("own.json", json.dumps([RECORDS[task]], indent=1).encode()),
    ):
        found, problems = read("spans", put(tmp_path, content, name), task)
        assert said(found) == [EXPECTED[task]]
        searched = {"NER": 1, "EEA": 1}.get(task, 0)  # the spans given as strings
        assert sum(problems.counts.values()) == searched


@pytest.mark.parametrize("task", RECORDS)
def test_csv_with_json_in_its_cells(tmp_path, task):
    fields = [name for name in RECORDS[task] if name != "text"]
    cells = [json.dumps(RECORDS[task][name]).replace('"', '""') for name in fields]
    quoted = ",".join(f'"{cell}"' for cell in [TEXT, *cells])
    content = f"text,{','.join(fields)}\r\n{quoted}\r\n"
    found, _ = read("spans", put(tmp_path, "\ufeff" + content, "own.csv"), task)
    assert said(found) == [EXPECTED[task]]


def test_rows_of_one_text_belong_together(tmp_path):
    found, problems = read("spans", put(tmp_path, CSV, "own.csv"), "NER")
    assert said(found) == [("Ana, 23", [("person", 0, 3), ("age", 5, 7)]), ("Nobody.", [])]
    assert [e.source for e in found] == ["own.csv#0", "own.csv#1"]
    assert found[0].schema == ("age", "person")
    assert not problems.counts


def test_rows_with_the_string_of_a_span(tmp_path):
    content = "text,span,label\nAna met Ana,Ana,person\nAna met Ana,Ana,person\nNobody,,\n"
    found, problems = read("spans", put(tmp_path, content, "own.csv"), "NER")
    assert said(found) == [("Ana met Ana", [("person", 0, 3), ("person", 8, 11)]), ("Nobody", [])]
    assert problems.counts == {"offsets found by literal search": 2}
    with pytest.raises(UserError, match="#0: unreadable annotation: the cell span is empty"):
        read("spans", put(tmp_path, "text,span,label\nAna,,person\n", "own.csv"), "NER")


def test_other_columns_and_delimiters(tmp_path):
    content = CSV.replace('"Ana, 23"', '"Ana; 23"').replace(",", ";")
    content = content.replace("text;", "id;text;").replace("\n", "\n7;").removesuffix("7;")
    content = content.replace("7;text", "text")
    found, _ = read("spans", put(tmp_path, content, "own.csv"), "NER", delimiter=";")
    assert said(found)[0] == ("Ana; 23", [("person", 0, 3), ("age", 5, 7)])
    tabs = 'text\tstart\tend\tlabel\n"A\nna"\t0\t4\tperson\n'
    found, _ = read("spans", put(tmp_path, tabs, "own.csv"), "NER", delimiter="tab")
    assert said(found) == [("A\nna", [("person", 0, 4)])]


def test_offsets_are_checked_against_the_text_beside_them(tmp_path):
    span = {"start": 9, "end": 12, "text": "Ana", "label": "person"}
    path = put(tmp_path, lines({"text": TEXT, "spans": [span]}))
    with pytest.raises(UserError, match=r"own\.jsonl#0: wrong offsets: span 'Ana' does not stand"):
        read("spans", path, "NER")
    found, problems = read("spans", path, "NER", repair=True)
    assert said(found) == [(TEXT, [("person", 10, 13)])]
    assert problems.counts == {"wrong offsets (found by literal search)": 1}


@pytest.mark.parametrize("offsets", [(10, 99), (99, 100), (-3, -1), (3, 3), (5, 4)])
def test_offsets_where_nothing_stands(tmp_path, offsets):
    span = {"start": offsets[0], "end": offsets[1], "label": "person"}
    path = put(tmp_path, lines({"text": TEXT, "spans": [span]}))
    stands = rf"span not in text: span '' does not stand at \[{offsets[0]}, {offsets[1]}\]"
    with pytest.raises(UserError, match=stands):
        read("spans", path, "NER", labels={"person": "person"})
    found, problems = read("spans", path, "NER", repair=True)
    assert found[0].annotations == ()
    assert problems.counts == {"span not in text (annotation left out)": 1}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"text": "a"}, "field 'spans' is missing; expected a NER record with 'text' and 'spans'"),
        ({"spans": []}, "field 'text' is missing"),
        ({"text": 5, "spans": []}, "the text is not a string: 5"),
        ({"text": "a", "spans": {}}, "'spans' is not a list"),
        ({"text": "a", "spans": [[0, 1, "x"]]}, "list indices"),
        ({"text": "a", "spans": [{"label": "x"}]}, "neither start and end nor text"),
        (
            {"text": "a", "spans": [{"start": 0, "label": "x"}]},
            "is not a whole number: None",
        ),
        (
            {"text": "a", "spans": [{"start": "0", "end": 1, "label": "x"}]},
            "a whole number: '0'",
        ),
        ({"text": "a", "spans": [{"start": 0, "end": 1, "label": 7}]}, "label is not a string: 7"),
        ({"text": "a", "spans": [{"start": 0, "end": 1}]}, "field 'label' is missing"),
        (["a"], "expected a NER record"),
    ],
)
def test_a_bad_record_is_named_or_left_out(tmp_path, record, why):
    path = put(tmp_path, lines(RECORDS["NER"], record, RECORDS["NER"]))
    with pytest.raises(UserError, match=r"own\.jsonl#1: unreadable record") as error:
        read("spans", path, "NER")
    assert why in str(error.value)
    found, problems = read("spans", path, "NER", repair=True)
    assert [e.id for e in found] == ["toy/test/000000", "toy/test/000002"]
    assert problems.counts["unreadable record (record left out)"] == 1


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("text;start;end;label\na;0;1;x\n", ["must name the columns text,spans or text,start,end"]),
        ("text;start;end;label\na;0;1;x\n", ["not 'text;start;end;label'", "option delimiter="]),
        ("", ["must name the columns"]),
        ("text,text,spans\na,b,[]\n", ["the column 'text' stands twice"]),
        ('text,spans\n"a" b,[]\n', ["line 2: malformed CSV", "correct the file"]),
        ("text,start,end,label\na,0,1\n", ["#0: unreadable record: 3 cells in a row of 4 columns"]),
        ("text,start,end,label\na,0,x,l\n", ["#0", "whole numbers, not '0' and 'x'"]),
        ("text,start,end,label\na,,1,l\n", ["#0", "whole numbers, not '' and '1'"]),
        ("text,spans\na,[{]\n", ["#0: unreadable record: malformed JSON"]),
        ("text,spans\nZo\xeb,[]\n".encode("latin-1"), ["not UTF-8", "convert the file"]),
    ],
)
def test_faults_of_csv(tmp_path, content, parts):
    path = put(tmp_path, content, "own.csv")
    with pytest.raises(UserError) as error:
        read("spans", path, "NER")
    assert all(part in str(error.value) for part in [str(path), *parts])
    assert len(str(error.value).splitlines()) == 1


def test_options_are_known(tmp_path):
    path = put(tmp_path, CSV, "own.csv")
    with pytest.raises(UserError, match="no option 'sep' in this format; options: d"):
        read("spans", path, "NER", sep=";")
    with pytest.raises(UserError, match="option delimiter: must be one character or tab"):
        read("spans", path, "NER", delimiter="::")


@given(st.sampled_from(list(RECORDS)), st.data(), st.booleans())
def test_broken_records(task, data, repair):
    content = lines(RECORDS[task], *data.draw(broken([RECORDS[task]] * 2)))
    found = attempt(content, "own.jsonl", "spans", task, repair=repair)
    assert found is not None or not repair


@given(torn(lines(*[RECORDS["NER"]] * 2)), torn(CSV.encode()), st.booleans())
def test_damaged_files(jsonl, csv, repair):
    attempt(jsonl, "own.jsonl", "spans", "NER", repair=repair)
    attempt(csv, "own.csv", "spans", "NER", repair=repair)


_span = st.tuples(st.integers(0, 12), st.integers(1, 5), st.sampled_from("xy"))


@given(st.lists(st.tuples(st.text(min_size=13, max_size=13), st.lists(_span)), max_size=4))
def test_overlapping_and_unsorted_spans_stay(records):
    made = [
        {"text": text, "spans": [{"start": s, "end": s + n, "label": x} for s, n, x in spans]}
        for text, spans in records
        if text.strip() and text.isprintable()
    ]
    inside = [
        [(p["label"], p["start"], p["end"]) for p in r["spans"] if p["end"] <= 13] for r in made
    ]
    found = attempt(
        lines(*made), "own.jsonl", "spans", "NER", repair=True, labels={"x": "x", "y": "y"}
    )
    assert [facts for _, facts in said(found)] == inside


def test_string_and_offsets_in_one_row_are_checked_against_each_other(tmp_path):
    text = "The pump of line 3 leaks"  # pump at 4, line 3 at 12
    lines = [f"{text},line 3,4,8,machine", f"{text},pump,4,8,part", f"{text},leaks,,,fault"]
    path = tmp_path / "own.csv"
    path.write_text("text,span,start,end,label\n" + "\n".join(lines) + "\n")
    (example,), problems = read("spans", path, "NER", repair=True)
    spans = [(a.label, a.spans[0].start, a.spans[0].text) for a in example.annotations]
    assert spans == [("machine", 12, "line 3"), ("part", 4, "pump"), ("fault", 19, "leaks")]
    assert problems.counts["wrong offsets (found by literal search)"] == 1
    assert problems.counts["offsets found by literal search"] == 1


def test_a_tsv_file_is_cut_at_tabs(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("text\tspan\tlabel\nAnn, of Oslo\tOslo\tplace\n")
    (example,), _ = read("spans", path, "NER")
    assert (example.text, example.annotations[0].spans[0].start) == ("Ann, of Oslo", 8)
