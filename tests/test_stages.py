"""The digest of a stage's code: what is said counts, how it is written does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruie import stages

CODE = "def f(x):\n    return x + 1\n"


def digest(folder: Path, text: str) -> str:
    (folder / "a.py").write_text(text)
    stages._syntax.cache_clear()
    stages._said.cache_clear()
    return stages.digest(folder, ["a"])


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# a comment\ndef f(x):\n\n    return (x + 1)\n", True),
        ('"""A module."""\ndef f(x):\n    """Adds."""\n    return x + 1\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return 'x + 1'\n", False),
        ("def f(x, y=0):\n    return x + 1\n", False),
    ],
)
def test_what_is_said_counts(tmp_path: Path, text: str, same: bool) -> None:
    assert (digest(tmp_path, text) == digest(tmp_path, CODE)) == same


def test_only_what_is_imported_of_the_subpackage_is_named(tmp_path: Path) -> None:
    package = tmp_path / "p"
    (package / "sub").mkdir(parents=True)
    for name, text in {
        "__init__": "", "a": "from p.sub import b, name\n", "b": "from p.sub.c import x\n",
        "c": "from p import other\n", "d": "",
    }.items():  # fmt: skip
        (package / "sub" / f"{name}.py").write_text(text)
    assert stages.imported(package, "sub/a") == {"sub/__init__", "sub/a", "sub/b", "sub/c"}


def test_each_reader_is_read_with_what_it_imports() -> None:
    ruie = Path(stages.__file__).parent
    assert {"readers/brat", "readers/documents"} <= stages.imported(ruie, "readers/bionlp")
    assert "readers/brat" not in stages.imported(ruie, "readers/ie_instructions")
