"""The training loop that the reward model and the retriever share, on Accelerate.

The global batch is drawn from the seed and the step number, and each process takes its part of
it: the number of devices changes the speed, not the data. So do the parts that a process computes
at once: a batch goes through the model in parts of like length under a token budget, and the loss
is of all of them.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ruie import aside, cli, devices, feeding, parquet, schemas, stamp
from ruie.checkpoints import Checkpoints, State, facts
from ruie.groups import Choices, Group, Ranked, batches

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

#: What a step reports, besides its loss: columns of the TRAINING table.
Report = dict[str, "Tensor"]
WEIGHT_DECAY = 0.01


class Task(Protocol):
    """What is trained. A group's sequences stand together, the groups in order."""

    network: Any
    feeder: feeding.Feeder

    def sequences(self, groups: Sequence[Group]) -> list[feeding.Tokens]: ...

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """[sequences, width] of one part."""
        ...

    def scores(self, outputs: Tensor, groups: int) -> Tensor:
        """The groups' demonstrations' scores [groups, demonstrations]."""
        ...

    def loss(self, outputs: Tensor, batch: Sequence[Group], mine: slice) -> tuple[Tensor, Report]:
        """The mean over the groups ``batch[mine]``, whose sequences' outputs are given."""
        ...

    def teacher(self, group: Group) -> list[float | None]: ...


def learning_rate(step: int, rate: float, warmup: int, steps: int) -> float:
    """Of ``step`` (from 0): linear warm-up, then linear decay to nothing after ``steps``."""
    if step < warmup:
        return rate * step / warmup
    return rate * (steps - step) / max(1, steps - warmup)


def gradients(
    task: Task, batch: Sequence[Group], mine: slice, accelerator: Accelerator, budget: int,
    seed: str, accumulate: bool,
) -> tuple[Tensor, Report, Tensor, int]:  # fmt: skip
    """Add the gradients of the mean loss over ``batch[mine]`` to the network's parameters; returns
    loss, report, the groups' scores and the number of sequences.

    With ``accumulate`` one part's activations are held at a time: outputs are computed once
    without them, and again part by part with the loss's gradient (GradCache, Gao et al. 2021). The
    gradient is that of the whole batch, in-batch negatives included; it costs a second forward
    pass."""
    import torch

    todo = task.sequences(batch[mine])
    parts = list(feeding.parts([len(t.ids) for t in todo], budget))
    back = torch.tensor([at for part in parts for at in part]).argsort().to(accelerator.device)

    def computed(n: int) -> Tensor:
        # dropout's draws are a function of where in the run this is: a second pass and a run that
        # goes on from a checkpoint make the same
        torch.manual_seed(_mixed(f"{seed} {n}"))
        with accelerator.autocast():
            inputs = task.feeder.tensors([todo[i] for i in parts[n]], accelerator.device)
            outputs = task.forward(inputs)
        return outputs if outputs.dtype == torch.float64 else outputs.float()

    once = not accumulate or len(parts) == 1
    with torch.set_grad_enabled(once):
        outputs = torch.cat([computed(n) for n in range(len(parts))])
    held = outputs if once else outputs.detach().requires_grad_()
    loss, report = task.loss(held[back], batch, mine)
    accelerator.backward(loss)
    if not once:
        assert held.grad is not None
        for n, part in enumerate(held.grad.split([len(p) for p in parts])):
            computed(n).backward(part)
    scores = task.scores(held[back].detach(), len(batch[mine]))
    return loss.detach(), {k: v.detach() for k, v in report.items()}, scores, len(todo)


def _mixed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def accuracy(scores: Tensor) -> Tensor:
    """Share of groups whose positive (column 0) is above all others; a tie counts by its share."""
    best = scores == scores.amax(-1, keepdim=True)
    return (best[:, 0] / best.sum(-1)).double().mean()


def share(parameters: Sequence[Any], accelerator: Accelerator) -> None:
    """Make every process's gradients the mean of all processes'."""
    if accelerator.num_processes == 1:
        return
    import torch

    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])
    torch.distributed.all_reduce(flat)
    flat /= accelerator.num_processes
    for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
        g.copy_(part.view_as(g))


class Run:
    """A training under way: its optimiser, its tables, and its checkpoints."""

    def __init__(self, task: Task, args: Any, accelerator: Accelerator, kind: str) -> None:
        import torch

        self.task, self.args, self.accelerator = task, args, accelerator
        self.parameters = [p for p in task.network.parameters() if p.requires_grad]
        task.network.to(accelerator.device)
        if args.gradient_checkpointing:
            task.network.gradient_checkpointing_enable({"use_reentrant": False})
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # fused: on a CPU the plain one takes about eight times as long
        self.plain = torch.optim.AdamW(groups, lr=args.learning_rate, fused=True)
        self.optimizer = accelerator.prepare(self.plain)
        self.batch_tokens = devices.batch_tokens(args.batch_tokens, accelerator.device.type)
        self.step = 0
        self.training: list[dict[str, Any]] = []
        self.pace: list[dict[str, Any]] = []
        folder = args.checkpoints or args.out.with_name(f"{args.out.name}.checkpoints")
        self.checkpoints = Checkpoints(folder, facts(vars(args), kind), args.keep)

    def restore(self) -> None:
        """Go to the last checkpoint, where there is one."""
        state = self.checkpoints.latest()
        if state is None:
            return
        self.task.network.load_state_dict(state.model)
        held: dict[int, dict[str, Any]] = {}
        for name, tensor in state.optimizer.items():
            number, _, what = name.partition(".")
            held.setdefault(int(number), {})[what] = tensor
        whole = self.plain.state_dict()
        self.plain.load_state_dict({**whole, "state": held})
        if state.scaler and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.scaler)
        self.step, self.training, self.pace = state.step, state.training, state.pace
        cli.log.info("going on from step %d (%s)", self.step, self.checkpoints.folder)

    def save(self) -> None:
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            self.checkpoints.save(State(
                self.step,
                {k: t.detach().cpu().clone() for k, t in self.task.network.state_dict().items()},
                {f"{i}.{k}": t.detach().cpu()
                 for i, held in self.plain.state_dict()["state"].items() for k, t in held.items()},
                scaler.state_dict() if scaler is not None else {},
                self.training, self.pace,
            ))  # fmt: skip
        self.accelerator.wait_for_everyone()

    def take(self, batch: list[Group]) -> tuple[dict[str, Any], int]:
        """One step; its TRAINING row, and how many sequences went through the model. ``UserError``
        where the loss is not finite; the batch is written down before."""
        import torch

        args, accelerator = self.args, self.accelerator
        n, of = accelerator.process_index, accelerator.num_processes
        mine = slice(n * args.batch_size // of, (n + 1) * args.batch_size // of)
        rate = learning_rate(self.step, args.learning_rate, args.warmup_steps, args.steps)
        for group in self.plain.param_groups:
            group["lr"] = rate
        self.step += 1
        loss, report, scores, count = gradients(
            self.task, batch, mine, accelerator, self.batch_tokens,
            f"{args.seed} {self.step} {n}", args.accumulate,
        )  # fmt: skip
        report = {
            "loss": loss, **report, "accuracy": accuracy(scores),
        }  # fmt: skip
        means = accelerator.reduce(torch.stack([v.double() for v in report.values()]), "mean")
        row: dict[str, Any] = dict.fromkeys(schemas.TRAINING.names) | {
            "step": self.step,
            "learning_rate": rate,
        }
        row |= dict(zip(report, means.tolist(), strict=True))
        if not math.isfinite(row["loss"]):
            self._fail(f"the loss is {row['loss']}", batch, mine, scores)
        share(self.parameters, accelerator)
        if args.max_grad_norm:
            norm = accelerator.clip_grad_norm_(self.parameters, args.max_grad_norm)
            # in float16 that happens, and the scaler leaves the step out
            odd = norm is not None and not math.isfinite(norm)
            if odd and accelerator.scaler is None:
                self._fail("a gradient is not finite", batch, mine, scores)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return row, count * of

    def _fail(self, what: str, batch: list[Group], mine: slice, scores: Tensor) -> None:
        rows = []
        known = dict(zip(range(len(batch))[mine], scores.tolist(), strict=True))
        for i, g in enumerate(batch):
            outputs = known.get(i, [None] * len(g.demonstrations))
            taught = self.task.teacher(g)
            for n, d in enumerate(g.demonstrations):
                rows.append({
                    "step": self.step, "query_id": g.query_id, "demonstration_id": d,
                    "positive": not n, "teacher": taught[n], "output": outputs[n],
                })  # fmt: skip
        path = self.args.out.with_name("failed_batch.parquet")
        if self.accelerator.is_main_process:
            parquet.write(rows, schemas.FAILED, path)
        raise cli.UserError(
            f"{what} at step {self.step} (queries "
            f"{', '.join(g.query_id for g in batch[:3])}, ...; all of them in {path}); lower the "
            "learning rate"
        )

    def mrr(self, watched: Sequence[Ranked]) -> float | None:
        """Mean reciprocal rank of the LLM's best candidates of ``watched``."""
        import torch

        n, of = self.accelerator.process_index, self.accelerator.num_processes
        total = 0.0
        self.task.network.eval()
        for r in watched[n::of]:
            todo = self.task.sequences([Group(r.query_id, r.demonstrations)])
            parts = list(feeding.parts([len(t.ids) for t in todo], self.batch_tokens))
            found = []
            with torch.no_grad(), self.accelerator.autocast():
                for part in parts:
                    inputs = self.task.feeder.tensors(
                        [todo[i] for i in part], self.accelerator.device
                    )
                    found.append(self.task.forward(inputs))
            back = torch.tensor([at for part in parts for at in part]).argsort()
            outputs = torch.cat(found)[back.to(self.accelerator.device)]
            total += aside.reciprocal_rank(r.scores, self.task.scores(outputs, 1)[0].tolist())
        self.task.network.train()
        sums = torch.tensor(total, dtype=torch.float64, device=self.accelerator.device)
        found_all: float = self.accelerator.reduce(sums, "sum").item() / len(watched)
        return found_all


def train(run: Run, members: list[Choices], watched: Sequence[Ranked]) -> None:
    """Train to ``args.steps`` steps, from the last checkpoint where there is one; the tables are
    written. ``UserError`` where the batch cannot be shared out evenly."""
    args, accelerator = run.args, run.accelerator
    if args.batch_size % accelerator.num_processes:
        raise cli.UserError(f"--batch-size {args.batch_size} must be a multiple of "
                            f"{accelerator.num_processes} processes")  # fmt: skip
    run.restore()
    board = _board(args, run.step) if accelerator.is_main_process else None
    run.task.network.train()
    drawn = itertools.islice(
        batches(members, args.batch_size, args.negatives, args.seed), run.step, args.steps
    )
    last = time.perf_counter()
    for batch in cli.progress(drawn, args.steps - run.step, "steps"):
        row, count = run.take(batch)
        now = time.perf_counter()
        pace = {"step": run.step, "seconds": now - last, "samples_per_s": count / (now - last)}
        if watched and (run.step % args.watch_every == 0 or run.step == args.steps):
            row["mrr"] = run.mrr(watched)
            cli.log.info("step %d: loss %.4f, MRR of %d queries held aside %.3f", run.step,
                         row["loss"], len(watched), row["mrr"])  # fmt: skip
        run.training.append(row)
        run.pace.append(pace)
        if board:
            for name, value in {**row, **pace}.items():
                if value is not None and name != "step":
                    board.add_scalar(name, value, run.step)
        if run.step % args.save_every == 0 and run.step < args.steps:
            run.save()
        last = time.perf_counter()
    if accelerator.is_main_process:
        if args.log:
            parquet.write(run.training, schemas.TRAINING, args.log)
        if args.pace:
            parquet.write(run.pace, schemas.PACE, args.pace)
    if board:
        board.close()
    if run.training:
        say_what_was_learned([row["loss"] for row in run.training])


def say_what_was_learned(losses: Sequence[float]) -> None:
    """Log the mean loss of the first and the last tenth of the steps. A model that gives every
    candidate the same score is a training that runs to its end as any other: warn of it."""
    tenth = max(len(losses) // 10, 1)
    first, last = (sum(part) / tenth for part in (losses[:tenth], losses[-tenth:]))
    cli.log.info("loss %.4f in the first tenth of the steps, %.4f in the last", first, last)
    if tenth >= 5 and last > 0.99 * first:
        cli.log.warning("the loss did not fall: nothing may have been learned; try another seed "
                        "or learning rate")  # fmt: skip


def _board(args: Any, step: int) -> Any:
    if not args.tensorboard:
        return None
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise cli.UserError("--tensorboard needs tensorboardX: pip install tensorboardX") from None
    return SummaryWriter(str(args.tensorboard), purge_step=step + 1)


def publish(write: Callable[[Path], None], run: Run) -> None:
    """Let the main process write the model folder beside its place, and move it there; the
    checkpoints are no longer needed."""
    import os
    import shutil

    from safetensors import SafetensorError

    run.accelerator.wait_for_everyone()
    if not run.accelerator.is_main_process:
        return
    out = run.args.out
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        write(part)
        stamp.leave(part)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(part, out)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise cli.UserError(f"{out}: the model cannot be written: {error}; make room, and start "
                            "again: it goes on from the last checkpoint") from None  # fmt: skip
    run.checkpoints.clear()
