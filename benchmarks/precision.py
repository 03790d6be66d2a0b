"""Whether a coarser dtype changes which candidates the language model prefers.

The float32 scores of a run are compared with scores of the same pairs in another dtype, by sharing
prefixes as ruie.score does and, for some queries, by the whole model without any sharing: so one
sees what rounding does and what sharing adds to it.

    python benchmarks/precision.py --run results/learning --llm gemma-3-270m
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ruie import cli, examples, groups, parquet, plan, schemas, score

TOP = 3  # positives of a training


def compare(exact: dict[str, list[float]], other: dict[str, list[float]]) -> dict[str, float]:
    """Shares of queries whose top candidates are the same, and how far scores and ranks differ."""
    same, first, differences, gaps = [], [], [], []
    for query, values in other.items():
        a, b = np.array(exact[query]), np.array(values)
        order = np.argsort(-a, kind="stable")
        mine = np.argsort(-b, kind="stable")
        same.append(set(order[:TOP]) == set(mine[:TOP]))
        first.append(order[0] == mine[0])
        differences.append(np.abs(a - b))
        gaps.append(a[order[TOP - 1]] - a[order[TOP]])
    every = np.concatenate(differences)
    return {
        "queries": len(other), "pairs": len(every), "same_top": float(np.mean(same)),
        "same_first": float(np.mean(first)), "mean_difference": float(every.mean()),
        "largest_difference": float(every.max()),
        # between the last positive and the next candidate: what rounding must not exceed
        "median_gap": float(np.median(gaps)),
    }  # fmt: skip


def drawn(rows: pa.Table, n: int, seed: int) -> list[str]:
    """Queries with more than TOP planned candidates."""
    counts = rows.group_by("query_id").aggregate([("row", "count")])
    known = sorted(counts.filter(pc.greater(counts["row_count"], TOP))["query_id"].to_pylist())
    return [known[i] for i in np.random.default_rng(seed).permutation(len(known))[:n]]


def simulate_tf32(model: Any) -> None:
    """Round what goes into the matrix products of a float32 model to TF32's ten bits of mantissa,
    as a GPU's tensor cores do; the head's logits stay in float32, as ruie.lm makes them."""
    import torch
    import torch.nn.functional as F

    def rounded(t: Any) -> Any:
        bits = t.contiguous().view(torch.int32)
        return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)

    def inputs(_: Any, given: Any) -> Any:
        return rounded(given[0]), *given[1:]

    for module in model.base_model.modules():
        weight = getattr(module, "weight", None)
        if weight is not None and weight.dim() == 2 and not isinstance(module, torch.nn.Embedding):
            weight.data = rounded(weight.data)
            module.register_forward_pre_hook(inputs)
    plain = F.scaled_dot_product_attention

    def attention(q: Any, k: Any, v: Any, *args: Any, **options: Any) -> Any:
        return plain(rounded(q), rounded(k), rounded(v), *args, **options)

    F.scaled_dot_product_attention = attention


def simulate(model: Any, dtype: str) -> None:
    """Make a float32 model round as one of ``dtype`` does: its weights, and what each operation
    yields; sums inside an operation stay in float32, as a GPU has them, and so do rotary angles
    and norms, as transformers has them. For processors that have no instructions for ``dtype``
    and would take several times as long."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
    from torch.utils._pytree import tree_map

    coarse = getattr(torch, dtype)

    def rounded(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            return value.to(coarse).to(torch.float32)
        return value

    class Rounding(TorchDispatchMode):
        def __torch_dispatch__(
            self, op: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:  # fmt: skip
            found = op(*args, **(kwargs or {}))
            # a view is the same numbers; the keys and values that are written were rounded before
            return found if op.is_view or op._schema.is_mutable else tree_map(rounded, found)

    def within(module: Any, around: Callable[[], Any]) -> None:
        plain = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            with around():
                found = plain(*args, **kwargs)
            return tree_map(rounded, found)

        module.forward = forward

    for p in model.parameters():
        p.data = rounded(p.data)
    for module in model.modules():
        if any(word in type(module).__name__ for word in ("Rotary", "Norm")):
            within(module, _disable_current_modes)
    within(model.base_model, Rounding)


def run(args: argparse.Namespace) -> dict[str, Any]:
    from ruie.lm import LanguageModel

    rows = parquet.read(args.run / "scores" / args.llm / "plan.parquet", schemas.PLAN)
    scores = parquet.read(args.run / "scores" / f"{args.llm}.parquet", schemas.SCORES)
    known = {(r.query_id, d): s for r in groups.Rankings(scores, "score")
             for d, s in zip(r.demonstrations, r.scores, strict=True)}  # fmt: skip
    queries, pool = (
        examples.by_id(examples.read(args.run / f"{name}.parquet"))
        for name in ("queries", "training_pool")
    )
    names = drawn(rows, args.queries, args.seed)
    rows = rows.filter(pc.is_in(rows["query_id"], value_set=pa.array(names)))
    texts = score.Texts(rows, queries, pool, plan.Form())
    dtype = "float32" if args.simulate else args.dtype
    model = LanguageModel(args.model, dtype, False, args.batch_tokens, args.cache_mb)
    if args.simulate:
        simulate_tf32(model.model) if args.dtype == "tf32" else simulate(model.model, args.dtype)
    pairs = texts.pairs(range(rows.num_rows), model.pieces)
    shared = [0.0] * len(pairs)
    for at, means in cli.progress(model.score(pairs), len(pairs), "pairs", weigh=_size):
        for i, mean in zip(at, means, strict=True):
            shared[i] = mean
    ids = list(zip(rows["query_id"].to_pylist(), rows["demonstration_id"].to_pylist(), strict=True))
    few = set(names[: args.plain])
    exact, found, plain = ({q: [] for q in some} for some in (names, names, few))
    for i, (query, demonstration) in enumerate(cli.progress(ids, len(ids), "pairs, plain")):
        exact[query].append(known[query, demonstration])
        found[query].append(shared[i])
        if query in few:
            plain[query].append(model.reference(pairs[i]))
    result = {"dtype": args.dtype, "model": Path(args.model).name, "top": TOP, "seed": args.seed,
              "simulated": args.simulate}  # fmt: skip
    result["shared"] = compare(exact, found)
    if few:
        some = {q: found[q] for q in few}
        result |= {"plain": compare(exact, plain), "shared_of_those": compare(exact, some),
                   "shared_against_plain": compare(plain, some)}  # fmt: skip
    return result


def _size(batch: tuple[list[int], list[float]]) -> int:
    return len(batch[0])


def main() -> None:
    p = cli.parser(__doc__)
    p.add_argument("--run", type=Path, required=True, help="folder of a run with float32 scores")
    p.add_argument("--llm", default="gemma-3-270m", help="name in the run (%(default)s)")
    p.add_argument("--model", default="models/gemma-3-270m", help="folder (%(default)s)")
    p.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "tf32"])
    p.add_argument("--simulate", action="store_true", help="round in float32 instead")
    p.add_argument("--queries", type=cli.positive, default=40, help="drawn (%(default)s)")
    p.add_argument("--plain", type=int, default=8, help="of them without sharing (%(default)s)")
    p.add_argument("--batch-tokens", type=cli.positive, default=2048)
    p.add_argument("--cache-mb", type=cli.positive, default=1024)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("results/bench/precision.json"))
    args = p.parse_args()
    result = run(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    cli.run(main)
