"""The training loop that the reward model and the retriever share, on Accelerate.

The global batch is drawn from the seed and the step number; each process takes its part of it.
So the number of devices changes the speed, not the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruie import cli, parquet, schemas
from ruie.groups import Choices, Group, batches

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

#: What a step reports, besides its loss: columns of the TRAINING table.
Report = dict[str, "Tensor"]


def add_arguments(p: cli.Parser, batch: int, negatives: int, steps: int, rate: float) -> None:
    """Flags of both trainings; the defaults are those of one column of Table 9."""
    p.add_argument("--queries", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--scores", required=True, type=Path, help="SCORES of the LLM")
    p.add_argument("--model", required=True, help="folder or Hugging Face id to start from")
    p.add_argument("--positives", type=cli.positive, default=3, help="top-k (%(default)s)")
    p.add_argument(
        "--last", type=cli.positive, default=16, help="negatives: the last n (%(default)s)"
    )
    p.add_argument(
        "--batch-size",
        type=cli.positive,
        default=batch,
        help="queries a step, over all processes (%(default)s)",
    )
    p.add_argument(
        "--negatives",
        type=cli.positive,
        default=negatives,
        help="in a query's group (%(default)s)",
    )
    p.add_argument("--steps", type=cli.positive, default=steps)
    p.add_argument("--learning-rate", type=float, default=rate)
    p.add_argument("--warmup-steps", type=int, default=0, help="linear warm-up, then linear decay")
    p.add_argument("--max-length", type=cli.positive, default=512, help="tokens (%(default)s)")
    p.add_argument("--no-keywords", action="store_true", help="Table 6: without keyword tags")
    p.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"], default="no")
    p.add_argument("--max-grad-norm", type=float, default=1.0, help="gradients are clipped to this")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--version", default="", help="changes when results would; for the workflow")
    p.add_argument("--log", type=Path, help="TRAINING table to write")
    p.add_argument("--out", required=True, type=Path, help="checkpoint folder to write")


def start(args: Any) -> Accelerator:
    """Seed everything and make the accelerator."""
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    set_seed(args.seed)
    return Accelerator(mixed_precision=args.mixed_precision)


def train(
    model: Any,
    loss_of: Callable[[Any, list[Group], slice], tuple[Tensor, Report]],
    members: list[Choices],
    args: Any,
    accelerator: Accelerator,
) -> Any:
    """Train for ``args.steps`` steps and return the model unwrapped.

    ``loss_of(model, batch, mine)`` is the mean loss over this process's part ``batch[mine]`` of
    the global batch. Raises ``UserError`` where the batch cannot be shared out evenly, and as
    soon as the loss is not finite.
    """
    n, of = accelerator.process_index, accelerator.num_processes
    if args.batch_size % of:
        raise cli.UserError(f"--batch-size {args.batch_size} must be a multiple of {of} processes")
    mine = slice(n * args.batch_size // of, (n + 1) * args.batch_size // of)
    import torch
    from transformers import get_linear_schedule_with_warmup

    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
        lr=args.learning_rate,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, args.warmup_steps, args.steps)
    model, optimizer = accelerator.prepare(model, optimizer)
    model.train()
    rows: list[dict[str, Any]] = []
    drawn = itertools.islice(
        batches(members, args.batch_size, args.negatives, args.seed), args.steps
    )
    for step, batch in enumerate(cli.progress(drawn, args.steps, "steps")):
        loss, report = loss_of(model, batch, mine)
        accelerator.backward(loss)
        if args.max_grad_norm:
            accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        row = {"step": step + 1, "learning_rate": schedule.get_last_lr()[0]}
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        report = {"loss": loss.detach(), **report}
        row |= {k: accelerator.reduce(v.double(), "mean").item() for k, v in report.items()}
        if not abs(row["loss"]) < float("inf"):
            raise cli.UserError(
                f"the loss is {row['loss']} at step {step + 1} (queries "
                f"{', '.join(g.query_id for g in batch[:3])}, ...); lower the learning rate"
            )
        rows.append({name: row.get(name) for name in schemas.TRAINING.names})
    if accelerator.is_main_process and args.log:
        parquet.write(rows, schemas.TRAINING, args.log)
    if rows:
        cli.log.info("loss %.4f at first, %.4f at last", rows[0]["loss"], rows[-1]["loss"])
    return accelerator.unwrap_model(model)


def publish(write: Callable[[Path], None], out: Path, accelerator: Accelerator) -> None:
    """Let the main process write the model folder beside its place, and move it there."""
    import os
    import shutil

    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write(part)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)
