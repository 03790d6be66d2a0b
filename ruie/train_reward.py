"""Train the keyword-enhanced reward model (section 3.3): a cross-encoder over (query,
demonstration), both with their answers and with gold spans tagged, that learns the language
model's preference by equation 2.

Start with `accelerate launch -m ruie.train_reward ...`; one process is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruie import (
    cards,
    cli,
    encoders,
    feeding,
    keywords,
    prompt,
    saving,
    trainer,
    training,
)
from ruie.groups import Group

if TYPE_CHECKING:
    from torch import Tensor


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    training.add_arguments(p, batch=64, negatives=16, steps=3000, rate=1e-5)
    encoders.add_text_arguments(p, "query", "demonstration")
    p.set_defaults(query_fields=list(prompt.ENCODED))
    return p


def load(model: str | Path, keyword_tokens: bool) -> tuple[Any, Any]:
    """Tokenizer and cross-encoder with one output."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = encoders.from_pretrained(AutoTokenizer, model)
    network = encoders.from_pretrained(
        AutoModelForSequenceClassification, model, new_head=True, num_labels=1
    )
    if keyword_tokens:
        add_keyword_tokens(tokenizer, network)
    return tokenizer, network


def add_keyword_tokens(tokenizer: Any, network: Any) -> None:
    """Make ``<Keyword>`` and ``</Keyword>`` ("special tags", section 3.3) one token each."""
    if tokenizer.add_tokens([keywords.OPEN, keywords.CLOSE], special_tokens=True):
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)


class RewardTask:
    """Pairs go through a cross-encoder; the positive is to score above its group (equation 2)."""

    def __init__(
        self,
        network: Any,
        feeder: feeding.Feeder,
        queries: Mapping[str, str],
        pool: Mapping[str, str],
    ) -> None:
        self.network, self.feeder = network, feeder
        self.queries, self.pool = feeder.texts(queries), feeder.texts(pool)

    def sequences(self, groups: Sequence[Group]) -> list[feeding.Tokens]:
        return [self.feeder.two(self.queries[g.query_id], self.pool[d])
                for g in groups for d in g.demonstrations]  # fmt: skip

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        logits: Tensor = self.network(**inputs).logits
        return logits

    def scores(self, outputs: Tensor, groups: int) -> Tensor:
        return outputs.view(groups, -1)

    def loss(
        self, outputs: Tensor, batch: Sequence[Group], mine: slice
    ) -> tuple[Tensor, trainer.Report]:
        from ruie.losses import reward_loss

        return reward_loss(self.scores(outputs, len(batch[mine]))), {}

    def teacher(self, group: Group) -> list[float | None]:
        return [None] * len(group.demonstrations)


def texts(
    data: training.Data, args: Any, tagged: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of the queries and of the demonstrations that the training reads, by id; gold
    spans are tagged on the sides that are named."""
    asked, shown = (encoders.text_form(args, side, side in tagged)
                    for side in ("query", "demonstration"))  # fmt: skip
    return ({name: asked(data.queries[name]) for name in data.asked},
            {name: shown(data.pool[name]) for name in data.shown})  # fmt: skip


def prepare(args: Any) -> tuple[trainer.Run, training.Data, Any]:
    """The training that the flags ask for, its data, and the tokenizer."""
    training.check(args)
    data = training.read(args, training.samples(args))
    accelerator = training.start(args)
    tagged = [] if args.no_keywords else ["query", "demonstration"]
    tokenizer, network = load(args.model, bool(tagged) and not args.keywords_as_text)
    encoders.check_length(network, args.max_length)
    feeder = feeding.Feeder(tokenizer, args.max_length)
    task = RewardTask(network, feeder, *texts(data, args, tagged))
    return trainer.Run(task, args, accelerator, "reward model"), data, tokenizer


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    run, data, tokenizer = prepare(args)
    trainer.train(run, data.members, data.watched)

    def write(folder: Path) -> None:
        saving.save_reward(run.task.network, tokenizer, folder, args.max_length)
        text = cards.card("reward", vars(args), data, run.training)
        (folder / "README.md").write_text(text, encoding="utf-8")

    trainer.publish(write, run)


if __name__ == "__main__":
    cli.run(main)
