"""The two small models: cross-encoder (reward, section 3.3) and bi-encoder (retriever, 3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ruie import cli, devices, feeding, prompt, stamp
from ruie.examples import Example

if TYPE_CHECKING:
    import torch

POOLINGS = ("mean", "cls")


@dataclass(frozen=True)
class TextForm:
    """How a sample becomes an encoder's text: which fields in which order, keywords or plain, and
    the prefix that the encoder was trained with (``query: `` and ``passage: `` for E5)."""

    fields: tuple[str, ...]
    keywords: bool
    prefix: str = ""

    def __call__(self, example: Example) -> str:
        return self.prefix + prompt.render(example, self.fields, self.keywords)


def add_text_arguments(p: Any, *sides: str) -> None:
    """Flags of a ``TextForm`` for each side (query, demonstration)."""
    default = {"query": tuple(f for f in prompt.ENCODED if f != "output")}
    for side in sides:
        p.add_argument(
            f"--{side}-fields", nargs="+", choices=prompt.RETRIEVAL_FIELDS,
            default=list(default.get(side, prompt.ENCODED)),
            help=f"fields of a {side}'s text, in order (%(default)s)",
        )  # fmt: skip
        p.add_argument(f"--{side}-prefix", default="", help="put before the text (%(default)r)")


def text_form(args: Any, side: str, keywords: bool) -> TextForm:
    fields = tuple(getattr(args, f"{side}_fields"))
    return TextForm(fields, keywords, getattr(args, f"{side}_prefix"))


def from_pretrained(
    auto_class: Any, model: str | Path, new_head: bool = False, **options: Any
) -> Any:
    """``auto_class.from_pretrained``, from safetensors only. ``UserError`` without a model, and for
    one whose files lack weights, which would be drawn at random: all but a pooler's, which nothing
    here reads, and with ``new_head`` those beyond the base model, which a training starts from."""
    from safetensors import SafetensorError

    if "Model" not in auto_class.__name__:  # a tokenizer, a configuration
        return _loaded(auto_class, model, (OSError, ValueError), options)
    options = {"use_safetensors": True, "output_loading_info": True, **options}
    refused = (OSError, ValueError, RuntimeError, SafetensorError)
    network, info = _loaded(auto_class, model, refused, options)
    stamp.model(model)
    base = f"{network.base_model_prefix}."
    lacking = [
        name for name in sorted(info["missing_keys"])
        if "pooler" not in name and not (new_head and not name.startswith(base))
    ]  # fmt: skip
    if lacking:
        raise cli.UserError(f"model {model}: its files lack {len(lacking)} weights, first "
                            f"{lacking[0]}; fetch the whole model again")  # fmt: skip
    return network


def _loaded(
    auto_class: Any, model: str | Path, refused: tuple[type[Exception], ...], options: Any
) -> Any:
    try:
        return auto_class.from_pretrained(str(model), **options)
    except refused as error:
        line = str(error).strip().split("\n")[0]
        raise cli.UserError(
            f"model {model}: cannot be loaded: {line}; mend its path or id"
        ) from None


def check_length(model: Any, max_length: int) -> None:
    """``UserError`` where a model with learned positions has fewer than ``max_length``."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            # where padding has a position of its own, texts begin after it
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            if max_length > module.num_embeddings - first:
                raise cli.UserError(
                    f"--max-length {max_length}: the model {model.name_or_path} has "
                    f"{module.num_embeddings - first} positions; lower it"
                )


def pool_hidden(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """[batch, tokens, width] and mask [batch, tokens] to [batch, width]: the average over the
    unmasked tokens (equation 3's avgpool), or the first token."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


DTYPES = ("float32", "bfloat16")


def add_dtype_argument(p: Any) -> None:
    p.add_argument("--dtype", choices=DTYPES, default="float32",
                   help="of matrix products, where the device has it (%(default)s)")  # fmt: skip


def products(dtype: str) -> Any:
    """A context in which this job's device multiplies matrices in ``dtype``."""
    import torch

    kind = devices.device().partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=dtype == "bfloat16")


class BiEncoder:
    """A Hugging Face encoder with pooling; vectors are L2-normalised where asked. ``dtype`` is that
    of ``encode``'s matrix products; weights stay float32, as in training."""

    def __init__(
        self, model: str | Path, pooling: str, normalize: bool, max_length: int,
        dtype: str = "float32",
    ) -> None:  # fmt: skip
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = from_pretrained(AutoTokenizer, model)
        self.model = from_pretrained(AutoModel, model)
        check_length(self.model, max_length)
        self.pooling, self.normalize, self.max_length = pooling, normalize, max_length
        self.dtype = devices.arithmetic(dtype)

    def embed(self, inputs: Any, model: Any = None) -> torch.Tensor:
        """Vectors [batch, width] of tokenised inputs, with gradients; ``model`` stands in for
        the encoder's own where training has wrapped it."""
        import torch

        hidden = (model or self.model)(**inputs).last_hidden_state
        vectors = pool_hidden(hidden, inputs["attention_mask"], self.pooling)
        return torch.nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors

    def encode(self, texts: list[str], budget: int | None = None) -> tuple[np.ndarray, int]:
        """Vectors [texts, width] in float32, and how many texts were cut to ``max_length``."""
        if not texts:
            raise cli.UserError("there is no text to encode")
        (found,) = self.encode_windows([texts], len(texts), budget)
        return found

    def encode_windows(
        self, windows: Iterable[list[str]], total: int, budget: int | None = None
    ) -> Iterator[tuple[np.ndarray, int]]:
        """What ``encode`` gives of each window, one in memory at a time; ``total`` texts."""
        import torch

        feeder = feeding.Feeder(self.tokenizer, self.max_length)
        at_once = devices.batch_tokens(budget)
        self.model.eval().to(devices.device())

        def batches() -> Iterator[tuple[list[feeding.Tokens], list[int], bool]]:
            for texts in windows:
                todo = [feeder.one(ids) for ids in feeder.tokens(texts)]
                parts = list(feeding.parts([len(t.ids) for t in todo], at_once))
                yield from ((todo, rows, rows is parts[-1]) for rows in parts)

        out, cut = np.empty((0, 0), np.float32), 0
        weigh = lambda batch: len(batch[1])  # noqa: E731
        for todo, rows, last in cli.progress(batches(), total, "texts encoded", weigh=weigh):
            with torch.inference_mode(), products(self.dtype):
                inputs = feeder.tensors([todo[r] for r in rows], devices.device())
                found = self.embed(inputs).float().cpu().numpy()
            if not len(out):
                out = np.empty((len(todo), found.shape[1]), np.float32)
            out[rows] = found
            if last:
                yield out, feeder.cut - cut
                out, cut = np.empty((0, 0), np.float32), feeder.cut
