"""How fast candidates are scored, side by side on the same pairs and machine: ruie.score's way, the
published code's loop written anew, and vLLM's prompt_logprobs.

The pairs are those of demonstrations drawn at random, each with all queries whose candidate it is:
what a window of a full run is made of. The published loop takes batches of four in the candidates'
order, pads them and makes logits of the whole sequences; nothing is shared between pairs there, so
it is timed on a random part of them, and so is vLLM. Each way runs in a process of its own.

    python benchmarks/score.py --run results/bench --model models/gemma-3-270m
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ruie import backends, cli, devices, examples, parquet, plan, schemas, score
from ruie.pieces import Pair, Pieces

BATCH = 4  # of the published loop
WAYS = ("ruie", "published", "vllm")


def drawn(table: pa.Table, least: int, seed: int) -> pa.Table:
    """The rows of demonstrations drawn at random, whole, until there are ``least`` pairs."""
    coded = table["demonstration_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    sizes = np.bincount(coded)
    order = np.random.default_rng(seed).permutation(len(sizes))
    taken = order[: int(np.searchsorted(np.cumsum(sizes[order]), least)) + 1]
    return table.filter(pa.array(np.isin(coded, taken)))


def published(model: Any, pairs: list[Pair], device: str) -> list[float]:
    import torch

    out = []
    for low in range(0, len(pairs), BATCH):
        some = pairs[low : low + BATCH]
        width = max(len(p.ids) for p in some)
        ids = torch.zeros((len(some), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, -100)
        for row, p in enumerate(some):
            ids[row, : len(p.ids)] = torch.from_numpy(p.ids.astype(np.int64))
            mask[row, : len(p.ids)] = 1
            labels[row, p.start : len(p.ids)] = ids[row, p.start : len(p.ids)]
        with torch.inference_mode():
            logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().to(device), reduction="none"
            ).view(len(some), -1)
        counts = (labels[:, 1:] != -100).sum(1).to(device)
        out += (-loss.sum(1) / counts).float().tolist()
    return out


def matmul_rate(dtype: str, device: str) -> float:
    """FLOP/s of a large matrix product, the best of five."""
    import torch

    n = 8192 if device != "cpu" else 2048
    a = torch.randn(n, n, dtype=getattr(torch, dtype), device=device)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        if device != "cpu":
            torch.cuda.synchronize()
        best = max(best, 2 * n**3 / (time.perf_counter() - start))
    return best


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """One way, timed: pairs/s, tokens/s (of whole prompts, whoever computes them), memory."""
    pairs = [Pair(np.array(ids, np.int32), start)
             for ids, start in json.loads(Path(args.pairs_file).read_text())]  # fmt: skip
    whole = sum(len(p.ids) for p in pairs)
    useful = 1.0
    found = [float("nan")] * len(pairs)
    more: dict[str, Any] = {}
    if args.way == "vllm":
        for name, value in backends.VLLM_DEFAULTS.items():
            os.environ.setdefault(name, value)
        from vllm import LLM, SamplingParams

        engine = LLM(model=args.model, dtype=args.dtype, max_model_len=2048, enforce_eager=True,
                     disable_log_stats=True)  # fmt: skip
        ask = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        prompts = [{"prompt_token_ids": p.ids.tolist()} for p in pairs]
        engine.generate(prompts[:1], ask, use_tqdm=False)
        start = time.perf_counter()
        answers = engine.generate(prompts, ask, use_tqdm=False)
        seconds = time.perf_counter() - start
        for n, (p, a) in enumerate(zip(pairs, answers, strict=True)):
            each = [a.prompt_logprobs[i][int(p.ids[i])].logprob for i in range(p.start, len(p.ids))]
            found[n] = float(np.mean(each))
    elif args.way == "published":
        import torch
        from transformers import AutoModelForCausalLM

        device = devices.device()
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
        model.eval().to(device)
        published(model, pairs[:1], device)
        start = time.perf_counter()
        found = published(model, pairs, device)
        seconds = time.perf_counter() - start
        padded = sum(
            len(some) * max(len(p.ids) for p in some)
            for some in (pairs[low : low + BATCH] for low in range(0, len(pairs), BATCH))
        )
        useful = whole / padded
    else:
        from ruie.lm import LanguageModel

        lm = LanguageModel(args.model, args.dtype, False, args.batch_tokens, args.cache_mb)
        for _ in lm.score(pairs[:1]):
            pass
        lm.useful = lm.computed = 0
        start = time.perf_counter()
        for rows, means in lm.score(pairs):
            for row, mean in zip(rows, means, strict=True):
                found[row] = mean
        seconds = time.perf_counter() - start
        useful = lm.useful / lm.computed
        answers = sum(len(p.ids) - p.start for p in pairs)
        body = sum(p.numel() for n, p in lm.model.base_model.named_parameters() if "embed" not in n)
        head = lm.model.get_output_embeddings().weight.numel()
        flops = 2 * (lm.useful * body + answers * head)
        more = {"computed_tokens": lm.computed, "shared_share": 1 - lm.useful / whole}
        # where a dtype is emulated there is no rate to compare with
        if devices.arithmetic(args.dtype) == args.dtype:
            more["share_of_matmul_rate"] = flops / seconds / matmul_rate(args.dtype, lm.device)
    return {
        "way": args.way, "dtype": args.dtype, "pairs": len(pairs), "seconds": seconds,
        "pairs_per_s": len(pairs) / seconds, "tokens_per_s": whole / seconds,
        "useful_token_share": useful, "peak_mb": score.peak_mb(), **more, "scores": found,
    }  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    from transformers import AutoTokenizer

    queries, pool = (examples.read(args.run / f"{n}.parquet") for n in ("queries", "training_pool"))
    candidates = parquet.read(args.run / "candidates.parquet", schemas.CANDIDATES)
    pieces = Pieces(AutoTokenizer.from_pretrained(args.model), args.model)
    table, _ = plan.run(
        candidates, queries, pool, pieces, plan.Form(), args.max_length, args.batch_tokens
    )
    rows = drawn(table, args.pairs, args.seed)
    texts = score.Texts(rows, examples.by_id(queries), examples.by_id(pool), plan.Form())
    pairs = texts.pairs(range(rows.num_rows), pieces)
    by_row = np.argsort(rows["row"].to_numpy())
    part = np.sort(np.random.default_rng(args.seed).permutation(by_row)[: args.part])
    part = [int(i) for i in by_row if i in set(part.tolist())]  # in the candidates' order
    found = []
    with tempfile.TemporaryDirectory() as tmp:
        for name, which in (("all", range(len(pairs))), ("part", part)):
            Path(tmp, name).write_text(
                json.dumps([(pairs[i].ids.tolist(), pairs[i].start) for i in which])
            )
        for way, dtype in args.ways:
            which = Path(tmp, "all" if way == "ruie" else "part")
            words = [sys.executable, __file__, "--way", way, "--dtype", dtype,
                     "--model", args.model, "--pairs-file", str(which),
                     "--batch-tokens", str(args.batch_tokens), "--cache-mb", str(args.cache_mb),
                     "--result", str(Path(tmp, "result"))]  # fmt: skip
            subprocess.run(words, check=True)
            found.append(json.loads(Path(tmp, "result").read_text()))
            cli.log.info("%s, %s: %.2f pairs/s", way, dtype, found[-1]["pairs_per_s"])
    return summary(found, part, table, args)


def summary(
    found: list[dict[str, Any]], part: list[int], table: pa.Table, args: argparse.Namespace
) -> dict[str, Any]:
    scores = {(r["way"], r["dtype"]): r.pop("scores") for r in found}
    speed = {(r["way"], r["dtype"]): r["pairs_per_s"] for r in found}
    ours = scores.get(("ruie", "float32"))
    if ours:
        for r in found:
            mine = scores[r["way"], r["dtype"]]
            other = ours if r["way"] == "ruie" else [ours[i] for i in part]
            r["largest_difference"] = float(np.abs(np.array(mine) - np.array(other)).max())
    ratios = {
        f"{dtype}": speed["ruie", dtype] / speed["published", dtype]
        for dtype in ("bfloat16", "float32")
        if ("published", dtype) in speed and ("ruie", dtype) in speed
    }
    import torch

    tokens, work = (table[c].to_numpy().sum() for c in ("tokens", "work"))
    return {
        "ratio_vs_published": ratios.get("bfloat16", ratios.get("float32")),
        "ratios_vs_published": ratios,
        "plan": {"pairs": table.num_rows, "tokens": int(tokens), "work": int(work)},
        "machine": {"device": devices.device(), "cores": os.cpu_count(),
                    "processor": platform.processor() or platform.machine(),
                    "capability": torch.backends.cpu.get_cpu_capability(),
                    "torch": torch.__version__},
        "settings": {"batch_tokens": args.batch_tokens, "cache_mb": args.cache_mb,
                     "seed": args.seed, "model": Path(args.model).name},
        "ways": found,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    lines = ["| way | dtype | pairs | pairs/s | tokens/s | useful | peak MiB | differs |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for r in result["ways"]:
        lines.append(
            f"| {r['way']} | {r['dtype']} | {r['pairs']} | {r['pairs_per_s']:.2f} "
            f"| {r['tokens_per_s']:.0f} | {r['useful_token_share']:.1%} | {r['peak_mb']} "
            f"| {r.get('largest_difference', float('nan')):.1e} |"
        )
    lines += [f"{d}: {r:.1f} times the published loop"
              for d, r in result["ratios_vs_published"].items()]  # fmt: skip
    return "\n".join(lines)


def way(text: str) -> tuple[str, str]:
    name, _, dtype = text.partition("=")
    if name not in WAYS or dtype not in ("bfloat16", "float32"):
        raise argparse.ArgumentTypeError(f"{text!r} is not WAY=DTYPE, one of {WAYS}")
    return name, dtype


def main() -> None:
    p = cli.parser(__doc__)
    p.add_argument("--run", type=Path, default=Path("results/bench"),
                   help="folder of queries, pool and candidates (%(default)s)")  # fmt: skip
    p.add_argument("--model", default="models/gemma-3-270m", help="folder (%(default)s)")
    p.add_argument("--pairs", type=cli.positive, default=256, help="at least (%(default)s)")
    p.add_argument("--part", type=cli.positive, default=32, help="of them, for the other ways")
    p.add_argument("--ways", nargs="+", type=way, metavar="WAY=DTYPE",
                   default=[(w, d) for d in ("float32", "bfloat16") for w in WAYS[:2]]
                   + [("vllm", "float32")], help=f"{WAYS} with a dtype (all)")  # fmt: skip
    p.add_argument("--max-length", type=cli.positive, default=1792)
    p.add_argument("--batch-tokens", type=cli.positive, default=2048)
    p.add_argument("--cache-mb", type=cli.positive, default=1024)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, default=Path("results/bench/score.json"))
    p.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    p.add_argument("--dtype", help=argparse.SUPPRESS)
    p.add_argument("--pairs-file", help=argparse.SUPPRESS)
    p.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.way:
        args.result.write_text(json.dumps(measure(args)))
        return
    result = run(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


if __name__ == "__main__":
    cli.run(main)
