"""The CASIE reader: names, sentences by the source's lines, offsets a little wrong."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from breaking import corrupted, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import agreement, instances, read, refused

from ruie.readers.casie import name

#: The source text's line break after "Acme" has become a space.
CONTENT = "Breach at Acme Zoë’s gang stole 5 files. Acme patched CVE-1."


def _span(words: str, shift: int = 0, at: int = 0) -> dict[str, Any]:
    start = CONTENT.index(words, at) + shift
    return {"startOffset": start, "endOffset": start + len(words), "text": words, "index": "T1"}


def _argument(role: str, *span: Any) -> dict[str, Any]:
    return {**_span(*span), "role": {"type": role}, "type": "Data"}


DOCUMENT: dict[str, Any] = {
    "sourcefile": "1.txt",
    "info": {},
    "content": CONTENT,
    "cyberevent": {
        "hopper": [
            {
                "events": [
                    {
                        "nugget": _span("stole", 2),
                        "type": "Attack",
                        "subtype": "Databreach",
                        "argument": [
                            _argument("Attacker", "Zoë’s gang", -1),
                            _argument("Number-of-Data", "5"),
                            _argument("Victim", "Acme"),
                        ],
                    },
                    {
                        "nugget": _span("patched"),
                        "type": "Vulnerability-related",
                        "subtype": "PatchVulnerability",
                        "argument": [
                            _argument("CVE", "CVE-1"),
                            _argument("Releaser", "Acme", 0, 20),
                        ],
                    },
                ]
            },
            {"events": [{"nugget": _span("Breach"), "type": "Attack", "subtype": "Databreach"}]},
        ]
    },
}
ONE, TWO, THREE = "Breach at Acme", "Zoë’s gang stole 5 files.", "Acme patched CVE-1."


def put(folder: Path, document: Any = DOCUMENT, source: bool = True) -> Path:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    (folder / "annotation").mkdir(exist_ok=True)
    (folder / "source").mkdir(exist_ok=True)
    (folder / "annotation/1.json").write_bytes(data)
    if source:
        text = CONTENT.replace("Acme Zoë", "Acme\nZoë")
        body = f"<title>A breach</title>\n<text>\n{text}\n</text>\n"
        (folder / "source/1.txt").write_text(body, encoding="utf-8")
    return folder


FILES = {"test": ["annotation/*.json"]}


def test_names():
    assert [name(n) for n in ("Databreach", "DiscoverVulnerability", "Ransom")] == [
        "data breach", "discover vulnerability", "ransom"
    ]  # fmt: skip
    assert [name(n) for n in ("CVE", "Vulnerable_System_Owner", "Attack-Pattern")] == [
        "common vulnerabilities and exposures", "vulnerable system owner", "attack pattern"
    ]  # fmt: skip


def test_triggers_and_arguments(tmp_path):
    examples, problems = read("casie", put(tmp_path), "EET", files=FILES)
    moved = {"offsets wrong by one or two: mended": 2}
    assert instances(examples) == [
        (ONE, None, [("data breach", "Breach")]),
        (TWO, None, [("data breach", "stole")]),
        (THREE, None, [("patch vulnerability", "patched")]),
    ]
    assert problems.counts == moved
    examples, problems = read("casie", put(tmp_path), "EEA", files=FILES)
    assert instances(examples) == [
        (ONE, ("data breach", "Breach"), []),
        (TWO, ("data breach", "stole"), [("attacker", "Zoë’s gang"), ("number of data", "5")]),
        (
            THREE,
            ("patch vulnerability", "patched"),
            [("common vulnerabilities and exposures", "CVE-1"), ("releaser", "Acme")],
        ),
    ]
    assert problems.counts == {**moved, "argument in another sentence left out": 1}


def test_without_the_source_text_the_lines_are_lost(tmp_path):
    examples, _ = read("casie", put(tmp_path, source=False), "EET", files=FILES)
    assert [e.text for e in examples] == [f"{ONE} {TWO}", THREE]
    (tmp_path / "source/1.txt").write_text("<text>another text</text>")
    again, _ = read("casie", tmp_path, "EET", files=FILES)
    assert [e.text for e in again] == [f"{ONE} {TWO}", THREE]


def test_units(tmp_path):
    for unit, texts in (("line", [ONE, f"{TWO} {THREE}"]), ("document", [CONTENT])):
        examples, _ = read("casie", put(tmp_path), "EET", files=FILES, unit=unit)
        assert [e.text for e in examples] == texts


@pytest.mark.parametrize("shift", [3, -3])
def test_offsets_further_away_are_a_fault(tmp_path, shift):
    document = copy.deepcopy(DOCUMENT)
    document["cyberevent"]["hopper"][0]["events"][0]["nugget"] = _span("stole", shift)
    refused("casie", put(tmp_path, document), "EET", "wrong offsets", "'stole'", files=FILES)


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        (("content",), 5, ("1.json#0", "content is not a string: 5")),
        (("cyberevent",), {}, ("1.json#0", "field 'hopper' is missing")),
        (("cyberevent", "hopper", 1, "events", 0, "nugget"), {}, ("1.json#2", "'text' is missing")),
        (
            ("cyberevent", "hopper", 0, "events", 0, "nugget", "startOffset"),
            "33",
            ("1.json#0", "startOffset is not a whole number"),
        ),
        (
            ("cyberevent", "hopper", 0, "events", 0, "nugget"),
            {"startOffset": 900, "endOffset": 905, "text": "stole"},
            ("1.json#0", "'stole' [900, 905] is outside the text"),
        ),
    ],
)
def test_malformed_documents(tmp_path, path, value, parts):
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    refused("casie", put(tmp_path, document), "EET", *parts, files=FILES)


def test_other_tasks_are_refused(tmp_path):
    refused("casie", put(tmp_path), "NER", "holds no NER; use it for EET, EEA", files=FILES)


@settings(max_examples=80)
@given(corrupted(DOCUMENT), st.sampled_from(["EET", "EEA"]), st.booleans())
def test_corrupted_files_are_refused_or_counted(data, task, repair):
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), data) / "annotation/1.json"
        survives("casie", path, task, repair)


def test_real_files(shared):
    folder = shared / "data/raw/CASIE"
    given = [json.loads(p.read_text()) for p in folder.glob(FILES["test"][0])]
    events = [e for d in given for h in d["cyberevent"]["hopper"] for e in h["events"]]
    examples, problems = read("casie", folder, "EEA", files=FILES)
    assert len(examples) == len(events) == 273
    assert problems.counts == {"argument in another sentence left out": 32}
    kept = sum(len(e.annotations) for e in examples)
    assert kept == sum(len(e.get("argument", [])) for e in events) - 32 == 742
    assert agreement(examples, shared / "data/ie/EEA/CASIE") == (60, 60)
    ours = {e.event.type for e in examples} | {r for e in examples for r in e.schema}
    labels = json.loads((shared / "data/ie/EEA/CASIE/labels.json").read_text())
    assert ours <= {*labels, *(r for roles in labels.values() for r in roles)}
    examples, problems = read("casie", folder, "EET", files=FILES)
    assert sum(len(e.annotations) for e in examples) == 273
    assert not problems.counts
    assert agreement(examples, shared / "data/ie/EET/CASIE") == (56, 56)
