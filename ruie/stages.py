"""What the code of a stage is, for the workflow: its syntax, so that a comment reruns nothing."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path


@functools.cache
def _syntax(path: Path) -> ast.Module:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        # docstrings, and strings that stand as statements
        node.body = [  # type: ignore[attr-defined]
            s
            for s in body
            if not (
                isinstance(s, ast.Expr)
                and isinstance(s.value, ast.Constant)
                and isinstance(s.value.value, str)
            )
        ]
    return tree


@functools.cache
def _said(path: Path) -> bytes:
    return ast.dump(_syntax(path)).encode()


def digest(package: Path, modules: Iterable[str]) -> str:
    """16 hex digits of the modules' syntax, without comments, docstrings and layout; ``a/b`` is the
    module b of the subpackage a."""
    out = hashlib.blake2b(digest_size=8)
    for module in sorted(set(modules)):
        out.update(b"%b\n%b\n" % (module.encode(), _said(package / f"{module}.py")))
    return out.hexdigest()


@functools.cache
def imported(package: Path, module: str) -> frozenset[str]:
    """``module`` of a subpackage, its ``__init__``, and what these import of it, and so on."""
    folder = Path(module).parent
    prefix = ".".join([package.name, *folder.parts])
    found: set[str] = set()
    todo = {module, str(folder / "__init__")}
    while todo:
        at = todo.pop()
        found.add(at)
        for node in ast.walk(_syntax(package / f"{at}.py")):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module == prefix:
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{prefix}."):
                names = [(node.module or "").removeprefix(f"{prefix}.")]
            inside = {str(folder / name) for name in names if "." not in name}
            todo |= {name for name in inside if (package / f"{name}.py").is_file()} - found
    return frozenset(found)
