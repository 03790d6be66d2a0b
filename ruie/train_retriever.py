"""Train the retriever (section 3.4): a bi-encoder distilled from the reward model, with a
contrastive term on the language model's own ranking (equations 3 and 4).

The query side sees the plain sample without its answer; the demonstration side sees the
keyword-enhanced sample. Start with `accelerate launch -m ruie.train_retriever ...`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruie import cli, encoders, examples, groups, parquet, schemas, training
from ruie.train_reward import add_keyword_tokens


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    training.add_arguments(p, batch=128, negatives=3, steps=6000, rate=3e-5)
    encoders.add_text_arguments(p, "query", "demonstration")
    p.add_argument("--rewards", type=Path, help="REWARDS; without them the LLM's scores teach "
                   "(Table 6: without reward model)")  # fmt: skip
    p.add_argument("--ranked-by", choices=["llm", "reward"], default="llm",
                   help="whose ranking gives positives and negatives (%(default)s)")  # fmt: skip
    p.add_argument("--pooling", choices=encoders.POOLINGS, default="mean")
    p.add_argument("--no-normalize", action="store_true", help="keep the vectors' lengths")
    p.add_argument("--alpha", type=float, default=0.2, help="weight of the contrastive loss")
    p.add_argument("--tau", type=float, default=0.01, help="temperature of equation 3")
    p.add_argument("--no-distill", action="store_true", help="Table 6: contrastive loss alone")
    return p


def gather_passages(vectors: Any, accelerator: Any) -> Any:
    """Passage vectors of all processes [passages, width], in process order, with gradients for
    this process's own (summed over processes they are the gradient of one big batch)."""
    if accelerator.num_processes == 1:
        return vectors
    import torch
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(vectors))


def main(argv: list[str] | None = None) -> None:
    p = parser()
    args = p.parse_args(argv)
    if args.ranked_by == "reward" and not args.rewards:
        p.error("--ranked-by reward needs --rewards")
    queries = examples.by_id(examples.read(args.queries))
    pool = examples.by_id(examples.read(args.pool))
    scores = parquet.read(args.scores, schemas.SCORES)
    teacher_table = parquet.read(args.rewards, schemas.REWARDS) if args.rewards else scores
    column = "reward" if args.rewards else "score"
    rankings = (
        groups.ranked(teacher_table, column)
        if args.ranked_by == "reward"
        else groups.ranked(scores, "score")
    )
    members = groups.choices(rankings, queries, pool, args.positives, args.last)
    own_top = {c.query_id: {c.query_id, *c.positives} for c in members}
    keys = zip(
        *(teacher_table[c].to_pylist() for c in ("query_id", "demonstration_id")), strict=True
    )
    teacher = dict(zip(keys, teacher_table[column].to_pylist(), strict=True))
    accelerator = training.start(args)
    encoder = encoders.BiEncoder(args.model, args.pooling, not args.no_normalize, args.max_length)
    if not args.no_keywords:
        add_keyword_tokens(encoder.tokenizer, encoder.model)
    # BERT's own pooler takes no part; several processes would wait for its gradient for ever
    pooler = getattr(encoder.model, "pooler", None)
    if pooler is not None:
        pooler.requires_grad_(False)
    query_form = encoders.text_form(args, "query", keywords=False)
    demonstration_form = encoders.text_form(args, "demonstration", not args.no_keywords)

    import torch

    from ruie.losses import contrastive_loss, distillation_loss

    def embed(model: Any, texts: list[str]) -> Any:
        inputs = encoder.tokenizer(texts, truncation=True, max_length=args.max_length,
                                   padding=True, return_tensors="pt")  # fmt: skip
        return encoder.embed(inputs.to(accelerator.device), model)

    def loss_of(model: Any, batch: list[groups.Group], mine: slice) -> Any:
        local, size = batch[mine], 1 + args.negatives
        q = embed(model, [query_form(queries[g.query_id]) for g in local])
        d = embed(model, [demonstration_form(pool[i]) for g in local for i in g.demonstrations])
        own = torch.einsum("qw,qgw->qg", q, d.view(len(local), size, -1)) / args.tau
        taught = [[teacher[g.query_id, i] for i in g.demonstrations] for g in local]
        distill = distillation_loss(own, torch.tensor(taught, device=own.device))
        # in-batch negatives: every passage of the global batch but the query's own sample and its
        # top candidates, which are positives too
        passages = [i for g in batch for i in g.demonstrations]
        positives = torch.arange(len(batch))[mine] * size
        no_negatives = torch.tensor([[i in own_top[g.query_id] for i in passages] for g in local])
        no_negatives[torch.arange(len(local)), positives] = False
        scores = q @ gather_passages(d, accelerator).T / args.tau
        contrastive = contrastive_loss(
            scores, positives.to(own.device), no_negatives.to(own.device)
        )
        loss = args.alpha * contrastive + (0 if args.no_distill else distill)
        accuracy = (own.argmax(-1) == 0).float().mean()
        report = {"distill": distill, "contrastive": contrastive, "accuracy": accuracy}
        return loss, {k: v.detach() for k, v in report.items()}

    encoder.model = training.train(encoder.model, loss_of, members, args, accelerator)
    training.publish(lambda folder: encoders.save_retriever(encoder, folder), args.out, accelerator)


if __name__ == "__main__":
    cli.run(main)
