"""Tests mirror the package: ruie/a/b.py has tests/a/test_b.py."""

from __future__ import annotations

from pathlib import Path

import ruie

PACKAGE, TESTS = Path(ruie.__file__).parent, Path(__file__).parent


def test_each_module_has_a_test_file() -> None:
    modules = [p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]
    assert len(modules) > 100
    lacking = [m for m in modules if not (TESTS / m.parent / f"test_{m.name}").is_file()]
    assert lacking == []
