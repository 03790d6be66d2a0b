"""What both trainings take: flags, and the data that groups are drawn from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruie import aside, cli, devices, examples, groups, parquet, schemas
from ruie.examples import Example
from ruie.groups import Choices, Ranked, Rankings, choices

if TYPE_CHECKING:
    from accelerate import Accelerator


def add_arguments(p: cli.Parser, batch: int, negatives: int, steps: int, rate: float) -> None:
    """Flags of both trainings; the defaults are those of one column of Table 9."""
    for name, what in {"queries": "EXAMPLES table", "pool": "EXAMPLES table",
                       "scores": "SCORES of the LLM"}.items():  # fmt: skip
        p.add_argument(f"--{name}", required=True, type=Path, help=what)
    p.add_argument("--model", required=True, help="folder or Hugging Face id to start from")
    p.add_argument("--out", required=True, type=Path, help="model folder to write")
    p.add_argument("--log", type=Path, help="TRAINING table to write")
    p.add_argument("--pace", type=Path, help="PACE table to write")
    p.add_argument("--tensorboard", type=Path, help="folder for TensorBoard")
    for name, value, what in (
        ("positives", 3, "top-k of the LLM's ranking"),
        ("last", 16, "negatives: the last n of it"),
        ("batch-size", batch, "queries a step, over all processes"),
        ("negatives", negatives, "in a query's group"),
        ("steps", steps, "to train"),
        ("max-length", 512, "tokens of a text or a pair"),
        ("save-every", 500, "steps between checkpoints"),
        ("keep", 2, "checkpoints"),
        ("watch-every", 250, "steps between looks at queries held aside"),
    ):
        p.add_argument(f"--{name}", type=cli.positive, default=value, help=f"{what} (%(default)s)")
    p.add_argument("--other-datasets", type=float, metavar="NATS",
                   help="added to scores of demonstrations of another dataset than the query's, "
                   "before they are ranked")  # fmt: skip
    devices.add_batch_tokens(p)
    p.add_argument("--checkpoints", type=Path, help="folder of checkpoints (OUT.checkpoints)")
    p.add_argument("--watch", type=cli.whole, default=64,
                   help="queries held aside, a tenth of all at most (%(default)s)")  # fmt: skip
    p.add_argument("--learning-rate", type=cli.above_zero, default=rate, help="(%(default)s)")
    p.add_argument(
        "--warmup-steps", type=cli.whole, default=0, help="linear warm-up, then linear decay"
    )
    p.add_argument("--no-keywords", action="store_true", help="Table 6: without keyword tags")
    p.add_argument("--keywords-as-text", action="store_true",
                   help="the tags are text to the tokenizer, no tokens of their own")  # fmt: skip
    p.add_argument("--mixed-precision", choices=["no", "bf16", "fp16"], default="no")
    p.add_argument("--accumulate", action="store_true",
                   help="hold one part's activations at a time: less memory")  # fmt: skip
    p.add_argument("--gradient-checkpointing", action="store_true",
                   help="compute a layer's activations again: less memory")  # fmt: skip
    p.add_argument("--max-grad-norm", type=cli.not_negative, default=1.0,
                   help="gradients are clipped to this; 0: not at all")  # fmt: skip
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--watch-seed", type=int,
                   help="of the queries held aside, as of another seed (--seed)")  # fmt: skip
    p.add_argument("--version", default="", help="changes when results would; for the workflow")


def start(args: Any) -> Accelerator:
    """Seed everything and make the accelerator."""
    from accelerate import Accelerator
    from accelerate.utils import set_seed

    on = "cpu"
    if os.environ.get("ACCELERATE_USE_CPU", "False") == "False":
        on = devices.device()  # one that is free
    if args.mixed_precision == "bf16" and devices.arithmetic("bfloat16", on) == "float32":
        args.mixed_precision = "no"  # as the model's card and the checkpoints then say
    set_seed(args.seed)
    try:
        accelerator = Accelerator(mixed_precision=args.mixed_precision)
    except ValueError as error:
        line = " ".join(str(error).split())
        raise cli.UserError(f"--mixed-precision {args.mixed_precision}: {line}") from None
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:
        raise cli.UserError(
            f"{started} processes were started, and each would train alone: there are no GPUs for "
            "them; set training.cpu: true (ACCELERATE_USE_CPU=true), or start one"
        )
    return accelerator


def check(args: Any) -> None:
    """``UserError`` for places that cannot be written, or where writing the model would destroy
    something else, before there is any work to lose."""
    out = args.out.resolve()
    names = ("queries", "pool", "scores", "rewards", "model", "checkpoints", "log", "pace",
             "tensorboard")  # fmt: skip
    used = {f"--{n} lies there": Path(p) for n in names if (p := getattr(args, n, None))}
    for what, place in {**used, "it is the folder you are in": Path.cwd()}.items():
        there = place.exists() or place == args.checkpoints
        if there and place.resolve().is_relative_to(out):
            raise cli.UserError(f"--out {args.out}: would be replaced, and {what}; choose a folder "
                                "of its own")  # fmt: skip
    if (
        out.exists()
        and not (out / "config.json").is_file()
        and (out.is_file() or any(out.iterdir()))
    ):
        raise cli.UserError(f"--out {args.out}: is there and is no model; choose another place, or "
                            "remove it")  # fmt: skip
    for place in (args.out, args.log, args.pace):
        if place is not None:
            # each process looks for itself
            trial = place.with_name(f".{place.name}.{os.getpid()}.try")
            with parquet.replacing(trial):
                pass
            trial.unlink()


@dataclass(frozen=True)
class Data:
    """What a training reads. ``asked`` and ``shown``: ids of the queries and demonstrations that
    it needs the texts of."""

    queries: dict[str, Example]
    pool: dict[str, Example]
    members: list[Choices]
    watched: list[Ranked]
    asked: list[str]
    shown: list[str]


@dataclass(frozen=True)
class Samples:
    """The samples by id, and how the LLM ranks them: ``scores`` as they were measured,
    ``preference`` as the training takes them, with what ``--other-datasets`` adds."""

    queries: dict[str, Example]
    pool: dict[str, Example]
    scores: Rankings
    preference: Rankings


def samples(args: Any) -> Samples:
    """``UserError`` where a sample lacks that is ranked."""
    queries, pool = (examples.by_id(examples.read(p)) for p in (args.queries, args.pool))
    scores = groups.read(args.scores, schemas.SCORES, "score")
    scores.known_in(queries, pool)
    preference = scores
    if args.other_datasets is not None:
        preference = scores.with_others(queries, pool, args.other_datasets)
    return Samples(queries, pool, scores, preference)


def read(
    args: Any, given: Samples, rankings: Rankings | None = None, answered_only: bool = False
) -> Data:
    """Draw groups from ``rankings`` (the LLM's), of all queries but those held aside; these are
    watched by the LLM's. ``answered_only`` leaves out those whose answer is ``None``; such are held
    aside all the same."""
    queries, pool, preference = given.queries, given.pool, given.preference
    if rankings is None:
        rankings = preference
    else:
        rankings.known_in(queries, pool)
    # by the LLM's table: the reward model may have ranked queries that the LLM could not score
    seed = args.seed if args.watch_seed is None else args.watch_seed
    hidden = aside.held_aside(preference.queries, args.watch, seed)
    out = set(hidden)
    if answered_only:
        out |= {q for q in rankings.queries if not queries[q].annotations}
        cli.log.info("%d queries have no answer and are left out", len(out - set(hidden)))
    seen = (r for r in rankings if r.query_id not in out)
    members = choices(seen, queries, pool, args.positives, args.last)
    watched = [r for r in preference if r.query_id in hidden]
    cli.log.info("%d queries are held aside", len(watched))
    used = [(c.query_id, (*c.positives, *c.negatives)) for c in members]
    used += [(r.query_id, tuple(r.demonstrations)) for r in watched]
    return Data(
        queries, pool, members, watched, sorted({q for q, _ in used}),
        sorted({d for _, some in used for d in some}),
    )  # fmt: skip
