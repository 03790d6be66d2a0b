"""What formats of JSON records share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie.readers import Bad, rows


@pytest.mark.parametrize("content", ['{"a": 1}\n\n \n{"a": 2}', ' \n[{"a": 1},\n {"a": 2}]'])
def test_records_of_lines_and_of_a_list(tmp_path, content):
    path = tmp_path / "f.json"
    path.write_text(content)
    assert list(rows.objects(path)) == [(f"{path}#0", {"a": 1}), (f"{path}#1", {"a": 2})]


def test_a_bad_line_costs_one_record(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": 1}\n{"a": NaN}\n{"a": 3}\n{"a": 4')
    found = [record for _, record in rows.objects(path)]
    assert found[0] == {"a": 1}
    assert found[2] == {"a": 3}
    assert found[1] == Bad(f"{path}#1", "line 2: malformed JSON: NaN is no JSON value")
    assert isinstance(found[3], Bad)
    assert found[3].why.startswith("line 4: malformed JSON: Expecting ',' delimiter")


@given(st.text(st.sampled_from("aé😀𝒳\u0301")), st.data())
def test_utf16_units_are_those_of_the_encoding(text, data):
    at = data.draw(st.integers(0, len(text)))
    units = len(text[:at].encode("utf-16-le")) // 2
    assert rows.utf16(text)[units] == at
    assert len(rows.utf16(text)) == len(text) + 1


@pytest.mark.parametrize(
    ("start", "end", "text"), [(0, 2, "ab"), (1, 2, "b"), (0, 3, ""), (-2, -1, ""), (1, 1, "")]
)
def test_a_mention_is_within_the_text(start, end, text):
    assert rows.mention("ab", start, end) == (text, start, end)
