"""Train the retriever (section 3.4): a bi-encoder distilled from the reward model, with a
contrastive term on the language model's own ranking (equations 3 and 4).

The query side sees the plain sample without its answer; the demonstration side sees the
keyword-enhanced sample. Start with `accelerate launch -m ruie.train_retriever ...`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ruie import cards, cli, encoders, feeding, groups, saving, schemas, trainer, training
from ruie.groups import Group
from ruie.train_reward import add_keyword_tokens, texts

if TYPE_CHECKING:
    from torch import Tensor


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    training.add_arguments(p, batch=128, negatives=3, steps=6000, rate=3e-5)
    encoders.add_text_arguments(p, "query", "demonstration")
    p.add_argument("--rewards", type=Path, help="REWARDS; without them the LLM's scores teach "
                   "(Table 6: without reward model)")  # fmt: skip
    p.add_argument("--ranked-by", choices=["llm", "reward"], default="llm",
                   help="whose ranking gives positives and negatives (%(default)s)")  # fmt: skip
    p.add_argument("--answered-only", action="store_true",
                   help="train on queries that have an answer alone")  # fmt: skip
    p.add_argument("--pooling", choices=encoders.POOLINGS, default="mean")
    p.add_argument("--no-normalize", action="store_true", help="keep the vectors' lengths")
    p.add_argument(
        "--alpha", type=cli.not_negative, default=0.2, help="weight of the contrastive loss"
    )
    p.add_argument("--tau", type=cli.above_zero, default=0.01, help="temperature of equation 3")
    p.add_argument("--teacher-temperature", type=temperature, default=1.0, metavar="T",
                   help="divides the teacher's scores before their softmax, above 1 softens them; "
                   "llm: each query's so that they spread as the LLM's (%(default)s: equation 4)"
                   )  # fmt: skip
    p.add_argument("--no-distill", action="store_true", help="Table 6: contrastive loss alone")
    return p


def temperature(text: str) -> float | str:
    """A flag's value: a number above 0, or `llm`."""
    return text if text == "llm" else cli.above_zero(text)


def gather_passages(vectors: Any, accelerator: Any) -> Any:
    """Passage vectors of all processes [passages, width], in process order, with gradients for
    this process's own (summed over processes they are the gradient of one big batch)."""
    if accelerator.num_processes == 1:
        return vectors
    import torch
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(vectors))


class RetrieverTask:
    """Each group's query and demonstrations go through one encoder, the query first."""

    def __init__(
        self, encoder: encoders.BiEncoder, feeder: feeding.Feeder, queries: Mapping[str, str],
        pool: Mapping[str, str], taught: Mapping[str, Mapping[str, float]],
        positives: Mapping[str, set[str]], args: Any, accelerator: Any,
    ) -> None:  # fmt: skip
        self.encoder, self.network, self.feeder = encoder, encoder.model, feeder
        self.queries = {k: feeder.one(t) for k, t in feeder.texts(queries).items()}
        self.pool = {k: feeder.one(t) for k, t in feeder.texts(pool).items()}
        self.taught, self.positives = taught, positives
        self.args, self.accelerator = args, accelerator

    def sequences(self, groups: Sequence[Group]) -> list[feeding.Tokens]:
        return [t for g in groups
                for t in (self.queries[g.query_id], *map(self.pool.__getitem__, g.demonstrations))
                ]  # fmt: skip

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.encoder.embed(inputs)

    def _sides(self, outputs: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Vectors of the queries [groups, width] and the passages [groups, in a group, width]."""
        both = outputs.view(groups, -1, outputs.shape[-1])
        return both[:, 0], both[:, 1:]

    def scores(self, outputs: Tensor, groups: int) -> Tensor:
        """Equation 3: similarities divided by tau."""
        import torch

        queries, passages = self._sides(outputs, groups)
        found: Tensor = torch.einsum("qw,qgw->qg", queries, passages) / self.args.tau
        return found

    def loss(
        self, outputs: Tensor, batch: Sequence[Group], mine: slice
    ) -> tuple[Tensor, trainer.Report]:
        """Equation 4."""
        import torch

        from ruie.losses import contrastive_loss, distillation_loss

        local, args = batch[mine], self.args
        own = self.scores(outputs, len(local))
        teacher = torch.tensor([self.teacher(g) for g in local], device=own.device)
        distill = distillation_loss(own, teacher.to(own.dtype))
        # in-batch negatives: every passage of the global batch but the query's own sample and its
        # top candidates, which are positives too
        passages = [d for g in batch for d in g.demonstrations]
        positives = torch.arange(len(batch))[mine] * own.shape[1]
        ignored = torch.tensor([[d in self.positives[g.query_id] for d in passages] for g in local])
        ignored[torch.arange(len(local)), positives] = False
        queries, mine_passages = self._sides(outputs, len(local))
        everyone = gather_passages(mine_passages.flatten(0, 1), self.accelerator)
        scores = queries @ everyone.T / args.tau
        contrastive = contrastive_loss(scores, positives.to(own.device), ignored.to(own.device))
        loss = args.alpha * contrastive + (0 if args.no_distill else distill)
        return loss, {"distill": distill, "contrastive": contrastive}

    def teacher(self, group: Group) -> list[float | None]:
        taught = self.taught[group.query_id]
        return [taught[d] for d in group.demonstrations]


def spreads(teacher: groups.Rankings, scores: groups.Rankings) -> dict[str, float]:
    """Of each query, the temperature at which the teacher's scores spread as the LLM's: the ratio
    of their standard deviations over the candidates that both have. Without a spread of the
    LLM's it is infinite, and the teacher says nothing; without one of its own it is 1."""
    places = {query: n for n, query in enumerate(scores.queries)}
    out = {}
    for r in teacher:
        llm: dict[str, float] = {}
        if r.query_id in places:
            told = scores[places[r.query_id]]
            llm = dict(zip(told.demonstrations, told.scores, strict=True))
        both = [(s, llm[d]) for d, s in zip(r.demonstrations, r.scores, strict=True) if d in llm]
        own, wanted = (_deviation([pair[side] for pair in both]) for side in (0, 1))
        out[r.query_id] = 1.0 if not own else own / wanted if wanted else math.inf
    return out


def _deviation(values: list[float]) -> float:
    """Standard deviation; of equal numbers 0, where rounding would leave 1e-17."""
    return float(np.std(values)) if len(set(values)) > 1 else 0.0


def taught(
    teacher: groups.Rankings, members: list[groups.Choices], temperatures: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """The teacher's scores, each query's divided by its temperature, of all that the groups are
    drawn from. ``UserError`` where one lacks."""
    wanted = {c.query_id: {*c.positives, *c.negatives} for c in members}
    out = {
        r.query_id: {d: s / temperatures[r.query_id]
                     for d, s in zip(r.demonstrations, r.scores, strict=True)
                     if d in wanted[r.query_id]}
        for r in teacher if r.query_id in wanted
    }  # fmt: skip
    for query, demonstrations in wanted.items():
        if lacking := demonstrations - out.get(query, {}).keys():
            raise cli.UserError(f"the teacher has no score of {query} with {min(lacking)}; run "
                                "ruie.score_reward on the same pairs")  # fmt: skip
    return out


def prepare(args: Any) -> tuple[trainer.Run, training.Data, encoders.BiEncoder]:
    """The training that the flags ask for, its data, and the encoder."""
    training.check(args)
    given = training.samples(args)
    teacher = given.preference
    if args.rewards:
        teacher = groups.read(args.rewards, schemas.REWARDS, "reward")
    rankings = teacher if args.ranked_by == "reward" else None
    data = training.read(args, given, rankings, args.answered_only)
    temperatures = (
        spreads(teacher, given.scores) if args.teacher_temperature == "llm"
        else dict.fromkeys(teacher.queries, args.teacher_temperature)
    )  # fmt: skip
    accelerator = training.start(args)
    encoder = encoders.BiEncoder(args.model, args.pooling, not args.no_normalize, args.max_length)
    tagged = [] if args.no_keywords else ["demonstration"]
    if tagged and not args.keywords_as_text:
        add_keyword_tokens(encoder.tokenizer, encoder.model)
    # BERT's own pooler takes no part
    if getattr(encoder.model, "pooler", None) is not None:
        encoder.model.pooler.requires_grad_(False)
    task = RetrieverTask(
        encoder, feeding.Feeder(encoder.tokenizer, args.max_length),
        *texts(data, args, tagged), taught(teacher, data.members, temperatures),
        {c.query_id: {c.query_id, *c.positives} for c in data.members}, args, accelerator,
    )  # fmt: skip
    return trainer.Run(task, args, accelerator, "retriever"), data, encoder


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if args.ranked_by == "reward" and not args.rewards:
        p.error("--ranked-by reward needs --rewards")
    run, data, encoder = prepare(args)
    trainer.train(run, data.members, data.watched)

    def write(folder: Path) -> None:
        saving.save_retriever(encoder, folder, args.query_prefix, args.demonstration_prefix)
        text = cards.card("retriever", vars(args), data, run.training)
        (folder / "README.md").write_text(text, encoding="utf-8")

    trainer.publish(write, run)


if __name__ == "__main__":
    cli.run(main)
