"""Data never become code, certificates are checked, and a key gets nowhere."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterator
from pathlib import Path

import leaks
import pytest
import tiny

ROOT = tiny.ROOT
#: Calls that make code of data, or a command of a text, by the end of their dotted name.
FORBIDDEN_CALLS = (
    "eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "marshal.load", "marshal.loads", "shelve.open", "dill.load", "joblib.load", "cloudpickle.load",
    "pandas.read_pickle", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "extractall",
    "_create_unverified_context", "disable_warnings",
)  # fmt: skip
FORBIDDEN_KEYWORDS = {
    "shell": True, "verify": False, "trust_remote_code": True, "allow_pickle": True,
    "weights_only": False, "check_hostname": False,
}  # fmt: skip
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
FORBIDDEN_NAMES = {"CERT_NONE"}


def faults(source: str) -> list[str]:
    return [f"line {line}: {what}" for line, what in _faults(ast.parse(source))]


def _faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            yield from ((node.lineno, f"import {n}") for n in names & FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
                yield node.lineno, f"from {node.module} import"
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES:
            yield node.lineno, node.attr
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            bare = isinstance(node.func, ast.Name)
            for call in FORBIDDEN_CALLS:
                # model.eval() and re.compile() are others than the built-in ones
                built_in = call in ("eval", "exec", "compile", "__import__")
                if name == call or (not built_in and not bare and name.endswith(f".{call}")):
                    yield node.lineno, f"{name}()"
            given = {k.arg: k.value for k in node.keywords if k.arg}
            if name == "torch.load":
                kept = given.get("weights_only")
                if not (isinstance(kept, ast.Constant) and kept.value is True):
                    yield node.lineno, "torch.load() without weights_only=True"
            for word, value in given.items():
                said = value.value if isinstance(value, ast.Constant) else None
                if word in FORBIDDEN_KEYWORDS and said is FORBIDDEN_KEYWORDS[word]:
                    yield node.lineno, f"{word}={said}"


def python_files() -> list[Path]:
    found = [p for d in ("ruie", "workflow", "benchmarks", ".ci") for p in (ROOT / d).rglob("*.py")]
    return [p for p in found if "__pycache__" not in p.parts]


def test_no_code_of_ours_runs_data() -> None:
    files = python_files()
    assert len(files) > 80
    found = {
        str(p.relative_to(ROOT)): odd
        for p in files
        if (odd := faults(p.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_rules_neither() -> None:
    """Snakemake's files are no plain Python: by words."""
    rules = [ROOT / "Snakefile", *(ROOT / "workflow/rules").rglob("*.smk")]
    assert len(rules) > 10
    odd = r"(?<![\w.])(eval|exec)\(|pickle|os\.system|shell=True|yaml\.load\(|verify=False|curl -k"
    assert [p.name for p in rules if re.search(odd, p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("eval(row)", "eval()"),
        ("import pickle", "import pickle"),
        ("from pickle import load", "from pickle import"),
        ("torch.load(path)", "torch.load() without weights_only=True"),
        ("torch.load(path, weights_only=False)", "torch.load() without weights_only=True"),
        ("np.load(p, allow_pickle=True)", "allow_pickle=True"),
        ("yaml.load(text)", "yaml.load()"),
        ("subprocess.run(x, shell=True)", "shell=True"),
        ("os.system(x)", "os.system()"),
        ("httpx.Client(verify=False)", "verify=False"),
        ("ssl.CERT_NONE", "CERT_NONE"),
        ("AutoModel.from_pretrained(x, trust_remote_code=True)", "trust_remote_code=True"),
        ("tar.extractall(folder)", "tar.extractall()"),
    ],
)
def test_the_walk_sees_each(source: str, says: str) -> None:
    assert any(found.endswith(says) for found in faults(f"x = 1\n{source}\n"))


def test_the_walk_lets_the_harmless_pass() -> None:
    harmless = "model.eval()\nre.compile('a')\nyaml.safe_load(t)\ntorch.load(p, weights_only=True)"
    assert faults(harmless) == []


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_leak_is_found(tmp_path: Path, before: str) -> None:
    secret = "sk-made-up-0123456789"  # noqa: S105
    (tmp_path / ".hidden").mkdir()
    for name, text in {
        "plain": secret, "base64": base64.b64encode(f"{before}{secret}:x".encode()).decode(),
        "url": base64.urlsafe_b64encode(f"{before}{secret}".encode()).decode(),
        "none": "sk-made-up", "name-" + secret: "",
    }.items():  # fmt: skip
        (tmp_path / ".hidden" / name).write_text(text)
    assert leaks.places(secret, tmp_path, "nothing", f"key {secret}") == sorted(
        [*(f".hidden/{n}" for n in ("plain", "base64", "url", "name-" + secret)), "printed text 1"]
    )
