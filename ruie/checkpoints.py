"""Checkpoints of a training: what it takes to go on as if nothing had happened.

A checkpoint is a folder ``step-00000050``: weights and optimiser states in safetensors, the rows
of the TRAINING and PACE tables so far, and ``state.json`` with the step and the facts that decide
what is trained. No state of a random generator is needed: every draw is a function of the seed
and the step.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruie import cli, parquet, schemas, stamp

if TYPE_CHECKING:
    import torch

#: Flags that say where things lie or how they are computed, not what is trained. A run that ran
#: out of memory or lost a GPU may go on with others.
NO_FACTS = (
    "out", "log", "pace", "tensorboard", "checkpoints", "save_every", "keep", "batch_tokens",
    "accumulate", "gradient_checkpointing",
)  # fmt: skip
#: Flags whose file or folder counts by what it holds.
FILES = ("queries", "pool", "scores", "rewards", "model")


def facts(flags: Mapping[str, Any], program: str) -> dict[str, str]:
    """What decides what is trained: flags by value, files by content."""
    out = {"program": program}
    for name, value in flags.items():
        if name in FILES and value is not None and Path(value).exists():
            out[name] = _digest(Path(value))
        elif name not in NO_FACTS:
            out[name] = str(value)
    return out


def _digest(path: Path) -> str:
    """Of a file, or of the files of a folder by name."""
    whole = hashlib.blake2b(digest_size=16)
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    for file in files:
        # a model card and a stamp say nothing that is trained
        if file.suffix == ".md" or file.name == stamp.FILE:
            continue
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
        name = "" if path.is_file() else file.name
        whole.update(f"{name}\0{content.hexdigest()}\n".encode())
    return whole.hexdigest()


def _name(step: int) -> str:
    return f"step-{step:08}"


@dataclass
class State:
    """A training after ``step`` steps."""

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    scaler: dict[str, Any]
    training: list[dict[str, Any]]
    pace: list[dict[str, Any]]


class Checkpoints:
    """The checkpoints in ``folder``, of which the last ``keep`` are kept."""

    def __init__(self, folder: Path, facts: Mapping[str, str], keep: int) -> None:
        self.folder, self.facts, self.keep = folder, dict(facts), keep

    def save(self, state: State) -> None:
        """Write a checkpoint beside its place, move it there and remove those before it."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        part = self.folder / ".part"
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            for name, tensors in (("model", state.model), ("optimizer", state.optimizer)):
                save_file({k: t.contiguous() for k, t in tensors.items()},
                          part / f"{name}.safetensors")  # fmt: skip
            parquet.write(state.training, schemas.TRAINING, part / "training.parquet")
            parquet.write(state.pace, schemas.PACE, part / "pace.parquet")
            about = {"step": state.step, "scaler": state.scaler, "facts": self.facts,
                     "files": {f.name: _digest(f) for f in sorted(part.iterdir())}}  # fmt: skip
            (part / "state.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            for file in part.iterdir():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            place = self.folder / _name(state.step)
            shutil.rmtree(place, ignore_errors=True)
            os.replace(part, place)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise cli.UserError(
                f"{self.folder}: a checkpoint cannot be written: {error}; make room, and start "
                "again: it goes on from the last one"
            ) from None
        for old in self._found()[: -self.keep]:
            shutil.rmtree(old)

    def latest(self) -> State | None:
        """The last checkpoint that can be read; None where there is none. ``UserError`` where it
        is of another training."""
        for place in reversed(self._found()):
            try:
                about = json.loads((place / "state.json").read_text(encoding="utf-8"))
                self._check(place, about["facts"])
                if place.name != _name(about["step"]):
                    raise ValueError(f"it is of step {about['step']}")
                for name, digest in about["files"].items():
                    if _digest(place / name) != digest:
                        raise ValueError(f"{name} is not what was written")
                return self._read(place, about)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                line = " ".join(str(error).split())
                cli.log.warning("%s: cannot be read (%s); going back one", place, line)
        return None

    def clear(self) -> None:
        """Remove all checkpoints: the training is done."""
        for place in (*self._found(), self.folder / ".part"):
            shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):  # the folder goes too, unless something else is there
            self.folder.rmdir()

    def _found(self) -> list[Path]:
        return sorted(self.folder.glob("step-????????"))

    def _check(self, place: Path, facts: Mapping[str, str]) -> None:
        names = [n for n in {**self.facts, **facts} if self.facts.get(n) != facts.get(n)]
        if names:
            was = ", ".join(
                f"--{n.replace('_', '-')} "
                + ("has other contents" if n in FILES else f"was {facts.get(n)}, not "
                   f"{self.facts.get(n)}") for n in names
            )  # fmt: skip
            raise cli.UserError(
                f"{place}: is of another training ({was}); delete {self.folder} to start anew"
            )

    def _read(self, place: Path, about: Mapping[str, Any]) -> State:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            model, optimizer = (
                load_file(place / f"{name}.safetensors") for name in ("model", "optimizer")
            )
            training, pace = (
                parquet.read(place / f"{name}.parquet", schema).to_pylist()
                for name, schema in (("training", schemas.TRAINING), ("pace", schemas.PACE))
            )
        except (SafetensorError, cli.UserError) as error:
            raise ValueError(str(error)) from None
        return State(int(about["step"]), model, optimizer, about["scaler"], training, pace)
