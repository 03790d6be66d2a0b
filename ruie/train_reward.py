"""Train the keyword-enhanced reward model (section 3.3): a cross-encoder over (query,
demonstration), both with their answers and with gold spans tagged, that learns the language
model's preference by equation 2.

Start with `accelerate launch -m ruie.train_reward ...`; one process is the default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruie import cli, encoders, examples, groups, keywords, parquet, prompt, schemas, training


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    training.add_arguments(p, batch=64, negatives=16, steps=3000, rate=1e-5)
    encoders.add_text_arguments(p, "query", "demonstration")
    p.set_defaults(query_fields=list(prompt.FIELDS))
    return p


def load(model: str | Path) -> tuple[Any, Any]:
    """Tokenizer and cross-encoder with one output; the keyword tags are tokens of their own."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = encoders.from_pretrained(AutoTokenizer, model)
    network = encoders.from_pretrained(AutoModelForSequenceClassification, model, num_labels=1)
    add_keyword_tokens(tokenizer, network)
    return tokenizer, network


def add_keyword_tokens(tokenizer: Any, network: Any) -> None:
    """Make ``<Keyword>`` and ``</Keyword>`` ("special tags", section 3.3) one token each."""
    if tokenizer.add_tokens([keywords.OPEN, keywords.CLOSE], special_tokens=True):
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    queries = examples.by_id(examples.read(args.queries))
    pool = examples.by_id(examples.read(args.pool))
    rankings = groups.ranked(parquet.read(args.scores, schemas.SCORES), "score")
    members = groups.choices(rankings, queries, pool, args.positives, args.last)
    accelerator = training.start(args)
    tokenizer, network = load(args.model)
    query_form = encoders.text_form(args, "query", not args.no_keywords)
    demonstration_form = encoders.text_form(args, "demonstration", not args.no_keywords)

    from ruie.losses import reward_loss

    def loss_of(model: Any, batch: list[groups.Group], mine: slice) -> Any:
        pairs = [(g.query_id, d) for g in batch[mine] for d in g.demonstrations]
        left = [query_form(queries[q]) for q, _ in pairs]
        right = [demonstration_form(pool[d]) for _, d in pairs]
        inputs = tokenizer(left, right, truncation="longest_first", max_length=args.max_length,
                           padding=True, return_tensors="pt").to(accelerator.device)  # fmt: skip
        scores = model(**inputs).logits.view(-1, 1 + args.negatives)
        accuracy = (scores.argmax(-1) == 0).float().mean()
        return reward_loss(scores), {"accuracy": accuracy}

    trained = training.train(network, loss_of, members, args, accelerator)

    def write(folder: Path) -> None:
        trained.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    training.publish(write, args.out, accelerator)


if __name__ == "__main__":
    cli.run(main)
