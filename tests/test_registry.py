"""Registry files: what is read, what is refused and where, how one gets another row."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ruie import registry
from ruie.cli import UserError
from ruie.readers import FORMATS
from ruie.registry import RegistryFile

SCHEMA = json.loads(registry.SCHEMA.read_text())
ROW = {
    "name": "mine", "task": "NER", "path": "NER/mine", "format": "ie_instructions",
    "held_out": False, "train": True, "evaluate": True, "repair": False,
}  # fmt: skip
LINE = "  - " + yaml.safe_dump(ROW, default_flow_style=True, width=1000).strip()
PAPER = {"schema": "18(104)", "train": None, "test": 3}
SOURCE = {"licence": "MIT", "url": "https://a.example", "files": [{"url": "https://a.example/x"}]}


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(UserError) as error:
        registry.load(written(tmp_path, text))
    said = str(error.value)
    assert len(said.splitlines()) == 1
    return said.removeprefix(f"{tmp_path}/")


# Reading
def test_rows_by_name_in_their_order(tmp_path):
    rows = [{**ROW, "name": name, "paper": PAPER, "source": SOURCE} for name in ("b", "a", "No")]
    text = yaml.safe_dump({"datasets": rows})
    found = registry.load(written(tmp_path, "\ufeff# Zoë\n" + text))
    assert list(found.items()) == [("b", rows[0]), ("a", rows[1]), ("No", rows[2])]


def test_rows_may_share_what_is_the_same(tmp_path):
    text = f"datasets:\n  - &one {LINE[4:]}\n  - {{<<: *one, name: two, labels: &x {{A: b}}}}\n"
    text += "  - {<<: *one, name: three, labels: *x}\n"
    found = registry.load(written(tmp_path, text))
    labels = {"labels": {"A": "b"}}
    assert found == {
        "mine": ROW,
        "two": ROW | {"name": "two"} | labels,
        "three": ROW | {"name": "three"} | labels,
    }


@pytest.mark.parametrize(
    ("key", "what"),
    [("NO", "a truth value"), ("on", "a truth value"), ("7", "a number"), ("1.5", "a number"),
     ("null", "nothing"), ("2020-01-31", "a date"), ("=", "no text")],
)  # fmt: skip
def test_a_key_that_is_no_text(tmp_path, key, what):
    row = LINE.replace("}", ", labels: {PER: person,\n   %s: norway}}")
    said = refused(tmp_path, f"datasets:\n{row % key}\n")
    assert said == f'r.yaml:3: the key {key} is {what} to YAML 1.1; put it in quotes: "{key}"'
    found = registry.load(written(tmp_path, f"datasets:\n{row}\n" % f'"{key}"'))
    assert found["mine"]["labels"] == {"PER": "person", key: "norway"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("datasets:\n - name: a\n   task: NER\n   name: b\n",
         "r.yaml:4: the key 'name' stands in line 2 already; take one out"),
        ("a: 1\ndatasets: []\na: 1\n", "r.yaml:3: the key 'a' stands in line 1 already"),
        ("a: {<<: {}, <<: {}}", "r.yaml:1: the key '<<' stands in line 1 already"),
        ("? [a]\n: b", "r.yaml:1: a list or map as a key"),
        ('datasets:\n- "\\ud800"', r"r.yaml:2: '\ud800' is no text"),
        ('datasets: [{path: "a\\0"}]', r"r.yaml:1: 'a\x00' is no text"),
        (f"datasets:\n{LINE}\n{LINE}", "r.yaml:3: the dataset name 'mine' occurs twice"),
        (f"datasets:\n{LINE}\n{LINE}".replace("mine}", "b}", 1), "r.yaml:3: the dataset name"),
    ],
)  # fmt: skip
def test_what_yaml_would_take_in_silence(tmp_path, text, says):
    assert refused(tmp_path, text).startswith(says)


@pytest.mark.parametrize(
    "text",
    [b"", b"# nothing", b"- 1", b"datasets: 3", b"datasets: []", b"datasets: [1]", b"a: [",
     b"\xff\xfe\x00", b"[" * 2000, b"d: 2020-99-99", b"a: !!python/name:os.sep x", b"a: *b",
     b"datasets: &a [*a]", b"a: !!int ''", b"a: !!timestamp x", b"x: \x07", b"a\n---\nb"],
)  # fmt: skip
def test_a_file_that_is_no_registry(tmp_path, text):
    assert refused(tmp_path, text).startswith("r.yaml:")


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none.yaml", Path("a\0b")):
        with pytest.raises(UserError, match="cannot be read: .*; name the dataset registry"):
            registry.load(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ROW, *PAPER, *SOURCE, "labels", "x"]), inner)
    ),
    max_leaves=5,
)


def outcome(text: str | bytes) -> dict[str, dict] | str:
    """The rows, or the one line that refuses the file."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return registry.load(written(Path(folder), text))
        except UserError as error:
            return str(error).removeprefix(f"{folder}/")


@given(st.dictionaries(st.sampled_from([*ROW, "paper", "source", "labels", "files"]), VALUES))
def test_any_row_is_read_or_refused(change):
    row = ROW | change
    found = outcome(yaml.safe_dump({"datasets": [row]}))
    if isinstance(found, str):
        assert found.startswith("r.yaml:")
        assert len(found.splitlines()) == 1
    else:
        assert found == {row["name"]: row}


GOOD = yaml.safe_dump({"datasets": [ROW | {"paper": PAPER, "source": SOURCE}]}).encode()
PUT = [b"\n", b"!!set ", b"!!omap ", b"!!float ", b"!!binary ", b"&a ", b"*a", b"<<: *a\n", b"? "]


@settings(max_examples=200)
@given(st.integers(0, len(GOOD)), st.integers(0, 20), st.binary(max_size=4) | st.sampled_from(PUT))
def test_any_file_is_read_or_refused(at, cut, put):
    found = outcome(GOOD[:at] + put + GOOD[at + cut :])
    if isinstance(found, str):
        assert found.startswith("r.yaml:")
        assert len(found.splitlines()) == 1
    else:
        assert all(row["name"] == name for name, row in found.items())


# Schema
def test_the_first_fault_is_said_with_its_line(tmp_path):
    text = f"datasets:\n{LINE}\n" + LINE.replace("mine", "b").replace("NER,", "NERD,")
    said = refused(tmp_path, text)
    assert said.startswith("r.yaml:3: datasets.1.task: 'NERD' is not one of ['NER', 'RE', ")
    assert said.endswith(f"see {registry.SCHEMA}")
    row = ROW | {"labels": {"PER": 7}}
    assert "labels.PER: 7 is not of type 'string', 'null' (text may need quotes); see " in refused(
        tmp_path, yaml.safe_dump({"datasets": [row]})
    )


def test_a_long_value_is_cut_and_a_password_hidden(tmp_path):
    row = ROW | {"source": SOURCE | {"url": "https://me:secret@a.example/" + "x" * 500}}
    said = refused(tmp_path, yaml.safe_dump({"datasets": [row]}))
    assert "https://…@a.example/xxx" in said
    assert "secret" not in said
    assert len(said) < 500


def test_check_names_what_is_checked(tmp_path):
    path = tmp_path / "s.json"
    path.write_text('{"properties": {"steps": {"type": "integer"}}}')
    registry.check({"steps": 3}, path, "config")
    for value in (3.0, True, "3"):
        with pytest.raises(
            UserError, match=r"config: steps: .* is not of type 'integer'; see .*s\."
        ):
            registry.check({"steps": value}, path, "config")


def objects(schema: object) -> list[dict]:
    """Every part of a schema that describes an object."""
    if isinstance(schema, list):
        return [o for part in schema for o in objects(part)]
    if not isinstance(schema, dict):
        return []
    mine = [schema] if schema.get("type") == "object" else []
    return mine + [o for part in schema.values() for o in objects(part)]


def test_schema_is_closed_at_every_level():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    found = objects(SCHEMA)
    # registry, row, files, labels, options, paper, source, a file of a source
    assert len(found) == 8
    # labels and options are maps: any name, but values of one type
    assert all(o["additionalProperties"] is not True and "additionalProperties" in o for o in found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": {"licence": "MIT", "url": "https://a.b"}}, "not valid under any"),
        ({"source": SOURCE | {"manual": "ask"}}, "valid under each"),
        ({"source": {"licence": "MIT", "url": "a.b", "manual": "ask"}}, "does not match"),
        ({"source": {"url": "https://a.b", "manual": "ask"}}, "'licence' is a required"),
        ({"source": {"licence": "MIT", "url": "https://a.b", "manual": "x", "archive": "zip"}},
         "dependency"),
        ({"files": {"all": ["x"]}}, "is not one of"),
        ({"files": {"train": []}}, "non-empty"),
        ({"labels": {"a": 1}}, "not of type"),
        ({"options": {"tag": 2}}, "not of type"),
        ({"form": "conll"}, "is not one of"),
        ({"licence": "MIT"}, "unexpected"),
        ({"name": "a b"}, "does not match"),
        ({"name": "a\n"}, "does not match"),
        ({"name": "average"}, "should not be valid"),
        *[({"paper": PAPER | {"schema": bad}}, "does not match|not of type|minimum")
          for bad in ("18(104", "many", "-1", -1, None, 1.5, 7.0, "18(104)x", "18\n")],
        *[({"paper": PAPER | {"test": bad}}, "not of type|minimum")
          for bad in ("9", True, 1.0, -1)],
        *[({"source": SOURCE | {"files": [{"url": "https://a.b/c"} | bad]}}, "")
          for bad in ({"to": "/etc/x"}, {"to": "../x"}, {"to": "a/../../x"}, {"sha256": "12"},
                      {"url": "file:///x"}, {"url": "https://a.b/c d"}, {"url": "https://a.b/c\n"},
                      {"md5": "x"})],
    ],
)  # fmt: skip
def test_schema_refuses(tmp_path, change, says):
    said = refused(tmp_path, yaml.safe_dump({"datasets": [ROW | change]}))
    [key] = change
    assert said.startswith("r.yaml:")
    assert f": datasets.0.{key}" in said or "'licence' was unexpected" in said
    assert any(part in said for part in says.split("|"))


def test_every_format_may_be_written_in_a_registry():
    names = SCHEMA["$defs"]["format"]["enum"]
    assert set(FORMATS) == set(names)
    assert len(set(names)) == len(names)


# Another row
def put(path: Path, row: dict) -> None:
    path.write_text(RegistryFile.load(path).with_row(row), encoding="utf-8")


def test_a_registry_keeps_its_text(tmp_path):
    text = f"# mine\ndatasets: # here\n- {LINE[4:].replace('mine', 'film')} # old\n"
    path = written(tmp_path, text)
    put(path, ROW)
    assert path.read_text().startswith(text + "- {name: mine, ")
    assert list(registry.load(path)) == ["film", "mine"]


def test_a_row_that_cannot_be_put_in_is_said(tmp_path):
    block = yaml.safe_dump({"datasets": [ROW]})
    for text in (block, f"datasets: [{LINE[4:]}]\n"):
        file = RegistryFile.load(written(tmp_path, text))
        for row in (ROW | {"path": "x"}, *([ROW | {"name": "b"}] * text.startswith("datasets: ["))):
            with pytest.raises(UserError, match=r"r\.yaml: cannot be changed here; .* by hand: - "):
                file.with_row(row)


_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)


@settings(max_examples=30)
@given(st.lists(_names.filter(lambda name: name != "average"), min_size=1, max_size=5))
def test_rows_are_added_and_replaced(names):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "my.yaml")
        for number, name in enumerate(names):
            put(path, {**ROW, "name": name, "path": f"NER/{number}"})
        found = {name: row["path"] for name, row in registry.load(path).items()}
    assert found == {name: f"NER/{number}" for number, name in enumerate(names)}
    assert list(found) == list(dict.fromkeys(names))
