"""The families of supervised models that can be asked, by the name of their format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ruie import cli
from ruie.examples import Example
from ruie.prompt import TASK_NAMES
from ruie.sft import iepile, instructuie, uie, yayi
from ruie.sft.reading import Reading


@dataclass(frozen=True)
class Format:
    """``prompts`` of a query, and what the texts that answer them say (``read``), in their order.
    ``encoder_decoder``: the published models are T5, which vLLM does not run."""

    tasks: tuple[str, ...]
    prompts: Callable[[Example], list[str]]
    read: Callable[[Sequence[str], Example], Reading]
    encoder_decoder: bool = False


FORMATS = {
    "uie": Format(uie.TASKS, uie.prompts, uie.read, encoder_decoder=True),
    "instructuie": Format(
        instructuie.TASKS, instructuie.prompts, instructuie.read, encoder_decoder=True
    ),
    "yayi": Format(yayi.TASKS, yayi.prompts, yayi.read),
    "iepile": Format(iepile.TASKS, iepile.prompts, iepile.read),
    "oneke": Format(iepile.TASKS, iepile.oneke_prompts, iepile.read),
}


def check(name: str, task: str, dataset: str) -> None:
    """Raises ``UserError`` for a task that a family has no prompt for."""
    tasks = FORMATS[name].tasks
    if task not in tasks:
        raise cli.UserError(
            f"dataset {dataset}: format {name} has no prompt for {TASK_NAMES[task].lower()}, but "
            f"for {', '.join(tasks)}; leave the dataset out, or name these as the system's `tasks`"
        )
