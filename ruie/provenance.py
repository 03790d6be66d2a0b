"""What made a run: versions, commit, machine, and fingerprints of the models, as a JSON file.

These facts differ between machines, so they stand in a file of their own: the report only shows it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import ruie
from ruie import cli, parquet, stamp
from ruie.page import Html, fold, join, note, nothing, table, tag


def said(*command: str) -> str | None:
    """What a command prints; None where it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """The commit of the repository whose root ``folder`` is, and whether files differ from it."""
    top = said("git", "-C", str(folder), "rev-parse", "--show-toplevel")
    head = said("git", "-C", str(folder), "rev-parse", "HEAD")
    if not top or not head or Path(top).resolve() != folder.resolve():
        return "none: not in a repository"
    changed = said("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return head + (" with changes" if changed else "")


def _first(path: str, key: str) -> str | None:
    """The first ``key: value`` of a file below /proc."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)


def machine() -> dict[str, str]:
    memory = (_first("/proc/meminfo", "MemTotal") or "").split()
    gpus = said("nvidia-smi", "-L")
    named = [line.split(" (UUID")[0] for line in (gpus or "").splitlines()]
    return {
        "platform": platform.platform(),
        "processor": _first("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(os.cpu_count() or "unknown"),
        "memory": f"{int(memory[0]) / 2**20:.1f} GiB" if memory else "unknown",
        "GPUs": ", ".join(named) or "none",
    }


def model(folder: Path) -> dict[str, Any]:
    """Fingerprints of a model's files. Raises ``UserError`` where there are none."""
    found = stamp.fingerprints(folder)
    if not found:
        raise cli.UserError(
            f"{folder}: no model there (no {' or '.join(stamp.FILES)}); mend the path"
        )
    return {"folder": str(folder), "files": found}


def seeds(config: Any, place: str = "") -> dict[str, Any]:
    """Every seed in a configuration, by its place."""
    if not isinstance(config, dict):
        return {}
    found = {}
    for name, value in config.items():
        if name == "seed":
            found[place + name] = value
        found |= seeds(value, f"{place}{name}.")
    return found


def section(facts: Path | None, config: Path | None, shown: int) -> Html:
    """Facts that ``main`` wrote, the seeds and the configuration; ``shown``: the report's seed."""
    parts: list[Html] = []
    read = json.loads(_text(facts)) if facts else None
    if not isinstance(read, dict):
        parts.append(nothing("file of versions, machine and models"))
    else:
        rows = [["commit", read["commit"]], *map(list, read["versions"].items())]
        parts += [tag("h3", "Versions"), table(["What", "Version"], rows)]
        machine_rows = [[what, which] for what, which in read["machine"].items()]
        parts += [tag("h3", "Machine"), table(["What", "Which"], machine_rows)]
        rows = [
            [name, m["folder"], file, f["bytes"], f["of"], f["sha256"]]
            for name, m in read["models"].items()
            for file, f in m["files"].items()
        ]
        parts.append(tag("h3", "Models"))
        parts.append(
            note(f"Of files over {stamp.WHOLE >> 20} MiB samples are hashed, not all bytes.")
        )
        parts.append(
            table(["Model", "Folder", "File", "Bytes", "Hashed", "SHA-256"], rows)
            if rows
            else note("No models were named.")
        )
    parts += [tag("h3", "Seeds and configuration")]
    if config:
        text = _text(config)
        try:
            drawn = seeds(json.loads(text))
        except ValueError:
            drawn = {}
        named = "".join(f"{name} = {value}; " for name, value in drawn.items())
        parts.append(tag("p", f"{named}of the queries shown on this page: {shown}."))
        parts.append(fold("The configuration as it was read", tag("pre", text), open_=True))
    else:
        parts.append(nothing("configuration"))
    return join(parts, "\n")


def _text(path: Path) -> str:
    if not path.is_file():
        raise cli.UserError(f"{path}: no such file; run the stage that writes it, or mend the path")
    return path.read_text(encoding="utf-8", errors="replace")


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument(
        "--models", nargs="*", default=[], type=cli.named, metavar="NAME=FOLDER",
        help="models of the run",
    )  # fmt: skip
    p.add_argument("--out", required=True, type=Path, help="JSON file to write")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    facts = {
        "commit": commit(Path(ruie.__file__).resolve().parents[1]),
        "versions": stamp.versions(),
        "machine": machine(),
        "models": {name: model(folder) for name, folder in args.models},
    }
    with parquet.replacing(args.out) as beside:
        beside.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
