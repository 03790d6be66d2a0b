"""The tables' columns: a name for each, once, and words on what a table is."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from ruie import schemas

SOURCE = Path(schemas.__file__).read_text()
TABLES = {name: s for name, s in vars(schemas).items() if isinstance(s, pa.Schema)}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_words_and_columns_once(name: str) -> None:
    columns = TABLES[name].names
    assert len(set(columns)) == len(columns) > 0
    assert re.search(rf"^#: ?\S.*\n{name} = ", SOURCE, re.M), "no comment says what it is"


def test_all_schemas_are_tables() -> None:
    assert set(re.findall(r"^([A-Z_]+) = pa\.schema", SOURCE, re.M)) == TABLES.keys()
