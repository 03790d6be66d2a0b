"""The dataset registry: a YAML file, checked against its closed schema, registry.schema.json."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from ruie.cli import UserError

SCHEMA = Path(__file__).with_name("registry.schema.json")
#: Text of a registry that has no row yet.
HEAD = """\
# Own datasets. Fields: ruie/registry.schema.json. Paths are relative to the config's
# datasets.root.
datasets:
"""
#: What YAML 1.1 takes a key without quotes for, by the end of its tag.
TAGS = {"bool": "a truth value", "int": "a number", "float": "a number", "null": "nothing",
        "timestamp": "a date"}  # fmt: skip
#: What construction raises for a scalar that its tag does not fit, as 2020-99-99.
FAULTS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
          RecursionError)  # fmt: skip
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_USER = re.compile(r"//[^/\s@]*@")
_ROW = re.compile(r"(\s*)- \S")
#: Longest part of a faulty value that a message shows.
SHOWN = 300


def load(path: Path) -> dict[str, dict[str, Any]]:
    """The rows by name, in the file's order. ``UserError`` for a file that is no registry."""
    return parse(read(path), path)


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); convert the file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read: {why}; name the dataset registry") from None


def parse(text: str, path: Path) -> dict[str, dict[str, Any]]:
    """As ``load``; ``path`` is named where something is wrong."""
    try:
        loader = yaml.SafeLoader(text)
        loader.name = str(path)  # for its messages
        node = loader.get_single_node()
        if node is None:
            raise UserError(f"{path}: holds nothing; see {SCHEMA}")
        _check_nodes(node, path)
        found = loader.construct_document(node)
    except FAULTS as error:
        line = " ".join(str(error).split())
        raise UserError(f"{path}: no YAML: {line}; correct the file") from None
    if fault := _fault(found, SCHEMA):
        where, what = fault
        raise UserError(f"{path}:{_line(node, where)}: {what}")
    rows: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(found["datasets"]):
        if row["name"] in rows:
            raise UserError(
                f"{path}:{_line(node, ['datasets', number])}: the dataset name {row['name']!r} "
                "occurs twice; names must be unique"
            )
        rows[row["name"]] = row
    return rows


def check(data: Any, schema: Path, name: str) -> None:
    """``UserError`` for data that departs from a JSON schema: the first place, in one line."""
    if fault := _fault(data, schema):
        raise UserError(f"{name}: {fault[1]}")


def _fault(data: Any, schema: Path) -> tuple[list[str | int], str] | None:
    """The first departure from the schema: where, and what to tell about it."""
    plain = jsonschema.Draft202012Validator
    # 1.0 is an integer to JSON schema, and no whole number to what reads it
    types = plain.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator = jsonschema.validators.extend(plain, type_checker=types)
    rules = json.loads(schema.read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(validator(rules).iter_errors(data))
    if error is None:
        return None
    where = list(error.absolute_path)
    what = _USER.sub("//…@", " ".join(error.message.split()))  # no password into a log
    if len(what) > SHOWN:
        what = f"{what[: SHOWN // 2]} … {what[-SHOWN // 2 :]}"
    if error.validator == "type" and "string" in error.validator_value:
        what += " (text may need quotes)"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        meant = [m for key in error.instance if key not in known
                 for m in difflib.get_close_matches(str(key), known, 1)]  # fmt: skip
        what += f" (is {', '.join(map(repr, meant))} meant?)" if meant else ""
    return where, f"{'.'.join(map(str, where)) or 'top level'}: {what}; see {schema}"


def _check_nodes(top: yaml.Node, path: Path) -> None:
    """``UserError`` for what PyYAML would take in silence: a key that stands twice (it keeps the
    last) or is no text (``NO`` is False), and characters that no file name or table can hold."""
    seen: set[int] = set()
    todo = [top]
    while todo:
        node = todo.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, path)
            todo += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            todo += reversed(node.value)
        elif _NO_TEXT.search(node.value):
            raise UserError(
                f"{_place(node, path)}: {node.value!a} is no text (half a surrogate pair, or NUL); "
                "correct it"
            )


def _check_keys(node: yaml.MappingNode, path: Path) -> None:
    first: dict[str, int] = {}
    for key, _ in node.value:
        where, tag = _place(key, path), key.tag.rpartition(":")[2]
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{where}: a list or map as a key; write a name")
        if tag not in ("str", "merge"):
            raise UserError(
                f"{where}: the key {key.value} is {TAGS.get(tag, 'no text')} to YAML 1.1; put it "
                f'in quotes: "{key.value}"'
            )
        if key.value in first:
            raise UserError(
                f"{where}: the key {key.value!a} stands in line {first[key.value]} already; take "
                "one out"
            )
        first[key.value] = key.start_mark.line + 1


def _place(node: yaml.Node, path: Path) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _line(node: yaml.Node, where: Iterable[str | int]) -> int:
    """The line, from 1, of the value at ``where``."""
    for part in where:
        if isinstance(node, yaml.SequenceNode):
            node = node.value[part]
        else:  # what a merge (<<) brought stands before a row's own
            node = next(value for key, value in reversed(node.value) if key.value == part)
    return node.start_mark.line + 1


@dataclass
class RegistryFile:
    """A registry that is changed as text, so that its comments and order stay."""

    path: Path
    text: str
    rows: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, path: Path) -> RegistryFile:
        """An absent file is a registry without rows."""
        if not os.path.exists(path):
            return cls(path, HEAD, {})
        text = read(path)
        return cls(path, text, parse(text, path))

    def check(self, name: str, root: Path, force: bool) -> None:
        """``UserError`` where a row of this name may not be added."""
        if not force and name in self.rows:
            raise UserError(
                f"{self.path}: the dataset {name!r} is there already; choose another name, or "
                "replace it with --force"
            )
        others = [row for row in self.rows.values() if row["name"] != name]
        if others and not any(os.path.exists(root / row["path"]) for row in others):
            raise UserError(
                f"{root / others[0]['path']}: no such data folder (dataset {others[0]['name']} of "
                f"{self.path}); a registry has one root: name it with --root"
            )

    def with_row(self, row: dict[str, Any]) -> str:
        """The text with this row added, or in the place of the one of its name. ``UserError`` where
        it is written in a way that is not changed here."""
        line = yaml.safe_dump(
            row, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
        ).strip()
        lines = self.text.rstrip("\n").split("\n")
        if row["name"] in self.rows:
            for n in [n for n, old in enumerate(lines) if _is_row(old, row["name"])]:
                lines[n] = lines[n][: lines[n].index("-")] + f"- {line}"
        else:
            indent = next((match[1] for match in map(_ROW.match, lines) if match), "  ")
            lines.append(f"{indent}- {line}")
        text = "\n".join(lines) + "\n"
        try:
            found = list(parse(text, self.path).items())
        except UserError:
            found = []
        if found != list({**self.rows, row["name"]: row}.items()):
            raise UserError(f"{self.path}: cannot be changed here; put in by hand: - {line}")
        return text


def _is_row(line: str, name: str) -> bool:
    """Whether one line is the row of this name."""
    if not line.lstrip().startswith("- {"):
        return False
    try:
        rows = yaml.safe_load(line)
    except FAULTS:
        return False
    return isinstance(rows, list) and isinstance(rows[0], dict) and rows[0].get("name") == name
